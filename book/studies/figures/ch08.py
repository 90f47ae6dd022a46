"""The figures of chapter 8: errors of inversions against time, attributes kept, sweeps, and moves along directions."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from studies.statistics import interval
from studies.style import COLOURS, MARKERS, WIDTH, seeds, show_images
from studies.workers import Row

STARTS: dict[str, dict[str, Any]] = {  # dashes repeat the colour
    "random": {"color": "#444444", "linestyle": "-", "label": "search from a random $z$"},
    "encoded": {"color": "#009E73", "linestyle": "--", "label": "search from $\\mathrm{Enc}(x)$"},
}
ONE_SHOT: dict[str, Any] = {
    "marker": "X",
    "linestyle": "",
    "color": COLOURS["BEGAN-CS"],
    "markersize": 6,
    "label": "one shot, $G(\\mathrm{Enc}(x))$",
}


def show_errors(panels: Mapping[str, Sequence[Row]]) -> Figure:
    """Draw the error of inversions against time, a panel for each set of rows: seeds thin, their median thick.

    A cross marks the one shot, dots are for the error of the mean picture and of D(x). A search's first point, before
    any iteration, stands at the time of the one shot, since a logarithmic axis has no 0.
    """
    figure, (grid,) = plt.subplots(1, len(panels), figsize=(WIDTH, 2.8), sharey=True, sharex=True, squeeze=False)
    for axes, (title, rows) in zip(grid, panels.items(), strict=True):
        shot = torch.tensor([row["errors"]["seconds"]["one_shot"] for row in rows]).median()
        step = torch.tensor([row["errors"]["seconds"]["iteration"] for row in rows]).median()
        for way, style in STARTS.items():
            time = shot + step * torch.tensor(rows[0]["errors"][way]["iterations"])
            errors = torch.tensor([row["errors"][way]["error"] for row in rows])
            line = {key: style[key] for key in ("color", "linestyle")}
            seeds(axes, time, errors, **line)
        one_shot = [row["errors"]["one_shot"] for row in rows]
        axes.plot([shot] * len(rows), one_shot, **ONE_SHOT, alpha=0.8)
        for name, line in (("mean", ":"), ("autoencoder", "-.")):
            axes.axhline(sum(row["errors"][name] for row in rows) / len(rows), color="#8c8c8c", linestyle=line)
        axes.set(title=title, xscale="log")
    figure.supxlabel("seconds for 48 pictures, one core", fontsize=9)
    # after all are drawn: a shared axis would stay as the first panel needs it
    grid[0].set(ylabel="mean |difference| of pixels", ylim=(0, None))
    lines = [
        *(Line2D([], [], linewidth=2, **style) for style in STARTS.values()),
        Line2D([], [], **ONE_SHOT),
        Line2D([], [], color="#8c8c8c", linestyle=":", label="the mean picture"),
        Line2D([], [], color="#8c8c8c", linestyle="-.", label="$D(x)$"),
    ]
    figure.legend(handles=lines, loc="outside upper left", ncols=3, fontsize=8)
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
        axes.axvline(0, color="#8c8c8c", linewidth=1)
        axes.set(title=title, xlim=(-1.05, 1.05), xlabel="kept: 1 all, 0 a guess", yticks=range(len(names)))
        axes.set_yticklabels([name.replace("_", " ") for name in names], fontsize=8)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def show_effects(effects: Tensor, columns: Sequence[str], titles: Sequence[str]) -> Figure:
    """Draw what sweeps move: |effects| `(panels, N_z, columns)` in standard deviations of faces, a line a direction.

    The directions of each panel are ordered by the attribute that they move most.
    """
    figure, (grid,) = plt.subplots(1, len(effects), figsize=(WIDTH, 4.4), sharey=True, squeeze=False)
    for axes, part, title in zip(grid, effects.abs(), titles, strict=True):
        order = sorted(range(len(part)), key=lambda i: (int(part[i].argmax()), -float(part[i].max())))
        axes.imshow(part[order].numpy(), aspect="auto", cmap="viridis", vmin=0, vmax=float(effects.abs().max()))
        axes.set(title=title, xticks=range(len(columns)), yticks=[])
        axes.set_xticklabels([name.replace("_", " ") for name in columns], rotation=90, fontsize=8)
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
        axes.set_xticklabels(kinds * len(models), fontsize=8, rotation=30)
    lines = [
        Line2D([], [], color=COLOURS[name], marker=MARKERS[name], label=name) for name in next(iter(panels.values()))
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def show_plane(images: Tensor, values: Sequence[float], names: tuple[str, str]) -> Figure:
    """Draw pictures of two numbers of z, `(n * n, C, H, W)`: the first grows downwards, the second to the right."""
    figure, axes = plt.subplots(figsize=(4.4, 4.2))
    show_images(images, columns=len(values), axes=axes)
    side = images.shape[-1] + 1
    middles = [side * place + (side + 1) / 2 for place in range(len(values))]
    axes.set_axis_on()
    axes.set(xticks=middles, yticks=middles, ylabel=names[0], xlabel=names[1])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticklabels([f"{value:g}" for value in values])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(False)
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
        axes.axvline(1, color="#8c8c8c", linestyle="--", linewidth=1)
        axes.set(title=title, xlabel="reached, of 1 asked")
    grid[0].set(ylabel="others moved by (rms)", ylim=(0, None))
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    return figure
