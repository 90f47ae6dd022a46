"""The figures of chapter 2."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from studies.landscapes import View
from studies.style import COLOURS, MARKERS, WIDTH, line_of, seeds
from studies.toy.mixtures import Mixture


def show_loss_functions(losses: Mapping[str, Callable[[Tensor], Tensor]]) -> Figure:
    """Draw G's losses of one sample as functions of the critic's output, and how steeply each asks for a larger one."""
    figure, (value, slope) = plt.subplots(1, 2, figsize=(WIDTH, 2.7))
    s = torch.linspace(-8, 4, 121, requires_grad=True)
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss(s).sum(), s)
        for axes, curve in ((value, loss(s).detach()), (slope, -gradient)):
            axes.plot(s.detach(), curve, **line_of(name), markevery=20, label=name)
    value.set(xlabel="critic's output $s$", ylabel="$G$'s loss", ylim=(-6, 12))
    slope.set(xlabel="critic's output $s$", ylabel="minus its slope", ylim=(-0.2, 3))
    slope.legend(fontsize=8)
    for axes in (value, slope):
        axes.axvline(0, color="#8c8c8c", linewidth=0.8)
    return figure


def show_landscapes(views: Mapping[str, View], mixture: Mixture, *, columns: int = 3) -> Figure:
    """Draw for each view the landscape of G's loss, light where it is low, with samples, arrows and real modes (x).

    Each shade covers as many points. Arrows are to the scale of the longest in their panel, whose length stands above.
    """
    lines = -(-len(views) // columns)
    figsize = WIDTH, lines * (WIDTH / columns + 0.35)
    layout = ConstrainedLayoutEngine(h_pad=0.08)  # titles have two lines
    figure, grid = plt.subplots(lines, columns, figsize=figsize, squeeze=False, layout=layout)
    for axes, (name, view) in zip(grid.flat, views.items(), strict=False):
        (x, y), reach, surface = view.middle, view.reach, view.surface.numpy()
        levels = np.unique(np.quantile(surface, np.linspace(0, 1, 10)))
        span = np.linspace(-reach, reach, len(surface))
        greys = plt.get_cmap("Greys")(np.linspace(0, 0.45, len(levels) - 1))
        if len(levels) > 1:
            axes.contourf(x + span, y + span, surface, levels, colors=greys, antialiased=False)
        longest = view.arrows.norm(dim=1).max()
        arrows = 0.5 * reach * view.arrows / longest
        colour = COLOURS.get(name.split(", ")[0], "#5a5a5a")
        axes.quiver(*view.v.T, *arrows.T, angles="xy", scale_units="xy", scale=1, width=0.008, color=colour)
        axes.plot(*view.v.T, ".", color=COLOURS["real"], markersize=2)
        axes.plot(*(mixture.means / mixture.scale).T, "x", color=COLOURS["real"], markersize=6)
        axes.set_title(f"{name}\nlongest {longest:.2g}", fontsize=8)
        axes.set(aspect="equal", xlim=(x - reach, x + reach), ylim=(y - reach, y + reach), xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color("#8c8c8c")
    for axes in grid.flat[len(views) :]:
        axes.set_axis_off()
    return figure


def show_lengths(updates: Sequence[int], lengths: Mapping[str, Tensor]) -> Figure:
    """Draw how long the arrows of a held G's samples are while the critic trains: medians over samples, `(E, T)`.

    `lengths` has one tensor a method; seeds are thin lines, their median is thick. Both axes are logarithmic.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2))
    for name, values in lengths.items():
        seeds(axes, updates, values, **line_of(name), label=name)
    axes.set(xscale="log", yscale="log", xlabel="updates of the critic", ylabel="median length of an arrow")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def show_weights(k: Sequence[float], bound: float, columns: Mapping[str, Tensor]) -> Figure:
    """Draw measures, `(len(k), E)` each, against the weight k of BEGAN, seeds as dots; the bound on k is dashed."""
    figure, grid = plt.subplots(1, len(columns), figsize=(WIDTH, 2.4), squeeze=False)
    for axes, (measure, values) in zip(grid.flat, columns.items(), strict=True):
        axes.plot(k, values, MARKERS["BEGAN"], color=COLOURS["BEGAN"], markersize=4, alpha=0.6)
        axes.plot(k, values.median(1).values, color=COLOURS["BEGAN"], linewidth=2)
        axes.axvline(bound, color=COLOURS["real"], linestyle="--", linewidth=1)
        axes.set(xlabel="$k$, held", ylabel=measure)
        if values.amin() > 0 and values.amax() > 100 * values.amin():
            axes.set_yscale("log")
    return figure
