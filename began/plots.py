"""The one style of the book, and one function a kind of figure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor
from torchvision.utils import make_grid

from began.artifacts import windows
from began.datasets import to_pixels
from began.landscapes import View
from began.rivals import METHODS
from began.step import Record
from began.toy import Mixture

WIDTH = 6.5  # inches
COLOURS = {  # Okabe and Ito's palette, told apart by readers of every colour vision; a model keeps its colour
    "real": "#000000",
    "GAN": "#E69F00",
    "WGAN-GP": "#56B4E9",
    "EBGAN": "#009E73",
    "VEEGAN": "#CC79A7",
    "BEGAN": "#0072B2",
    "BEGAN-CS": "#D55E00",
}
MARKERS = {"BEGAN": "o", "BEGAN-CS": "s", "GAN": "x", "WGAN-GP": "^", "EBGAN": "v", "VEEGAN": "D"}  # repeat the colour
STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
}


def use_style() -> None:
    """Make the book's style matplotlib's default."""
    plt.rcParams.update(STYLE)


def show_images(images: Tensor, *, columns: int = 8, title: str = "", axes: Axes | None = None) -> None:
    """Draw a grid of images, `(B, C, H, W)` about [-1, 1], row by row; in a figure of its own without `axes`."""
    grid = make_grid(to_pixels(images.detach().cpu()), nrow=columns, padding=1, pad_value=255)
    if axes is None:
        _, axes = plt.subplots(figsize=(WIDTH, WIDTH * grid.shape[1] / grid.shape[2] + 0.25 * bool(title)))
    axes.imshow(grid.permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title)


def show_rows(rows: Mapping[str, Tensor], *, columns: int) -> Figure:
    """Draw blocks of images, `(B, C, H, W)` about [-1, 1] each and B equal, with their names on the left."""
    lines = -(-len(next(iter(rows.values()))) // columns)
    left = 0.75  # inches, for the names
    height = len(rows) * (lines * (WIDTH - left) / columns + 0.06)
    figure, grid = plt.subplots(len(rows), 1, figsize=(WIDTH, height), squeeze=False, layout="none")
    figure.subplots_adjust(left=left / WIDTH, right=1, bottom=0, top=1, hspace=0.03)
    for axes, (name, images) in zip(grid.flat, rows.items(), strict=True):
        show_images(images, columns=columns, axes=axes)
        axes.text(-0.01, 0.5, name, transform=axes.transAxes, ha="right", va="center", color=COLOURS.get(name, "black"))
    return figure


def show_gammas(histories: Mapping[float, Sequence[Record]], spreads: Mapping[float, Sequence[float]]) -> Figure:
    """Draw, for each gamma and several seeds, L(G(z)) / L(x) over the steps and how much the samples differ.

    Seeds are thin lines and dots, their median a thick line and a bar; gamma is dashed. Records hold one entry a step.
    """
    figure, (ratio, spread) = plt.subplots(1, 2, figsize=(WIDTH, 2.8), width_ratios=[2, 1])
    colours = plt.get_cmap("viridis")
    for place, (gamma, runs) in enumerate(histories.items()):
        colour = colours(0.85 * place / max(len(histories) - 1, 1))
        steps = windows(runs[0], 10)[0]
        curves = [windows(run, 10)[1] for run in runs]
        ratios = torch.stack([curve.loss_fake / curve.loss_real for curve in curves])
        ratio.plot(steps, ratios.T, color=colour, linewidth=0.5, alpha=0.6)
        ratio.plot(steps, ratios.median(0).values, color=colour, linewidth=2, label=f"gamma = {gamma}")
        ratio.axhline(gamma, color=colour, linestyle="--", linewidth=1)
        values = torch.tensor(spreads[gamma])
        spread.plot([place] * len(values), values, "o", color=colour, markersize=4, alpha=0.7)
        spread.plot([place - 0.25, place + 0.25], [values.median()] * 2, color=colour, linewidth=2)
    ratio.set(xlabel="training step", ylabel="L(G(z)) / L(x)", ylim=(0, 2))
    ratio.legend(fontsize=7)
    spread.set(xlabel="gamma", ylabel="pixel std over samples", ylim=(0, None))
    spread.set_xticks(range(len(spreads)), [str(gamma) for gamma in spreads])
    return figure


def show_histories(runs: Mapping[str, tuple[Tensor, Record, float]]) -> Figure:
    """Draw L(x) and L(G(z)), their ratio, k and M over the steps, of runs by model name.

    Each run is `(step, history, gamma)`, the first two columns of equal length, as `artifacts.windows` returns them.
    L(G(z)) is the paler line; gamma is dashed beside the ratio.
    """
    figure, grid = plt.subplots(2, 2, figsize=(WIDTH, 4.0), sharex=True)
    losses, ratio, k, M = grid.flat
    for name, (step, history, gamma) in runs.items():
        line = {"color": COLOURS.get(name), "marker": MARKERS.get(name), "markevery": 0.2, "markersize": 4}
        losses.plot(step, history.loss_real, **line, label=f"L(x), {name}")
        losses.plot(step, history.loss_fake, **line, alpha=0.5, label=f"L(G(z)), {name}")
        ratio.plot(step, history.loss_fake / history.loss_real, **line, label=name)
        ratio.axhline(gamma, color=COLOURS.get(name), linestyle="--", linewidth=1, label=f"gamma, {name}")
        k.plot(step, history.k, **line)
        M.plot(step, history.M, **line)
    for axes, title in (
        (losses, "reconstruction losses"),
        (ratio, "L(G(z)) / L(x)"),
        (k, "weight k"),
        (M, "convergence measure M"),
    ):
        axes.set_title(title)
        axes.set_ylim(bottom=0)
    losses.legend(fontsize=7)
    ratio.legend(fontsize=7)
    for axes in grid[1]:
        axes.set_xlabel("training step")
    return figure


def show_speeds(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Figure:
    """Draw how many times as fast as the ports' step each way is, a panel for each size, n and batch, a bar a model.

    `rows` are those of `benchmarks/step.py`, `names` maps the modes to draw to their labels, top to bottom. Whiskers
    reach from the slowest round to the fastest; a way that did not fit into memory has no bar.
    """
    chosen = [row for row in rows if row["mode"] in names and "ratio" in row]
    shapes = sorted({(row["size"], row["n"], row["batch"]) for row in chosen})
    models = list(dict.fromkeys(row["model"] for row in chosen))
    lines = -(-len(shapes) // 2)
    figsize = WIDTH, (0.5 + 0.28 * len(names)) * lines
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
        axes.axvline(1, color=COLOURS["real"], linestyle=":", linewidth=1)
        axes.set_title("{0}x{0}, n = {1}, batch {2}".format(*shape))
        axes.set_yticks(range(len(names)), list(names.values()))
        axes.grid(visible=False, axis="y")
        axes.set_axisbelow(True)
    for axes in grid.flat[len(shapes) :]:
        axes.set_axis_off()
    grid[0, 0].invert_yaxis()
    if len(models) > 1:
        grid[0, 0].legend(fontsize=7)
    for axes in grid[-1]:
        axes.set_xlabel("times as fast as the ports' step")
    return figure


def show_agreement(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw where runs end, trained in different ways from the same seeds: M, the ratio and the spread of samples.

    `rows` are those of `benchmarks/agreement.py`: a point a run, a line from each way to the next for each seed, a bar
    at the median.
    """
    figure, grid = plt.subplots(2, 3, figsize=(WIDTH, 4.0), sharex=True, sharey="col")
    ways = list(dict.fromkeys(row["way"] for row in rows))
    columns = {"M": "M", "ratio": "L(G(z)) / L(x)", "sample_std": "pixel std"}
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


def line_of(name: str) -> dict[str, Any]:
    """Return the line that stands for a method: a variant, 'GAN, minimax', is dashed in its model's colour."""
    model, *variant = name.split(", ")
    return {
        "color": COLOURS.get(model, "#777777"),
        "linestyle": "--" if variant else "-",
        "marker": MARKERS.get(model, "."),
        "markersize": 4,
    }


def show_loss_functions(losses: Mapping[str, Callable[[Tensor], Tensor]]) -> Figure:
    """Draw G's losses of one sample as functions of the critic's output, and how steeply each asks for a larger one."""
    figure, (value, slope) = plt.subplots(1, 2, figsize=(WIDTH, 2.7))
    s = torch.linspace(-8, 4, 121, requires_grad=True)
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss(s).sum(), s)
        for axes, curve in ((value, loss(s).detach()), (slope, -gradient)):
            axes.plot(s.detach(), curve, **line_of(name), markevery=20, label=name)
    value.set(xlabel="critic's output s", ylabel="G's loss", ylim=(-6, 12))
    slope.set(xlabel="critic's output s", ylabel="minus its slope", ylim=(-0.6, 3))
    slope.legend(fontsize=7)
    for axes in (value, slope):
        axes.axvline(0, color="#999999", linewidth=0.8)
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
        greys = plt.get_cmap("Greys")(np.linspace(0, 0.6, len(levels) - 1))
        if len(levels) > 1:
            axes.contourf(x + span, y + span, surface, levels, colors=greys, antialiased=False)
        longest = view.arrows.norm(dim=1).max()
        arrows = 0.5 * reach * view.arrows / longest
        colour = line_of(name)["color"]
        axes.quiver(*view.v.T, *arrows.T, angles="xy", scale_units="xy", scale=1, width=0.008, color=colour)
        axes.plot(*view.v.T, ".", color=COLOURS["real"], markersize=2)
        axes.plot(*(mixture.means / mixture.scale).T, "x", color=COLOURS["real"], markersize=6)
        axes.set_title(f"{name}\nlongest {longest:.2g}", fontsize=8)
        axes.set(aspect="equal", xlim=(x - reach, x + reach), ylim=(y - reach, y + reach), xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color("#999999")
    for axes in grid.flat[len(views) :]:
        axes.set_axis_off()
    return figure


def show_lengths(updates: Sequence[int], lengths: Mapping[str, Tensor]) -> Figure:
    """Draw how long the arrows of a held G's samples are while the critic trains: medians over samples, `(E, T)`.

    `lengths` has one tensor a method; seeds are thin lines, their median is thick. Both axes are logarithmic.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2))
    for name, values in lengths.items():
        line = line_of(name)
        axes.plot(updates, values.T, color=line["color"], linestyle=line["linestyle"], linewidth=0.5, alpha=0.6)
        axes.plot(updates, values.median(0).values, **{**line, "linewidth": 2}, label=name)
    axes.set(xscale="log", yscale="log", xlabel="updates of the critic", ylabel="median length of an arrow")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def show_remedies(columns: Mapping[str, Mapping[str, Tensor]], ranges: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw a column for each measure and a row for each method: seeds as pale dots, their median as a bar.

    `columns` maps a measure to its values by method, `(E,)` each; `ranges` gives the ends of each axis.
    """
    names = list(next(iter(columns.values())))
    figsize = WIDTH, 0.6 + 0.21 * len(names)
    figure, grid = plt.subplots(1, len(columns), figsize=figsize, sharey=True, squeeze=False)
    for axes, (measure, methods) in zip(grid.flat, columns.items(), strict=True):
        for row, (name, values) in enumerate(methods.items()):
            line = line_of(name)
            axes.plot(values, [row] * len(values), line["marker"], color=line["color"], markersize=4, alpha=0.6)
            axes.plot([values.median()] * 2, [row - 0.35, row + 0.35], color=line["color"], linewidth=2)
        axes.set(xlabel=measure, xlim=ranges[measure])
        axes.set_yticks(range(len(names)), names)
    grid[0, 0].invert_yaxis()
    return figure


def show_weights(k: Sequence[float], bound: float, columns: Mapping[str, Tensor]) -> Figure:
    """Draw measures, `(len(k), E)` each, against the weight k of BEGAN, seeds as dots; the bound on k is dashed."""
    figure, grid = plt.subplots(1, len(columns), figsize=(WIDTH, 2.4), squeeze=False)
    for axes, (measure, values) in zip(grid.flat, columns.items(), strict=True):
        axes.plot(k, values, MARKERS["BEGAN"], color=COLOURS["BEGAN"], markersize=4, alpha=0.6)
        axes.plot(k, values.median(1).values, color=COLOURS["BEGAN"], linewidth=2)
        axes.axvline(bound, color=COLOURS["real"], linestyle="--", linewidth=1)
        axes.set(xlabel="k, held", ylabel=measure)
        if values.amin() > 0 and values.amax() > 100 * values.amin():
            axes.set_yscale("log")
    return figure


def show_mixtures(mixtures: Iterable[Mixture], count: int = 1500) -> Figure:
    """Draw samples of mixtures side by side, each with its name."""
    shown = list(mixtures)
    figure, row = plt.subplots(1, len(shown), figsize=(WIDTH, WIDTH / len(shown) + 0.2))
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

    `lines` are those of `study.table` for one problem; hollow diamonds are `published` pairs of the two numbers.
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
