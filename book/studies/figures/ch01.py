"""The figures of chapter 1."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from began.runs.results import windows
from began.step import Record
from studies.style import COLOURS, MARKERS, WIDTH, gamma_colours, seeds

REAL, FAKE = r"$\mathcal{L}(x)$", r"$\mathcal{L}(G(z))$"
RATIO = f"{FAKE} / {REAL}"


def show_gammas(histories: Mapping[float, Sequence[Record]], spreads: Mapping[float, Sequence[float]]) -> Figure:
    """Draw, for each gamma and several seeds, L(G(z)) / L(x) over the steps and how much the samples differ.

    Seeds are thin lines and dots, their median a thick line and a bar; gamma is dashed. Records hold one entry a step.
    """
    figure, (ratio, spread) = plt.subplots(1, 2, figsize=(WIDTH, 2.8), width_ratios=[2, 1])
    colours = gamma_colours(histories)
    for place, (gamma, runs) in enumerate(histories.items()):
        colour = colours[gamma]
        steps = windows(runs[0], 10)[0]
        curves = [windows(run, 10)[1] for run in runs]
        ratios = torch.stack([curve.loss_fake / curve.loss_real for curve in curves])
        seeds(ratio, steps, ratios, color=colour, label=f"$\\gamma = {gamma}$")
        ratio.axhline(gamma, color=colour, linestyle="--", linewidth=1)
        values = torch.tensor(spreads[gamma])
        spread.plot([place] * len(values), values, "o", color=colour, markersize=4, alpha=0.7)
        spread.plot([place - 0.25, place + 0.25], [values.median()] * 2, color=colour, linewidth=2)
    ratio.set(xlabel="training step", ylabel=RATIO, ylim=(0, 1.4))
    ratio.legend(fontsize=8, ncols=3, loc="upper center")
    spread.set(xlabel="$\\gamma$", ylabel="pixel std over samples", ylim=(0, None))
    spread.set_xticks(range(len(spreads)), [str(gamma) for gamma in spreads])
    return figure


def show_histories(runs: Mapping[str, tuple[Tensor, Record, float]]) -> Figure:
    """Draw L(x) and L(G(z)), their ratio, k and M over the steps, of runs by model name.

    Each run is `(step, history, gamma)`, the first two columns of equal length, as `runs.windows` returns them.
    L(G(z)) is dotted; gamma is dashed beside the ratio.
    """
    figure, grid = plt.subplots(2, 2, figsize=(WIDTH, 4.0), sharex=True)
    losses, ratio, k, M = grid.flat
    for name, (step, history, gamma) in runs.items():
        line = {"color": COLOURS.get(name), "marker": MARKERS.get(name), "markevery": 0.2, "markersize": 4}
        losses.plot(step, history.loss_real, **line, label=f"{REAL}, {name}")
        losses.plot(step, history.loss_fake, **line, linestyle=":", label=f"{FAKE}, {name}")
        ratio.plot(step, history.loss_fake / history.loss_real, **line, label=name)
        ratio.axhline(gamma, color=COLOURS.get(name), linestyle="--", linewidth=1, label=f"$\\gamma$, {name}")
        k.plot(step, history.k, **line)
        M.plot(step, history.M, **line)
    for axes, title in (
        (losses, "reconstruction losses"),
        (ratio, RATIO),
        (k, "weight $k$"),
        (M, "convergence measure $M$"),
    ):
        axes.set_title(title)
        axes.set_ylim(bottom=0)
    losses.legend(fontsize=8)
    ratio.legend(fontsize=8)
    for axes in grid[1]:
        axes.set_xlabel("training step")
    return figure
