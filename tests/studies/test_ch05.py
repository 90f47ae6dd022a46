"""The figures of diversity against quality: what is drawn is what the rows say."""

import numpy as np
import pytest
import torch

from studies.figures.ch05 import TradeOff, show_courses, show_gamma, show_measures, show_trade_offs
from studies.statistics import by_gamma

pytestmark = pytest.mark.usefixtures("figures")


def row(gamma: float, seed: int, x: float, y: float) -> dict:
    final = {"x": x, "y": y}
    return {
        "setting": {"gamma": gamma},
        "seed": seed,
        "final": final,
        "readings": {"step": [10, 20, 30], "x": [x, 2 * x, 3 * x]},
    }


ROWS = [row(0.9, 1, 5.0, 1.0), row(0.5, 0, 1.0, 0.2), row(0.9, 0, 4.0, 3.0), row(0.5, 1, 2.0, 0.4), row(0.9, 2, 9, 2)]
REAL = [row(1, 0, 6.0, 0.0), row(1, 1, 8.0, 0.0)]
PANEL = TradeOff("faces", ROWS, REAL, ("x", "diversity"), ("y", "distance"), down=True)


def test_rows_are_grouped_by_gamma_and_sorted_by_seed():
    groups = by_gamma(ROWS)
    assert list(groups) == [0.5, 0.9]
    assert [one["seed"] for one in groups[0.9]] == [0, 1, 2]


def points(axes) -> dict[str, np.ndarray]:
    dots = [line.get_xydata() for line in axes.lines if line.get_marker() == "o"]
    (curve,) = [line.get_xydata() for line in axes.lines if line.get_linestyle() == "-"]
    (star,) = [line.get_xydata() for line in axes.lines if line.get_marker() == "*"]
    return {"dots": np.concatenate(dots), "curve": curve, "star": star}


def test_a_trade_off_has_a_point_a_run_and_a_line_through_medians():
    figure = show_trade_offs([PANEL, PANEL._replace(down=False)])
    left, right = figure.axes
    shown = points(left)
    assert sorted(map(tuple, shown["dots"])) == sorted((one["final"]["x"], one["final"]["y"]) for one in ROWS)
    np.testing.assert_allclose(shown["curve"], [[1.5, 0.3], [5, 2]])
    np.testing.assert_allclose(shown["star"], [[7, 0]])
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["0.5", "0.9"]
    assert left.yaxis_inverted()
    assert not right.yaxis_inverted()
    assert (left.get_xlabel(), left.get_ylabel(), left.get_title()) == ("diversity", "distance", "faces")


def test_one_gamma_stands_out_beside_the_samples_of_all_seeds():
    blocks = [torch.full((4, 3, 16, 16), value) for value in (-1.0, 1.0)]
    figure = show_gamma(0.5, blocks, PANEL, columns=3)
    pictures, curve = figure.axes
    grid = np.asarray(pictures.images[0].get_array())
    assert grid.shape[:2] == (2 * 17 + 1, 3 * 17 + 1)
    assert grid[5, 5, 0] == 0
    assert grid[25, 5, 0] == 255
    assert "0.5" in pictures.get_title()
    assert [text.get_text() for text in curve.texts] == ["0.5"]
    strength = {len(line.get_xydata()): line.get_alpha() for line in curve.lines if line.get_marker() == "o"}
    assert strength[2] > 2 * strength[3]  # two runs at 0.5, three at 0.9


def test_measures_are_drawn_for_the_data_that_have_them():
    lacking = [{**one, "final": {"x": 2 * one["final"]["x"]}} for one in ROWS if one["seed"] < 2]
    some = [one for one in ROWS if one["seed"] < 2]
    figure = show_measures({"x": "the x", "y": "the y"}, {"faces": (some, REAL), "photographs": (lacking, REAL)})
    first, second, empty = figure.axes
    assert (first.get_title(), second.get_title()) == ("the x", "the y")
    assert not empty.axison
    medians = {
        line.get_label(): line.get_ydata() for line in first.lines if line.get_label() in ("faces", "photographs")
    }
    np.testing.assert_allclose(medians["faces"], [1.5, 4.5])
    np.testing.assert_allclose(medians["photographs"], [3, 9])
    assert [line.get_label() for line in second.lines].count("photographs") == 0
    levels = [line.get_ydata()[0] for line in first.lines if line.get_color() == "#000000"]
    assert levels == [7, 7]


def entries(legend) -> list[tuple]:
    return list(zip(legend.get_texts(), legend.get_lines(), strict=True))


def test_courses_end_at_the_step_asked_for():
    some = [one for one in ROWS if one["seed"] < 2]
    figure = show_courses(some, {"x": "the x"}, 20)
    (axes,) = figure.axes
    names = {line.get_color(): text.get_text() for text, line in entries(axes.get_legend())}
    thick = {names[line.get_color()]: line.get_xydata() for line in axes.lines if line.get_linewidth() == 2}
    np.testing.assert_allclose(thick["0.5"], [[10, 1.5], [20, 3]])
    np.testing.assert_allclose(thick["0.9"], [[10, 4.5], [20, 9]])
    assert len(axes.lines) == 6
