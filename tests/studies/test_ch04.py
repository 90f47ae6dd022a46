"""Figures of the controller: what is drawn is what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from studies import style
from studies.figures import ch04

pytestmark = pytest.mark.usefixtures("figures")


def data(axes) -> list[np.ndarray]:
    """The y values of the axes' lines."""
    return [np.asarray(line.get_ydata(), dtype=float) for line in axes.lines]


def drawn(axes, values) -> bool:
    return any(line.shape == np.shape(values) and np.allclose(line, values) for line in data(axes))


def dashed(axes) -> list[float]:
    """The heights or places of dashed lines."""
    return [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]


def test_ratios_show_runs_their_median_and_gamma():
    steps, rng = [20, 40, 60], torch.Generator().manual_seed(0)
    panels = {
        name: {gamma: torch.rand(3, 3, generator=rng) for gamma in (0.3, 0.7)} for name in ("faces", "photographs")
    }
    figure = ch04.show_ratios(panels, steps)
    assert [axes.get_title() for axes in figure.axes] == ["faces", "photographs"]
    for axes, runs in zip(figure.axes, panels.values(), strict=True):
        assert dashed(axes) == [0.3, 0.7]
        for ratios in runs.values():
            assert all(drawn(axes, run) for run in ratios)
            assert drawn(axes, ratios.median(0).values)


def test_a_gamma_has_one_colour_in_all_panels_and_in_the_legend():
    runs = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))
    panels = {"faces": {0.3: runs, 0.7: runs, 1.0: runs}, "photographs": {0.3: runs, 0.7: runs}}
    figure = ch04.show_ratios(panels, [1, 2, 3])
    legend = figure.axes[1].get_legend()
    named = {
        float(text.get_text()): to_hex(line.get_color())
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    assert list(named) == [0.3, 0.7, 1.0]
    assert len(set(named.values())) == 3
    for axes, expected in zip(figure.axes, panels.values(), strict=True):
        targets = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert {line.get_ydata()[0]: to_hex(line.get_color()) for line in targets} == {
            gamma: named[gamma] for gamma in expected
        }


def test_a_dither_shows_k_the_windowed_ratio_and_the_answer():
    k, ratio, answer = (torch.rand(2, 11, generator=torch.Generator().manual_seed(i)) for i in range(3))
    weight, axes = ch04.show_dither(k, ratio, answer, window=5).axes
    assert drawn(weight, k.mean(0))
    assert drawn(axes, answer.mean(0))
    assert drawn(axes, [ratio[:, :5].mean(), ratio[:, 5:10].mean()])
    assert axes.lines[0].get_xdata().tolist() == [2.5, 7.5]


def test_a_loop_shows_ratio_k_and_gamma():
    figure = ch04.show_loop([0.1, 0.2], [0.5, 0.8], 0.9, "stable")
    left, right = figure.axes
    assert drawn(left, [0.5, 0.8])
    assert dashed(left) == [0.9]
    assert drawn(right, [0.1, 0.2])
    assert figure.get_suptitle() == "stable"


def test_predictions_stand_beside_what_was_recorded():
    recorded = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    panels = {"clip": (recorded, {"plant": [1.0, 2.0, 3.0, 4.0]}), "wind-up": (recorded, {})}
    first, second = ch04.show_predictions(panels).axes
    assert drawn(first, [1, 2, 3, 4])
    assert not drawn(second, [1, 2, 3, 4])
    for axes in (first, second):
        assert all(drawn(axes, run) for run in recorded)
        assert drawn(axes, recorded.median(0).values)
    assert (first.get_title(), second.get_title()) == ("clip", "wind-up")


def test_stability_shows_recorded_and_simulated_values_and_the_bound():
    row = {
        "lambda_k": (0.5, 1.0),
        "std": torch.tensor([[0.1, 0.2, 0.4], [0.3, 0.4, 0.8]]),
        "clipped": torch.tensor([[0.0, 0.0, 0.3], [0.5, 0.6, 0.9]]),
        "std_plant": [0.15, 0.35],
        "clipped_plant": [0.01, 0.55],
        "bound": 0.75,
        "threshold": 0.05,
    }
    figure = ch04.show_stability({"faces": row, "toy": row})
    assert len(figure.axes) == 4
    for std, clipped in (figure.axes[:2], figure.axes[2:]):
        for axes, name, median in ((std, "std", [0.2, 0.4]), (clipped, "clipped", [0.0, 0.6])):
            assert all(drawn(axes, run) for run in row[name].T)
            assert drawn(axes, median)
            assert drawn(axes, row[f"{name}_plant"])
            (bound,) = [line for line in axes.lines if line.get_linestyle() == "--"]
            assert bound.get_xdata()[0] == 0.75
        assert drawn(clipped, [0.05, 0.05])
    assert [axes.get_title() for axes in figure.axes[::2]] == ["faces", "toy"]


def test_rules_show_every_run_and_the_median():
    rows = {"faces": {"paper": [0.8, 0.9, 1.3], "scale-free": [0.9, 0.91, 0.92]}, "digits": {"paper": [0.5]}}
    faces, digits = ch04.show_rules(rows, 0.9).axes
    assert drawn(faces, [0.8, 0.9, 1.3])
    assert drawn(faces, [0.91, 0.91])
    assert dashed(faces) == dashed(digits) == [0.9]
    assert [label.get_text() for label in faces.get_xticklabels()] == ["paper", "scale-free"]
    assert not drawn(digits, [0.91, 0.91])


def test_convergence_shows_paths_and_ends():
    M, distance = (torch.rand(2, 3, generator=torch.Generator().manual_seed(i)) for i in range(2))
    (axes,) = ch04.show_convergence({"faces": {0.5: (M, distance)}}).axes
    assert all(drawn(axes, run) for run in distance)
    (ends,) = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(ends.get_xdata(), M[:, -1])
    np.testing.assert_allclose(ends.get_ydata(), distance[:, -1])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_orders_show_each_way_in_a_line_of_its_own():
    runs = {way: torch.rand(3, 2, generator=torch.Generator().manual_seed(i)) for i, way in enumerate("abc")}
    figure = style.show_orders({"k": ([1, 2], runs), "M": ([1, 2], runs)})
    assert [axes.get_title() for axes in figure.axes] == ["k", "M"]
    for axes in figure.axes:
        for values in runs.values():
            assert all(drawn(axes, run) for run in values)
            assert drawn(axes, values.median(0).values)
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    assert len({line.get_linestyle() for line in legend.get_lines()}) == 3
    assert plt.get_fignums() == [figure.number]
