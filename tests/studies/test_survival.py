"""The study of collapses: which runs there are, what is left of each, and the ablations."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from began.collapse import EVERY
from began.config import TrainConfig
from began.images.faces import rendered_faces
from began.images.pixels import to_unit
from began.passes import Began, fast_pass
from studies import runner, survival
from studies.survival import (
    ALPHAS,
    MODELS,
    RULES,
    TOYS,
    Lab,
    ToyRuns,
    WatchedRun,
    config_of,
    frame,
    leaking_pass,
    runs,
    toys,
    trainer_of,
)
from studies.toy.autoencoders import BEGAN

CPU = torch.device("cpu")
# small networks, a few pictures and samples, measured as often as the monitor reads
LAB = Lab(n=4, batch=4, rendered=64, held_out=24, stop=EVERY, count=20, codes=40, drawn=6)
ONE = WatchedRun("full", "faces", "BEGAN-CS", {"lr": 1e-3}, 0, 2 * EVERY)


def carry_out(job: runner.Job, work: Path, lab: Lab = LAB) -> list[dict]:
    """Do a job, or find it done, and return its rows."""
    place = runner.place_of(job, lab, work)
    runner.carry_out_job(job, lab, place, 0, CPU, lambda _: None)
    return runner.read(place).rows


def test_every_setting_has_all_seeds_and_a_name_of_its_own_and_photographs_come_last():
    todo = runs(Lab())
    assert len({one.name for one in todo}) == len(todo)
    data = [one.data for one in todo]
    assert set(data[data.index("photographs") :]) == {"photographs"}
    seeds: dict[tuple, list[int]] = {}
    for one in todo:
        seeds.setdefault((one.name.rpartition("-")[0], one.steps), []).append(one.seed)
    assert all(some == list(range(5)) for some in seeds.values())
    for group in ("full", "tenth", "few", "rate"):
        assert {one.model for one in todo if one.group == group} == set(MODELS)
    assert len({one.name for one in toys(Lab())}) == len(TOYS)


def test_a_scale_is_that_of_every_run():
    lab = Lab(size=32, n=8, batch=4, lr=1e-4, steps=700, seeds=2)
    todo = [*runs(lab), *toys(lab)]
    assert {one.steps for one in todo} == {700}
    assert {one.seed for one in runs(lab)} == {0, 1}
    config = config_of(runs(lab)[0], lab)
    assert (config.size, config.n, config.batch, config.lr) == (32, 8, 4, pytest.approx(6e-4))


def test_models_differ_in_alpha_alone():
    began, constrained = (config_of(replace(ONE, model=model), LAB) for model in MODELS)
    assert (began.alpha, constrained.alpha) == (0, 0.1)
    assert TrainConfig.from_dict({**began.to_dict(), "alpha": 0.1}) == constrained
    assert (began.norm, began.on_collapse, began.lr) == ("l2", "warn", 1e-3)


def test_settings_reach_the_run(tmp_path):
    run = replace(ONE, model="BEGAN", setting={"count": 40, "lr": 3e-3}, remedy="alpha")
    trainer = trainer_of(run, LAB, CPU, tmp_path)
    assert len(trainer.batches.images) == 40
    assert (trainer.config.on_collapse, trainer.config.remedy, trainer.config.lr) == ("rollback", "alpha", 3e-3)
    assert [config_of(replace(ONE, setting={"alpha": a}), LAB).alpha for a in ALPHAS] == [*ALPHAS]
    for model, rule in RULES.items():
        trainer = trainer_of(replace(ONE, model=model), LAB, CPU, tmp_path)
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


def test_a_run_leaves_a_row_that_agrees_with_it(tmp_path):
    (row,) = carry_out(ONE, tmp_path)
    assert row["stops"]["step"] == row["readings"]["step"] == [EVERY, 2 * EVERY]
    assert {"cells", "pixel_frechet", "reader_frechet", "var_real", "var_gen"} <= row["stops"].keys()
    assert row["curve"]["step"] == [50, 100, 150, 200]
    for part in ("curve", "readings", "stops"):
        assert {len(values) for values in row[part].values()} == {len(row[part]["step"])}, part
    assert row["frames"]["step"] == [2 * EVERY]
    assert (row["ended"], row["rollbacks"], row["alpha"]) == (None, [], 0.1)
    assert row["curve"]["k"][-1] > 0
    assert {"commit", "device", "date", "versions"} <= row.keys()
    assert [path.name for path in runner.place_of(ONE, LAB, tmp_path).iterdir() if path.is_dir()] == []


def test_a_run_that_blows_up_or_gives_up_is_a_row_too(tmp_path, monkeypatch):
    monkeypatch.setattr("began.training.suspicion", lambda readings: "made up" if len(readings) > 1 else None)
    (row,) = carry_out(replace(ONE, model="BEGAN", group="rescue", remedy="lr"), tmp_path)
    assert "going back 6 times did not help" in row["ended"]
    assert len(row["rollbacks"]) == 6
    assert row["stops"]["step"] == [EVERY]
    assert row["frames"] == {}


def test_what_is_kept_holds_no_picture_of_photographs(photographs, tmp_path, monkeypatch):
    lab, work = replace(LAB, photographs=photographs), tmp_path / "work"
    todo = [ONE, replace(ONE, data="photographs"), replace(ONE, group="tenth", seed=1)]
    rows = [row for one in todo for row in carry_out(one, work, lab)]
    out = tmp_path / "data/artifacts/survival"
    runner.keep(runner.united(runner.read(runner.place_of(one, lab, work)) for one in todo), out, lab)
    monkeypatch.chdir(tmp_path)
    assert survival.load_runs("full") == rows[:2]
    assert survival.load_runs("full", "photographs") == rows[1:2]
    assert survival.load_runs("tenth") == rows[2:]
    assert survival.load_runs("few") == []
    assert survival.load_left("samples", rows[0]).shape == (2, 8, 3, 16, 16)
    assert survival.load_left("frames", rows[1]).shape == (1, 2, 6, 2)
    for row in rows[1:]:
        with pytest.raises(KeyError):
            survival.load_left("samples", row)


def test_the_toys_are_read_and_their_modes_counted(tmp_path):
    toy = ToyRuns("test", ({"lr_g": 1e-3}, {"lr_g": 3e-4}), 2, 2 * EVERY)
    rows = carry_out(toy, tmp_path, Lab())
    assert [(row["setting"]["lr_g"], row["seed"]) for row in rows] == [(1e-3, 0), (1e-3, 1), (3e-4, 0), (3e-4, 1)]
    assert len({row["key"] for row in rows}) == 4
    for row in rows:
        assert row["readings"]["step"] == row["stops"]["step"] == row["curve"]["step"] == [EVERY, 2 * EVERY]
        assert row["readings"]["k"] == row["curve"]["k"]
        assert all(0 <= modes <= 25 for modes in row["stops"]["modes"])
        assert all(value > 0 for name in ("spread", "var_real", "var_fake", "top") for value in row["readings"][name])


def test_the_toys_are_plain_began():
    assert all(setting.keys() <= BEGAN.all_knobs().keys() for settings in TOYS.values() for setting in settings)
