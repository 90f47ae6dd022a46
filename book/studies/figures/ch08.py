"""The figures of chapter 8: errors of inversions against time, attributes kept, sweeps, and moves along directions."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from studies.statistics import interval
from studies.style import COLOURS, MARKERS, WIDTH, close_grid, seeds
from studies.workers import Row

STARTS: dict[str, dict[str, Any]] = {  # dashes repeat the colour
    "random": {"color": "#444444", "linestyle": "-", "label": "search from a random z"},
    "encoded": {"color": "#009E73", "linestyle": "--", "label": "search from Enc(x)"},
}


def show_errors(panels: Mapping[str, Sequence[Row]]) -> Figure:
    """Draw the error of inversions against time, a panel for each set of rows: seeds thin, their median thick.

    A cross marks the one shot, dots are for the error of the mean picture and of D(x). A search's first point, before
    any iteration, stands at the time of the one shot, since a logarithmic axis has no 0.
    """
    size = (1, 1) if len(panels) == 1 else (2, -(-len(panels) // 2))
    figure, grid = plt.subplots(*size, figsize=(WIDTH, 4.8), sharey="row", sharex=True, squeeze=False)
    for axes, (title, rows) in zip(grid.flat, panels.items(), strict=False):
        shot = torch.tensor([row["errors"]["seconds"]["one_shot"] for row in rows]).median()
        step = torch.tensor([row["errors"]["seconds"]["iteration"] for row in rows]).median()
        for way, style in STARTS.items():
            time = shot + step * torch.tensor(rows[0]["errors"][way]["iterations"])
            errors = torch.tensor([row["errors"][way]["error"] for row in rows])
            line = {key: style[key] for key in ("color", "linestyle")}
            seeds(axes, time, errors, **line)
        one_shot = [row["errors"]["one_shot"] for row in rows]
        axes.plot([shot] * len(rows), one_shot, "X", color=COLOURS["BEGAN-CS"], markersize=6, alpha=0.8)
        for name, line in (("mean", ":"), ("autoencoder", "-.")):
            axes.axhline(sum(row["errors"][name] for row in rows) / len(rows), color="#999999", linestyle=line)
        axes.set(title=title, xscale="log")
    close_grid(grid, len(panels), "seconds for 48 pictures, one core")
    for axes in grid[:, 0]:  # after all are drawn: a shared axis would stay as the first panel needs it
        axes.set(ylabel="mean |difference| of pixels", ylim=(0, None))
    lines = [
        *(Line2D([], [], linewidth=2, **style) for style in STARTS.values()),
        Line2D([], [], marker="X", linestyle="", color=COLOURS["BEGAN-CS"], label="one shot, G(Enc(x))"),
        Line2D([], [], color="#999999", linestyle=":", label="the mean picture"),
        Line2D([], [], color="#999999", linestyle="-.", label="D(x)"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=3, fontsize=8)
    return figure


def show_kept(panels: Mapping[str, Sequence[Row]], ways: Mapping[str, str]) -> Figure:
    """Draw how much of each attribute is kept, means over seeds and 95 % intervals; a panel a model, a colour a way.

    `ways` names columns of a row's "kept". Values below -1, worse than guessing, stand at -1.
    """
    figure, (grid,) = plt.subplots(1, len(panels), figsize=(WIDTH, 4.4), sharey=True, squeeze=False)
    names = list(next(iter(panels.values()))[0]["kept"]["the picture"])
    names.sort(key=lambda name: next(iter(panels.values()))[0]["kept"]["the picture"][name])
    palette = ["#444444", COLOURS["BEGAN-CS"], "#009E73", COLOURS["BEGAN"]]
    for axes, (title, rows) in zip(grid, panels.items(), strict=True):
        for i, (way, label) in enumerate(ways.items()):
            found = [interval([row["kept"][way][name] for row in rows]) for name in names]
            mean, low, high = torch.tensor(found).clamp(min=-1).unbind(1)
            y = torch.arange(len(names)) + 0.16 * (i - (len(ways) - 1) / 2)
            style = {"color": palette[i], "marker": "osv^"[i], "markersize": 4, "linestyle": ""}
            axes.errorbar(mean, y, xerr=[mean - low, high - mean], elinewidth=1, label=label, **style)
        axes.axvline(0, color="#999999", linewidth=1)
        axes.set(title=title, xlim=(-1.05, 1.05), xlabel="kept: 1 all, 0 a guess", yticks=range(len(names)))
        axes.set_yticklabels([name.replace("_", " ") for name in names], fontsize=8)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def show_effects(effects: Tensor, columns: Sequence[str], titles: Sequence[str]) -> Figure:
    """Draw what sweeps move: |effects| `(panels, N_z, columns)` in standard deviations of faces, a line a direction.

    The directions of each panel are ordered by the attribute that they move most.
    """
    figure, (grid,) = plt.subplots(1, len(effects), figsize=(WIDTH, 5.2), sharey=True, squeeze=False)
    for axes, part, title in zip(grid, effects.abs(), titles, strict=True):
        order = sorted(range(len(part)), key=lambda i: (int(part[i].argmax()), -float(part[i].max())))
        axes.imshow(part[order].numpy(), aspect="auto", cmap="viridis", vmin=0, vmax=float(effects.abs().max()))
        axes.set(title=title, xticks=range(len(columns)), yticks=[])
        axes.set_xticklabels([name.replace("_", " ") for name in columns], rotation=90, fontsize=6)
        axes.grid(False)
    grid[0].set_ylabel("direction, by what it moves most")
    figure.colorbar(grid[-1].images[0], ax=list(grid), label="mean change, standard deviations of faces", shrink=0.6)
    return figure


def show_pairs(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]], kinds: tuple[str, str]
) -> Figure:
    """Draw two numbers of each seed joined by a line, a panel a measure, a colour a model: axes against turned axes."""
    figure, (grid,) = plt.subplots(1, len(panels), figsize=(WIDTH, 2.5), squeeze=False)
    for axes, (title, models) in zip(grid, panels.items(), strict=True):
        for place, (name, pair) in enumerate(models.items()):
            for first, second in zip(*pair, strict=True):
                x = [3 * place, 3 * place + 1]
                axes.plot(x, [first, second], color=COLOURS[name], marker=MARKERS[name], markersize=4, linewidth=0.8)
        ticks = [3 * place + end for place in range(len(models)) for end in (0, 1)]
        axes.margins(y=0.1)
        axes.set(title=title, xticks=ticks, xlim=(-0.6, ticks[-1] + 0.6), ylim=(0, None))
        axes.set_xticklabels(kinds * len(models), fontsize=7)
    lines = [
        Line2D([], [], color=COLOURS[name], marker=MARKERS[name], label=name) for name in next(iter(panels.values()))
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def show_moves(panels: Mapping[str, Sequence[Row]]) -> Figure:
    """Draw moves of one attribute by one standard deviation: what was reached, and how much the others moved with it.

    A mark is an attribute of a seed, a marker and colour a way to move; the best place is on the lower right of the
    dashed line, at 1 and 0.
    """
    styles = {"slope": ("#0072B2", "o"), "others held": ("#D55E00", "s"), "one axis": ("#666666", "^")}
    figure, (grid,) = plt.subplots(1, len(panels), figsize=(WIDTH, 3.0), sharey=True, sharex=True, squeeze=False)
    for axes, (title, rows) in zip(grid, panels.items(), strict=True):
        for way, (colour, marker) in styles.items():
            points = [moves[way] for row in rows for moves in row["directions"]["moves"].values()]
            x, y = ([point[name] for point in points] for name in ("reached", "others"))
            axes.plot(x, y, marker, color=colour, markersize=3.5, alpha=0.6, label=way)
        axes.axvline(1, color="#999999", linestyle="--", linewidth=1)
        axes.set(title=title, xlabel="reached, of 1 asked")
    grid[0].set(ylabel="others moved by (rms)", ylim=(0, None))
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    return figure
