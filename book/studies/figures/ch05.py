"""The figures of chapter 5."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from studies import takeoff
from studies.rivals import Best
from studies.style import (
    COLOURS,
    WIDTH,
    close_grid,
    line_of,
    seeds,
    show_remedies,
    show_rows,
)
from studies.workers import Row

# What makes a run take off


LINES: dict[str, Any] = {  # of the predictions
    "additive": {"linestyle": ":", "color": "#444444"},
    "squares": {"linestyle": "-", "color": COLOURS["BEGAN-CS"]},
    "folded": {"linestyle": "-.", "color": COLOURS["VEEGAN"]},
    "denoiser": {"linestyle": "-", "color": COLOURS["real"]},
    "copies": {"linestyle": "--", "color": COLOURS["EBGAN"]},
}


def show_map(rows: Sequence[Row]) -> Figure:
    """Draw which runs took off, by grain and gamma: a pie's share of each cell, and the lines that were predicted.

    Above a line the theory leaves room for all of the data.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4))
    for gamma, grain, count, runs in takeoff.cells(rows):
        axes.plot(grain, gamma, "o", markersize=13, color="white", markeredgecolor="#777777")
        axes.plot(grain, gamma, "o", markersize=13 * (count / runs) ** 0.5, color=COLOURS["BEGAN"])
        axes.annotate(
            f"{count}/{runs}",
            (grain, gamma),
            xytext=(10, -3),
            textcoords="offset points",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            zorder=3,  # above the lines
        )
    fine = np.linspace(0, max(row["setting"]["grain"] for row in rows), 61)
    for name, prediction in takeoff.predictions(takeoff.load("room", data="faces")).items():
        axes.plot(fine, [prediction(grain) for grain in fine], **LINES[name], label=name)
    axes.set(xlabel="grain, standard deviation", ylabel="$\\gamma$", ylim=(0.25, 1.07))
    axes.legend(fontsize=8, title="room above the line", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def show_easy_faces(blocks: Mapping[str, Tensor]) -> Figure:
    """Draw faces by what they cost D, and samples below: a row a block, `(B, 3, S, S)` about [-1, 1] each, B equal."""
    return show_rows(blocks, columns=len(next(iter(blocks.values()))))


def show_shares(panels: Mapping[str, Sequence[Row]]) -> Figure:
    """Draw, for runs of each setting, the share of samples with a value of an attribute against its mean L(x).

    A dot is a value, averaged over seeds: its share over that of real faces, its loss over its attribute's mean.
    """
    figure, grid = plt.subplots(1, len(panels), figsize=(WIDTH, 2.6), sharex=True, sharey=True, squeeze=False)
    for axes, (title, rows) in zip(grid.flat, panels.items(), strict=True):
        for name in rows[0]["easy"]["table"]:
            loss, share, real = (
                np.mean([row["easy"]["table"][name][part] for row in rows], 0) for part in ("loss", "share", "real")
            )
            axes.plot(loss / loss.mean(), share / real, ".", color=COLOURS["BEGAN"], alpha=0.6)
        found = takeoff.affinity_of(rows)
        axes.axhline(1, color=COLOURS["real"], linewidth=0.8)
        axes.set(
            title=f"{title}\n{found.mean:.2f}, shuffled {found.null:.2f}", xlabel="$\\mathcal{L}(x)$ over its mean"
        )
    grid[0, 0].set(ylabel="share of samples over real share", ylim=(0, None))
    return figure


def show_warm(rows: Sequence[Row], measure: str, label: str) -> Figure:
    """Draw runs that fork with another gamma or grain and go back again: a panel a trunk and a change, seeds thin."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((_said(row["setting"]), _said(row["change"])), []).append(row)
    columns = min(len(groups), 3)
    lines = -(-len(groups) // columns)
    figsize = WIDTH, 0.4 + 1.8 * lines
    figure, grid = plt.subplots(lines, columns, figsize=figsize, sharex=True, sharey=True, squeeze=False)
    for axes, ((trunk, change), some) in zip(grid.flat, groups.items(), strict=False):
        for part, colour in (("trunk", COLOURS["real"]), ("there", COLOURS["BEGAN-CS"]), ("back", COLOURS["BEGAN"])):
            seeds(axes, some[0][part]["step"], np.array([row[part][measure] for row in some]), color=colour)
        axes.axvline(some[0]["steps"], color="#8c8c8c", linewidth=0.8)
        axes.axvline(some[0]["steps"] + some[0]["away"], color="#8c8c8c", linewidth=0.8)
        axes.set_title(f"{trunk}:\n{change}")
    grid[0, 0].set(ylim=(0, None))
    grid[0, 0].set_ylabel(label)
    close_grid(grid, len(groups), "training step")
    return figure


def _said(setting: Mapping[str, float]) -> str:
    """Return a setting in words."""
    return ", ".join(f"{name} {value:g}" for name, value in setting.items()).replace("gamma", "$\\gamma$")


def show_margins(groups: Mapping[str, Sequence[Row]], names: Mapping[str, str]) -> Figure:
    """Draw measures of runs by how D was held, a row a way: seeds as pale dots, their median as a bar."""
    columns = {
        title: {way: torch.tensor([row["final"][name] for row in rows]) for way, rows in groups.items()}
        for name, title in names.items()
    }
    ends = {title: (0.0, 1.1 * max(v.max().item() for v in ways.values())) for title, ways in columns.items()}
    return show_remedies(columns, ends)


# Rivals at equal search, and forks on photographs


def show_search(found: Mapping[str, Sequence[Best]], real: float) -> Figure:
    """Draw the expected best of n settings of each method over n, and where 90 % of the draws are; real is dotted."""
    figure, axes = plt.subplots(figsize=(WIDTH, 2.9))
    for name, bests in found.items():
        n, expected, low, high = zip(*bests, strict=True)
        axes.plot(n, expected, **line_of(name), label=name)
        axes.fill_between(n, low, high, color=COLOURS[name], alpha=0.12, linewidth=0)
        axes.set_xticks(n)
    axes.axhline(real, color=COLOURS["real"], linestyle=":", label="real")
    axes.set(xlabel="settings tried", ylabel="Fréchet distance, reader", yscale="log")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def show_standings(
    rows: Mapping[str, Sequence[Row]], distances: Mapping[str, str], others: Mapping[str, str], nulls: int
) -> Figure:
    """Draw the ends of runs, a row a method and a panel a measure: seeds as pale dots, their median as a bar.

    Distances have axes in powers of ten. The last `nulls` rows lie below a line: what can't draw, and real pictures.
    """
    columns = {
        title: {name: torch.tensor([row["final"][measure] for row in some]) for name, some in rows.items()}
        for measure, title in {**distances, **others}.items()
    }
    values = {title: torch.cat(list(of.values())) for title, of in columns.items()}
    figure = show_remedies(columns, {title: (0.0, 1.1 * some.max().item()) for title, some in values.items()})
    for axes, (title, some) in zip(figure.axes, values.items(), strict=True):
        axes.axhline(len(rows) - nulls - 0.5, color="#8c8c8c", linewidth=0.8)
        if title in distances.values():
            axes.set(xscale="log", xlim=(some.min().item() / 1.3, some.max().item() * 1.3))
    return figure


def show_forks(
    trunk: Sequence[Row], there: Sequence[Row], back: Sequence[Row], real: Sequence[Row], names: Mapping[str, str]
) -> Figure:
    """Draw measures against the gamma that forks went to, a panel each: there full, and once they came back hollow.

    A dot is a seed, a line joins the medians; grey is the trunk's median, black that of real pictures.
    """
    lines = -(-len(names) // 3)
    figure, grid = plt.subplots(lines, 3, figsize=(WIDTH, 0.4 + 1.9 * lines), sharex=True, squeeze=False)
    for axes, (name, title) in zip(grid.flat, names.items(), strict=False):
        for rows, where, label, look, marker in (
            (there, "gamma", "there", {"color": COLOURS["BEGAN"]}, "o"),
            (back, "from", "back again", {"color": COLOURS["BEGAN"], "markerfacecolor": "none"}, "s"),
        ):
            gammas = sorted({row[where] for row in rows})
            values = [[row["final"][name] for row in rows if row[where] == gamma] for gamma in gammas]
            dash = "--" if marker == "s" else "-"
            for gamma, some in zip(gammas, values, strict=True):
                axes.plot([gamma] * len(some), some, marker, **look, markersize=3.5, alpha=0.6)
            axes.plot(gammas, [np.median(some) for some in values], dash, color=look["color"], label=label)
        for rows, colour, label in ((trunk, "#8c8c8c", "before"), (real, COLOURS["real"], "real")):
            axes.axhline(np.median([row["final"][name] for row in rows]), color=colour, linewidth=1, label=label)
        axes.set_title(title)
    close_grid(grid, len(names), "$\\gamma$")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    return figure
