"""The figures of chapter 9."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from studies.style import COLOURS, MARKERS, WIDTH, line_of
from studies.toy.methods import METHODS
from studies.toy.mixtures import Mixture

OTHER = "#777777"  # a method without a colour of its own, and what lies behind the points


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
    axes.plot(*mixture.means.T, "+", color=OTHER, markersize=6, zorder=0)
    axes.plot(*points.T, ".", color=colour, markersize=2, alpha=0.5, markeredgewidth=0)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")


def show_plane(
    lines: Sequence[Mapping[str, Any]], nulls: Sequence[Mapping[str, Any]], published: Mapping[str, tuple[float, float]]
) -> Figure:
    """Draw share of high quality against modes captured, a cross of 95 % intervals a method.

    `lines` are those of `comparison.table` for one problem, hollow after the longer search, `nulls` lines of what has
    learned nothing; `published` pairs of the two numbers are hollow diamonds.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 3.1))
    for line in lines:
        title = METHODS[line["method"]].title
        known = COLOURS.get(title)
        look = {"marker": MARKERS[title], "color": known} if known else {"marker": ".", "color": OTHER}
        longer = line["search"] == "wide"
        _cross(
            axes,
            line,
            **look,
            markerfacecolor="white" if longer else look["color"],
            linewidth=1,
            zorder=2 + bool(known),
        )
        if line["method"] in published:
            modes, quality = published[line["method"]]
            axes.plot(modes, 100 * quality, "d", color=look["color"], markerfacecolor="none", markersize=8)
    for line, marker in zip(nulls, "*P", strict=False):
        _cross(axes, line, marker=marker, color=COLOURS["real"], markersize=9, linewidth=1)
    axes.set(xlabel="modes captured, of 25", ylabel="samples of high quality, %", xlim=(0, 26), ylim=(-3, 103))
    named = [name for name in MARKERS if any(METHODS[line["method"]].title == name for line in lines)]
    marks = [Line2D([], [], linestyle="", marker=MARKERS[name], color=COLOURS[name], label=name) for name in named]
    marks += [
        Line2D([], [], linestyle="", marker=".", color=OTHER, label="another method"),
        Line2D([], [], linestyle="", marker="d", color=OTHER, markerfacecolor="none", label="published"),
    ]
    marks += [
        Line2D([], [], linestyle="", marker=marker, color=COLOURS["real"], label=line["method"])
        for line, marker in zip(nulls, "*P", strict=False)
    ]
    figure.legend(handles=marks, fontsize=8, loc="outside upper left", ncols=4, columnspacing=1)
    return figure


def _cross(axes: Axes, line: Mapping[str, Any], **look: Any) -> None:
    """Draw the mark of a line with its intervals in both directions."""
    (x, left, right), (y, low, high) = (
        [factor * line[name + end] for end in ("", "_low", "_high")]
        for name, factor in (("modes", 1), ("high_quality", 100))
    )
    for ends in (((left, right), (y, y)), ((x, x), (low, high))):
        axes.plot(*ends, color=look["color"], linewidth=0.8, alpha=0.7, zorder=look.get("zorder"))
    mark: dict[str, Any] = {"markersize": 6} | look
    axes.plot(x, y, **mark)


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
    figure, axes = plt.subplots(figsize=(4.4, 2.9))
    axes.plot(share, bound, "--", color=COLOURS["real"], linewidth=1, label="$m / 25$")
    axes.plot(share, k, MARKERS["BEGAN"], color=COLOURS["BEGAN"], markersize=4, alpha=0.6, label="$k$, a run each")
    axes.set(xlabel="share of the modes that $G$ draws", ylabel="$k$, settled", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    return figure


def show_meter(points: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Draw k at the end against the least p / p_g over the modes found, a point a run; dashed: where they agree."""
    figure, axes = plt.subplots(figsize=(4.4, 3.2))
    for name, (ratio, k) in points.items():
        line = line_of(name)
        axes.plot(ratio, k, line["marker"], color=line["color"], markersize=4, alpha=0.7, label=name)
    axes.plot([0.03, 1], [0.03, 1], "--", color=COLOURS["real"], linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="least $p / p_g$ over the modes found", ylabel="$k$ at the end")
    axes.legend(loc="upper left")
    return figure


def show_wide(settings: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Draw share of high quality against modes captured, a point a setting of each method; dashed: nine in ten."""
    figure, axes = plt.subplots(figsize=(WIDTH, 2.7))
    for name, (modes, quality) in settings.items():
        line = line_of(name) | {"linestyle": "", "alpha": 0.6}
        axes.plot(modes, [100 * share for share in quality], **line, label=name)
    axes.axhline(90, color=COLOURS["real"], linestyle="--", linewidth=1)
    axes.set(xlabel="modes captured, of 25", ylabel="samples of high quality, %", xlim=(0, 26))
    axes.legend(loc="center right")
    return figure
