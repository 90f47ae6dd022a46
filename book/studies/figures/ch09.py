"""The figures of chapter 9."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from studies.style import COLOURS, MARKERS, WIDTH, line_of
from studies.toy.methods import METHODS
from studies.toy.mixtures import Mixture


def show_mixtures(mixtures: Iterable[Mixture], count: int = 1500) -> Figure:
    """Draw samples of mixtures side by side, each with its name."""
    shown = list(mixtures)
    figure, (row,) = plt.subplots(1, len(shown), figsize=(WIDTH, WIDTH / len(shown) + 0.2), squeeze=False)
    for axes, mixture in zip(row, shown, strict=True):
        _points(axes, mixture.sample(count), mixture, COLOURS["real"])
        axes.set_title(mixture.name)
    return figure


def show_samples(samples: Mapping[str, Tensor], mixture: Mixture, *, count: int = 1000) -> Figure:
    """Draw the samples of several runs, a row a method and a column a run: `(E, S, 2)` each, E equal.

    Crosses mark the means of the mixture.
    """
    columns = len(next(iter(samples.values())))
    side = WIDTH / max(columns, 3)
    figure, grid = plt.subplots(
        len(samples), columns, figsize=(side * columns + 0.2, side * len(samples)), squeeze=False
    )
    for row, (name, runs) in zip(grid, samples.items(), strict=True):
        for axes, points in zip(row, runs, strict=True):
            _points(axes, points[:count], mixture, line_of(name)["color"])
        row[0].set_ylabel(name)
    return figure


def _points(axes: Axes, points: Tensor, mixture: Mixture, colour: str) -> None:
    limit = 1.3 * mixture.scale
    axes.plot(*mixture.means.T, "+", color="#bbbbbb", markersize=6, zorder=0)
    axes.plot(*points.T, ".", color=colour, markersize=2, alpha=0.5, markeredgewidth=0)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")


def show_comparison(lines: Sequence[Mapping[str, Any]], published: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw modes captured and share of high quality of each method with 95 % intervals, best on top.

    `lines` are those of `comparison.table` for one problem; hollow diamonds are `published` pairs of the two numbers.
    """
    figure, columns = plt.subplots(1, 2, figsize=(WIDTH, 0.22 * len(lines) + 0.7), sharey=True)
    names = []
    for y, line in enumerate(lines):
        title = METHODS[line["method"]].title
        colour = line_of(title)["color"]
        names.append(title + (", longer search" if line["search"] == "wide" else ""))
        for axes, name, factor in zip(columns, ("modes", "high_quality"), (1, 100), strict=True):
            mean, low, high = (factor * line[key] for key in (name, f"{name}_low", f"{name}_high"))
            axes.plot([low, high], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot(mean, y, "o", color=colour, markersize=5)
        if line["method"] in published and line["search"] == "search":
            for axes, value, factor in zip(columns, published[line["method"]], (1, 100), strict=True):
                axes.plot(factor * value, y, "D", color=colour, markerfacecolor="none", markersize=6)
    columns[0].set(yticks=range(len(names)), yticklabels=names, xlabel="modes captured, of 25", xlim=(0, 26))
    columns[0].invert_yaxis()
    columns[1].set(xlabel="samples of high quality, %", xlim=(0, 100))
    return figure


def show_searches(merits: Mapping[str, Sequence[float]], reported: Mapping[str, float]) -> Figure:
    """Draw the merit of every setting tried as a tick, a row a method, and what the best reached when reported."""
    figure, axes = plt.subplots(figsize=(WIDTH, 0.2 * len(merits) + 0.7))
    for y, (name, values) in enumerate(merits.items()):
        colour = line_of(name)["color"]
        axes.plot(values, [y] * len(values), "|", color=colour, markersize=9)
        axes.plot(reported[name], y, "o", color=colour, markersize=5, markerfacecolor="none")
    axes.set_yticks(range(len(merits)), list(merits))
    axes.set(xlabel="share of modes times share of high quality", xlim=(-0.01, None))
    axes.invert_yaxis()
    return figure


def show_coverage(share: Sequence[float], k: Sequence[float], bound: Sequence[float]) -> Figure:
    """Draw settled k against the share of modes that a still generator draws; dashed: the `bound` for each share."""
    figure, axes = plt.subplots(figsize=(4.2, 3.2))
    axes.plot(share, bound, "--", color=COLOURS["real"], linewidth=1, label="m / 25")
    axes.plot(share, k, MARKERS["BEGAN"], color=COLOURS["BEGAN"], markersize=4, alpha=0.6, label="k, a run each")
    axes.set(xlabel="share of the modes that G draws", ylabel="k, settled", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    return figure


def show_meter(points: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Draw k at the end against the least p / p_g over the modes found, a point a run; dashed: where they agree."""
    figure, axes = plt.subplots(figsize=(4.2, 3.6))
    for name, (ratio, k) in points.items():
        line = line_of(name)
        axes.plot(ratio, k, line["marker"], color=line["color"], markersize=4, alpha=0.7, label=name)
    axes.plot([0.03, 1], [0.03, 1], "--", color=COLOURS["real"], linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="least p / p_g over the modes found", ylabel="k at the end")
    axes.legend(loc="upper left")
    return figure
