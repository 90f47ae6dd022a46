"""Figures of distributions of losses: what is filled, what is written above, which line means what."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from torch import Tensor

from studies.figures import ch03
from studies.style import COLOURS

pytestmark = pytest.mark.usefixtures("figures")


def columns(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    return {
        str(line.get_label()): (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in axes.lines
    }


def filled(axes: Axes) -> list[float]:
    """The area of each filled region, from its outline."""
    found = []
    for region in axes.collections:
        area = 0.0
        for path in region.get_paths():
            x, y = np.asarray(path.vertices).T
            area += abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
        found.append(area)
    return found


def test_areas_are_those_between_the_distribution_functions(tmp_path: Path):
    first, second = torch.tensor([3.0, 1.0, 6.0, 2.0]), torch.tensor([2.0, 5.0, 2.0, 4.0])
    figure = ch03.show_areas({"by hand": (first, second), "the same": (first, first)})
    axes, same = figure.axes
    assert filled(axes) == pytest.approx([0.25, 0.5])  # F_2 above F_1, then below
    assert filled(same) == [0, 0]
    F_1 = dict(zip(*columns(axes)["F_1"], strict=True))
    assert F_1 == {1: 0.25, 2: 0.5, 3: 0.75, 4: 0.75, 5: 0.75, 6: 1}
    assert axes.get_title() == "by hand\nW_1 = 0.750, bound 0.250\nmissed: 66.7%"
    means = [float(np.asarray(line.get_xdata())[0]) for line in axes.lines if line.get_marker() == "|"]
    assert means == [3, 3.25]
    figure.savefig(tmp_path / "figure.png")


def test_misses_stand_beside_the_curve_of_gaussians():
    half = torch.tensor([0.5, 0.25])
    figure = ch03.show_misses(
        {"faces": (torch.tensor([1.0, 1e7]), half), "photographs": (torch.tensor([2.0]), half[:1])},
        {"faces": {0.5: half, 0.9: 2 * half}, "photographs": {0.5: half}},
    )
    left, right = figure.axes
    drawn = columns(left)
    assert drawn["faces"] == ([1, 1e4], [50, 25])
    ratio, missed = map(np.asarray, drawn["two Gaussians"])
    # 1 - 1 / E|1 + sqrt(r) Z| at r = 1: E|1 + Z| = sqrt(2 / pi) exp(-1/2) + erf(1 / sqrt(2))
    assert np.interp(1.0, ratio, missed) == pytest.approx(14.28, abs=0.1)
    assert left.get_xscale() == "log"
    medians = [line for line in right.lines if line.get_linestyle() != "None"]
    assert [np.asarray(line.get_ydata()).tolist() for line in medians] == [[25, 50], [25]]
    assert medians[0].get_linestyle() != medians[1].get_linestyle()


def test_readings_show_each_seed_and_their_median():
    values = torch.tensor([[1.0, 2.0], [3.0, 6.0], [2.0, 9.0]])
    figure = ch03.show_readings([10, 20], {"a": {"L(x)": values, "L(G(z))": -values}, "b": {"L(x)": values}, "c": {}})
    first, second, third, _ = figure.axes
    thick = {line.get_label(): line for line in first.lines if line.get_linewidth() == 2}
    assert {name: np.asarray(line.get_ydata()).tolist() for name, line in thick.items()} == {
        "L(x)": [2, 6],
        "L(G(z))": [-2, -6],
    }
    assert same_color(str(thick["L(x)"].get_color()), COLOURS["real"])
    assert same_color(str(thick["L(G(z))"].get_color()), COLOURS["BEGAN"])
    assert thick["L(G(z))"].get_linestyle() == "--"
    assert len(first.lines) == 2 * (3 + 1)
    assert len(second.lines) == 3 + 1
    assert [axes.get_title() for axes in (first, second, third)] == ["a", "b", "c"]


def test_normal_losses_lie_on_the_line_and_skewed_ones_do_not():
    normal = torch.special.ndtri((torch.arange(500) + 0.5) / 500)
    shuffled = (7 + 3 * normal)[torch.randperm(500, generator=torch.Generator().manual_seed(0))]
    figure = ch03.show_quantiles({"faces": {"real": shuffled, "generated": normal.exp()}})
    (axes,) = figure.axes
    drawn = columns(axes)
    quantiles, values = map(np.asarray, drawn["real"])
    assert np.abs(values - quantiles).max() < 0.05
    quantiles, values = map(np.asarray, drawn["generated"])
    assert values[-1] - quantiles[-1] > 1


def test_pushes_have_a_mark_of_their_own():
    gap = torch.tensor([-0.5, 0.5])
    players: dict[str, Tensor] = {"D": torch.tensor([-1.0, 1.0]), "D, k = 1": gap, "G": torch.tensor([1.0, -1.0])}
    (axes,) = ch03.show_pushes(gap, players).axes
    drawn = columns(axes)
    for name, cosine in players.items():
        assert drawn[name] == (gap.tolist(), cosine.tolist())
    markers = [line.get_marker() for line in axes.lines if line.get_label() in players]
    assert len(set(markers)) == 3
    plt.close("all")
