"""The figures of mode collapse: what is drawn is what the rows say."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from began.collapse import Reading
from studies.detectors import Score
from studies.figures.ch06 import (
    k_and_coverage,
    show_alarms,
    show_codes,
    show_moment,
    show_paths,
    show_runs,
    show_scores,
)
from studies.style import COLOURS

pytestmark = pytest.mark.usefixtures("figures")


def row(k: list[float], cells: list[float], model: str = "BEGAN") -> dict:
    """A run with a value of k each 50 steps, read every 100, whose samples are measured every 250."""
    step = [50 * (i + 1) for i in range(len(k))]
    reading = dict.fromkeys(("k", "var_real", "var_fake", "top"), k[1::2])
    return {
        "model": model,
        "data": "faces",
        "steps": step[-1],
        "ended": None,
        "curve": {"step": step, "k": k, "M": [1.0] * len(k)},
        "readings": {"step": step[1::2], "spread": [0.5] * (len(k) // 2), **reading},
        "stops": {"step": [250 * (i + 1) for i in range(len(cells))], "cells": cells},
    }


def lines(axes: plt.Axes, width: float) -> list[np.ndarray]:
    return [line.get_xydata() for line in axes.lines if line.get_linewidth() == width]


def test_runs_have_a_thin_line_each_and_a_thick_median_while_all_go_on():
    rows = [row([1, 2, 3, 4], [0.1]), row([2, 3, 4, 5, 9, 9], [0.2]), row([9, float("nan"), 9, 9], [0.3])]
    figure = show_runs({"one": rows, "other": rows[:1]}, {"k": ("curve", "k"), "cells": ("stops", "cells")}, "k")
    top = figure.axes[0]
    assert top.get_title() == "one"
    assert top.get_yscale() == "log"
    assert figure.axes[2].get_yscale() == "linear"
    assert [len(line) for line in lines(top, 0.5)] == [4, 6, 4]
    (median,) = lines(top, 2)
    np.testing.assert_allclose(median, [[50, 2], [100, 3], [150, 4], [200, 5]])


def test_models_keep_their_colours_and_have_a_median_each():
    figure = show_runs({"both": [row([1, 2], [0]), row([3, 4], [0], "BEGAN-CS")]}, {"k": ("curve", "k")})
    thick = [line for line in figure.axes[0].lines if line.get_linewidth() == 2]
    assert [line.get_color() for line in thick] == [COLOURS["BEGAN"], COLOURS["BEGAN-CS"]]


def test_codes_are_drawn_where_they_lie_under_their_variances():
    codes = torch.arange(12.0).view(2, 3, 2)
    figure = show_codes(
        {"a": (codes, {"var_real": 3.25, "var_gen": 0.012}), "b": (codes, {"var_real": 1, "var_gen": 2})}, columns=1
    )
    first, _ = figure.axes
    assert [line.get_color() for line in first.lines] == [COLOURS["real"], COLOURS["BEGAN"]]
    np.testing.assert_allclose([line.get_xydata() for line in first.lines], codes)
    assert first.get_title() == "a\nVar(real) 3.25\nVar(gen) 0.012"


def test_k_is_averaged_between_the_stops_that_coverage_is_known_at():
    run = row([1.0] * 5 + [2.0] * 5 + [7.0], [0.4, 0.2])  # the last k comes after the last stop
    assert k_and_coverage(run) == [(0.4, 1.0), (0.2, 2.0)]


def test_long_runs_are_cut_into_eighths():
    run = row([1.0] * 80, [0.25, 0.75] * 8)
    assert k_and_coverage(run) == [(0.5, 1.0)] * 8


def test_paths_end_in_a_dot_below_the_bound_of_their_panel():
    bound = ([0.1, 1], [0.2, 1])
    figure = show_paths({"runs": [row([1.0] * 5 + [0.5] * 5, [0.4, 0.2])]}, {"runs": bound})
    path, dot, dashed = figure.axes[0].lines
    np.testing.assert_allclose(path.get_xydata(), [[0.4, 1], [0.2, 0.5]])
    np.testing.assert_allclose(dot.get_xydata(), [[0.2, 0.5]])
    np.testing.assert_allclose(np.array(dashed.get_data()), bound)


def test_alarms_stand_at_the_first_step_that_means_the_collapse():
    # k drops at step 1300, three quarters of the way to a collapse at 1750; M does not move
    k = [0.1] * 24 + [0.01] * 20
    lost = row(k, [0.5] * 6 + [0.05] * 2)
    figure = show_alarms({"some": [lost], "others": [row([0.1] * 44, [0.5] * 8)]})
    (axes,) = figure.axes
    (bar,) = [line.get_xydata() for line in axes.lines if line.get_linewidth() == 3]
    np.testing.assert_allclose(bar, [[1750, 0], [2200, 0]])
    marks = {
        line.get_marker(): line.get_xydata()
        for line in axes.lines
        if line.get_marker() in "o^x" and len(line.get_xydata())
    }
    assert marks.keys() == {"o", "^"}
    np.testing.assert_allclose(marks["^"], [[1400, 0]])  # the median of three waits for the second low reading
    assert [text.get_text() for text in axes.get_yticklabels()] == ["some", "others"]
    assert [text.get_text() for text in figure.legends[0].texts] == ["collapsed", "monitor", "k alone", "M alone"]


def test_scores_show_the_share_found_the_lags_and_the_false_alarms():
    scores = {"monitor": Score(4, [-100, 300], 3, 20_000), "M alone": Score(4, [], 0, 20_000)}
    figure = show_scores({"faces": scores})
    rate, lag, false = figure.axes
    assert [line.get_xdata()[0] for line in rate.lines if line.get_marker() in ("o", "x")] == [0.5, 0]
    low, high = next(line.get_xdata() for line in rate.lines if line.get_linewidth() == 2)
    assert low < 0.5 < high
    (dots,) = [line.get_xdata() for line in lag.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots, [-100, 300])
    (median,) = [line.get_xdata() for line in lag.lines if line.get_linewidth() == 2]
    np.testing.assert_allclose(median, [100, 100])
    assert [bar.get_width() for bar in false.patches] == [1.5, 0]


def test_a_moment_has_the_samples_the_codes_and_the_readings_up_to_it():
    readings = [Reading(0.1 * i, i, 1, 1, 0.5) for i in range(1, 5)]
    figure = show_moment(200, torch.zeros(16, 3, 16, 16), torch.zeros(2, 5, 2), readings)
    curves = figure.axes[2].lines
    assert [len(line.get_xdata()) for line in curves] == [4, 2, 4, 2]
    np.testing.assert_allclose(curves[1].get_xydata(), [[100, 1], [200, 2]])
    assert figure.axes[0].get_title() == "samples at step 200"
