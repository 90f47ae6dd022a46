"""Figures of distributions of losses: which areas are filled, what is written above, which line means what."""

import numpy as np
import pytest
import torch

from studies.figures import ch03


def test_areas_are_those_between_the_distribution_functions(check_figure):
    first, second = torch.tensor([3.0, 1.0, 6.5, 2.0]), torch.tensor([2.0, 5.0, 2.0, 4.0])
    panels = {"by hand": (first, second), "the same": (first, first)}
    panel, same = check_figure(ch03.show_areas(panels), panels)
    for shown, areas in ((panel, [0.375, 0.5]), (same, [0, 0])):
        outlines = (np.asarray(path.vertices).T for region in shown.axes.collections for path in region.get_paths())
        found = [abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2 for x, y in outlines]
        assert sorted(found) == pytest.approx(areas)
    assert panel.title == "by hand\n$W_1$ = 0.875, bound 0.125\nmissed: 85.7%"
    assert panel.at(3, 0.75).name == "$F_1$"
    assert panel.at(5, 1).name == "$F_2$"
    assert panel.has([3.125, 3.25], 0), "the means"


def test_misses_stand_beside_the_curve_of_gaussians(check_figure):
    half = torch.tensor([0.5, 0.25])
    points = {"faces": (torch.tensor([1.0, 1e7]), half), "photographs": (torch.tensor([2.0]), half[:1])}
    by_gamma = {"faces": {0.5: half, 0.9: 2 * half}, "photographs": {0.5: half[:1]}}
    left, right = check_figure(ch03.show_misses(points, by_gamma))
    assert left.curve([1, 1e4], [50, 25]).name == "faces"
    assert left.curve([2], [50]).name == "photographs"
    (gaussians,) = (series for series in left.series if series.name == "two Gaussians")
    # 1 - 1 / E|1 + sqrt(r) Z| at r = 1: E|1 + Z| = sqrt(2 / pi) exp(-1/2) + erf(1 / sqrt(2))
    assert np.interp(1.0, *gaussians.points.T) == pytest.approx(14.28, abs=0.1)
    assert right.has([0.5, 0.5, 0.9, 0.9], [50, 25, 100, 50], dx=0.02)
    assert right.curve([0.5, 0.9], [25, 50])


def test_readings_show_each_seed_and_their_median(check_figure):
    values = torch.tensor([[1.0, 7.0], [3.0, 6.0], [2.0, 9.0]])
    panels = {"a": {"L(x)": values, "L(G(z))": -values}, "b": {"L(x)": values}, "c": {"L(x)": values[:1]}}
    shown = check_figure(ch03.show_readings([10, 20], panels))
    for panel, (title, readings) in zip(shown, panels.items(), strict=True):
        assert panel.title == title
        assert all(panel.runs([10, 20], values) == {name} for name, values in readings.items())


def test_normal_losses_lie_on_the_line_and_skewed_ones_do_not(check_figure):
    normal = torch.special.ndtri((torch.arange(500) + 0.5) / 500)
    shuffled = (7 + 3 * normal)[torch.randperm(500, generator=torch.Generator().manual_seed(0))]
    panels = {"faces": {"real": shuffled, "generated": normal.exp()}}
    (panel,) = check_figure(ch03.show_quantiles(panels), panels)
    above = {series.name: series.points[:, 1] - series.points[:, 0] for series in panel.series}
    assert np.abs(above["real"]).max() < 0.05
    assert above["generated"][-1] > 1


def test_pushes_are_drawn_at_their_gaps_with_their_players_name(check_figure):
    gap = torch.tensor([-0.5, 0.25])
    players = {"D": torch.tensor([-1.0, 1.0]), "D, k = 1": gap, "G": torch.tensor([1.0, -0.5])}
    for some in (players, {"G": players["G"]}):
        (panel,) = check_figure(ch03.show_pushes(gap, some))
        for name, cosine in some.items():
            assert panel.curve(gap, cosine).name == name
