"""The figures of chapter 4."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from studies.style import COLOURS, MARKERS, WIDTH, gamma_colours, gamma_legend, seeds

RATIO = r"$\mathcal{L}(G(z)) / \mathcal{L}(x)$"


def show_ratios(panels: Mapping[str, Mapping[float, Tensor]], steps: Sequence[int]) -> Figure:
    """Draw L(G(z)) / L(x) over the steps in a panel for each data set: gamma to runs `(E, T)`; gamma is dashed."""
    figure, row = plt.subplots(1, len(panels), figsize=(WIDTH, 2.7), sharey=True, squeeze=False)
    colours = gamma_colours(gamma for runs in panels.values() for gamma in runs)
    for axes, (data, runs) in zip(row.flat, panels.items(), strict=True):
        for gamma, ratios in runs.items():
            colour = colours[gamma]
            seeds(axes, steps, ratios, color=colour)
            axes.axhline(gamma, color=colour, linestyle="--", linewidth=1)
        axes.set(title=data, xlabel="training step", ylim=(0, 1.6))
    row[0, 0].set_ylabel(RATIO)
    lines = [Line2D([], [], linestyle="", label=r"$\gamma$:")]
    lines += [Line2D([], [], color=colour, linewidth=2, label=f"{gamma:g}") for gamma, colour in colours.items()]
    look: dict[str, Any] = {"fontsize": 8, "handlelength": 1, "columnspacing": 1}
    figure.legend(handles=lines, loc="outside upper left", ncols=len(lines), **look)  # a narrow screen shows the left
    return figure


def show_dither(k: Tensor, ratio: Tensor, answer: Tensor, *, window: int = 5) -> Figure:
    """Draw a k that was swung, what the ratio did, and the answer of the fitted plants: `(E, T)` each, means over E.

    The ratio is drawn as means over `window` steps.
    """
    figure, (weight, axes) = plt.subplots(2, 1, figsize=(WIDTH, 3.4), sharex=True, height_ratios=[1, 2])
    weight.plot(k.mean(0), color=COLOURS["BEGAN"])
    weight.set(ylabel="$k$", ylim=(0, None))
    count = ratio.shape[1] // window
    means = ratio[:, : count * window].reshape(len(ratio), count, window).mean((0, 2))
    axes.plot((torch.arange(count) + 0.5) * window, means, ".", color="#777777", markersize=4, label="recorded")
    axes.plot(answer.mean(0), color=COLOURS["BEGAN"], label="fitted plant")
    axes.set(xlabel="steps since the warm-up", ylabel=RATIO)
    axes.set_ylim(top=axes.get_ylim()[1] + 0.08)  # room for the legend
    axes.legend(fontsize=8, ncols=2, loc="upper right")
    return figure


def show_loop(k: Sequence[float], ratio: Sequence[float], gamma: float, title: str) -> Figure:
    """Draw the ratio and k of a simulated loop over its steps; gamma is dashed."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.2))
    left.plot(ratio, color=COLOURS["BEGAN"], linewidth=1)
    left.axhline(gamma, color=COLOURS["real"], linestyle="--", linewidth=1)
    left.set(xlabel="step", ylabel=RATIO, ylim=(0, 2.5))
    right.plot(k, color=COLOURS["BEGAN"], linewidth=1)
    right.set(xlabel="step", ylabel="$k$", ylim=(-0.02, 0.62))
    figure.suptitle(title, fontsize=9)
    return figure


def show_predictions(panels: Mapping[str, tuple[Tensor, Mapping[str, Sequence[float]]]]) -> Figure:
    """Draw recorded k over the steps, `(E, T)`, in a panel each, with the curves that were predicted, by name.

    Seeds are thin lines, their median is thick.
    """
    figure, row = plt.subplots(1, len(panels), figsize=(WIDTH, 2.6), squeeze=False)
    lines = ("--", ":")
    for axes, (title, (recorded, predicted)) in zip(row.flat, panels.items(), strict=True):
        seeds(axes, range(recorded.shape[1]), recorded, color=COLOURS["BEGAN"], label="recorded")
        for (name, curve), line in zip(predicted.items(), lines, strict=False):
            axes.plot(curve, color=COLOURS["real"], linestyle=line, label=name)
        axes.set(title=title, xlabel="step", ylabel="$k$")
        axes.legend(fontsize=8)
    return figure


def show_stability(panels: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw what lambda does to k in a row for each data set: its standard deviation, and how often the clip holds it.

    A row has `lambda_k` `(L,)`, `std` and `clipped` `(L, E)` as recorded, `std_plant` and `clipped_plant` `(L,)` of the
    simulated loop, `bound`, the predicted largest stable lambda, dashed, and `threshold`, a share.
    """
    figure, grid = plt.subplots(len(panels), 2, figsize=(WIDTH, 2.3 * len(panels)), squeeze=False, sharex="row")
    for (std, clipped), (title, row) in zip(grid, panels.items(), strict=True):
        for axes, name in ((std, "std"), (clipped, "clipped")):
            axes.plot(row["lambda_k"], row[name], MARKERS["BEGAN"], color=COLOURS["BEGAN"], markersize=3, alpha=0.5)
            axes.plot(row["lambda_k"], np.median(row[name], 1), color=COLOURS["BEGAN"], label="recorded")
            axes.plot(row["lambda_k"], row[f"{name}_plant"], ":", color=COLOURS["real"], label="plant and noise")
            axes.axvline(row["bound"], color=COLOURS["real"], linestyle="--", linewidth=1, label="bound")
            axes.set(xscale="log", xlabel=r"$\lambda$")
        clipped.axhline(row["threshold"], color="#8c8c8c", linewidth=0.8)
        std.set(ylabel="standard deviation of $k$", title=title, yscale="log")
        clipped.set(ylabel="share at the clip", ylim=(-0.02, 1))
        for axis in (std.xaxis, std.yaxis, clipped.xaxis):
            _plain_numbers(axis)
    grid[0, 0].legend(fontsize=8)
    return figure


def _plain_numbers(axis: Axis) -> None:
    """Write 0.1, 0.2, 0.5 and 1 along a logarithmic axis, which may be short, in place of powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def show_rules(rows: Mapping[str, Mapping[str, Sequence[float]]], gamma: float) -> Figure:
    """Draw the ratio at the end of runs, a panel a data set, a column of dots and their median a rule; gamma dashed."""
    figure, panels = plt.subplots(1, len(rows), figsize=(WIDTH, 2.5), sharey=True, squeeze=False)
    for axes, (data, rules) in zip(panels.flat, rows.items(), strict=True):
        for place, values in enumerate(rules.values()):
            axes.plot([place] * len(values), values, MARKERS["BEGAN"], color=COLOURS["BEGAN"], markersize=4, alpha=0.6)
            axes.plot([place - 0.3, place + 0.3], [np.median(values)] * 2, color=COLOURS["BEGAN"], linewidth=2)
        axes.axhline(gamma, color=COLOURS["real"], linestyle="--", linewidth=1)
        axes.set(title=data, xlim=(-0.6, len(rules) - 0.4))
        axes.set_xticks(range(len(rules)), list(rules), fontsize=8)
    panels[0, 0].set_ylabel(f"{RATIO} at the end")
    return figure


def show_convergence(panels: Mapping[str, Mapping[float, tuple[Tensor, Tensor]]]) -> Figure:
    """Draw how far samples are from held-out pictures against M, a panel a data set: gamma to M and distance `(E, T)`.

    Lines follow the checkpoints of a run; a dot is its end. Both axes are logarithmic.
    """
    figure, row = plt.subplots(1, len(panels), figsize=(WIDTH, 3.0), squeeze=False)
    colours = gamma_colours(gamma for runs in panels.values() for gamma in runs)
    for axes, (data, runs) in zip(row.flat, panels.items(), strict=True):
        for gamma, (M, distance) in runs.items():
            axes.plot(M.T, distance.T, color=colours[gamma], linewidth=0.5, alpha=0.6)
            axes.plot(M[:, -1], distance[:, -1], "o", color=colours[gamma], markersize=4)
        axes.set(title=data, xlabel="$M$", xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            _plain_numbers(axis)
    row[0, 0].set_ylabel("Fréchet distance")
    gamma_legend(row[0, -1], colours)
    return figure
