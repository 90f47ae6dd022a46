"""The one style of the book, and one function a kind of figure."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid

from began.datasets import to_pixels
from began.training import Record

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
DASHES = {"BEGAN": "-", "BEGAN-CS": "--", "WGAN-GP": "-.", "EBGAN": ":", "VEEGAN": (0, (5, 1, 1, 1, 1, 1))}
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
    axes.imshow(grid.permute(1, 2, 0), interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title)


def show_histories(runs: Mapping[str, tuple[Tensor, Record]], gamma: float) -> Figure:
    """Draw L(x) and L(G(z)), their ratio, k and M over the steps, of runs by model name.

    Each run is `(step, history)`, columns of equal length, as `artifacts.windows` returns them. The dashed line beside
    the ratio is gamma; L(G(z)) is the paler line.
    """
    figure, grid = plt.subplots(2, 2, figsize=(WIDTH, 4.0), sharex=True)
    losses, ratio, k, M = grid.flat
    for name, (step, history) in runs.items():
        line = {"color": COLOURS.get(name), "linestyle": DASHES.get(name, "-")}
        losses.plot(step, history.loss_real, **line, label=f"L(x), {name}")
        losses.plot(step, history.loss_fake, **line, alpha=0.5, label=f"L(G(z)), {name}")
        ratio.plot(step, history.loss_fake / history.loss_real, **line, label=name)
        k.plot(step, history.k, **line, label=name)
        M.plot(step, history.M, **line, label=name)
    ratio.axhline(gamma, color="0.3", linestyle="--", linewidth=1, label="gamma")
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
