"""Settings, the ensembles they are shared out to, and the rows those leave."""

import json
import math

import pytest
import torch
from scipy import stats

from studies.statistics import interval
from studies.toy import sweeps
from studies.toy.ensemble import Ensemble
from studies.toy.gans import GAN
from studies.toy.methods import METHODS
from studies.toy.mixtures import PROBLEMS, SAMPLES, density_ratio, ring, score
from studies.toy.sweeps import MEMBERS, Job, by_setting, combinations, jobs, members, merit, settings, train_job
from studies.workers import Workers

CPU = torch.device("cpu")
SMALL = {"width": 6, "batch": 8}


def defaults(name: str) -> dict[str, float]:
    return {knob: of.default for knob, of in METHODS[name].all_knobs().items()}


@pytest.mark.parametrize("name", METHODS)
def test_settings_start_at_the_defaults_and_stay_within_the_choices(name):
    found, knobs = settings(METHODS[name], 12), METHODS[name].all_knobs()
    assert len(found) == 12
    assert {**defaults(name), **found[0]} == defaults(name)
    for setting in found[1:]:
        assert all(value in knobs[knob].choices for knob, value in setting.items())
    for knob, of in knobs.items():
        tried = {setting.get(knob, of.default) for setting in found}
        assert (len(tried) > 1) == (len(of.choices) > 1)


def test_settings_are_those_of_their_seed():
    assert settings(GAN, 12) == settings(GAN, 12)
    assert settings(GAN, 12)[:5] == settings(GAN, 5), "fewer are the first of more"
    assert settings(GAN, 12, seed=1) != settings(GAN, 12)


def test_choices_stand_in_for_those_of_the_knobs():
    """Also for a knob that has one choice, and of one that another method has nothing comes."""
    found = settings(METHODS["began"], 100, {"gamma": [0.1, 0.2], "width": [8, 16], "clip": [1.0]})
    assert found[0] == {}
    assert sorted(tuple(setting.items()) for setting in found[1:]) == [
        (("gamma", gamma), ("width", width)) for gamma in (0.1, 0.2) for width in (8, 16)
    ]


def test_no_setting_comes_twice_and_at_most_all_come():
    """Nor do the defaults come again with their values written out."""
    found = [{**defaults("gan"), **setting} for setting in settings(GAN, 1000)]
    assert all(setting not in found[:i] for i, setting in enumerate(found))
    assert len(found) <= math.prod(len(knob.choices) for knob in GAN.all_knobs().values())


def test_combinations_take_one_value_of_each_knob():
    expected = [{"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4}]
    assert combinations({"a": [1, 2], "b": [3, 4]}) == expected
    assert combinations({}) == [{}]


def test_jobs_hold_runs_of_one_shape_and_no_more_than_asked():
    runs = [({"width": 6, "lr_g": 0.1}, 0), ({}, 1), ({"width": 6}, 2), ({"lr_g": 0.2}, 3), ({"width": 128}, 4)]
    shared = jobs("gan", "ring", 7, runs, members=2)
    assert [job.runs for job in shared] == [(runs[0], runs[2]), (runs[1], runs[3]), (runs[4],)]
    assert {(job.method, job.problem, job.steps) for job in shared} == {("gan", "ring", 7)}
    assert jobs("gan", "ring", 7, [], members=2) == []
    assert [len(job.runs) for job in jobs("gan", "ring", 7, [({}, seed) for seed in range(7)], 3)] == [3, 3, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "gun"}, "method must be one of gan, .*, got 'gun'"),
        ({"problem": "circle"}, "problem must be one of grid, ring, rare, got 'circle'"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"members": 0}, "members must be at least 1, got 0"),
        ({"members": -1}, "members must be at least 1, got -1"),
        ({"runs": [({}, 0), ({"gamma": 1.0}, 0)]}, "there is no knob gamma"),
        ({"runs": [({"batch": 0}, 0)]}, r"batch must lie in .*, got 0"),
        ({"runs": [({"lr_g": float("nan")}, 0)]}, "lr_g must lie in .*, got nan"),
    ],
)
def test_what_cannot_be_run_is_named_before_anything_is(changes, message):
    given = {"method": "gan", "problem": "ring", "steps": 5, "runs": [({}, 0)], "members": 2}
    with pytest.raises(ValueError, match=message):
        jobs(**{**given, **changes})


def test_a_job_leaves_a_row_for_each_run(monkeypatch):
    distances = []
    monkeypatch.setattr(sweeps, "wasserstein", lambda a, b: distances.append((a, b)) or len(distances) / 7)
    job = Job("began", "ring", 101, (({**SMALL, "gamma": 0.7}, 3), ({**SMALL, "gamma": 2.5}, 4)))
    told = []
    rows = train_job(job, advance=told.append)
    assert told == [200, 2]
    assert json.loads(json.dumps(rows)) == rows
    run = Ensemble(METHODS["began"], ring(), [setting for setting, _ in job.runs], [3, 4], 101)
    run.run(101)
    samples = run.samples()
    for points, (a, b) in zip(samples, distances, strict=True):
        torch.testing.assert_close(a, points)
        assert torch.equal(b, ring().sample(SAMPLES, seed=1))
    expected = vars(score(samples, ring())) | {"density_ratio": density_ratio(samples, ring())} | run.method.noted
    assert {"loss_real", "loss_fake", "k", "M"} <= expected.keys()
    for e, row in enumerate(rows):
        assert (row.pop("method"), row.pop("problem"), row.pop("steps")) == ("began", "ring", 101)
        assert (row.pop("setting"), row.pop("seed")) == job.runs[e]
        assert row.pop("w1") == pytest.approx((e + 1) / 7, rel=1e-4)
        assert row == pytest.approx({key: value[e].item() for key, value in expected.items()}, rel=1e-4)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_run_that_blew_up_is_scored_all_the_same(problem, monkeypatch):
    """Its row must be worse than any other's, whichever score one looks at, and stay a row."""
    monkeypatch.setattr(Ensemble, "samples", lambda _: torch.full((1, SAMPLES, 2), float("nan")))
    (row,) = train_job(Job("gan", problem, 1, ((SMALL, 0),)))
    assert (row["modes"], row["high_quality"], row["w1"]) == (0, 0, float("inf"))
    assert row["density_ratio"] == float("inf")
    assert row["reverse_kl"] > math.log(len(PROBLEMS[problem].means))
    assert merit([row]) == 0


def row(modes: int, high_quality: float, problem: str = "grid", **setting: float) -> dict:
    return {"modes": modes, "high_quality": high_quality, "problem": problem, "setting": setting}


def test_merit_is_the_mean_of_coverage_times_quality():
    assert merit([row(25, 0.8)]) == pytest.approx(0.8)
    assert merit([row(5, 0.5), row(4, 0.6, "ring")]) == pytest.approx((0.2 * 0.5 + 0.5 * 0.6) / 2)


def test_settings_are_ranked_by_merit_with_all_their_rows():
    rows = [row(5, 1.0, a=1, b=2), row(25, 0.9, a=2), row(25, 1.0, b=2, a=1), row(20, 0.9)]
    ranked = by_setting(rows)
    # (0.2 + 1) / 2 = 0.6: one lucky run is not the best setting
    assert ranked == [({"a": 2}, [rows[1]]), ({}, [rows[3]]), ({"a": 1, "b": 2}, [rows[0], rows[2]])]


def test_the_interval_by_hand_and_by_scipy():
    """Of 1 to 5: the standard error is sqrt(2.5 / 5), and t is 2.7764 at 4 degrees of freedom."""
    assert interval([1, 2, 3, 4, 5]) == pytest.approx((3, 3 - 1.96324, 3 + 1.96324), abs=1e-5)
    values = [0.3, 0.1, 0.45, 0.2]
    bounds = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval(values) == pytest.approx((0.2625, bounds.low, bounds.high))


def test_an_interval_of_what_does_not_spread_is_its_mean():
    assert interval([0.25]) == interval([0.25] * 3) == (0.25, 0.25, 0.25)


def test_the_mean_of_a_score_that_blew_up_is_infinite_and_warns_of_nothing():
    assert interval([1.0, float("inf")])[0] == float("inf")
    assert interval([float("inf")] * 3)[0] == float("inf")


def test_ensembles_are_as_large_as_keeps_all_workers_busy():
    cpu, gpu = Workers(CPU), Workers(torch.device("cuda"))
    with cpu, gpu:
        cpu.count = 4
        sizes = {runs: members(runs, cpu) for runs in (0, 1, 4, 5, 10_000)}
        assert sizes == {0: 1, 1: 1, 4: 1, 5: 2, 10_000: MEMBERS}
        assert gpu.count == 1
        assert members(10_000, gpu) == 10_000
