"""Runs that go on with another gamma and come back: that nothing else changes, and how their samples are judged."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from studies import forks
from studies.forks import Fork, Judge, Lab, Null, returns, trade
from studies.grain import TOOK_OFF

CPU = torch.device("cpu")
ONE = Fork("fork", "photographs", "BEGAN", {"gamma": 0.9, "grain": 0.0, "lr": 1e-3}, 3, 20, (0.3, 0.9), 20)


@pytest.fixture(scope="module")
def lab(photographs: Path) -> Lab:
    return Lab(photographs=photographs, n=4, count=20, few=10, lessons=4, pupil=4)


def carry_out(one: Fork, lab: Lab) -> dict[tuple[str, float], dict]:
    """The rows of a run, by their part and the gamma it went to."""
    told: list[int] = []
    made = one.carry_out(lab, Path(), CPU, told.append)
    assert sum(told) == one.work(lab)
    assert made.tensors == {}, "of photographs only numbers"
    return {(row["part"], row.get("from", row["gamma"])): row for row in made.rows}


@pytest.fixture(scope="module")
def rows(lab: Lab) -> dict[tuple[str, float], dict]:
    return carry_out(ONE, lab)


def test_a_fork_at_the_gamma_of_its_trunk_is_the_trunk_gone_on(rows: dict, lab: Lab):
    assert rows.keys() == {("trunk", 0.9), *((part, gamma) for part in ("there", "back") for gamma in (0.3, 0.9))}
    whole = carry_out(replace(ONE, steps=60, gammas=()), lab)["trunk", 0.9]
    assert rows["back", 0.9]["final"] == whole["final"]
    assert rows["back", 0.9]["readings"]["step"] == [60]
    assert rows["back", 0.3]["gamma"] == 0.9
    assert rows["there", 0.3]["final"] != rows["there", 0.9]["final"]


def test_forks_leave_each_other_alone(rows: dict, lab: Lab):
    assert carry_out(replace(ONE, gammas=(0.9,)), lab)["there", 0.9] == rows["there", 0.9]


def test_who_learns_from_samples_misses_what_they_lack(photographs: Path):
    lab = Lab(photographs=photographs, count=100, lessons=120)
    found = {
        kind: Null("null", "photographs", kind, {}, 0, 0).carry_out(lab, Path(), CPU, lambda _: None).rows[0]["final"]
        for kind in ("one", "blurred", "noise", "real")
    }
    error = {kind: final["reconstruction"] for kind, final in found.items()}
    assert error["real"] == pytest.approx(1, abs=0.06)
    assert error["one"] > 1.5 * error["real"]
    assert error["blurred"] > 1.02 * error["real"]
    assert error["noise"] < 1.25 * error["real"], "flaws beside what is there cost little"
    assert found["blurred"]["sharpness"] < 0.8 < 1.2 < found["noise"]["sharpness"]


def test_a_judge_says_the_same_again(lab: Lab):
    judge, samples = Judge(ONE, lab), lab.pictures("photographs")[0].pixels[:20]
    assert judge(samples) == judge(samples)


def test_trunks_and_nulls_have_seeds_that_are_not_those_of_choosing():
    (jobs,) = list(forks.plan(Lab()))
    assert len({one.name for one in jobs}) == len(jobs)
    seeds = {vars(one)["seed"] for one in jobs}
    assert len(seeds) == 5
    assert forks.CHOSEN_ON not in seeds


def there(seed: int, values: list[float]) -> list[dict]:
    return [
        {"seed": seed, "gamma": gamma, "final": {"d": value}} for gamma, value in zip(forks.GAMMAS, values, strict=True)
    ]


def test_a_trade_is_one_where_the_measure_rises_with_gamma_in_every_seed():
    rows = [row for seed in range(5) for row in there(seed, [1, 2, 3, 4 + seed])]
    found = trade(rows, "d")
    assert found[:3] == pytest.approx((1, 1, 1))
    assert found.null == pytest.approx(0)
    assert -0.7 < found.null_low < -0.3
    assert 0.3 < found.null_high < 0.7
    assert trade(rows, "d", -1).mean == pytest.approx(-1)
    mixed = trade([*there(0, [1, 2, 3, 4]), *there(1, [4, 3, 2, 1]), *there(2, [1, 2, 3, 4])], "d")
    assert mixed.mean == pytest.approx(1 / 3)
    assert (mixed.low, mixed.high) == (-1, 1), "no further than a correlation goes"


def test_returns_are_over_the_trunk_of_the_same_seed():
    trunk = [{"seed": seed, "final": {"d": 2.0 + seed}} for seed in range(2)]
    back = [
        {"seed": seed, "from": gamma, "final": {"d": (2.0 + seed) * gamma}} for gamma in (0.9, 0.3) for seed in (0, 1)
    ]
    assert [(one.gamma, pytest.approx(one.mean), one.seeds) for one in returns(trunk, back, "d")] == [
        (0.3, 0.3, 2),
        (0.9, 0.9, 2),
    ]


def test_what_is_committed_has_five_trunks_that_took_off_or_nearly():
    counts = {part: len(forks.load(part)) for part in ("trunk", "there", "back", "null")}
    assert counts == {"trunk": 5, "there": 20, "back": 20, "null": 30}
    spreads = sorted(row["readings"]["std"][-1] for row in forks.load("trunk"))
    assert spreads[0] > TOOK_OFF - 0.01
    assert spreads[1] > TOOK_OFF
