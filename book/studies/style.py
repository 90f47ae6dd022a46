"""The one style of the book, and one function a kind of figure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from scipy import stats
from torch import Tensor
from torchvision.utils import make_grid

from began.images.sources import to_pixels
from began.measure.wasserstein import bound, crossing, gaussian_w1, w1
from began.runs import windows
from began.step import Record
from studies.landscapes import View
from studies.toy.gans import METHODS
from studies.toy.mixtures import Mixture

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


def _gamma_colours(gammas: Iterable[float]) -> dict[float, Any]:
    """Return a colour for each gamma, darker where it is lower."""
    known = sorted(set(gammas))
    return {gamma: plt.get_cmap("viridis")(0.9 * i / max(len(known) - 1, 1)) for i, gamma in enumerate(known)}


def _gamma_legend(axes: Axes, colours: Mapping[float, Any]) -> None:
    """Name the gammas on the right of the last panel, also those that this panel has not."""
    lines = [Line2D([], [], color=colour, linewidth=2, label=f"{gamma:g}") for gamma, colour in colours.items()]
    axes.legend(handles=lines, title="gamma", fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))


def show_gammas(histories: Mapping[float, Sequence[Record]], spreads: Mapping[float, Sequence[float]]) -> Figure:
    """Draw, for each gamma and several seeds, L(G(z)) / L(x) over the steps and how much the samples differ.

    Seeds are thin lines and dots, their median a thick line and a bar; gamma is dashed. Records hold one entry a step.
    """
    figure, (ratio, spread) = plt.subplots(1, 2, figsize=(WIDTH, 2.8), width_ratios=[2, 1])
    colours = _gamma_colours(histories)
    for place, (gamma, runs) in enumerate(histories.items()):
        colour = colours[gamma]
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


DATA = {"faces": ("o", COLOURS["BEGAN"]), "photographs": ("^", "none")}  # a marker and its face, of BEGAN's runs


def show_areas(panels: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """Draw the distribution functions of two samples a panel, `(N,)` and `(M,)`, and the area between them.

    F_1 is black, F_2 dashed; the area is filled where F_2 lies above and hatched where it lies below. Marks at the
    bottom are the means. Above stand W_1, the bound, and the share of W_1 that the bound misses.
    """
    figure, row = plt.subplots(1, len(panels), figsize=(WIDTH, 2.7), sharey=True, squeeze=False)
    for axes, (name, samples) in zip(row.flat, panels.items(), strict=True):
        first, second = (sample.double().sort().values for sample in samples)
        t = torch.cat([first, second]).sort().values
        F_1, F_2 = (torch.searchsorted(sample, t, right=True) / len(sample) for sample in (first, second))
        axes.fill_between(t, F_1, F_1.maximum(F_2), step="post", color=COLOURS["BEGAN"], alpha=0.3, linewidth=0)
        below = axes.fill_between(t, F_1, F_1.minimum(F_2), step="post", facecolor="none", linewidth=0)
        below.set(hatch="////", edgecolor=COLOURS["BEGAN-CS"])
        for label, F, sample, line in (("F_1", F_1, first, "-"), ("F_2", F_2, second, "--")):
            colour = COLOURS["real" if label == "F_1" else "BEGAN"]
            axes.plot(t, F, line, color=colour, drawstyle="steps-post", label=label)
            axes.plot(sample.mean(), 0, "|", color=colour, markersize=18, markeredgewidth=2)
        numbers = f"W_1 = {w1(first, second):.3f}, bound {bound(first, second):.3f}"
        axes.set_title(f"{name}\n{numbers}\nmissed: {crossing(first, second):.1%}")
    row[0, 0].set(ylabel="share of losses at most t", ylim=(0, 1.02))
    row[0, 0].legend(loc="lower right")
    for axes in row.flat:
        axes.set_xlabel("loss t")
    return figure


def show_misses(points: Mapping[str, tuple[Tensor, Tensor]], by_gamma: Mapping[str, Mapping[float, Tensor]]) -> Figure:
    """Draw the share of W_1 that the bound misses against the spread ratio, and against gamma, by data set.

    `points` has the ratios and the shares of all readings, `(R,)` each, ratios beyond the axis at its end; the line is
    that of Gaussians. `by_gamma` has a share a seed, `(E,)`, drawn as points about their median.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.9), sharey=True)
    ratios = torch.logspace(-2, 4, 200, dtype=torch.float64)
    one = torch.ones_like(ratios)
    gaussian = 1 - 1 / gaussian_w1(one, torch.zeros_like(ratios), ratios)
    left.plot(ratios, 100 * gaussian, color=COLOURS["real"], linewidth=1, label="two Gaussians")
    for place, (name, (ratio, missed)) in enumerate(points.items()):
        marker, face = DATA[name]
        style = {"color": COLOURS["BEGAN"], "markerfacecolor": face, "markersize": 3.5, "alpha": 0.6, "linestyle": ""}
        left.plot(ratio.clamp(ratios[0], ratios[-1]), 100 * missed, marker, **style, label=name)
        gammas = torch.tensor(list(by_gamma[name]))
        for gamma, shares in by_gamma[name].items():
            right.plot([gamma + 0.012 * place] * len(shares), 100 * shares, marker, **style)
        medians = [100 * shares.median() for shares in by_gamma[name].values()]
        right.plot(gammas + 0.012 * place, medians, color=COLOURS["BEGAN"], linestyle="--" if place else "-")
    left.set(xscale="log", xlabel="spread ratio r", ylabel="missed share of W_1, %", ylim=(-2, 102))
    right.set(xlabel="gamma")
    left.legend(loc="upper left")
    return figure


def show_readings(step: Sequence[int], panels: Mapping[str, Mapping[str, Tensor]], *, columns: int = 2) -> Figure:
    """Draw readings over training, one or two a panel: `(E, T)`, seeds thin and their median thick.

    The first of a panel is black, the second dashed in BEGAN's colour.
    """
    lines = -(-len(panels) // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(WIDTH, 0.4 + 1.9 * lines), sharex=True, squeeze=False)
    styles = ({"color": COLOURS["real"]}, {"color": COLOURS["BEGAN"], "linestyle": "--"})
    for axes, (title, readings) in zip(grid.flat, panels.items(), strict=False):
        for (name, values), style in zip(readings.items(), styles, strict=False):
            axes.plot(step, values.T, **style, linewidth=0.5, alpha=0.6)
            axes.plot(step, values.median(0).values, **style, linewidth=2, label=name)
        axes.set_title(title)
    grid[0, 0].legend()
    for axes in grid[-1]:
        axes.set_xlabel("training step")
    return figure


def show_quantiles(panels: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Draw Q-Q plots: standardised losses, `(N,)` each, against the quantiles of a normal distribution.

    Normal losses lie on the thin line. The first of a panel is black, the second hollow in BEGAN's colour.
    """
    figure, row = plt.subplots(1, len(panels), figsize=(WIDTH, 2.7), sharey=True, squeeze=False)
    for axes, (title, samples) in zip(row.flat, panels.items(), strict=True):
        axes.axline((0, 0), slope=1, color=COLOURS["real"], linewidth=0.8)
        colours = (COLOURS["real"], COLOURS["BEGAN"])
        for (name, losses), marker, colour in zip(samples.items(), (".", "o"), colours, strict=False):
            values = (losses - losses.mean()) / losses.std()
            quantiles = stats.norm.ppf((np.arange(len(losses)) + 0.5) / len(losses))
            style = {"color": colour, "markersize": 3, "markeredgewidth": 0.5, "linestyle": ""}
            axes.plot(quantiles, values.sort().values, marker, markerfacecolor="none", label=name, **style)
        axes.set(title=title, xlabel="normal quantile")
    row[0, 0].set_ylabel("loss, standardised")
    row[0, 0].legend(loc="upper left")
    return figure


def show_pushes(gap: Tensor, pushes: Mapping[str, Tensor]) -> Figure:
    """Draw how each player's step aims at W_1, from -1, straight down, to 1, straight up: `(R,)` each.

    `gap` is (m_2 - m_1) / m_1. Up to three players: crosses, small pluses, circles.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 2.9))
    styles = zip("x+o", (COLOURS["real"], "#777777", COLOURS["BEGAN"]), strict=True)
    for (name, cosine), (marker, colour) in zip(pushes.items(), styles, strict=False):
        axes.plot(gap, cosine, marker, color=colour, markerfacecolor="none", markersize=5, label=name)
    for line in (axes.axhline, axes.axvline):
        line(0, color="#999999", linewidth=0.8)
    axes.set(xlabel="(m_2 - m_1) / m_1", ylabel="lowers W_1           raises W_1", ylim=(-1.08, 1.08))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


class TradeOff(NamedTuple):
    """What a panel of a trade-off shows: rows of trials, rows of real pictures, and two measures with their labels.

    `down` turns the second axis round, where less is better.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]
    real: Sequence[Mapping[str, Any]]
    x: tuple[str, str]
    y: tuple[str, str]
    down: bool = False


def show_trade_offs(panels: Sequence[TradeOff]) -> Figure:
    """Draw diversity against quality, a point a run, a line through the medians of each gamma; a star is real."""
    figure, row = plt.subplots(1, len(panels), figsize=(WIDTH, 2.9), squeeze=False)
    colours = _gamma_colours(gamma for panel in panels for gamma in by_gamma(panel.rows))
    for axes, panel in zip(row.flat, panels, strict=True):
        _trade_off(axes, panel, colours)
    _gamma_legend(row[0, -1], colours)
    return figure


def show_gamma(gamma: float, blocks: Sequence[Tensor], panel: TradeOff, *, columns: int = 12) -> Figure:
    """Draw samples at one gamma, a row for each seed, and where its runs lie on the trade-off.

    Shape: `(B, C, H, W)` about [-1, 1] each, with B at least `columns`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.5), width_ratios=[1.75, 1])
    show_images(torch.cat([block[:columns] for block in blocks]), columns=columns, axes=left)
    left.set_title(f"gamma = {gamma:g}, a row for each seed")
    _trade_off(right, panel, _gamma_colours(by_gamma(panel.rows)), at=gamma)
    return figure


def _trade_off(axes: Axes, panel: TradeOff, colours: Mapping[float, Any], at: float | None = None) -> None:
    """Draw a panel; `at` is a gamma whose points stand out."""
    (x, x_label), (y, y_label) = panel.x, panel.y
    groups = by_gamma(panel.rows)
    medians = []
    for gamma, rows in groups.items():
        points = np.array([[row["final"][name] for name in (x, y)] for row in rows])
        look = {"color": colours[gamma], "alpha": 0.7 if at in (None, gamma) else 0.2}
        axes.plot(*points.T, "o", markersize=6 if gamma == at else 4, **look)
        medians.append(np.median(points, 0))
        if gamma == at:
            axes.annotate(f"{gamma:g}", medians[-1], xytext=(4, 5), textcoords="offset points", fontsize=8)
    axes.plot(*np.array(medians).T, color=COLOURS["BEGAN"], linewidth=1.8, alpha=1 if at is None else 0.4, zorder=0)
    axes.plot(*np.mean([[row["final"][name] for name in (x, y)] for row in panel.real], 0), "k*", markersize=9)
    axes.set(title=panel.title, xlabel=x_label, ylabel=y_label)
    if panel.down:
        axes.invert_yaxis()


def by_gamma(rows: Iterable[Mapping[str, Any]]) -> dict[float, list[Mapping[str, Any]]]:
    """Return the rows of trials by their gamma, the smallest first, each group by seed."""
    groups: dict[float, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["setting"]["gamma"], row["seed"])):
        groups.setdefault(row["setting"]["gamma"], []).append(row)
    return groups


def show_measures(
    names: Mapping[str, str], data: Mapping[str, tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]]
) -> Figure:
    """Draw measures against gamma, a panel each: seeds as dots, their median as a line, real pictures as a thin one.

    `names` maps measures to titles; `data` maps a data set to its rows of trials and of real pictures. The first data
    set is drawn in full, the second hollow and dashed; one that lacks a measure is left out of its panel.
    """
    lines = -(-len(names) // 3)
    figure, grid = plt.subplots(lines, 3, figsize=(WIDTH, 0.3 + 1.75 * lines), sharex=True, squeeze=False)
    for axes, (name, title) in zip(grid.flat, names.items(), strict=False):
        for place, (label, (rows, real)) in enumerate(data.items()):
            if name not in rows[0]["final"]:
                continue
            groups = by_gamma(rows)
            values = np.array([[row["final"][name] for row in group] for group in groups.values()])
            style = {"color": COLOURS["BEGAN"], "markerfacecolor": "none" if place else None}
            axes.plot(list(groups), values, "s" if place else "o", **style, markersize=3.5, alpha=0.6)
            dash = "--" if place else "-"
            axes.plot(list(groups), np.median(values, 1), dash, color=COLOURS["BEGAN"], linewidth=1.8, label=label)
            levels = [row["final"][name] for row in real if name in row["final"]]  # real pictures have no k
            if levels:
                axes.axhline(np.mean(levels), color=COLOURS["real"], linestyle=dash, linewidth=1)
        axes.set_title(title)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel("gamma")
    if len(data) > 1:
        handles = grid[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=len(data), fontsize=7)
    return figure


def show_courses(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str], steps: int) -> Figure:
    """Draw readings over the first `steps` of training, a panel each and a colour for each gamma.

    `names` maps readings to titles. Seeds are thin, their median is thick.
    """
    figure, row = plt.subplots(1, len(names), figsize=(WIDTH, 2.6), squeeze=False)
    groups = by_gamma(rows)
    colours = _gamma_colours(groups)
    for gamma, group in groups.items():
        colour = colours[gamma]
        for axes, (name, title) in zip(row.flat, names.items(), strict=True):
            step = [step for step in group[0]["readings"]["step"] if step <= steps]
            values = np.array([one["readings"][name][: len(step)] for one in group])
            axes.plot(step, values.T, color=colour, linewidth=0.5, alpha=0.5)
            axes.plot(step, np.median(values, 0), color=colour, linewidth=2)
            axes.set(title=title, xlabel="training step")
    _gamma_legend(row[0, -1], colours)
    return figure


def show_ratios(panels: Mapping[str, Mapping[float, Tensor]], steps: Sequence[int]) -> Figure:
    """Draw L(G(z)) / L(x) over the steps in a panel for each data set: gamma to runs `(E, T)`; gamma is dashed."""
    figure, row = plt.subplots(1, len(panels), figsize=(WIDTH, 2.7), sharey=True, squeeze=False)
    colours = _gamma_colours(gamma for runs in panels.values() for gamma in runs)
    for axes, (data, runs) in zip(row.flat, panels.items(), strict=True):
        for gamma, ratios in runs.items():
            colour = colours[gamma]
            axes.plot(steps, ratios.T, color=colour, linewidth=0.4, alpha=0.5)
            axes.plot(steps, ratios.median(0).values, color=colour, linewidth=1.8)
            axes.axhline(gamma, color=colour, linestyle="--", linewidth=1)
        axes.set(title=data, xlabel="training step", ylim=(0, 1.6))
    row[0, 0].set_ylabel("L(G(z)) / L(x)")
    _gamma_legend(row[0, -1], colours)
    return figure


def show_dither(k: Tensor, ratio: Tensor, answer: Tensor, *, window: int = 5) -> Figure:
    """Draw a k that was swung, what the ratio did, and the answer of the fitted plants: `(E, T)` each, means over E.

    The ratio is drawn as means over `window` steps.
    """
    figure, (weight, axes) = plt.subplots(2, 1, figsize=(WIDTH, 3.4), sharex=True, height_ratios=[1, 2])
    weight.plot(k.mean(0), color=COLOURS["BEGAN"])
    weight.set(ylabel="k", ylim=(0, None))
    count = ratio.shape[1] // window
    means = ratio[:, : count * window].reshape(len(ratio), count, window).mean((0, 2))
    axes.plot((torch.arange(count) + 0.5) * window, means, ".", color="#777777", markersize=4, label="recorded")
    axes.plot(answer.mean(0), color=COLOURS["BEGAN"], label="fitted plant")
    axes.set(xlabel="steps since the warm-up", ylabel="L(G(z)) / L(x)")
    axes.legend(fontsize=7)
    return figure


def show_loop(k: Sequence[float], ratio: Sequence[float], gamma: float, title: str) -> Figure:
    """Draw the ratio and k of a simulated loop over its steps; gamma is dashed."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.2))
    left.plot(ratio, color=COLOURS["BEGAN"], linewidth=1)
    left.axhline(gamma, color=COLOURS["real"], linestyle="--", linewidth=1)
    left.set(xlabel="step", ylabel="L(G(z)) / L(x)", ylim=(0, 2.5))
    right.plot(k, color=COLOURS["BEGAN"], linewidth=1)
    right.set(xlabel="step", ylabel="k", ylim=(-0.02, 0.62))
    figure.suptitle(title, fontsize=9)
    return figure


def show_predictions(panels: Mapping[str, tuple[Tensor, Mapping[str, Sequence[float]]]]) -> Figure:
    """Draw recorded k over the steps, `(E, T)`, in a panel each, with the curves that were predicted, by name.

    Seeds are thin lines, their median is thick.
    """
    figure, row = plt.subplots(1, len(panels), figsize=(WIDTH, 2.6), squeeze=False)
    lines = ("--", ":")
    for axes, (title, (recorded, predicted)) in zip(row.flat, panels.items(), strict=True):
        axes.plot(recorded.T, color=COLOURS["BEGAN"], linewidth=0.4, alpha=0.6)
        axes.plot(recorded.median(0).values, color=COLOURS["BEGAN"], linewidth=1.8, label="recorded")
        for (name, curve), line in zip(predicted.items(), lines, strict=False):
            axes.plot(curve, color=COLOURS["real"], linestyle=line, label=name)
        axes.set(title=title, xlabel="step", ylabel="k")
        axes.legend(fontsize=7)
    return figure


def show_stability(panels: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw what lambda does to k in a row for each data set: its standard deviation, and how often the clip holds it.

    A row has `lambda_k` `(L,)`, `std` and `clipped` `(L, E)` as recorded, `std_plant` and `clipped_plant` `(L,)` of the
    simulated loop, `bound`, the predicted largest stable lambda, dashed, and `threshold`, a share.
    """
    figure, grid = plt.subplots(len(panels), 2, figsize=(WIDTH, 2.2 * len(panels)), squeeze=False, sharex="row")
    for (std, clipped), (title, row) in zip(grid, panels.items(), strict=True):
        for axes, name in ((std, "std"), (clipped, "clipped")):
            axes.plot(row["lambda_k"], row[name], MARKERS["BEGAN"], color=COLOURS["BEGAN"], markersize=3, alpha=0.5)
            axes.plot(row["lambda_k"], np.median(row[name], 1), color=COLOURS["BEGAN"], label="recorded")
            axes.plot(row["lambda_k"], row[f"{name}_plant"], ":", color=COLOURS["real"], label="plant and noise")
            axes.axvline(row["bound"], color=COLOURS["real"], linestyle="--", linewidth=1, label="bound")
            axes.set(xscale="log", xlabel="lambda")
        clipped.axhline(row["threshold"], color="#999999", linewidth=0.8)
        std.set(ylabel="standard deviation of k", title=title, yscale="log")
        clipped.set(ylabel="share of steps at the clip", ylim=(-0.02, 1))
    grid[0, 0].legend(fontsize=7)
    return figure


def show_rules(rows: Mapping[str, Mapping[str, Sequence[float]]], gamma: float) -> Figure:
    """Draw the ratio at the end of runs, a panel a data set, a column of dots and their median a rule; gamma dashed."""
    figure, panels = plt.subplots(1, len(rows), figsize=(WIDTH, 2.8), sharey=True, squeeze=False)
    for axes, (data, rules) in zip(panels.flat, rows.items(), strict=True):
        for place, values in enumerate(rules.values()):
            axes.plot([place] * len(values), values, MARKERS["BEGAN"], color=COLOURS["BEGAN"], markersize=4, alpha=0.6)
            axes.plot([place - 0.3, place + 0.3], [np.median(values)] * 2, color=COLOURS["BEGAN"], linewidth=2)
        axes.axhline(gamma, color=COLOURS["real"], linestyle="--", linewidth=1)
        axes.set(title=data, xlim=(-0.6, len(rules) - 0.4))
        axes.set_xticks(range(len(rules)), list(rules), rotation=90)
    panels[0, 0].set_ylabel("L(G(z)) / L(x) at the end")
    return figure


def show_convergence(panels: Mapping[str, Mapping[float, tuple[Tensor, Tensor]]]) -> Figure:
    """Draw how far samples are from held-out pictures against M, a panel a data set: gamma to M and distance `(E, T)`.

    Lines follow the checkpoints of a run; a dot is its end. Both axes are logarithmic.
    """
    figure, row = plt.subplots(1, len(panels), figsize=(WIDTH, 3.0), squeeze=False)
    colours = _gamma_colours(gamma for runs in panels.values() for gamma in runs)
    for axes, (data, runs) in zip(row.flat, panels.items(), strict=True):
        for gamma, (M, distance) in runs.items():
            axes.plot(M.T, distance.T, color=colours[gamma], linewidth=0.5, alpha=0.6)
            axes.plot(M[:, -1], distance[:, -1], "o", color=colours[gamma], markersize=4)
        axes.set(title=data, xlabel="M", xscale="log", yscale="log")
    row[0, 0].set_ylabel("Frechet distance")
    _gamma_legend(row[0, -1], colours)
    return figure


def show_orders(curves: Mapping[str, tuple[Sequence[int], Mapping[str, Tensor]]]) -> Figure:
    """Draw measures over training for ways to order the updates: a panel a measure, its steps, and runs `(E, T)`.

    Seeds are thin lines, their median is thick.
    """
    figure, row = plt.subplots(1, len(curves), figsize=(WIDTH, 2.6), squeeze=False)
    ways = list(next(iter(curves.values()))[1])
    lines = dict(zip(ways, ("-", "--", ":"), strict=False))
    colours = dict(zip(ways, (COLOURS["BEGAN"], "#444444", "#999999"), strict=False))
    for axes, (measure, (steps, runs)) in zip(row.flat, curves.items(), strict=True):
        for way, values in runs.items():
            axes.plot(steps, values.T, color=colours[way], linestyle=lines[way], linewidth=0.4, alpha=0.6)
            axes.plot(steps, values.median(0).values, color=colours[way], linestyle=lines[way], label=way)
        axes.set(title=measure, xlabel="training step", ylim=(0, None))
    row[0, 0].legend(fontsize=7)
    return figure
