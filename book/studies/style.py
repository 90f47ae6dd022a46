"""The one style of the book, how figures come onto its pages, and one function a kind of figure."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image as Picture
from torch import Tensor
from torchvision.utils import make_grid

from began.images.pixels import to_pixels

WIDTH = 6.5  # inches
LARGEST = 300_000  # bytes of a drawing in lines; a larger one is kept as a picture
# Okabe and Ito's palette, told apart by readers of every colour vision, its pale ones darkened to a contrast of 3 on
# white; a model keeps its colour.
COLOURS = {
    "real": "#000000",
    "GAN": "#C77C02",
    "WGAN-GP": "#2A97D8",
    "EBGAN": "#009E73",
    "VEEGAN": "#C266A0",
    "BEGAN": "#0072B2",
    "BEGAN-CS": "#D55E00",
}
MARKERS = {"BEGAN": "o", "BEGAN-CS": "s", "GAN": "x", "WGAN-GP": "^", "EBGAN": "v", "VEEGAN": "D"}  # repeat the colour
STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "svg.hashsalt": "began",  # the same drawing is the same text
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


def show(number: str, caption: str, figure: Figure | None = None) -> None:
    """Show a figure, the current one if None, above 'Figure `number`. `caption`', which is Markdown, and close it.

    It is a PNG at twice the screen's resolution and, where it is lines of at most `LARGEST` bytes, SVG as well: pages
    take that, notebooks that nobody has run yet may not. What it looks like stands in its cell's metadata, for readers
    who don't see it.
    """
    figure = figure or plt.gcf()
    photographic = any(axes.images for axes in figure.axes)
    picture = {"image/png": base64.b64encode(png(figure, 2 * 96, all_colours=photographic)).decode()}
    if not photographic:
        lines = _drawn(figure, "svg", metadata={"Date": None, "Creator": None})
        if len(lines) <= LARGEST:
            picture["image/svg+xml"] = lines.decode()
    width = round(figure.get_figwidth() * 96)
    plt.close(figure)
    bundle = {**picture, "text/plain": f"<Figure {number}>"}
    display(bundle, metadata={"image/png": {"width": width}}, raw=True)
    show_caption(number, caption)


def png(figure: Figure, dpi: float, *, all_colours: bool = False) -> bytes:
    """Return a figure as a picture; of 256 colours, a third of its size and enough for a plot, unless `all_colours`."""
    drawn = _drawn(figure, "png", dpi=dpi, metadata={"Software": None})
    if all_colours:
        return drawn
    with Picture.open(io.BytesIO(drawn)) as picture, io.BytesIO() as small:
        few = picture.convert("RGB").quantize(256, Picture.Quantize.FASTOCTREE, dither=Picture.Dither.NONE)
        few.save(small, format="png", optimize=True)
        return small.getvalue()


def _drawn(figure: Figure, kind: str, **options: Any) -> bytes:
    with io.BytesIO() as file:
        figure.savefig(file, format=kind, **options)
        return file.getvalue()


def show_caption(number: str, caption: str) -> None:
    """Show 'Figure `number`. `caption`', which is Markdown: below a slider that was just shown."""
    text = f"**Figure {number}.** {caption}"
    display({"text/markdown": text, "text/plain": text}, raw=True)


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


def close_grid(grid: np.ndarray, count: int, xlabel: str) -> None:
    """Hide what is left of a grid after `count` axes; the lowest of each column bears its numbers and the label."""
    for place, axes in enumerate(grid.flat):
        if place >= count:
            axes.set_axis_off()
        elif place + grid.shape[1] >= count:
            axes.set_xlabel(xlabel)
            axes.tick_params(labelbottom=True)


def gamma_colours(gammas: Iterable[float]) -> dict[float, Any]:
    """Return a colour for each gamma, darker where it is lower."""
    known = sorted(set(gammas))
    return {gamma: plt.get_cmap("viridis")(0.6 * i / max(len(known) - 1, 1)) for i, gamma in enumerate(known)}


def gamma_legend(axes: Axes, colours: Mapping[float, Any]) -> None:
    """Name the gammas on the right of the last panel, also those that this panel has not."""
    lines = [Line2D([], [], color=colour, linewidth=2, label=f"{gamma:g}") for gamma, colour in colours.items()]
    axes.legend(handles=lines, title=r"$\gamma$", fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


def line_of(name: str) -> dict[str, Any]:
    """Return the line that stands for a method: a variant, 'GAN, minimax', is dashed in its model's colour."""
    model, *variant = name.split(", ")
    return {
        "color": COLOURS.get(model, "#777777"),
        "linestyle": "--" if variant else "-",
        "marker": MARKERS.get(model, "."),
        "markersize": 4,
    }


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


THIN: dict[str, Any] = {"linewidth": 0.5, "alpha": 0.6}  # a seed
THICK: dict[str, Any] = {"linewidth": 2}  # the median of all


def seeds(axes: Axes, x: Any, values: Any, **line: Any) -> None:
    """Draw runs `(E, T)` over x `(T,)`, each thin and their median thick, without what is not a number."""
    values = torch.as_tensor(values, dtype=torch.float64)
    axes.plot(x, values.T, **{name: line[name] for name in ("color", "linestyle") if name in line}, **THIN)
    axes.plot(x, values.nanquantile(0.5, dim=0), **line, **THICK)


DATA = {"faces": ("o", COLOURS["BEGAN"]), "photographs": ("^", "none")}  # a marker and its face, of BEGAN's runs


def show_orders(curves: Mapping[str, tuple[Sequence[int], Mapping[str, Tensor]]]) -> Figure:
    """Draw measures over training for ways to order the updates: a panel a measure, its steps, and runs `(E, T)`.

    Seeds are thin lines, their median is thick.
    """
    figure, row = plt.subplots(1, len(curves), figsize=(WIDTH, 2.6), squeeze=False)
    ways = list(next(iter(curves.values()))[1])
    lines = dict(zip(ways, ("-", "--", ":"), strict=False))
    colours = dict(zip(ways, (COLOURS["BEGAN"], "#444444", "#8c8c8c"), strict=False))
    for axes, (measure, (steps, runs)) in zip(row.flat, curves.items(), strict=True):
        for way, values in runs.items():
            seeds(axes, steps, values, color=colours[way], linestyle=lines[way], label=way)
        axes.set(title=measure, xlabel="training step", ylim=(0, None))
    row[0, 0].legend(fontsize=8)
    return figure
