"""The figures of chapter 10."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from studies.style import COLOURS, MARKERS, WIDTH, close_grid


def show_speeds(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Figure:
    """Draw how many times as fast as the ports' step each way is, a panel for each size, n and batch, a bar a model.

    `rows` are those of `benchmarks/step.py`, `names` maps the modes to draw to their labels, top to bottom. Whiskers
    reach from the slowest round to the fastest, and the share of the floor stands behind; a way that did not fit into
    memory has no bar.
    """
    chosen = [row for row in rows if row["mode"] in names and "ratio" in row]
    shapes = sorted({(row["size"], row["n"], row["batch"]) for row in chosen})
    models = list(dict.fromkeys(row["model"] for row in chosen))
    lines = -(-len(shapes) // 2)
    figsize = WIDTH, (0.5 + 0.34 * len(names)) * lines + 0.25 * (len(models) > 1)
    figure, grid = plt.subplots(lines, 2, figsize=figsize, sharex=True, sharey=True, squeeze=False)
    for axes, shape in zip(grid.flat, shapes, strict=False):
        for place, model in enumerate(models):
            bars = [row for row in chosen if (row["size"], row["n"], row["batch"], row["model"]) == (*shape, model)]
            ratio, low, high = (np.array([row[f"ratio{end}"] for row in bars]) for end in ("", "_low", "_high"))
            axes.barh(
                [list(names).index(row["mode"]) + 0.8 * ((place + 0.5) / len(models) - 0.5) for row in bars],
                ratio,
                height=0.7 / len(models),
                xerr=[ratio - low, high - ratio],
                color=COLOURS[model],
                hatch="" if model == "BEGAN" else "///",
                edgecolor="white",
                error_kw={"linewidth": 1},
                label=model,
            )
            for row in bars:
                y = list(names).index(row["mode"]) + 0.8 * ((place + 0.5) / len(models) - 0.5)
                share = f"{row['floor_share']:.0%}" if "floor_share" in row else ""
                axes.annotate(
                    share, (row["ratio_high"], y), (4, 0), textcoords="offset points", va="center", fontsize=8
                )
        axes.axvline(1, color=COLOURS["real"], linestyle=":", linewidth=1)
        axes.set_title("{0}x{0}, $n$ = {1}, batch {2}".format(*shape))
        axes.set_yticks(range(len(names)), list(names.values()))
        axes.grid(visible=False, axis="y")
        axes.set_axisbelow(True)
    grid[0, 0].invert_yaxis()
    if len(models) > 1:
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=len(models), fontsize=8)
    close_grid(grid, len(shapes), "times as fast")
    return figure


def show_agreement(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw where runs end, trained in different ways from the same seeds: M, the ratio and the spread of samples.

    `rows` are those of `benchmarks/agreement.py`: a point a run, a line from each way to the next for each seed, a bar
    at the median.
    """
    figure, grid = plt.subplots(2, 3, figsize=(WIDTH, 4.0), sharex=True, sharey="col")
    ways = list(dict.fromkeys(row["way"] for row in rows))
    columns = {"M": "$M$", "ratio": r"$\mathcal{L}(G(z)) / \mathcal{L}(x)$", "sample_std": "pixel std"}
    for line, model in zip(grid, ("BEGAN", "BEGAN-CS"), strict=True):
        for axes, (key, title) in zip(line, columns.items(), strict=True):
            runs = {(row["way"], row["seed"]): row[key] for row in rows if row["model"] == model}
            seeds = sorted({seed for _, seed in runs})
            values = torch.tensor([[runs[way, seed] for seed in seeds] for way in ways])
            axes.plot(
                range(len(ways)), values, color=COLOURS[model], marker=MARKERS[model], markersize=3, linewidth=0.5
            )
            for place, median in enumerate(values.median(1).values):
                axes.plot([place - 0.3, place + 0.3], [median] * 2, color=COLOURS[model], linewidth=2)
            axes.set_xticks(range(len(ways)), ways, rotation=20)
            axes.set_title(f"{title}, {model}", color=COLOURS[model])
    return figure


def show_speeds_here(speeds: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the images a second of each way to do a step on this machine, a point a round."""
    figure, axes = plt.subplots(figsize=(WIDTH, 1.6))
    for y, values in enumerate(speeds.values()):
        axes.plot(values, [y] * len(values), MARKERS["BEGAN"], color=COLOURS["BEGAN"], alpha=0.6)
    axes.set_yticks(range(len(speeds)), list(speeds))
    axes.set(xlabel="images a second on this machine", xlim=(0, None))
    axes.margins(y=0.3)
    return figure
