"""The study of grain: its rules against the equations, its runs, forks and critics, and what is read off them."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from began.images.batches import Batches
from began.images.faces import ATTRIBUTES, sample_attributes
from began.images.pixels import to_unit
from began.passes import Began, fast_pass
from began.step import Update
from studies import grain, runner
from studies.grain import (
    Alone,
    Lab,
    Look,
    ToyMap,
    Tree,
    Trial,
    affinity,
    begin,
    both_pass,
    by_value,
    folded,
    margin_pass,
)

CPU = torch.device("cpu")
LAB = Lab(n=4, rendered=64, held_out=40, count=40, few=20, shown=2)
TRIAL = Trial("map", "faces", "BEGAN", {"grain": 0.15, "gamma": 0.5}, 3, 20)


def carry_out(job: runner.Job, work: Path, lab: Lab = LAB) -> runner.Made:
    """Do a job and read what it left."""
    place = runner.place_of(job, lab, work)
    told: list[int] = []
    runner.carry_out_job(job, lab, place, 0, CPU, told.append)
    assert sum(told) == job.work(lab)
    return runner.read(place)


def batch(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(5), dtype=dtype) * 2 - 1


@pytest.fixture
def model() -> Began:
    return Began(LAB.config("faces", gamma=0.5, k_0=0.3), torch.Generator().manual_seed(1)).double()


def gradients(model: Began, loss_D: torch.Tensor, loss_G: torch.Tensor) -> list[torch.Tensor]:
    """Differentiate each player's loss with respect to its own weights, G's first."""
    of_G = torch.autograd.grad(loss_G, list(model.generator.parameters()), retain_graph=True)
    return [*of_G, *torch.autograd.grad(loss_D, list(model.discriminator.parameters()))]


def assert_gradients(model: Began, expected: list[torch.Tensor]) -> None:
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert parameter.grad is not None
        assert torch.linalg.norm(parameter.grad - gradient) <= 1e-10 * torch.linalg.norm(gradient)


@pytest.mark.parametrize("margin", [0.1, 0.95, 5.0])
def test_a_margin_stands_in_for_k(model, margin):
    """L_D = L(x) + mean max(0, m L(x) - L(v)), m L(x) a number; L_G = L(v). None, some or all are below it."""
    x, z = batch(torch.float64), model.noise(6, torch.Generator().manual_seed(2))
    D, v = model.discriminator, model.generator(z)
    L_x, L_v = ((one - D(one)).abs().flatten(1).mean(1) for one in (x, v.detach()))
    below = L_v < margin * L_x.mean()
    assert {0.1: 0, 5.0: 6}.get(margin, int(below.sum())) == below.sum()
    hinge = sum((margin * L_x.mean().item() - one for one in L_v[below]), torch.zeros((), dtype=torch.float64)) / 6
    expected = gradients(model, L_x.mean() + hinge, (v - D(v)).abs().mean())
    losses, backward = margin_pass(model, x, z, margin)
    model.zero_grad()
    backward()
    assert_gradients(model, expected)
    torch.testing.assert_close(torch.stack(losses[:2]), torch.stack([L_x.mean(), L_v.mean()]).detach())


def test_grain_on_both_sees_noisy_samples(model):
    """D and G see v + grain xi; with a grain of 0 it is the pass of BEGAN."""
    x, z = batch(torch.float64), model.noise(6, torch.Generator().manual_seed(2))
    xi = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    D, v = model.discriminator, model.generator(z)
    noisy = v.detach() + 0.2 * xi
    L_D = (x - D(x)).abs().mean() - model.equilibrium.k.item() * (noisy - D(noisy)).abs().mean()
    noisy = v + 0.2 * xi
    expected = gradients(model, L_D, (noisy - D(noisy)).abs().mean())
    model.zero_grad()
    both_pass(model, x, z, 0.2, torch.Generator().manual_seed(4))[1]()
    assert_gradients(model, expected)
    model.zero_grad()
    fast_pass(model, x, z)[1]()
    plain = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    both_pass(model, x, z, 0.0, torch.Generator())[1]()
    assert_gradients(model, plain)


def test_the_mean_of_a_folded_normal_is_that_of_many_draws():
    residuals = torch.tensor([-0.3, 0.0, 0.05, 0.2], dtype=torch.float64)
    xi = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for sigma in (0.05, 0.3):
        drawn = (residuals + sigma * xi).abs().mean(0)
        torch.testing.assert_close(folded(residuals, sigma), drawn, rtol=0.01, atol=0)
    assert torch.equal(folded(residuals, 0.0), residuals.abs())
    a = 0.1 * torch.randn(200_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    normal = math.sqrt(2 / math.pi) * math.hypot(0.1, 0.2)
    assert folded(a, 0.2).mean().item() == pytest.approx(normal, rel=0.01)


def test_a_setting_beyond_the_config_is_a_rule_a_norm_or_a_gamma():
    def update(**setting: float) -> Update:
        return begin(replace(TRIAL, setting={"grain": 0.15, "gamma": 0.5, **setting}), LAB, CPU)

    assert update().rule is None
    assert update().config.grain == 0.15
    assert update(gamma=1.5).model.equilibrium.gamma == 1.5
    assert update(gamma=1.5).config.gamma == 1.0
    assert update(l2=1).config.norm == "l2"
    assert update(margin=0.8).rule.func is margin_pass
    both = update(both=1)
    assert both.rule.func is both_pass
    assert (both.rule.keywords["grain"], both.config.grain) == (0.15, 0.15)
    assert update(fall=10).config.grain == 0.0, "the loop adds it"


def test_a_grain_that_falls_is_gone_at_its_step():
    setting = {"grain": 0.2, "gamma": 0.8, "fall": 10}
    assert [grain.grain_of(setting, step) for step in (0, 5, 10, 20)] == pytest.approx([0.2, 0.1, 0, 0])
    assert grain.grain_of({"grain": 0.2, "gamma": 0.8}, 0) == 0, "the update's own"


def test_every_job_has_a_place_of_its_own_and_seeds_are_fresh():
    lab = Lab()
    jobs = grain.jobs(lab)
    assert len({runner.place_of(job, lab, Path()) for job in jobs}) == len(jobs)
    seeds = {job.seed for job in jobs if isinstance(job, runner.Run)}
    assert seeds == set(range(grain.FRESH, grain.FRESH + 5))
    by_setting: dict[str, int] = {}
    for job in jobs:
        if isinstance(job, Trial):
            by_setting[f"{job.group} {job.setting}"] = by_setting.get(f"{job.group} {job.setting}", 0) + 1
    assert set(by_setting.values()) == {5}


def test_a_trial_is_the_run_of_its_config_and_is_read_off(tmp_path):
    (row,), tensors = carry_out(TRIAL, tmp_path)
    update = Update(LAB.config("faces", grain=0.15, gamma=0.5, seed=3, steps=20, log_every=20), CPU)
    batches = Batches(LAB.pictures("faces")[0], 16, seed=3).starting_at(0)
    for _ in range(20):
        update(next(batches))
    rows = update.take_rows()
    assert row["final"]["loss_real"] == pytest.approx(rows[-2:, 0].mean().item(), rel=1e-3)
    assert row["final"]["k"] == pytest.approx(rows[-1, 3].item(), rel=1e-3)
    assert row["readings"]["step"] == [20]
    assert row["final"]["grainy"] > row["final"]["clean"] > 0
    assert row["final"].keys() > {"spread", "cells", "entropy", "std", "reader_frechet", "sharpness", "fake"}
    assert tensors["samples"][TRIAL.name].shape == (2, 3, 16, 16)
    easy = row["easy"]
    assert -1 <= easy["correlation"] <= 1
    assert {len(indices) for indices in easy["faces"].values()} == {8}
    loss = grain.losses_of(update.model, to_unit(LAB.pictures("faces")[1]))
    assert loss[easy["faces"]["easiest"]].max() < loss[easy["faces"]["hardest"]].min()


def test_real_pictures_and_an_untrained_g_are_measured_as_samples_are(tmp_path):
    ends = {}
    for model in ("real", "untrained"):
        (row,), _ = carry_out(grain.Null("null", "faces", model, {"grain": 0.0, "gamma": 1.0}, 3, 0), tmp_path)
        assert (row["model"], row["seed"]) == (model, 3)
        ends[model] = row["final"]
    assert ends["real"]["std"] == pytest.approx(1, abs=0.2)
    assert ends["untrained"]["std"] < 0.9 * ends["real"]["std"]
    assert ends["real"]["pixel_frechet"] < ends["untrained"]["pixel_frechet"]


def test_a_margin_says_how_many_samples_are_below_it(tmp_path):
    trial = Trial("margin", "faces", "BEGAN", {"grain": 0.0, "gamma": 1.0, "margin": 1e3}, 3, 20)
    (row,), tensors = carry_out(trial, tmp_path)
    assert row["final"]["below"] == 1
    assert "easy" not in row
    assert tensors == {}


def test_shares_and_losses_are_those_of_an_attributes_values():
    names = [attribute.name for attribute in ATTRIBUTES]
    known = sample_attributes(1, range(500))
    glasses, tone = names.index("glasses"), names.index("skin_tone")
    loss = known[:, glasses] + 1
    found = by_value(glasses, loss, known, known[known[:, glasses] == 2], known)
    assert found["loss"] == [1, 2, 3, 4]
    assert found["share"] == [0, 0, 1, 0]
    assert found["real"] == pytest.approx((known[:, glasses].long().bincount() / 500).tolist())
    dark = by_value(tone, known[:, tone], known, known[known[:, tone] > 0.8], known)
    assert dark["share"] == [0, 0, 0, 0, 1]
    assert dark["loss"] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=0.03)


def test_affinity_is_minus_one_where_g_draws_what_is_easy_and_about_0_after_a_shuffle():
    easy = {"a": {"loss": [1.0, 2.0, 3.0], "share": [0.6, 0.3, 0.1], "real": [1 / 3] * 3}}
    assert affinity(easy) == pytest.approx(-1)
    hard = {"a": {**easy["a"], "share": [0.1, 0.3, 0.6]}}
    assert affinity(hard) == pytest.approx(1)


def test_forks_go_on_from_the_end_of_the_trunk_and_back_with_its_own_setting(tmp_path, monkeypatch):
    seen: list[tuple[float, float, torch.Tensor]] = []

    def reading(_: Look, update: Update) -> dict[str, float]:
        weight = update.model.generator.from_code.weight.detach().clone()
        seen.append((update.model.equilibrium.gamma.item(), update.config.grain, weight))
        return {"k": update.model.equilibrium.k.item()}

    monkeypatch.setattr(Look, "reading", reading)
    changes = ({"gamma": 1.5}, {"grain": 0.1})
    tree = Tree("warm", "faces", "BEGAN", {"grain": 0.0, "gamma": 1.0}, 3, 20, changes, 20)
    rows, _ = carry_out(tree, tmp_path)
    assert [row["change"] for row in rows] == list(changes)
    assert [(gamma, round(level, 3)) for gamma, level, _ in seen] == [(1, 0), (1.5, 0), (1, 0), (1, 0.1), (1, 0)]
    assert [rows[0][part]["step"] for part in ("trunk", "there", "back")] == [[20], [40], [60]]
    straight = begin(tree, LAB, CPU)
    batches = Batches(LAB.pictures("faces")[0], LAB.batch, seed=3).starting_at(0)
    for step in range(40):
        if step == 20:
            assert torch.equal(straight.model.generator.from_code.weight, seen[0][2])
            straight.take_rows()
            straight = copy.deepcopy(straight)
            straight.model.equilibrium.gamma.fill_(1.5)
        straight(next(batches))
    torch.testing.assert_close(straight.model.generator.from_code.weight, seen[1][2])


def test_d_alone_is_read_off_beside_a_second_one(tmp_path):
    room = Alone("room", "faces", "D", {"grain": 0.2, "gamma": 1.0}, 3, 40, checkpoints=(20,))
    (row,), _ = carry_out(room, tmp_path)
    found = row["found"]
    assert found["step"] == [20, 40]
    assert all(found["grainy"][i] > found["clean"][i] > found["copies_of_clean"][i] > 0 for i in range(2))
    assert found["folded"][1] > found["residual"][1]
    (row,), _ = carry_out(replace(room, group="ladder", setting={"grain": 0.0, "gamma": 1.0, "n_z": 4}), tmp_path)
    assert "copies_of_clean" not in row["found"]
    assert row["found"]["clean"] == row["found"]["grainy"] == row["found"]["residual"]


def test_the_toys_map_has_a_row_a_run(tmp_path):
    rows, _ = carry_out(ToyMap(1, (0.0, 0.1), (0.5, 1.0), 2, 50), tmp_path)
    assert [(row["setting"]["grain"], row["setting"]["gamma"], row["seed"]) for row in rows] == [
        (level, gamma, seed) for level in (0.0, 0.1) for gamma in (0.5, 1.0) for seed in (0, 1)
    ]
    assert all(0 < row["final"]["spread"] < 2 and row["final"]["loss_real"] > 0 for row in rows)
    assert {row["data"] for row in rows} == {"grid"}


def test_what_is_kept_holds_no_picture_of_photographs(photographs, tmp_path, here):
    lab = replace(LAB, photographs=photographs, steps=20, seeds=1)
    made = runner.carry_out([grain.plan(lab)], lab, tmp_path, CPU)
    assert {row["data"] for row in made.rows} == {"faces", "photographs", "digits", "grid"}
    assert all("photographs" not in name for tensors in made.tensors.values() for name in tensors)
    for name, pictures in made.tensors["samples"].items():
        assert name.startswith("map/faces-")
        assert pictures.dtype == torch.uint8
