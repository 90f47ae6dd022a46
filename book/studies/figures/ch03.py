"""The figures of chapter 3."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

from began.measure.wasserstein import bound, crossing, gaussian_w1, w1
from studies.style import COLOURS, DATA, WIDTH, close_grid, seeds


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
        for label, F, sample, line in (("$F_1$", F_1, first, "-"), ("$F_2$", F_2, second, "--")):
            colour = COLOURS["real" if sample is first else "BEGAN"]
            axes.plot(t, F, line, color=colour, drawstyle="steps-post", label=label)
            axes.plot(sample.mean(), 0, "|", color=colour, markersize=18, markeredgewidth=2)
        numbers = f"$W_1$ = {w1(first, second):.3f}, bound {bound(first, second):.3f}"
        axes.set_title(f"{name}\n{numbers}\nmissed: {crossing(first, second):.1%}")
    row[0, 0].set(ylabel="share of losses at most $t$", ylim=(0, 1.02))
    row[0, 0].legend(loc="lower right")
    for axes in row.flat:
        axes.set_xlabel("loss $t$")
    return figure


def show_misses(points: Mapping[str, tuple[Tensor, Tensor]], by_gamma: Mapping[str, Mapping[float, Tensor]]) -> Figure:
    """Draw the share of W_1 that the bound misses against the spread ratio, and against gamma, by data set.

    `points` has the ratios and the shares of all readings, `(R,)` each, ratios beyond the axis at its end; the line is
    that of Gaussians. `by_gamma` has a share a seed, `(E,)`, drawn as points about their median.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.6), sharey=True)
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
    left.set(xscale="log", xlabel="spread ratio $r$", ylabel="missed share of $W_1$, %", ylim=(-2, 102))
    right.set(xlabel=r"$\gamma$")
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
            seeds(axes, step, values, **style, label=name)
        axes.set_title(title)
    grid[0, 0].legend()
    close_grid(grid, len(panels), "training step")
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
        line(0, color="#8c8c8c", linewidth=0.8)
    axes.set(xlabel="$(m_2 - m_1) / m_1$", ylabel="lowers $W_1$          raises $W_1$", ylim=(-1.08, 1.08))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
