"""The figures of what G's samples feel: losses, landscapes with arrows, and what a held G's critic does."""

import numpy as np
import pytest
import torch

from studies import landscapes
from studies.figures import ch02
from studies.toy.methods import METHODS
from studies.toy.mixtures import ring


def test_loss_functions_have_the_slopes_of_the_equations(check_figure):
    losses = {METHODS[name].title: landscapes.LOSSES[METHODS[name]] for name in ("lsgan", "wgan_gp")}
    value, slope = check_figure(ch02.show_loss_functions(losses))
    s = value.series[0].points[:, 0]
    for name, loss, minus_slope in (("LSGAN", (s - 1) ** 2 / 2, 1 - s), ("WGAN-GP", -s, np.ones_like(s))):
        assert value.curve(s, loss).name == slope.curve(s, minus_slope).name == name


def test_landscapes_show_samples_arrows_and_modes_where_they_are(check_figure):
    v, arrows = torch.tensor([[3.0, 0.5], [2.5, -0.5]]), torch.tensor([[2.0, 0.0], [0.0, -1.0]])
    surfaces = {"WGAN-GP": torch.arange(9.0).repeat(9, 1), "flat": torch.zeros(9, 9)}
    views = {name: landscapes.View(v, arrows, surface, (3, 0), 1) for name, surface in surfaces.items()}
    figure = ch02.show_landscapes(views, ring(), columns=3)
    panels = check_figure(figure)
    for panel, name in zip(panels, views, strict=True):
        assert panel.title == f"{name}\nlongest 2"
        assert (panel.axes.get_xlim(), panel.axes.get_ylim()) == ((2, 4), (-1, 1))
        assert panel.curve(*v.T)
        assert panel.curve(*(ring().means / ring().scale).T)
        (drawn,) = (drawn for drawn in panel.axes.collections if hasattr(drawn, "U"))
        np.testing.assert_allclose(np.stack([drawn.U, drawn.V], 1) / np.abs(drawn.U).max(), arrows / 2)
    bright = np.asarray(figure.canvas.buffer_rgba())[..., :3].mean(2)
    left, bottom, right, top = (int(part) for part in panels[0].axes.get_window_extent().extents)
    low, high = np.array_split(bright[-top:-bottom, left:right], 2, 1)
    assert np.median(low) > np.median(high), "the surface rises to the right, and high is dark"


@pytest.mark.parametrize("seeds", [1, 3])
def test_lengths_show_every_seed_and_the_median(check_figure, seeds: int):
    values, updates = torch.rand(seeds, 9) + 0.1, range(1, 10)
    (panel,) = check_figure(ch02.show_lengths(updates, {"GAN": values, "GAN, minimax": 3 * values}))
    assert panel.runs(updates, values) == {"GAN"}
    assert panel.runs(updates, 3 * values) == {"GAN, minimax"}


def test_weights_show_every_seed_the_median_and_the_bound(check_figure):
    columns = {"spreading": torch.tensor([[1.0, 8.0, 3.0], [4.0, 2.0, 9.0]]), "L(G(z))": torch.tensor([[1e-3], [1.0]])}
    panels = check_figure(ch02.show_weights((0.1, 0.2), 0.125, columns))
    for panel, (name, values) in zip(panels, columns.items(), strict=True):
        assert panel.axes.get_ylabel() == name
        assert panel.has([[0.1], [0.2]], values)
        assert panel.curve([0.1, 0.2], values.median(1).values)
        assert panel.upright(0.125)
