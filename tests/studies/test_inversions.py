"""The study of codes: what its measures say where the answer is known, and that it can be carried out."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from began.images.faces import ATTRIBUTES, rendered_faces, sample_attributes
from began.measure.reader import CATEGORICAL, load_reader
from studies import inversions
from studies.inversions import (
    Columns,
    Inversion,
    additivity,
    carried_out,
    instants,
    kept,
    load_inversions,
    load_left,
    paths,
    place_of,
)

CPU = torch.device("cpu")


class Additive(nn.Module):
    """A generator that lays patterns over each other, one a number of z; `bend` adds what two numbers make together."""

    def __init__(self, bend: float):
        super().__init__()
        self.bend = bend
        self.patterns = 0.1 * torch.randn(5, 3 * 16 * 16, generator=torch.Generator().manual_seed(0))

    def forward(self, z: Tensor) -> Tensor:
        products = self.bend * (z.sum(1, keepdim=True).square() - z.square().sum(1, keepdim=True))
        return (torch.cat([z, products], 1) @ self.patterns).view(-1, 3, 16, 16)


def model(generator: nn.Module) -> Any:
    return SimpleNamespace(
        generator=generator,
        n_z=4,
        noise=lambda count, rng: torch.rand(count, 4, generator=rng) * 2 - 1,
    )


def test_changes_of_a_linear_generator_add_up_and_those_of_a_bent_one_do_not():
    straight = additivity(model(Additive(0.0)), torch.Generator().manual_seed(0))
    bent = additivity(model(Additive(1.0)), torch.Generator().manual_seed(0))
    assert max(straight.values()) < 1e-5
    assert bent["5"] > bent["1"] > 0.01


def test_what_is_kept_is_one_for_the_truth_and_zero_for_the_best_guess():
    reader, true = load_reader(), sample_attributes(3, range(500))
    assert set(kept(true, true, reader).values()) == {1.0}
    guess = true.mean(0).expand_as(true).clone()
    for column in CATEGORICAL:
        guess[:, column] = true[:, column].mode().values
    assert kept(guess, true, reader) == pytest.approx(dict.fromkeys(kept(true, true, reader), 0.0), abs=1e-4)
    assert max(kept(guess + 3 * true.std(0), true, reader).values()) < 0.01


def test_columns_are_scaled_to_real_faces_and_name_each_level():
    real = sample_attributes(5, range(2000))
    columns = Columns(load_reader(), real)
    values = columns(real)
    assert values.shape == (2000, len(columns.names))
    assert torch.allclose(values.std(0), torch.ones(len(columns.names)), atol=1e-3)
    glasses = [name for name in columns.names if name.startswith("glasses")]
    assert glasses == ["glasses: none", "glasses: round", "glasses: square", "glasses: tinted"]
    one_hot = values[:, [columns.names.index(name) for name in glasses]]
    place = [attribute.name for attribute in ATTRIBUTES].index("glasses")
    assert torch.equal(one_hot.argmax(1), real[:, place].long())


def test_a_blend_is_an_even_walk_of_blurred_pictures():
    x = rendered_faces(4, 16, seed=3).float() / 127.5 - 1
    row, frames = paths(model(Additive(0.0)), x, {"anywhere": torch.rand(4, 4) - 0.5}, None)
    assert row["pixels"]["step"] == pytest.approx(1, abs=0.02)
    assert row["pixels"]["length"] == pytest.approx(1, abs=0.02)
    assert row["pixels"]["sharpness"] < 0.95
    assert row["anywhere, linear"]["step"] == pytest.approx(1, abs=0.2)
    assert frames.shape == (3, 2, 11, 3, 16, 16)


def test_instants_start_at_none_and_end_at_the_last():
    at = instants(1000)
    assert at[0] == 0
    assert at[-1] == 1000
    assert at == sorted(set(at))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LONG": 12, "SHORT": 6, "RESTARTED": 3, "IMAGES": 8, "MANY": 20}.items():
        monkeypatch.setattr(inversions, name, value)
    monkeypatch.setattr(inversions, "SAMPLES", 200)
    monkeypatch.setattr(inversions, "SHOWN", 2)


@pytest.mark.parametrize("kind", ["BEGAN-CS", "ALI"])
def test_a_job_is_done_once(quick: None, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if kind != "ALI":  # the slowest parts, which do not depend on the job
        monkeypatch.setattr(inversions, "sweeps", lambda *given: ({}, torch.zeros(1)))
        monkeypatch.setattr(inversions, "directions", lambda *given: {})
    setting = {"n": 4, **({"tanh": 1} if kind == "ALI" else {"alpha": 0.1})}
    job, done = Inversion("report", "faces", kind, setting, 3, 50), []
    (row,) = carried_out(job, tmp_path, tmp_path, CPU, done.append)
    assert row["errors"]["one_shot"] > row["errors"]["autoencoder"] * 0.1
    assert row["kept"]["the picture"]["glasses"] > 0.8
    if kind == "BEGAN-CS":
        assert row["errors"]["random"]["iterations"] == instants(12)
        assert row["errors"]["random"]["error"] == sorted(row["errors"]["random"]["error"], reverse=True)
        assert row["errors"]["random, in the cube"]["largest"] <= 1
        assert len(row["errors"]["restarts"]) == 4
    weights = place_of(job, tmp_path, tmp_path) / "model.safetensors"
    before = weights.stat().st_mtime_ns
    monkeypatch.setattr(inversions, "measured", None)
    assert carried_out(job, tmp_path, tmp_path, CPU, done.append) == [row]
    assert weights.stat().st_mtime_ns == before
    assert json.dumps(row)


def test_the_committed_rows_are_whole():
    for data in ("faces", "photographs"):
        for kind in ("BEGAN", "BEGAN-CS", "ALI"):
            rows = load_inversions(data, kind)
            assert [row["seed"] for row in rows] == list(range(5))
            assert ("kept" in rows[0]) == (data == "faces")
    assert len(load_inversions("faces", "ALI", "search")) == 6
    row = load_inversions("faces", "BEGAN-CS")[2]
    assert load_left("back", row).shape == (6, 8, 3, 16, 16)
    assert load_left("frames", row).shape == (5, 2, 11, 3, 16, 16)
    assert load_left("effects", row).shape[:3] == (2, 3, 64)
