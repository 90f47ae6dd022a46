"""What chapter 1 reads from its runs and from stored ones: the columns of its tables."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from began import Run, TrainConfig
from began.networks import Decoder, Encoder, Layer
from began.passes import Began
from began.step import Record
from studies import claims, takeoff
from studies.statistics import by_gamma
from studies.tables import over_seeds

LAST = 100  # steps over which the end of a part of a run is averaged
REAL, FAKE = r"$\mathcal{L}(x)$", r"$\mathcal{L}(G(z))$"
STEP = [REAL, FAKE, r"$\mathcal{L}_D$", "next $k$", "$M$"]  # what a step computes
GRAIN = 0.15  # of the stored runs at several gammas
TOLD = {
    "cells": "cells reached",
    "entropy": "entropy",
    "spread": "spread",
    "sharpness": "sharpness",
    "frechet": "Frechet distance",
}


def parts(run: Record, spread: Tensor, change: int) -> dict[str, list]:
    """Return what a run, and its samples' spread, were like at its first step, before step `change`, and at its end."""
    columns: dict[str, list] = {"": [REAL, FAKE, "their ratio", "$k$", "$M$", "spread of the samples"]}
    ends = {"first step": slice(0, 1), f"step {change}": slice(change - LAST, change), "end": slice(-LAST, None)}
    for title, when in ends.items():
        real, fake, _, k, M = (column[when].mean().item() for column in run)
        columns[title] = [real, fake, fake / real, k, M, spread[when][-1].item()]
    return columns


def artifacts(runs: Mapping[str, Run]) -> dict[str, list]:
    """Return, a column a run, with which settings stored runs were trained and what came out; and of an untrained G."""
    first = ["$\\gamma$", "grain", "$\\lambda$", "batch", "steps", "minutes", "last ratio", "last $k$"]
    columns: dict[str, list] = {"": [*first, *TOLD.values()]}
    for name, run in runs.items():
        config, record, metrics = run.config, run.record, run.record["metrics"]
        settings = [config.gamma, config.grain, config.lambda_k, config.batch]
        settings += [record["steps"], round(record["seconds"] / 60)]
        columns[name] = [f"{value:g}" for value in settings] + [f"{metrics['ratio']:.2f}", f"{metrics['k']:.3f}"]
        columns[name] += [f"{metrics[name]:.2f}" for name in TOLD]
    untrained = next(iter(runs.values())).record["untrained"]
    columns["untrained"] = [""] * len(first) + [f"{untrained[name]:.2f}" for name in TOLD]
    return columns


def cells_by_gamma() -> dict[float, list[float]]:
    """Return the share of cells that samples reach, of five stored runs at each gamma with the same grain."""
    rows = [row for row in takeoff.load("map") if row["setting"]["grain"] == GRAIN]
    return {gamma: [row["final"]["cells"] for row in runs] for gamma, runs in by_gamma(rows).items()}


def untrained_cells() -> list[float]:
    """Return the same of generators that nobody trained."""
    return [row["final"]["cells"] for row in takeoff.load("null", model="untrained")]


def dial(cells: Mapping[float, Sequence[float]], null: Sequence[float]) -> dict[str, list]:
    """Return the numbers of that figure: median [least, greatest] over seeds."""
    groups = [*cells.values(), null]
    return {
        r"$\gamma$": [*(f"{gamma:g}" for gamma in cells), "untrained $G$"],
        "cells reached": [over_seeds(torch.tensor(values)) for values in groups],
    }


def levels(config: TrainConfig) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return resolution and filters at each level of a config's encoder, and of its decoder, in order."""
    encoder = Encoder(config.size, config.channels, config.n, config.n_z)
    decoder = Decoder(config.size, config.channels, config.n, config.n_z)
    filters = [
        [layer.conv.out_channels for layer in part.seconds if isinstance(layer, Layer)] for part in (encoder, decoder)
    ]
    resolutions = [config.size // 2**place for place in range(len(filters[0]))]
    return list(zip(resolutions, filters[0], strict=True)), list(zip(resolutions[::-1], filters[1], strict=True))


def sizes(configs: Sequence[TrainConfig]) -> dict[str, list]:
    """Return how many numbers G and D of some configs learn, in thousands."""
    models = [Began(config) for config in configs]
    return {
        "size": [config.size for config in configs],
        "$n$": [config.n for config in configs],
        "$G$, thousands": [_count(model.generator) for model in models],
        "$D$, thousands": [_count(model.discriminator) for model in models],
    }


def _count(network: torch.nn.Module) -> float:
    return sum(weights.numel() for weights in network.parameters()) / 1000


def verdicts(words: Mapping[str, str]) -> dict[str, list]:
    """Return what became of some claims by their number, each in words here, and where in the book it is measured."""
    entries = claims.load_claims()
    found = claims.verdicts(entries)
    return {
        "claim": [f"{said} ({name})" for name, said in words.items()],
        "measured in chapter": [
            ", ".join(map(str, sorted({entry.chapter for entry in entries if entry.claim.claim == name})))
            for name in words
        ],
        "verdict there": [found[name] for name in words],
    }
