"""The figures of mode collapse: what is drawn is what the rows say."""

import torch

from began.collapse import Reading
from studies.detectors import Score
from studies.figures import ch06


def row(k: list[float], cells: list[float], model: str = "BEGAN") -> dict:
    """A run with a value of k each 50 steps, read every 100, whose samples are measured every 250."""
    step = [50 * (i + 1) for i in range(len(k))]
    reading = dict.fromkeys(("k", "var_real", "var_fake", "top"), k[1::2])
    curve = {"step": step, "k": k, "M": [1.0] * len(k)}
    readings = {"step": step[1::2], "spread": [0.5] * (len(k) // 2), **reading}
    stops = {"step": [250 * (i + 1) for i in range(len(cells))], "cells": cells}
    parts = {"curve": curve, "readings": readings, "stops": stops}
    return {"model": model, "data": "faces", "steps": step[-1], "ended": None, **parts}


def test_runs_are_drawn_whole_and_their_median_while_all_go_on(check_figure):
    rows = [row([1, 9, 3, 4], [0.1]), row([2, 3, 9, 5, 9, 9], [0.2]), row([9, float("nan"), 8, 9], [0.3])]
    panels = {"one": rows, "other": [row([1, 2], [0]), row([3, 4], [0], "BEGAN-CS")]}
    measures = {"k": ("curve", "k"), "cells": ("stops", "cells")}
    k, other, cells, _ = check_figure(ch06.show_runs(panels, measures, "k"), panels)
    assert (k.axes.get_yscale(), cells.axes.get_yscale()) == ("log", "linear")
    assert all(k.curve(run["curve"]["step"], run["curve"]["k"]) for run in rows)
    assert k.curve([50, 100, 150, 200], [2, 9, 8, 5])
    assert [other.curve([50, 100], values).name for values in ([1, 2], [3, 4])] == ["BEGAN", "BEGAN-CS"]
    assert cells.has(250, [0.1, 0.2, 0.3])


def test_fates_tell_groups_of_one_model_apart(check_figure):
    groups = {"lost": [row([1, 9, 3, 4], [0.1]), row([2, 3], [0.2])], "well": [row([5, 6, 7, 8], [0.9])]}
    measures = {"$k$": ("curve", "k"), "cells": ("stops", "cells")}
    k, cells = check_figure(ch06.show_fates(groups, measures, 0.25))
    assert all(k.curve(run["curve"]["step"], run["curve"]["k"]) for rows in groups.values() for run in rows)
    assert k.curve([50, 100], [1.5, 6]).name == "lost"
    assert k.curve([50, 100, 150, 200], [5, 6, 7, 8]).name == "well"
    assert cells.level(0.25)
    assert not k.level(0.25)


def test_codes_are_drawn_where_they_lie_under_their_variances(check_figure):
    codes = torch.arange(12.0).view(2, 3, 2)
    for count in (1, 3):
        panels = dict.fromkeys("abc"[:count], (codes, {"var_real": 3.25, "var_gen": 0.012}))
        for panel, name in zip(check_figure(ch06.show_codes(panels, columns=2)), panels, strict=True):
            assert panel.title == f"{name}\nVar(real) 3.25\nVar(gen) 0.012"
            assert all(panel.curve(*points.T) for points in codes)


def test_k_is_averaged_between_the_stops_that_coverage_is_known_at():
    run = row([1.0] * 5 + [2.0] * 5 + [7.0], [0.4, 0.2])  # the last k comes after the last stop
    assert ch06.k_and_coverage(run) == [(0.4, 1.0), (0.2, 2.0)]


def test_long_runs_are_cut_into_eighths():
    run = row([1.0] * 80, [0.25, 0.75] * 8)
    assert ch06.k_and_coverage(run) == [(0.5, 1.0)] * 8


def test_paths_end_in_a_dot_beside_the_bound_of_their_panel(check_figure):
    bounds = {"runs": ([0.1, 1], [0.2, 1]), "short": ([0.04, 1], [0.04, 1])}
    panels = {"runs": [row([1.0] * 5 + [0.5] * 5, [0.4, 0.2])], "short": [row([0.3] * 5, [0.4])]}
    panel, short = check_figure(ch06.show_paths(panels, bounds), panels)
    assert panel.curve([0.4, 0.2], [1, 0.5])
    assert panel.curve([0.2], [0.5])
    assert short.curve([0.4], [0.3])
    assert panel.curve(*bounds["runs"])
    assert short.curve(*bounds["short"])


def test_alarms_stand_at_the_first_step_that_means_the_collapse(check_figure):
    # k drops at step 1300, three quarters of the way to a collapse at 1750; M does not move
    lost, kept = row([0.1] * 24 + [0.01] * 20, [0.5] * 6 + [0.05] * 2), row([0.1] * 44, [0.5] * 8)
    (panel,) = check_figure(ch06.show_alarms({"some": [lost], "others": [kept]}))
    assert panel.curve([1750, 2200], [0, 0]).name == "collapsed"
    alarms = {one.name: one.points.tolist() for one in panel.series if len(one.points) == 1}
    assert alarms == {name: [[1400, 0]] for name in ("monitor", "k alone")}, "at the second low reading"
    assert panel.rows == ["some", "others"]


def test_scores_show_the_share_found_the_lags_and_the_false_alarms(check_figure):
    scores = {"monitor": Score(4, [-100, 300], 3, 20_000), "M alone": Score(4, [], 0, 20_000)}
    rate, lag, false, *_ = check_figure(ch06.show_scores({"faces": scores, "toy": {"k alone": Score(1, [5], 0, 1)}}))
    assert rate.rows == list(scores)
    for y, score in enumerate(scores.values()):
        assert rate.has(score.rate, y), "the share and both ends"
        assert false.at(score.false_rate, y)
    assert lag.has([-100, 300], 0, dy=0.4)
    assert lag.upright(100, 0)


def test_a_moment_has_the_samples_the_codes_and_the_readings_up_to_it(check_figure):
    readings = [Reading(0.1 * i, i, 1, 1, 0.5) for i in range(1, 5)]
    codes = torch.arange(20.0).view(2, 5, 2)
    for step in (100, 200):
        samples, cloud, curves = check_figure(ch06.show_moment(step, torch.zeros(16, 3, 16, 16), codes, readings))
        assert samples.title == f"samples at step {step}"
        assert all(cloud.curve(*points.T) for points in codes)
        for name, label in (("spread", "spread"), ("k", "$k$")):
            values = [getattr(reading, name) for reading in readings]
            assert curves.curve([100, 200, 300, 400], values)
            assert curves.curve(range(100, step + 1, 100), values[: step // 100]).name == label
