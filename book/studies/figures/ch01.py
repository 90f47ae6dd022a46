"""The figures of chapter 1."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor

from began.step import Record
from studies.style import COLOURS, MARKERS, WIDTH, show_images, show_rows

REAL, FAKE = r"$\mathcal{L}(x)$", r"$\mathcal{L}(G(z))$"
RATIO = f"{FAKE} / {REAL}"
WAY = {"arrowstyle": "-|>", "color": "#444444", "shrinkA": 0, "shrinkB": 0}
BLUE, ORANGE, GREY = COLOURS["BEGAN"], COLOURS["BEGAN-CS"], "#777777"


# The game


def show_game() -> Figure:
    """Draw who hands what to whom: noise to G, pictures to D, D's errors to both players and to the controller."""
    figure, axes = plt.subplots(figsize=(WIDTH, 2.5))
    axes.set(xlim=(0, 100), ylim=(0, 40))
    axes.set_axis_off()
    _box(axes, 14, 6, 10, 8, "$G$", ORANGE)
    _box(axes, 44, 14, 34, 14, "", BLUE)
    axes.text(61, 29.5, "$D$, an autoencoder", ha="center", color=BLUE)
    _box(axes, 46, 17, 10, 8, "Enc", BLUE)
    _box(axes, 66, 17, 10, 8, "Dec", BLUE)
    _box(axes, 86, 17, 13, 8, "controller", GREY)
    for x, y, text in ((3, 10, "$z$"), (33, 10, "$G(z)$"), (20, 32, "$x$ and grain"), (61, 21, "code $h$")):
        axes.text(x, y, text, ha="center", va="center", fontsize=8 if "code" in text else 10)
    for (x, y), end in (
        ((5, 10), (14, 10)),
        ((24, 10), (28, 10)),
        ((38, 12), (44, 18)),
        ((29, 31), (44, 24)),
        ((56, 21), (57.5, 21)),
        ((64.5, 21), (66, 21)),
        ((78, 21), (86, 21)),
    ):
        axes.annotate("", end, (x, y), arrowprops=WAY)
    axes.text(82, 23, "losses", ha="center", fontsize=8)
    back = {**WAY, "linestyle": "--"}
    axes.annotate("", (70, 28), (92, 25), arrowprops={**back, "connectionstyle": "arc3,rad=0.45"})
    axes.text(86, 35, "$k_t$: how much $D$ spoils\nits copies of $G(z)$", ha="center", fontsize=8)
    axes.annotate("", (19, 6), (61, 14), arrowprops={**back, "connectionstyle": "arc3,rad=-0.3"})
    axes.text(47, 1, r"$G$ hears only how badly $G(z)$ was copied, $\mathcal{L}(G(z))$", ha="center", fontsize=8)
    return figure


def _box(axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str) -> None:
    style = {"boxstyle": "round,pad=0,rounding_size=1.5", "facecolor": "white", "edgecolor": colour, "linewidth": 1.4}
    axes.add_patch(FancyBboxPatch((x, y), width, height, **style))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", color=colour)


def show_copies(pictures: Mapping[str, Tensor], copies: Tensor, losses: Sequence[float]) -> Figure:
    """Draw pictures `(C, S, S)` about [-1, 1] by name, below each what D made of it, `(B, C, S, S)`, and its loss."""
    figure, grid = plt.subplots(2, len(pictures), figsize=(WIDTH, 2 * WIDTH / len(pictures) + 0.35))
    for column, copy, loss, (name, picture) in zip(grid.T, copies, losses, pictures.items(), strict=True):
        for axes, image, title in zip(column, (picture, copy), (name, f"{loss:.3f}"), strict=True):
            show_images(image[None], columns=1, axes=axes, title=title)
            axes.title.set_fontsize(8)
    return figure


# A run


def show_growth(samples: Mapping[int, Tensor]) -> Figure:
    """Draw what the same noise became at some steps of a run: a row a step, `(B, C, S, S)` about [-1, 1]."""
    rows = {f"step {step}" if step else "untrained": pictures for step, pictures in samples.items()}
    return show_rows(rows, columns=len(next(iter(samples.values()))))


def show_curves(step: Tensor, run: Record, spread: Tensor, gamma: Tensor, change: int) -> Figure:
    """Draw the losses, their ratio, k, M and the samples' spread `(T,)` of a run; at step `change` gamma changed.

    `gamma` `(T,)` is dashed beside the ratio; a grey line marks the change.
    """
    figure, grid = plt.subplots(2, 2, figsize=(WIDTH, 3.6), sharex=True)
    losses, ratio, measures, spreads = grid.flat
    losses.plot(step, run.loss_real, color=COLOURS["real"], label=REAL)
    losses.plot(step, run.loss_fake, color=BLUE, linestyle=":", label=FAKE)
    losses.plot(step, run.M, color=GREY, linestyle="-.", label="$M$")
    ratio.plot(step, run.loss_fake / run.loss_real, color=BLUE)
    ratio.plot(step, gamma, color=BLUE, linestyle="--", linewidth=1, label=r"$\gamma$")
    measures.plot(step, run.k, color=BLUE)
    spreads.plot(step, spread, color=BLUE)
    titles = ("losses", RATIO, "$k$", "spread of the samples")
    for axes, title in zip(grid.flat, titles, strict=True):
        axes.set(title=title, ylim=(0, None))
        axes.axvline(change, color=GREY, linewidth=0.8)
    for axes in grid[1]:
        axes.set_xlabel("training step")
    losses.legend(fontsize=8, ncols=3)
    ratio.legend(fontsize=8)
    return figure


def show_film(step: int, pictures: Tensor, runs: Mapping[str, tuple[Tensor, Record, float]]) -> Figure:
    """Draw samples `(B, C, S, S)` about [-1, 1] at a step, below the ratio, k and M of runs with that step marked.

    Each run is `(step, history, gamma)`, the first two columns of equal length, as `runs.windows` returns them; gamma
    is dashed beside the ratio.
    """
    columns = 8
    faces = WIDTH * -(-len(pictures) // columns) / columns
    figure = plt.figure(figsize=(WIDTH, faces + 2.0))
    grid = figure.add_gridspec(2, 3, height_ratios=[1.5, faces])
    panels = [figure.add_subplot(grid[0, column]) for column in range(3)]
    below = figure.add_subplot(grid[1, :])
    for name, (steps, history, gamma) in runs.items():
        line: dict[str, Any] = {"color": COLOURS[name], "marker": MARKERS[name], "markevery": 0.2, "markersize": 3}
        for axes, values in zip(panels, (history.loss_fake / history.loss_real, history.k, history.M), strict=True):
            axes.plot(steps, values, **line, label=name)
        panels[0].axhline(gamma, color=COLOURS[name], linestyle="--", linewidth=1)
    for axes, title in zip(panels, (RATIO, "$k$", "$M$"), strict=True):
        axes.set(title=title, xlabel="training step", ylim=(0, None))
        axes.axvline(step, color="black", linewidth=1)
        axes.tick_params(labelsize=7)
    panels[1].legend(fontsize=7)
    show_images(pictures, columns=columns, axes=below)
    return figure


# Gamma


def show_dial(cells: Mapping[float, Sequence[float]], null: Sequence[float]) -> Figure:
    """Draw the share of cells that samples reach, by gamma: a dot a seed, a bar the median; grey is an untrained G."""
    figure, axes = plt.subplots(figsize=(WIDTH * 0.7, 2.4))
    axes.axhspan(min(null), max(null), color="#dddddd", label="untrained $G$")
    for place, values in enumerate(cells.values()):
        axes.plot([place] * len(values), values, "o", color=BLUE, markersize=4, alpha=0.7)
        axes.plot([place - 0.25, place + 0.25], [torch.tensor(values).median()] * 2, color=BLUE, linewidth=2)
    axes.set_xticks(range(len(cells)), [f"{gamma:g}" for gamma in cells])
    axes.set(xlabel=r"$\gamma$", ylabel="cells reached", ylim=(0, 1.05))
    axes.legend(fontsize=8, loc="lower right")
    return figure


# The networks


def show_networks(encoder: Sequence[tuple[int, int]], decoder: Sequence[tuple[int, int]], code: int) -> Figure:
    """Draw the levels `(resolution, filters)` of D as boxes, as high as the picture is and as wide as filters are many.

    Arrows over the decoder are the skip connections of BEGAN 3.6.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 2.6))
    most = max(filters for _, filters in encoder)
    x, gap, places = 0.0, 2.5, []
    for resolution, filters in [*encoder, (0, code), *decoder]:
        width, height = 2 + 6 * filters / most, 4 * max(resolution, 2) ** 0.5
        colour = GREY if not resolution else BLUE
        axes.add_patch(Rectangle((x, -height / 2), width, height, facecolor="white", edgecolor=colour, linewidth=1.4))
        size = f"{resolution}x{resolution}" if resolution else "$h$"
        axes.text(x + width / 2, height / 2 + 1.2, size, ha="center", va="bottom", fontsize=7)
        axes.text(x + width / 2, -height / 2 - 1.2, str(filters), ha="center", va="top", fontsize=7, color=colour)
        places.append((x + width / 2, height))
        x += width + gap
    base, *later = places[len(encoder) + 1 :]
    for place, height in later:
        axes.annotate(
            "",
            (place, -height / 2 - 5),
            (base[0], -base[1] / 2 - 5),
            arrowprops={**WAY, "linestyle": "--", "connectionstyle": "arc3,rad=0.25", "color": ORANGE},
        )
    axes.text(places[len(encoder) // 2][0], 25, "encoder: filters grow linearly", ha="center", fontsize=8, color=BLUE)
    axes.text(places[-2][0] - 4, 25, "decoder, and $G$: always $n$", ha="center", fontsize=8, color=BLUE)
    axes.text(places[-2][0] - 4, -28, "skip connections (an option)", ha="center", fontsize=8, color=ORANGE)
    axes.set(xlim=(-1, x), ylim=(-31, 28))
    axes.set_axis_off()
    return figure
