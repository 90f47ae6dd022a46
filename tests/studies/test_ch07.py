"""The figures of BEGAN-CS: what is drawn is what the rows say."""

import numpy as np
import pytest
import torch
from scipy import stats

from studies.figures.ch07 import show_alphas, show_courses, show_moment, show_survival, show_variances
from studies.survival import Course, course


def row(values: list[float]) -> dict:
    return {"stops": {"step": [10 * (i + 1) for i in range(len(values))], "x": values}}


def test_a_run_that_ended_early_has_no_values_afterwards():
    step, values = course([row([1, 2, 3]), row([4])], "x")
    assert list(step) == [10, 20, 30]
    np.testing.assert_array_equal(values, [[1, 2, 3], [4, np.nan, np.nan]])
    with pytest.raises(KeyError):
        course([row([1])], "y")


def test_survival_steps_down_where_runs_are_lost_and_ticks_those_left(check_figure):
    began = stats.CensoredData.right_censored([200, 400, 500, 500], [False, False, True, True])
    lost = {"BEGAN": stats.CensoredData([200]), "BEGAN-CS": stats.CensoredData([100, 300])}
    panels = {"faces": {**lost, "BEGAN": began}, "photographs": lost}
    panel, least = check_figure(show_survival(panels), panels)
    assert panel.curve([0, 200, 200, 400, 400, 500, 500], [1, 1, 0.75, 0.75, 0.5, 0.5, 0.5]).name == "BEGAN"
    assert panel.curve([500], [0.5]).name == "BEGAN"
    assert panel.curve([0, 100, 100, 300, 300], [1, 1, 0.5, 0.5, 0]).name == "BEGAN-CS"
    assert not panel.curve([300], [0])
    assert least.curve([0, 200, 200], [1, 1, 0])


@pytest.mark.parametrize(("least", "log"), [(2, True), (2, False), (-2, False)])
def test_courses_show_each_seed_and_the_median_of_what_is_left(check_figure, least: float, log: bool):
    values = torch.tensor([[1.0, 6.0, 2.0], [3.0, torch.nan, torch.nan], [5.0, 4.0, torch.inf]])
    runs = {"BEGAN": Course([10, 20, 30], values), "BEGAN-CS": Course([10, 20], torch.tensor([[least, 9.0]]))}
    (panel,) = check_figure(show_courses({"x": runs}, log=log))
    assert panel.runs([10, 20, 30], values.where(values.isfinite(), torch.nan)) == {"BEGAN"}
    assert panel.curve([10, 20], [least, 9]).name == "BEGAN-CS"
    assert panel.axes.get_yscale() == ("log" if log else "linear")
    assert panel.axes.get_ylim()[0] < least
    assert (panel.axes.get_ylim()[0] == 0) == (least > 0 and not log)


def test_variances_stand_beside_the_published_ones(check_figure):
    real, gen = (Course([10, 20], torch.tensor([[value, 2 * value]])) for value in (4.0, 1.0))
    published = {"BEGAN": ([1, 11], [4.2, 85.0], [0.6, float("nan")]), "BEGAN-CS": ([1, 11], [2, 3], [1, 2])}
    panels = {"faces": {"BEGAN": (real, gen)}, "photographs": {"BEGAN-CS": (real, gen)}}
    faces, photographs, theirs = check_figure(show_variances(panels, published), panels)
    for panel, name in ((faces, "BEGAN"), (photographs, "BEGAN-CS")):
        assert {panel.curve([10, 20], values).name for values in ([4, 8], [1, 2])} == {name}
    for name, (epoch, *both) in published.items():
        assert {theirs.curve(epoch, values).name for values in both} == {name}


def test_alphas_are_evenly_spaced_and_the_target_is_drawn(check_figure):
    columns = {"ratio": {0.0: [0.6, 0.8, 0.75], 1.0: [1.0, 1.2, 1.3]}, "k": {0.0: [0.1], 1.0: [0.2]}}
    ratio, k = check_figure(show_alphas(columns, {"ratio": 0.7}))
    assert ratio.ticks == ["0", "1"]
    assert ratio.has([0, 0, 0, 1, 1, 1], [0.6, 0.8, 0.75, 1, 1.2, 1.3], dx=0.3)
    assert ratio.curve([0, 1], [0.75, 1.2])
    assert k.curve([0, 1], [0.1, 0.2])
    assert ratio.level(0.7)
    assert not k.level(0.7)


def test_a_moment_shows_each_seed_at_its_step(check_figure):
    blocks = torch.stack([torch.full((8, 3, 16, 16), value, dtype=torch.uint8) for value in (0, 255)])
    runs = Course([10, 20], torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    for seeds in (2, 1):
        some = runs._replace(values=runs.values[:seeds])
        pictures, curve = check_figure(show_moment(1, {"BEGAN": blocks[:seeds]}, {"BEGAN": some}, "x"))
        grid = np.asarray(pictures.axes.images[0].get_array())
        assert grid.shape[:2] == (seeds * 17 + 1, 8 * 17 + 1)
        assert (grid[5, 5, 0], grid[-5, 5, 0]) == (0, 255 * (seeds - 1))
        assert curve.curve([20] * seeds, some.values[:, 1])
        assert all(curve.curve([10, 20], run) for run in some.values)
