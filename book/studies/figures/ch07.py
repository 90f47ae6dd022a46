"""The figures of BEGAN-CS: survival curves, measures over training, a sweep of alpha."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from scipy import stats
from torch import Tensor

from began.images.pixels import to_unit
from studies.style import COLOURS, MARKERS, WIDTH, seeds, show_images
from studies.survival import Course

STYLES: dict[str, dict[str, Any]] = {  # dashes and markers repeat what the colour says
    "BEGAN": {"color": COLOURS["BEGAN"], "linestyle": "-", "marker": MARKERS["BEGAN"]},
    "BEGAN-CS": {"color": COLOURS["BEGAN-CS"], "linestyle": "--", "marker": MARKERS["BEGAN-CS"]},
    "L_c in both": {"color": "#444444", "linestyle": "-.", "marker": "^"},
    "L_c in G": {"color": "#777777", "linestyle": ":", "marker": "v"},
}


SETS: dict[str, Any] = {"real": "-", "generated": ":"}


def show_survival(panels: Mapping[str, Mapping[str, stats.CensoredData]]) -> Figure:
    """Draw the share of runs not yet lost over training (Kaplan and Meier), a panel a setting, a line a model.

    A tick marks the end of training where runs are left; runs are lost or trained to the same step.
    """
    figure, (row,) = plt.subplots(1, len(panels), figsize=(WIDTH, 2.3), sharey=True, squeeze=False)
    for axes, (title, models) in zip(row, panels.items(), strict=True):
        for name, data in models.items():
            curve = stats.ecdf(data).sf
            step = np.concatenate([[0], curve.quantiles])
            share = np.concatenate([[1], curve.probabilities])
            style = STYLES[name]
            axes.plot(step, share, drawstyle="steps-post", color=style["color"], linestyle=style["linestyle"])
            if share[-1]:
                axes.plot(step[-1], share[-1], "|", color=style["color"], markersize=10, markeredgewidth=2)
        axes.set(title=title, xlim=(0, None), ylim=(-0.03, 1.05))
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    figure.supxlabel("training step", fontsize=9)
    row[0].set_ylabel("share of runs not lost")
    _legend(figure, next(iter(panels.values())))
    return figure


def show_courses(panels: Mapping[str, Mapping[str, Course]], *, log: bool = False) -> Figure:
    """Draw measures over training, a panel each, for models by name: seeds thin, their median thick."""
    figure, grid = _panels(len(panels))
    for axes, (title, models) in zip(grid, panels.items(), strict=False):
        for name, runs in models.items():
            _draw(axes, runs, STYLES[name]["color"], STYLES[name]["linestyle"])
        axes.set(title=title, xlabel="training step")
        if log:
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
            axes.yaxis.set_minor_formatter("{x:g}" if high < 100 * low else NullFormatter())
            axes.yaxis.set_major_formatter("{x:g}")
        else:
            axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    _legend(figure, next(iter(panels.values())))
    return figure


def show_variances(
    panels: Mapping[str, Mapping[str, tuple[Course, Course]]],
    published: Mapping[str, tuple[Sequence[int], Sequence[float], Sequence[float]]],
) -> Figure:
    """Draw Var(real), solid, and Var(gen), dotted, of models over training, a panel a data set, logarithmic.

    The last panel has the published epochs, Var(real) and Var(gen) of each model; nan is a number nobody can read.
    """
    figure, grid = _panels(len(panels) + 1)
    for axes, (title, models) in zip(grid, panels.items(), strict=False):
        for name, both in models.items():
            for runs, line in zip(both, SETS.values(), strict=True):
                _draw(axes, runs, STYLES[name]["color"], line)
        axes.set(title=title, xlabel="training step", yscale="log")
    last = grid[len(panels)]
    for name, (epoch, *both) in published.items():
        for values, line in zip(both, SETS.values(), strict=True):
            last.plot(epoch, values, line, marker=STYLES[name]["marker"], markersize=4, color=STYLES[name]["color"])
    last.set(title="the paper, fig. 2", xlabel="epoch", yscale="log")
    grid[0].set_ylabel("variance of the codes")
    lines = [
        *(Line2D([], [], color=STYLES[name]["color"], label=name) for name in published),
        *(Line2D([], [], color="black", linestyle=line, label=of) for of, line in SETS.items()),
    ]
    grid[0].legend(handles=lines, fontsize=8)
    return figure


def show_alphas(
    columns: Mapping[str, Mapping[float, Sequence[float]]], targets: Mapping[str, float] | None = None
) -> Figure:
    """Draw measures against alpha, a dot a run and a line through medians; the target of a measure is dashed.

    Alphas stand at equal distances, since one is 0.
    """
    figure, grid = _panels(len(columns))
    for axes, (title, groups) in zip(grid, columns.items(), strict=False):
        style = STYLES["BEGAN-CS"]
        for place, values in enumerate(groups.values()):
            axes.plot([place] * len(values), values, style["marker"], color=style["color"], markersize=4, alpha=0.6)
        axes.plot(range(len(groups)), [np.median(values) for values in groups.values()], color=style["color"])
        if targets and title in targets:
            axes.axhline(targets[title], color=COLOURS["real"], linestyle="--", linewidth=1)
        axes.set(title=title, xlabel="$\\alpha$", ylim=(0, None))
        axes.set_xticks(range(len(groups)), [f"{alpha:g}" for alpha in groups])
    return figure


def show_moment(place: int, samples: Mapping[str, Tensor], courses: Mapping[str, Course], title: str) -> Figure:
    """Draw samples of models at one stop of their training, a row a seed, and where on its course each run then is.

    Samples are uint8 `(E, N, C, H, W)` by model; `place` counts the stops of `courses`, whose measure `title` names.
    """
    figure, axes = plt.subplots(1, len(samples) + 1, figsize=(WIDTH, 3), width_ratios=[*[1] * len(samples), 0.8])
    for picture, (name, blocks) in zip(axes, samples.items(), strict=False):
        show_images(to_unit(blocks.flatten(0, 1)), columns=blocks.shape[1], axes=picture)
        picture.set_title(name, color=STYLES[name]["color"])
    for name, runs in courses.items():
        style = STYLES[name]
        _draw(axes[-1], runs, style["color"], style["linestyle"])
        now = runs.values[:, place]
        axes[-1].plot([runs.step[place]] * len(now), now, style["marker"], color=style["color"], markersize=4)
    axes[-1].set(title=title, xlabel="training step", ylim=(0, None))
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels, three a line, or two where that leaves no gap."""
    columns = 2 if count in (2, 4) else min(count, 3)
    lines = -(-count // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(WIDTH, 2.2 * lines + 0.3), squeeze=False)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    return figure, list(grid.flat)


def _draw(axes: Axes, runs: Course, colour: str, line: str) -> None:
    values = runs.values.where(runs.values.isfinite(), torch.nan)
    seeds(axes, runs.step, values, color=colour, linestyle=line)


def _legend(figure: Figure, names: Iterable[str]) -> None:
    """Name the models above all panels, where no line runs."""
    styles = {name.replace("L_c", r"$\mathcal{L}_c$"): STYLES[name] for name in names}
    lines = [Line2D([], [], color=of["color"], linestyle=of["linestyle"], label=name) for name, of in styles.items()]
    figure.legend(handles=lines, loc="outside upper center", ncols=len(lines), fontsize=8)
