"""The figures of mode collapse: runs over training, clouds of codes, and how well detectors do."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from began.collapse import EVERY, Reading
from studies.detectors import DETECTORS, EARLY, Score, collapsed_at, coverage
from studies.style import COLOURS, THICK, THIN, WIDTH, line_of, show_images
from studies.workers import Row

WAYS = (("-", COLOURS["BEGAN"]), ("--", "#444444"), (":", "#8c8c8c"))  # to tell groups of runs of one model apart
LOOKS = {"monitor": ("o", COLOURS["BEGAN"]), "k alone": ("^", "#777777"), "M alone": ("x", COLOURS["real"])}


def show_fates(groups: Mapping[str, Sequence[Row]], measures: Mapping[str, tuple[str, str]], level: float) -> Figure:
    """Draw measures over training, a panel each, for groups of runs; `level` is dashed in the last panel.

    Seeds are thin, and the median of a group is thick.
    """
    figure, panels = plt.subplots(1, len(measures), figsize=(WIDTH, 2.4))
    for axes, (title, (part, name)) in zip(panels, measures.items(), strict=True):
        for (line, colour), (group, rows) in zip(WAYS, groups.items(), strict=False):
            _courses(axes, rows, part, name, group, {"color": colour, "linestyle": line})
        axes.set(title=title, xlabel="training step", ylim=(0, None))
    panels[-1].axhline(level, color=COLOURS["real"], linestyle="--", linewidth=1)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=len(groups), fontsize=8)
    return figure


def show_runs(panels: Mapping[str, Sequence[Row]], measures: Mapping[str, tuple[str, str]], *logs: str) -> Figure:
    """Draw measures of runs over training: a column for each set of runs, a row for each measure.

    `measures` maps a label to where a row of `survival` holds it: ("curve", "k"). Seeds are thin, and their median is
    thick, up to the step that all of a model's runs reached. Measures named in `logs` have a logarithmic axis.
    """
    figsize = WIDTH, 0.5 + 1.3 * len(measures)
    figure, grid = plt.subplots(len(measures), len(panels), figsize=figsize, sharex="col", sharey="row", squeeze=False)
    for column, (title, rows) in zip(grid.T, panels.items(), strict=True):
        column[0].set_title(title)
        column[-1].set_xlabel("training step")
        for axes, (part, name) in zip(column, measures.values(), strict=True):
            for model in dict.fromkeys(row["model"] for row in rows):
                some = [row for row in rows if row["model"] == model]
                _courses(axes, some, part, name, model, {**line_of(model), "markevery": 0.25})
    for axes, label in zip(grid[:, 0], measures, strict=True):
        axes.set_ylabel(label)
        if label in logs:
            axes.set_yscale("log")
    models = {name: line for axes in grid[0] for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    if len(models) > 1:
        figure.legend(models.values(), models, loc="outside upper center", ncols=len(models), fontsize=8)
    return figure


def _courses(axes: Axes, rows: Sequence[Row], part: str, name: str, label: str, line: Mapping[str, Any]) -> None:
    """Draw one measure of some runs."""
    curves = [(row[part]["step"], row[part][name]) for row in rows]
    for step, values in curves:
        axes.plot(step, values, color=line["color"], **THIN)
    shared = min((step for step, _ in curves), key=len)
    # a run whose numbers are not finite any more counts as the highest
    values = np.nan_to_num([values[: len(shared)] for _, values in curves], nan=np.inf, posinf=np.inf)
    axes.plot(shared, np.median(values, 0), **line, **THICK, label=label)


def show_codes(panels: Mapping[str, tuple[Tensor, Mapping[str, float]]], *, columns: int) -> Figure:
    """Draw codes of pictures (black) and of samples, `(2, N, 2)` a panel, in the plane of the pictures' components.

    Above them their total variances, `var_real` and `var_gen`; BEGAN-CS, fig. 2.
    """
    lines = -(-len(panels) // columns)
    figsize = WIDTH, lines * (WIDTH / columns + 0.5)
    figure, grid = plt.subplots(lines, columns, figsize=figsize, squeeze=False)
    for axes, (title, (codes, variances)) in zip(grid.flat, panels.items(), strict=False):
        _codes(axes, codes)
        numbers = f"Var(real) {variances['var_real']:.3g}\nVar(gen) {variances['var_gen']:.2g}"
        axes.set_title(f"{title}\n{numbers}", fontsize=8)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    return figure


def _codes(axes: Axes, codes: Tensor) -> None:
    looks = zip(codes.float(), ("real", "BEGAN"), (2.5, 3.5), strict=True)
    for points, name, size in looks:
        axes.plot(*points.T, ".", color=COLOURS[name], markersize=size, alpha=0.6, markeredgewidth=0)
    axes.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
    axes.spines[:].set_visible(True)


def show_paths(
    panels: Mapping[str, Iterable[Row]], bounds: Mapping[str, tuple[Sequence[float], Sequence[float]]]
) -> Figure:
    """Draw k against coverage over training, a line a run with a dot at its end.

    Dashed: the bound on k for each coverage, in the panels that `bounds` names.
    """
    figure, row = plt.subplots(1, len(panels), figsize=(WIDTH, 2.7), sharey=True, squeeze=False)
    for axes, (title, rows) in zip(row.flat, panels.items(), strict=True):
        for run in rows:
            pairs = np.array(k_and_coverage(run))
            line = line_of(run["model"])
            axes.plot(*pairs.T, color=line["color"], linewidth=0.6, alpha=0.6)
            axes.plot(*pairs[-1], line["marker"], color=line["color"], markersize=4, alpha=0.8)
        axes.plot(*bounds[title], "--", color=COLOURS["real"], linewidth=1)
        axes.set(title=title, xscale="log", yscale="log", xlabel="coverage", xlim=(0.01, 1), ylim=(1e-3, 1))
    row[0, 0].set_ylabel("$k$")
    return figure


def k_and_coverage(row: Row) -> list[tuple[float, float]]:
    """Return the means of coverage and of k in eighths of a run, or from stop to stop where there are fewer."""
    stops, share = np.array(row["stops"]["step"]), np.array(coverage(row))
    step, k = np.array(row["curve"]["step"]), np.array(row["curve"]["k"])
    blocks = np.array_split(np.arange(len(stops)), min(len(stops), 8))
    ends = [0, *(stops[block[-1]] for block in blocks)]
    return [
        (share[block].mean().item(), k[(step > begin) & (step <= end)].mean().item())
        for block, (begin, end) in zip(blocks, pairwise(ends), strict=True)
    ]


def show_alarms(groups: Mapping[str, Sequence[Row]]) -> Figure:
    """Draw a line for each run: thick where it has collapsed, with a mark where each detector first raises its alarm.

    In a run that does not collapse the marks are at the first false alarm.
    """
    rows = [row for group in groups.values() for row in group]
    figure, axes = plt.subplots(figsize=(WIDTH, max(0.8 + 0.1 * len(rows), 1.4)))
    for y, row in enumerate(rows):
        collapse, end = collapsed_at(row), row["steps"]
        axes.plot([0, end], [y, y], color="#8c8c8c", linewidth=0.8, zorder=0)
        if collapse is not None:
            axes.plot([collapse, end], [y, y], color=COLOURS["EBGAN"], linewidth=3, alpha=0.6, zorder=1)
        limit = 0 if collapse is None else collapse - EARLY
        for name, detector in DETECTORS.items():
            alarms = [step for step, raised in zip(row["readings"]["step"], detector(row), strict=True) if raised]
            marker, colour = LOOKS[name]
            some = [step for step in alarms if step >= limit][:1]
            axes.plot(some, [y] * len(some), marker, color=colour, markerfacecolor="none", markersize=4)
    ends = np.cumsum([len(group) for group in groups.values()])
    axes.set_yticks(ends - np.array([len(group) for group in groups.values()]) / 2 - 0.5, list(groups))
    axes.set(xlabel="training step", ylim=(len(rows), -1))
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="#444444", linewidth=0.6)
    axes.grid(visible=False, axis="y")
    marks = [Line2D([], [], linestyle="", marker=m, color=c, markerfacecolor="none") for m, c in LOOKS.values()]
    bar = Line2D([], [], color=COLOURS["EBGAN"], linewidth=3, alpha=0.6)
    figure.legend([bar, *marks], ["collapsed", *LOOKS], loc="outside upper center", ncols=4, fontsize=8)
    return figure


def show_scores(scores: Mapping[str, Mapping[str, Score]]) -> Figure:
    """Draw how detectors did, a row for each data set: share of collapses found, lags, and false alarms.

    Whiskers are 95 % intervals. A lag is a dot a run, with a bar at the median; below 0 the alarm comes first.
    """
    figure, grid = plt.subplots(len(scores), 3, figsize=(WIDTH, 0.5 + 1.2 * len(scores)), sharex="col", squeeze=False)
    for (rate, lag, false), (data, of) in zip(grid, scores.items(), strict=True):
        for y, (name, score) in enumerate(of.items()):
            marker, colour = LOOKS[name]
            look = {"color": colour, "markerfacecolor": "none"}
            share, low, high = score.rate
            rate.plot([low, high], [y, y], color=colour, linewidth=2)
            rate.plot(share, y, marker, **look)
            spread = np.linspace(-0.25, 0.25, len(score.lags)) if score.lags else []
            lag.plot(score.lags, y + np.array(spread), marker, **look, markersize=3, alpha=0.6)
            if score.lags:
                lag.plot([score.lag] * 2, [y - 0.35, y + 0.35], color=colour, linewidth=2)
            false.barh(y, score.false_rate, height=0.5, color=colour)
        rate.set_yticks(range(len(of)), list(of))
        rate.set(ylim=(len(of) - 0.5, -0.5), xlim=(-0.03, 1.03), title=data)
        lag.axvline(0, color="#8c8c8c", linewidth=0.8)
        for axes in (lag, false):
            axes.set(yticks=[], ylim=(len(of) - 0.5, -0.5))
    labels = "share of collapses found", "alarm minus collapse\n(training steps)", "false alarms\nin 10 000 steps"
    for axes, label in zip(grid[-1], labels, strict=True):
        axes.set_xlabel(label)
    return figure


def show_moment(step: int, samples: Tensor, codes: Tensor, readings: Sequence[Reading]) -> Figure:
    """Draw a run at one step: samples `(16, C, H, W)`, codes `(2, N, 2)` and its readings, those up to now in full."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(WIDTH, 2.5), width_ratios=[1.15, 1, 1.1])
    show_images(samples, columns=4, axes=left, title=f"samples at step {step}")
    _codes(middle, codes)
    middle.set_title("codes")
    at = EVERY * np.arange(1, len(readings) + 1)
    now = step // EVERY
    for name, label, line in (("spread", "spread", "-"), ("k", "$k$", "--")):
        values = [getattr(reading, name) for reading in readings]
        right.plot(at, values, line, color=COLOURS["BEGAN"], alpha=0.25)
        right.plot(at[:now], values[:now], line, color=COLOURS["BEGAN"], label=label)
    right.set(title="readings", xlabel="training step", ylim=(0, None))
    right.legend(fontsize=8)
    return figure
