"""The study of collapses: which runs there are, what is left of each, and the ablations."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from began.collapse import EVERY
from began.config import TrainConfig
from began.images.faces import rendered_faces
from began.images.pixels import to_unit
from began.images.sources import Pictures
from began.passes import Began, fast_pass
from studies import survival
from studies.gammas import SEEDS
from studies.survival import (
    ALPHAS,
    MODELS,
    RULES,
    TOYS,
    ToyVigils,
    Vigil,
    frame,
    leaking_pass,
    place,
    trainer_of,
    vigils,
)
from studies.toy.autoencoders import BEGAN

CPU = torch.device("cpu")
NOWHERE = Path("no photographs")
ONE = Vigil("full", "faces", "BEGAN-CS", {"lr": 1e-3}, 0, 20)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch):
    """A few pictures and samples, measured and read every ten steps."""
    few = Pictures(rendered_faces(64, 16), "faces"), rendered_faces(24, 16, seed=1)
    monkeypatch.setattr(survival, "pictures", lambda *_: few)
    for name, value in {"STOP": 10, "WINDOW": 5, "COUNT": 20, "CODES": 40, "DRAWN": 6}.items():
        monkeypatch.setattr(survival, name, value)
    monkeypatch.setattr("began.training.EVERY", 10)
    monkeypatch.setattr(survival, "EVERY", 10)


def carried_out(job: Vigil | ToyVigils, folder: Path) -> list[dict]:
    return survival.carried_out(job, folder, NOWHERE, CPU, lambda _: None)


def test_every_setting_has_all_seeds_and_a_name_of_its_own_and_photographs_come_last():
    todo = vigils()
    assert len({one.name for one in todo}) == len(todo)
    data = [one.data for one in todo]
    assert set(data[data.index("photographs") :]) == {"photographs"}
    runs: dict[tuple, list[int]] = {}
    for one in todo:
        runs.setdefault((one.name.rpartition("-")[0], one.steps), []).append(one.seed)
    assert all(seeds == list(SEEDS) for seeds in runs.values())
    for group in ("full", "tenth", "few", "rate"):
        assert {one.model for one in todo if one.group == group} == set(MODELS)
    assert len({one.name for one in TOYS}) == len(TOYS)


def test_models_differ_in_alpha_alone(tmp_path):
    images = Pictures(rendered_faces(64, 16), "faces")
    began, constrained = (trainer_of(ONE._replace(model=model), images, CPU, tmp_path).config for model in MODELS)
    assert (began.alpha, constrained.alpha) == (0, 0.1)
    assert TrainConfig.from_dict({**began.to_dict(), "alpha": 0.1}) == constrained
    assert (began.norm, began.on_collapse, began.lr) == ("l2", "warn", 1e-3)


def test_settings_reach_the_run(tmp_path):
    images = Pictures(rendered_faces(64, 16), "faces")
    vigil = ONE._replace(model="BEGAN", setting={"count": 40, "lr": 3e-3}, remedy="alpha")
    trainer = trainer_of(vigil, images, CPU, tmp_path)
    assert len(trainer.batches.images) == 40
    assert (trainer.config.on_collapse, trainer.config.remedy, trainer.config.lr) == ("rollback", "alpha", 3e-3)
    assert [trainer_of(ONE._replace(setting={"alpha": a}), images, CPU, tmp_path).config.alpha for a in ALPHAS] == [
        *ALPHAS
    ]
    for model, rule in RULES.items():
        trainer = trainer_of(ONE._replace(model=model), images, CPU, tmp_path)
        assert trainer.update.rule is rule
        assert trainer.config.alpha == 0.1


def gradients(alpha: float, halfway, *extra) -> list[torch.Tensor]:
    """Return G's and D's gradients of a pass, of the same networks and batch each time."""
    config = TrainConfig(size=16, n=4, n_z=8, norm="l2", alpha=alpha, k_0=0.3)
    model = Began(config, torch.Generator().manual_seed(1)).double()
    rng = torch.Generator().manual_seed(2)
    x, z = torch.rand(6, 3, 16, 16, generator=rng).double() * 2 - 1, torch.rand(6, 8, generator=rng).double() * 2 - 1
    losses, backward = halfway(model, x, z, *extra)
    backward()
    parts = [torch.cat([p.grad.flatten() for p in net.parameters()]) for net in (model.generator, model.discriminator)]
    return [*parts, torch.stack(losses)]


@pytest.mark.parametrize("in_D", [True, False])
def test_a_leak_adds_the_constraints_gradient_to_that_of_g(in_D: bool):
    G, D, losses = gradients(0.1, leaking_pass, in_D)
    G_began, D_began, _ = gradients(0.0, fast_pass)
    G_cs, D_cs, losses_cs = gradients(0.1, fast_pass)
    torch.testing.assert_close(losses, losses_cs)
    torch.testing.assert_close(G_cs, G_began)  # the constraint never reaches G in BEGAN-CS
    torch.testing.assert_close(D, D_cs if in_D else D_began)
    half, _, _ = gradients(0.05, leaking_pass, in_D)
    assert (G - G_began).norm() > 1e-3 * G_began.norm()
    torch.testing.assert_close(G - G_began, 2 * (half - G_began))


def test_a_frame_is_the_plane_of_the_real_codes():
    model = Began(TrainConfig(size=16, n=4, n_z=8), torch.Generator().manual_seed(0))
    images = rendered_faces(50, 16)
    z = torch.rand(50, 8, generator=torch.Generator().manual_seed(3)) * 2 - 1
    points, variances = frame(model, images, z)
    with torch.no_grad():
        real = model.discriminator.encode(to_unit(images)).double().numpy()
        fake = model.discriminator.encode(model.generator(z)).double().numpy()
    pca = PCA().fit(real)
    assert variances["plane_real"] == pytest.approx(pca.explained_variance_[:2].sum(), rel=1e-4)
    assert variances["var_real"] == pytest.approx(pca.explained_variance_.sum(), rel=1e-4)
    assert variances["var_gen"] == pytest.approx(np.trace(np.cov(fake.T)), rel=1e-4)
    assert points.shape == (2, 50, 2)
    np.testing.assert_allclose(np.abs(points[1].numpy()), np.abs(pca.transform(fake)[:, :2]), atol=2e-2)


def test_a_run_leaves_a_row_that_agrees_with_it(small, tmp_path):
    (row,) = carried_out(ONE, tmp_path)
    assert row["stops"]["step"] == row["readings"]["step"] == [10, 20]
    assert {"cells", "pixel_frechet", "reader_frechet", "var_real", "var_gen"} <= row["stops"].keys()
    assert row["curve"]["step"] == [5, 10, 15, 20]
    for part in ("curve", "readings", "stops"):
        assert {len(values) for values in row[part].values()} == {len(row[part]["step"])}, part
    assert row["frames"]["step"] == [20]
    assert (row["ended"], row["rollbacks"], row["alpha"]) == (None, [], 0.1)
    assert row["curve"]["k"][-1] > 0
    assert {"commit", "device", "date", "versions"} <= row.keys()
    assert [path.name for path in place(ONE, tmp_path, NOWHERE).iterdir() if path.is_dir()] == []


def test_a_run_that_blows_up_or_gives_up_is_a_row_too(small, tmp_path, monkeypatch):
    monkeypatch.setattr("began.training.suspicion", lambda readings: "made up" if len(readings) > 1 else None)
    (row,) = carried_out(ONE._replace(model="BEGAN", group="rescue", remedy="lr"), tmp_path)
    assert "going back 6 times did not help" in row["ended"]
    assert len(row["rollbacks"]) == 6
    assert row["stops"]["step"] == [10]
    assert row["frames"] == {}


def test_runs_are_carried_out_once(small, tmp_path, monkeypatch):
    rows = carried_out(ONE, tmp_path)
    monkeypatch.setattr(survival, "follow", lambda *_: pytest.fail("trained twice"))
    assert carried_out(ONE, tmp_path) == rows


def test_what_is_kept_holds_no_picture_of_photographs(small, tmp_path, monkeypatch):
    monkeypatch.setattr(survival, "load_reader", lambda _: None)
    others = [ONE._replace(data="photographs"), ONE._replace(group="tenth", seed=1)]
    rows = [row for one in (ONE, *others) for row in carried_out(one, tmp_path / "work")]
    out = tmp_path / "survival"
    survival.keep(rows, out, {one.name: place(one, tmp_path / "work", NOWHERE) for one in (ONE, *others)})
    monkeypatch.setattr(survival, "artifacts_folder", lambda: tmp_path)
    assert survival.load_vigils("full") == rows[:2]
    assert survival.load_vigils("full", "photographs") == rows[1:2]
    assert survival.load_vigils("tenth") == rows[2:]
    assert survival.load_vigils("few") == []
    assert survival.load_left("samples", rows[0]).shape == (2, 8, 3, 16, 16)
    assert survival.load_left("frames", rows[1]).shape == (1, 2, 6, 2)
    for row in rows[1:]:
        with pytest.raises(KeyError):
            survival.load_left("samples", row)

    before = (out / "rows.jsonl").read_text(), (out / "left.safetensors").read_bytes()
    elsewhere = tmp_path / "elsewhere"  # a machine without the photographs keeps their numbers
    for one in (ONE, others[1]):
        carried_out(one, elsewhere)
    survival.keep(rows, out, {one.name: place(one, elsewhere, NOWHERE) for one in (ONE, others[1])})
    assert ((out / "rows.jsonl").read_text(), (out / "left.safetensors").read_bytes()) == before


def test_the_toys_are_read_and_their_modes_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(survival, "SEEDS", range(2))
    toys = ToyVigils("toy/test", ({"lr_g": 1e-3}, {"lr_g": 3e-4}), 2 * EVERY)
    rows = carried_out(toys, tmp_path)
    assert [(row["setting"]["lr_g"], row["seed"]) for row in rows] == [(1e-3, 0), (1e-3, 1), (3e-4, 0), (3e-4, 1)]
    assert len({row["key"] for row in rows}) == 4
    for row in rows:
        assert row["readings"]["step"] == row["stops"]["step"] == row["curve"]["step"] == [EVERY, 2 * EVERY]
        assert row["readings"]["k"] == row["curve"]["k"]
        assert all(0 <= modes <= 25 for modes in row["stops"]["modes"])
        assert all(value > 0 for name in ("spread", "var_real", "var_fake", "top") for value in row["readings"][name])
        assert json.loads(json.dumps(row)) == row


def test_the_toys_are_plain_began():
    assert all(setting.keys() <= BEGAN.all_knobs().keys() for toys in TOYS for setting in toys.settings)
