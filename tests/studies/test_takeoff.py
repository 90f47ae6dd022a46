"""What the runs of the study of grain say: who took off, what was predicted, and how far to trust it."""

import math

import pytest

from began.measure.structure import NOISE
from began.runs.artifacts import artifacts_folder
from studies import runner, takeoff
from studies.grain import FRESH
from studies.takeoff import Cell, affinity_of, agreement, cells, critical, one_setting, predicted_grain, predictions


def run(gamma: float, grain: float, seed: int, *, took: bool, **more: float) -> dict:
    return {
        "setting": {"gamma": gamma, "grain": grain, **more},
        "seed": seed,
        "final": {"spread": 0.9 if took else 0.2, "reader_frechet": 0.1},
    }


def lone(grain: float, clean: float, grainy: float, copies: float) -> dict:
    ends = {"clean": clean, "grainy": grainy, "copies_of_clean": copies, "residual": clean, "folded": 1.1 * grainy}
    return {"setting": {"grain": grain}, "found": {name: [9.9, value] for name, value in ends.items()}}


ROOM = [lone(0.0, 0.1, 0.1, 0.06), lone(0.1, 0.1, 0.2, 0.08), lone(0.1, 0.1, 0.2, 0.12), lone(0.3, 0.12, 0.4, 0.2)]
MAP = [
    run(gamma, grain, seed, took=grain >= start)
    for gamma, starts in {0.5: (0.1, 0.3), 0.8: (0.0, 0.1), 1.0: (0.0, 0.0)}.items()
    for seed, start in enumerate(starts)
    for grain in (0.0, 0.1, 0.3)
]


def test_a_run_took_off_where_attributes_are_spread_and_faces_are_near():
    assert takeoff.took_off({"spread": 0.6, "reader_frechet": 0.4})
    assert not takeoff.took_off({"spread": 0.59, "reader_frechet": 0.4})
    assert not takeoff.took_off({"spread": 0.9, "reader_frechet": 0.5}), "a reader reads attributes off noise, too"


def test_cells_count_the_runs_that_took_off():
    found = cells(MAP)
    assert len(found) == 9
    assert found[:3] == [Cell(0.5, 0.0, 0, 2), Cell(0.5, 0.1, 1, 2), Cell(0.5, 0.3, 2, 2)]


def test_a_critical_grain_lies_between_the_last_that_failed_and_the_next():
    found = {one.gamma: one for one in critical(MAP)}
    assert found[0.5].mean == pytest.approx((0.05 + 0.2) / 2)
    assert found[0.5].low < 0.05 < 0.2 < found[0.5].high
    assert (found[0.5].seeds, found[0.5].open) == (2, 0)
    assert found[0.8].mean == pytest.approx((0.0 + 0.05) / 2)
    assert found[0.8].open == 1
    assert (found[1.0].mean, found[1.0].open) == (0, 2)
    hopeless = [run(0.3, grain, 0, took=False) for grain in (0.0, 0.1, 0.3)]
    assert critical(hopeless)[0].mean == 0.3
    assert critical(hopeless[:2]) == [], "too few grains"


def test_each_theory_predicts_a_line_from_d_alone():
    lines = predictions(ROOM)
    assert lines["additive"](0.0) == 1
    assert lines["additive"](0.1) == pytest.approx(0.1 / (0.1 + 0.1 * math.sqrt(2 / math.pi)))
    assert lines["squares"](0.1) == pytest.approx(1 / math.sqrt(1 + 2 / math.pi))
    assert lines["denoiser"](0.1) == pytest.approx(0.5)
    assert lines["denoiser"](0.2) == pytest.approx((0.5 + 0.3) / 2)
    assert lines["copies"](0.0) == pytest.approx(0.6)
    assert lines["copies"](0.1) == pytest.approx(0.5), "the mean of two seeds"
    assert lines["folded"](0.3) == pytest.approx(0.12 / 0.44)
    assert predicted_grain(lines["denoiser"], 1.0) == 0
    assert predicted_grain(lines["denoiser"], 0.5) == pytest.approx(0.1, abs=1e-3)
    assert math.isnan(predicted_grain(lines["denoiser"], 0.2))


def test_a_prediction_is_held_against_each_run_and_the_best_rule_on_grain_or_gamma_alone():
    found = agreement(MAP, {0.0: 0.9, 0.1: 0.6, 0.3: 0.4}.__getitem__)
    assert found.seeds == 2
    assert found.mean == pytest.approx((7 + 9) / 18), "two runs of the first seed took off without room"
    assert 0 <= found.low <= found.mean <= found.high <= 1
    took = sum(cell.took_off for cell in cells(MAP))
    outcomes = [(row["setting"], takeoff.took_off(row["final"])) for row in MAP]
    rules = [(name, least) for name in ("grain", "gamma") for least in (0.0, 0.1, 0.3, 0.5, 0.65, 0.8, 1.0, 9.0)]
    best = max(sum((setting[name] >= least) == took for setting, took in outcomes) for name, least in rules)
    assert found.null == pytest.approx(best / 18)
    assert best >= max(took, 18 - took)
    assert agreement(MAP, lambda _: 0.0).mean == pytest.approx(took / 18), "all are to take off"
    assert agreement(MAP, lambda _: 2.0).null == found.null


def test_grain_is_found_again_by_the_law_of_squares():
    room = [
        {"seed": seed, "setting": {"grain": grain}, "found": {"grainy": [9.9, math.hypot(loss, NOISE * grain)]}}
        for seed, loss in ((0, 0.1), (1, 0.2))
        for grain in (0.0, 0.1, 0.3)
    ]
    found = takeoff.grain_found(room)
    assert list(found) == [0.1, 0.3]
    assert found[0.1] == pytest.approx((0.1, 0.1, 0.1))
    assert found[0.3] == pytest.approx((0.3, 0.3, 0.3))
    assert takeoff.grain_found(room[1:3]) == {}, "without a run that had none, nothing is known"


def test_the_least_gamma_is_what_copies_cost():
    mean, low, high = takeoff.least_gamma(ROOM[1:3])
    assert mean == pytest.approx(0.5)
    assert low < 0.4 < 0.6 < high


def test_what_a_fork_kept_is_read_off_its_ends():
    rows = [
        {part: {"spread": [0.0, seed + value]} for part, value in (("trunk", 1.0), ("there", 0.2), ("back", 0.5))}
        for seed in (0.0, 0.1)
    ]
    found = takeoff.kept(rows)
    assert {part: round(mean, 3) for part, (mean, _, _) in found.items()} == {
        "trunk": 1.05,
        "there": 0.25,
        "back": 0.55,
    }
    assert all(low < mean < high for mean, low, high in found.values())


def test_affinity_is_given_beside_that_of_shuffled_losses():
    pairs = ((-0.5, 0.1), (-0.7, -0.1))
    rows = [{"seed": i, "easy": {"correlation": value, "null": null}} for i, (value, null) in enumerate(pairs)]
    found = affinity_of(rows)
    assert (found.mean, found.null, found.seeds) == (pytest.approx(-0.6), pytest.approx(0), 2)
    assert found.low < found.mean < found.high
    assert found.null_low < 0 < found.null_high


def test_a_setting_is_found_whole():
    rows = [run(0.5, 0.1, 1, took=True), run(0.5, 0.1, 0, took=True), run(0.5, 0.1, 2, took=True, k_0=0.5)]
    assert [row["seed"] for row in one_setting(rows, gamma=0.5, grain=0.1)] == [0, 1]
    assert [row["seed"] for row in one_setting(rows, gamma=0.5, grain=0.1, k_0=0.5)] == [2]


def test_no_untrained_g_passes_for_a_run_that_took_off_and_real_faces_do():
    null = takeoff.load("null")
    assert {row["model"]: takeoff.took_off(row["final"]) for row in null} == {"real": True, "untrained": False}


def test_the_committed_runs_are_those_of_the_study():
    """Seeds are fresh, five of each setting that a claim may rest on, and nothing shows a photograph."""
    for setting in ((0.0, 0.5), (0.15, 0.5), (0.3, 0.5), (0.15, 0.8), (0.0, 1.0)):
        some = one_setting(takeoff.load("map"), grain=setting[0], gamma=setting[1])
        assert [row["seed"] for row in some] == list(range(FRESH, FRESH + 5))
    assert {row["data"] for row in takeoff.load("map")} == {"faces"}
    samples = runner.committed_tensors("grain", "samples")
    assert all(name.startswith("map/faces-") for name in samples)
    assert sum(path.stat().st_size for path in (artifacts_folder() / "grain").iterdir()) < 3e6
