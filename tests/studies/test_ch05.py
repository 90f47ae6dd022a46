"""The figures of diversity against quality: what is drawn is what the rows say."""

import numpy as np
import pytest
import torch

from studies.figures.ch05 import TradeOff, show_courses, show_gamma, show_measures, show_trade_offs
from studies.statistics import by_gamma


def row(gamma: float, seed: int, x: float, y: float) -> dict:
    readings = {"step": [10, 20, 30], "x": [x, 2 * x, 3 / x]}
    return {"setting": {"gamma": gamma}, "seed": seed, "final": {"x": x, "y": y}, "readings": readings}


ROWS = [row(0.9, 1, 5.0, 1.0), row(0.5, 0, 1.0, 0.2), row(0.9, 0, 4.0, 3.0), row(0.5, 1, 2.0, 0.4), row(0.9, 2, 9, 2)]
REAL = [row(1, 0, 6.0, 0.0), row(1, 1, 8.0, 0.0)]
PANEL = TradeOff("faces", ROWS, REAL, ("x", "diversity"), ("y", "distance"), down=True)


def test_rows_are_grouped_by_gamma_and_sorted_by_seed():
    groups = by_gamma(ROWS)
    assert list(groups) == [0.5, 0.9]
    assert [one["seed"] for one in groups[0.9]] == [0, 1, 2]


def test_a_trade_off_has_a_point_a_run_and_a_line_through_medians(check_figure):
    least = PANEL._replace(rows=ROWS[:1], real=REAL[:1], down=False)
    left, right = check_figure(show_trade_offs([PANEL, least]))
    for one in ROWS:
        assert left.at(one["final"]["x"], one["final"]["y"]).name == f"{one['setting']['gamma']:g}"
    assert left.curve([1.5, 5], [0.3, 2])
    assert left.at(7, 0), "real pictures"
    assert right.has([5, 6], [1, 0])
    assert (left.axes.yaxis_inverted(), right.axes.yaxis_inverted()) == (True, False)
    assert (left.axes.get_xlabel(), left.axes.get_ylabel(), left.title) == ("diversity", "distance", "faces")


def test_one_gamma_is_named_beside_the_samples_of_all_seeds(check_figure):
    blocks = [torch.full((4, 3, 16, 16), value) for value in (-1.0, 1.0)]
    pictures, curve = check_figure(show_gamma(0.5, blocks, PANEL, columns=3))
    grid = np.asarray(pictures.axes.images[0].get_array())
    assert grid.shape[:2] == (2 * 17 + 1, 3 * 17 + 1)
    assert (grid[5, 5, 0], grid[25, 5, 0]) == (0, 255)
    assert "0.5" in pictures.title
    (note,) = curve.axes.texts
    assert (note.get_text(), note.xy) == ("0.5", pytest.approx((1.5, 0.3)))
    assert curve.has(*np.array([[one["final"]["x"], one["final"]["y"]] for one in ROWS]).T)


def test_measures_are_drawn_for_the_data_that_have_them(check_figure):
    some = [one for one in ROWS if one["seed"] < 2]
    lacking = [{**one, "final": {"x": 2 * one["final"]["x"]}} for one in some]
    data = {"faces": (some, REAL), "photographs": (lacking, [row(1, 0, 20, 0)])}
    first, second = check_figure(show_measures({"x": "the x", "y": "the y"}, data))
    assert (first.title, second.title) == ("the x", "the y")
    assert first.has([0.5, 0.5, 0.9, 0.9], [1, 2, 4, 5])
    assert first.curve([0.5, 0.9], [1.5, 4.5]).name == "faces"
    assert first.curve([0.5, 0.9], [3, 9]).name == "photographs"
    assert first.level(7), "real faces"
    assert first.level(20), "real photographs"
    assert second.curve([0.5, 0.9], [0.3, 2]).name == "faces"
    assert not any(series.name == "photographs" for series in second.series)
    check_figure(show_measures({"x": "the x"}, {"faces": (ROWS[:1], [])}))


def test_courses_end_at_the_step_asked_for(check_figure):
    some = [one for one in ROWS if one["seed"] < 2]
    (panel,) = check_figure(show_courses(some, {"x": "the x"}, 20))
    for gamma, values in (("0.5", (1, 2, 1.5)), ("0.9", (5, 4, 4.5))):
        assert {panel.curve([10, 20], [x, 2 * x]).name for x in values} == {gamma}
    assert max(series.points[:, 0].max() for series in panel.series) == 20
    check_figure(show_courses(ROWS[:1], {"x": "the x"}, 10))
