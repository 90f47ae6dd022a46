"""Which runs of the study of grain took off, what the theory says of them, and whether G draws what D finds easy."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from began.measure.structure import NOISE
from studies import runner
from studies.grain import GRAINS, NEAR, TOOK_OFF
from studies.statistics import BesideNull, interval
from studies.workers import Row


def load(group: str, **known: Any) -> list[Row]:
    """Return the committed rows of a group: map, margin, warm, other, launch, room, ladder, toy or null."""
    return runner.committed_rows("grain", group=group, **known)


def took_off(reading: Mapping[str, float]) -> bool:
    """Whether samples have most of the data's spread, and are nearer to the data than those of an untrained G."""
    return reading["spread"] >= TOOK_OFF and reading["reader_frechet"] < NEAR


# The map, and what was predicted of it


class Cell(NamedTuple):
    """How many of a cell's runs took off."""

    gamma: float
    grain: float
    took_off: int
    runs: int


def cells(rows: Sequence[Row]) -> list[Cell]:
    """Count the runs of a map by gamma and grain, in order."""
    groups: dict[tuple[float, float], list[bool]] = {}
    for row in rows:
        setting = row["setting"]
        groups.setdefault((setting["gamma"], setting["grain"]), []).append(took_off(row["final"]))
    return [Cell(*key, sum(found), len(found)) for key, found in sorted(groups.items())]


class Critical(NamedTuple):
    """The grain from which on runs at a gamma took off: the mean over seeds and its 95 % interval.

    Each seed's lies half-way between the last grain that failed and the next; `open` counts the seeds of which even the
    largest failed, or none did, and which have the end of the ladder instead.
    """

    gamma: float
    mean: float
    low: float
    high: float
    seeds: int
    open: int


def critical(rows: Sequence[Row]) -> list[Critical]:
    """Return the critical grain at each gamma that was tried with several grains."""
    ladders: dict[float, dict[int, list[tuple[float, bool]]]] = {}
    for row in rows:
        gamma, grain = row["setting"]["gamma"], row["setting"]["grain"]
        ladders.setdefault(gamma, {}).setdefault(row["seed"], []).append((grain, took_off(row["final"])))
    found = []
    for gamma, seeds in sorted(ladders.items()):
        ends, without = [], 0
        for ladder in seeds.values():
            failed = [grain for grain, took in sorted(ladder) if not took]
            above = [grain for grain, _ in sorted(ladder) if grain > max(failed, default=-1)]
            without += not failed or not above
            ends.append((max(failed) + above[0]) / 2 if failed and above else (above or failed)[0 if above else -1])
        if len({grain for ladder in seeds.values() for grain, _ in ladder}) > 2:
            found.append(Critical(gamma, *interval(ends), len(ends), without))
    return found


Prediction = Callable[[float], float]  # of a grain: the least gamma that leaves room


def predictions(room: Sequence[Row]) -> dict[str, Prediction]:
    """Return what each theory predicts, from D alone on rendered faces: the least gamma at a grain.

    - additive: `s / (s + sigma sqrt(2 / pi))`, s the loss of clean pictures without grain;
    - squares: `s / sqrt(s^2 + sigma^2 2 / pi)`, which is right for residuals that are normal;
    - folded: `E |m| / E |m + sigma xi|`, m the residuals of D trained with that grain, were they independent of the
      noise;
    - denoiser: `L(clean) / L(grainy)` under D trained with that grain, which assumes nothing;
    - copies: `L(copies) / L(grainy)`, the copies being what a second D, trained apart, makes of clean pictures.
    """
    by_grain = {
        grain: [row["found"] for row in room if row["setting"]["grain"] == grain]
        for grain in sorted({row["setting"]["grain"] for row in room})
    }
    ends = {
        grain: {name: float(np.mean([one[name][-1] for one in found])) for name in found[0]}
        for grain, found in by_grain.items()
    }
    grains, s = list(ends), ends[0.0]["clean"]

    def line(above: str, below: str) -> Prediction:
        ratios = [end[above] / end[below] for end in ends.values()]
        return lambda grain: float(np.interp(grain, grains, ratios))

    return {
        "additive": lambda grain: s / (s + NOISE * grain),
        "squares": lambda grain: s / (s**2 + (NOISE * grain) ** 2) ** 0.5,
        "folded": line("residual", "folded"),
        "denoiser": line("clean", "grainy"),
        "copies": line("copies_of_clean", "grainy"),
    }


def predicted_grain(prediction: Prediction, gamma: float) -> float:
    """Return the least grain at which a prediction leaves room for a gamma; nan beyond the grains that were tried."""
    fine = np.linspace(0, GRAINS[-1], 601)
    enough = [grain for grain in fine if prediction(grain) <= gamma]
    return float(enough[0]) if enough else float("nan")


def agreement(rows: Sequence[Row], prediction: Prediction) -> BesideNull:
    """Return the share of runs that took off exactly where a prediction leaves room.

    The null is the best that the runs allow of one least grain, or one least gamma, known afterwards.
    """
    by_seed: dict[int, list[bool]] = {}
    took = [took_off(row["final"]) for row in rows]
    for row, outcome in zip(rows, took, strict=True):
        room = row["setting"]["gamma"] >= prediction(row["setting"]["grain"])
        by_seed.setdefault(row["seed"], []).append(room == outcome)
    null = max(
        float(np.mean([(row["setting"][name] >= least) == outcome for row, outcome in zip(rows, took, strict=True)]))
        for name in ("grain", "gamma")
        for least in (*{row["setting"][name] for row in rows}, np.inf)
    )
    mean, low, high = interval([sum(found) / len(found) for found in by_seed.values()])
    return BesideNull(mean, max(low, 0.0), min(high, 1.0), null, null, null, len(by_seed))


def grain_found(room: Sequence[Row]) -> dict[float, tuple[float, float, float]]:
    """Return, for each grain that was added, what the law of squares makes of the losses with it and without.

    `sqrt(L^2 - L_0^2) / sqrt(2 / pi)`, seed by seed: the mean and its 95 % interval.
    """
    whole = {(row["setting"]["grain"], row["seed"]): row["found"]["grainy"][-1] for row in room}
    found: dict[float, list[float]] = {}
    for (grain, seed), loss in sorted(whole.items()):
        if grain and (0.0, seed) in whole:
            found.setdefault(grain, []).append(max(loss**2 - whole[0.0, seed] ** 2, 0.0) ** 0.5 / NOISE)
    return {grain: interval(values) for grain, values in found.items()}


def least_gamma(room: Sequence[Row]) -> tuple[float, float, float]:
    """Return `L(copies) / L(x)`, the least gamma that leaves room for copies: the mean and its 95 % interval."""
    return interval([row["found"]["copies_of_clean"][-1] / row["found"]["grainy"][-1] for row in room])


# From a run that took off, and back


def kept(rows: Sequence[Row], measure: str = "spread") -> dict[str, tuple[float, float, float]]:
    """Return a measure at the end of the trunk, of the way there and of the way back: means and 95 % intervals."""
    return {part: interval([row[part][measure][-1] for row in rows]) for part in ("trunk", "there", "back")}


# What D finds easy


def affinity_of(rows: Sequence[Row]) -> BesideNull:
    """Return the affinity of G for what D finds easy, each seed's over all its runs; the null has the losses shuffled.

    It is the rank correlation of mean L(x), by value of an attribute, with its share: below 0 G draws what is easy.
    """
    by_seed: dict[int, list[Row]] = {}
    for row in rows:
        by_seed.setdefault(row["seed"], []).append(row["easy"])
    ours, null = (
        [float(np.mean([easy[name] for easy in of])) for _, of in sorted(by_seed.items())]
        for name in ("correlation", "null")
    )
    return BesideNull(*interval(ours), *interval(null), len(ours))


def one_setting(rows: Sequence[Row], **known: float) -> list[Row]:
    """Return the rows whose setting has these values and nothing else, by seed."""
    return sorted((row for row in rows if row["setting"] == known), key=lambda row: row["seed"])
