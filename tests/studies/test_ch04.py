"""Figures of the controller: what is drawn is what was given."""

from itertools import product

import numpy as np
import pytest
from torch import rand

from studies.figures import ch04


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("gammas", [{"faces": [0.7]}, {"faces": [0.3, 0.7, 1.0], "photographs": [0.3]}])
def test_ratios_show_runs_their_median_and_gamma_under_one_name(check_figure, gammas: dict, seeds: int):
    sets = {data: {gamma: rand(seeds, 3) for gamma in of} for data, of in gammas.items()}
    for panel, runs in zip(check_figure(ch04.show_ratios(sets, [20, 40, 60]), sets), sets.values(), strict=True):
        for gamma, ratios in runs.items():
            assert panel.runs([20, 40, 60], ratios) == {panel.level(gamma).name} == {f"{gamma:g}"}


def test_a_dither_shows_k_the_windowed_ratio_and_the_answer(check_figure):
    k, ratio, answer = rand(3, 2, 11)
    weight, panel = check_figure(ch04.show_dither(k, ratio, answer, window=5))
    assert weight.curve(range(11), k.mean(0))
    assert panel.curve(range(11), answer.mean(0)).name == "fitted plant"
    assert panel.curve([2.5, 7.5], [ratio[:, :5].mean(), ratio[:, 5:10].mean()]).name == "recorded"


def test_a_loop_shows_ratio_k_and_gamma(check_figure):
    left, right = check_figure(ch04.show_loop([0.1, 0.2], [0.5, 0.8], 0.9, "stable"))
    assert left.curve([0, 1], [0.5, 0.8])
    assert left.level(0.9)
    assert right.curve([0, 1], [0.1, 0.2])
    assert left.axes.figure.get_suptitle() == "stable"


@pytest.mark.parametrize("seeds", [1, 3])
def test_predictions_stand_beside_what_was_recorded(check_figure, seeds: int):
    recorded = rand(seeds, 4)
    panels = {"clip": (recorded, {"plant": [1.0, 2.0, 3.0, 4.0]}), "wind-up": (recorded, {})}
    first, second = check_figure(ch04.show_predictions(panels), panels)
    assert first.curve(range(4), [1, 2, 3, 4]).name == "plant"
    assert first.runs(range(4), recorded) == second.runs(range(4), recorded) == {"recorded"}


def test_stability_shows_recorded_and_simulated_values_and_the_bound(check_figure):
    at, parts = (0.5, 1.0, 2.0), ("std", "clipped")
    given = {"lambda_k": at, "std_plant": rand(3), "clipped_plant": rand(3), "bound": 0.75, "threshold": 0.05}
    rows = {data: {**given, **{name: rand(3, n) for name in parts}} for data, n in (("faces", 3), ("toy", 1))}
    panels = check_figure(ch04.show_stability(rows), rows)
    for panel, (row, name) in zip(panels, product(rows.values(), parts), strict=True):
        assert panel.has([[x] for x in at], row[name])
        assert panel.curve(at, row[name].median(1).values).name == "recorded"
        assert panel.curve(at, row[f"{name}_plant"]).name == "plant and noise"
        assert panel.upright(0.75).name == "bound"
        assert name == "std" or panel.level(0.05)


def test_rules_show_every_run_and_the_median(check_figure):
    rows = {"faces": {"paper": [0.8, 0.95, 1.3], "scale-free": [0.9, 0.91, 0.92]}, "digits": {"paper": [0.5]}}
    for panel, rules in zip(check_figure(ch04.show_rules(rows, 0.7), rows), rows.values(), strict=True):
        assert panel.ticks == list(rules)
        assert panel.level(0.7)
        for place, values in enumerate(rules.values()):
            assert panel.has(place, values, dx=0.3)
            assert panel.level(np.median(values), place)


def test_convergence_shows_paths_and_ends_under_their_gamma(check_figure):
    panels = {"faces": {gamma: rand(2, 2, 3) for gamma in (0.5, 0.9)}}
    (panel,) = check_figure(ch04.show_convergence(panels), panels)
    for gamma, (M, distance) in panels["faces"].items():
        for path in [*zip(M, distance, strict=True), (M[:, -1], distance[:, -1])]:
            assert panel.curve(*path).name == f"{gamma:g}"
