"""The study of codes: what its measures say where the answer is known, and that it can be carried out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from began.images.faces import ATTRIBUTES, rendered_faces, sample_attributes
from began.measure.reader import CATEGORICAL, load_reader
from studies import inversions, runner
from studies.inversions import (
    Columns,
    Inversion,
    Lab,
    additivity,
    fidelity,
    instants,
    load_inversions,
    load_left,
    measure_paths,
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
    straight = additivity(model(Additive(0.0)), 32, torch.Generator().manual_seed(0))
    bent = additivity(model(Additive(1.0)), 32, torch.Generator().manual_seed(0))
    assert max(straight.values()) < 1e-5
    assert bent["5"] > bent["1"] > 0.01


def test_what_is_kept_is_one_for_the_truth_and_zero_for_the_best_guess():
    reader, true = load_reader(), sample_attributes(3, range(500))
    assert set(fidelity(true, true, reader).values()) == {1.0}
    guess = true.mean(0).expand_as(true).clone()
    for column in CATEGORICAL:
        guess[:, column] = true[:, column].mode().values
    assert fidelity(guess, true, reader) == pytest.approx(dict.fromkeys(fidelity(true, true, reader), 0.0), abs=1e-4)
    assert max(fidelity(guess + 3 * true.std(0), true, reader).values()) < 0.01


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
    row, frames = measure_paths(model(Additive(0.0)), x, {"anywhere": torch.rand(4, 4) - 0.5}, None, Lab())
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


@pytest.mark.parametrize("kind", ["BEGAN-CS", "ALI"])
def test_a_job_is_done_once(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if kind != "ALI":  # the slowest parts, which do not depend on the job
        monkeypatch.setattr(inversions, "measure_sweeps", lambda *given: ({}, torch.zeros(1)))
        monkeypatch.setattr(inversions, "measure_directions", lambda *given: {})
    lab = Lab(n=4, rendered=64, held_out=24, long=12, short=6, restarted=3, images=8, many=20, samples=200, shown=2)
    job = Inversion("report", "faces", kind, {"tanh": 1} if kind == "ALI" else {"alpha": 0.1}, 3, 50)
    place, done = runner.place_of(job, lab, tmp_path), []
    runner.carry_out_job(job, lab, place, 0, CPU, done.append)
    (row,) = runner.read(place).rows
    assert row["errors"]["one_shot"] > row["errors"]["autoencoder"] * 0.1
    assert row["kept"]["the picture"]["glasses"] > 0.8
    assert row["name"] == job.name
    if kind == "BEGAN-CS":
        assert row["errors"]["random"]["iterations"] == instants(12)
        assert row["errors"]["random"]["error"] == sorted(row["errors"]["random"]["error"], reverse=True)
        assert row["errors"]["random, in the cube"]["largest"] <= 1
        assert len(row["errors"]["restarts"]) == 4
        assert runner.read(place).tensors["left"].keys() == {f"{k}/{job.name}" for k in ("back", "frames", "effects")}
    monkeypatch.setattr(inversions, "measure_run", lambda *_: pytest.fail("measured twice"))
    runner.carry_out_job(job, lab, place, 0, CPU, done.append)
    assert runner.read(place).rows == [row]
    monkeypatch.setattr(inversions.Update, "__call__", lambda *_: pytest.fail("trained twice"))
    inversions.train(job, lab, place / "run", CPU, done.append)


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
