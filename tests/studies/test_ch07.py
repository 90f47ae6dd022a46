"""The figures of BEGAN-CS: what is drawn is what the rows say."""

import numpy as np
import pytest
import torch
from scipy import stats

from studies.figures.ch07 import Course, course, show_alphas, show_courses, show_moment, show_survival, show_variances
from studies.style import COLOURS

pytestmark = pytest.mark.usefixtures("figures")

BLUE, ORANGE = COLOURS["BEGAN"], COLOURS["BEGAN-CS"]


def row(values: list[float]) -> dict:
    return {"stops": {"step": [10 * (i + 1) for i in range(len(values))], "x": values}}


def lines(axes, colour: str, width: float | None = None) -> list[np.ndarray]:
    return [
        np.asarray(line.get_ydata(), float)
        for line in axes.lines
        if line.get_color() == colour and width in (None, line.get_linewidth())
    ]


def points(line) -> np.ndarray:
    return line.get_xydata()


def names(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_a_run_that_ended_early_has_no_values_afterwards():
    step, values = course([row([1, 2, 3]), row([4])], "x")
    assert list(step) == [10, 20, 30]
    np.testing.assert_array_equal(values, [[1, 2, 3], [4, np.nan, np.nan]])
    with pytest.raises(KeyError):
        course([row([1])], "y")


def test_survival_steps_down_where_runs_are_lost_and_ticks_those_left():
    began = stats.CensoredData.right_censored([200, 400, 500, 500], [False, False, True, True])
    cs = stats.CensoredData.right_censored([100, 300], [False, False])
    figure = show_survival({"faces": {"BEGAN": began, "BEGAN-CS": cs}})
    (axes,) = figure.axes
    curve, tick = (line for line in axes.lines if line.get_color() == BLUE)
    np.testing.assert_allclose(points(curve), [[0, 1], [200, 0.75], [400, 0.5], [500, 0.5]])
    np.testing.assert_allclose(points(tick), [[500, 0.5]])
    (all_lost,) = lines(axes, ORANGE)
    np.testing.assert_allclose(all_lost, [1, 0.5, 0])
    assert names(figure) == ["BEGAN", "BEGAN-CS"]


def test_courses_are_thin_by_seed_and_thick_by_median_of_what_is_left():
    values = torch.tensor([[1.0, 2.0], [3.0, torch.nan], [5.0, torch.inf]])
    (axes,) = show_courses({"x": {"BEGAN": Course([10, 20], values)}}).axes
    (median,) = lines(axes, BLUE, 2)
    np.testing.assert_array_equal(median, [3, 2])
    assert len(lines(axes, BLUE, 0.5)) == 3
    assert axes.get_ylim()[0] == 0


def test_a_measure_below_zero_is_drawn_whole():
    (axes,) = show_courses({"x": {"BEGAN": Course([10, 20], torch.tensor([[-1.0, 2.0]]))}}).axes
    assert axes.get_ylim()[0] < -1


def test_courses_over_decades_are_logarithmic():
    figure = show_courses({"x": {"BEGAN": Course([10, 20], torch.tensor([[1.0, 2.0]]))}}, log=True)
    assert figure.axes[0].get_yscale() == "log"


def test_variances_stand_beside_the_published_ones():
    real, gen = (Course([10, 20], torch.tensor([[value, 2 * value]])) for value in (4.0, 1.0))
    published = {"BEGAN": ([1, 11], [4.2, 85.0], [0.6, float("nan")])}
    ours, theirs = show_variances({"faces": {"BEGAN": (real, gen)}}, published).axes
    dots = {line.get_linestyle(): np.asarray(line.get_ydata()) for line in theirs.lines}
    np.testing.assert_array_equal(dots["-"], [4.2, 85.0])
    np.testing.assert_array_equal(dots[":"], [0.6, np.nan])
    thick = [line for line in ours.lines if line.get_linewidth() == 2]
    medians = {line.get_linestyle(): np.asarray(line.get_ydata()) for line in thick}
    np.testing.assert_array_equal(medians["-"], [4, 8])
    np.testing.assert_array_equal(medians[":"], [1, 2])


def test_alphas_are_evenly_spaced_and_the_target_is_dashed():
    columns = {"ratio": {0.0: [0.6, 0.8, 0.7], 1.0: [1.0, 1.2, 1.3]}, "k": {0.0: [0.1], 1.0: [0.2]}}
    ratio, k = show_alphas(columns, {"ratio": 0.7}).axes
    median = next(line for line in ratio.lines if line.get_linestyle() == "-")
    np.testing.assert_allclose(points(median), [[0, 0.7], [1, 1.2]])
    assert [np.asarray(line.get_ydata())[0] for line in ratio.lines if line.get_linestyle() == "--"] == [0.7]
    assert not [line for line in k.lines if line.get_linestyle() == "--"]
    assert [label.get_text() for label in ratio.get_xticklabels()] == ["0", "1"]


def test_a_moment_shows_each_seed_at_its_step():
    blocks = torch.stack([torch.full((8, 3, 16, 16), value, dtype=torch.uint8) for value in (0, 255)])
    runs = Course([10, 20], torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    pictures, curve = show_moment(1, {"BEGAN": blocks}, {"BEGAN": runs}, "x").axes
    grid = np.asarray(pictures.images[0].get_array())
    assert grid.shape[:2] == (2 * 17 + 1, 8 * 17 + 1)
    assert (grid[5, 5, 0], grid[25, 5, 0]) == (0, 255)
    (dots,) = (line for line in curve.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(points(dots), [[20, 2], [20, 4]])
