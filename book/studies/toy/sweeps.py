"""Sweeps on the toy: settings and seeds of a method, trained side by side, and their scores."""

import itertools
import json
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch

from began.errors import BeganError
from studies.toy.ensemble import Ensemble, Method, stacked
from studies.toy.methods import METHODS
from studies.toy.mixtures import PROBLEMS, SAMPLES, density_ratio, score, wasserstein
from studies.workers import Row, Workers

Setting = Mapping[str, float]
MEMBERS = 16  # runs in an ensemble: more of them no longer fit a core's cache
SCORES = ("modes", "high_quality", "reverse_kl", "w1")


def settings(
    method: type[Method], count: int, choices: Mapping[str, Sequence[float]] | None = None, seed: int = 0
) -> list[dict[str, float]]:
    """Return up to `count` different settings of a method: the defaults first, then draws from its knobs' choices.

    `choices` stands in for those that the knobs name, and may be of knobs that other methods have.
    """
    knobs, rng = method.all_knobs(), random.Random(seed)
    given = choices or {name: knob.choices for name, knob in knobs.items() if len(knob.choices) > 1}
    found: list[dict[str, float]] = [{}]
    for _ in range(100 * count):
        setting = {name: rng.choice(values) for name, values in given.items() if name in knobs}
        defaults = all(value == knobs[name].default for name, value in setting.items())
        if len(found) < count and setting not in found and not defaults:
            found.append(setting)
    return found


def combinations(values: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Return all settings that take one of the values given for each knob."""
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


class Job(NamedTuple):
    """Runs that are trained as one ensemble: a method, a problem, how many steps, and each run's setting and seed."""

    method: str
    problem: str
    steps: int
    runs: tuple[tuple[dict[str, float], int], ...]

    @property
    def work(self) -> int:
        """The run-steps in it."""
        return self.steps * len(self.runs)


def jobs(method: str, problem: str, steps: int, runs: Iterable[tuple[Setting, int]], members: int) -> list[Job]:
    """Share out runs, each a setting and a seed, over ensembles of at most `members`, alike in whole-number knobs.

    Raises ValueError for an unknown method or problem, a knob that the method has not, and `steps` below 1.
    """
    for kind, value, known in (("method", method, METHODS), ("problem", problem, PROBLEMS)):
        if value not in known:
            raise BeganError(f"{kind} must be one of {', '.join(known)}, got {value!r}")
    if steps < 1:
        raise BeganError(f"steps must be at least 1, got {steps}")
    if members < 1:
        raise BeganError(f"members must be at least 1, got {members}")
    knobs = METHODS[method].all_knobs()
    groups: dict[tuple[float, ...], list[tuple[dict[str, float], int]]] = {}
    for setting, seed in runs:
        stacked(knobs, [setting], "cpu")  # refuses what can't be run
        whole = tuple(setting.get(name, knob.default) for name, knob in knobs.items() if isinstance(knob.default, int))
        groups.setdefault(whole, []).append((dict(setting), seed))
    return [
        Job(method, problem, steps, tuple(group[first : first + members]))
        for group in groups.values()
        for first in range(0, len(group), members)
    ]


def members(runs: int, workers: Workers) -> int:
    """Return how many of so many runs to train as one ensemble, so that each worker has some."""
    share = max(1, math.ceil(runs / workers.count))
    return min(share, MEMBERS) if workers.device.type == "cpu" else share


def train_job(
    job: Job, device: torch.device | str = "cpu", advance: Callable[[int], object] = lambda _: None
) -> list[Row]:
    """Train the runs of a job and return a row for each.

    A row holds the job, setting and seed, the scores of `toy.Scores`, exact W_1 (inf after a blow-up), the least
    p / p_g over the modes found, and what the method reads off itself at the end, such as k. `advance` is told of
    run-steps.
    """
    mixture = PROBLEMS[job.problem]
    given, seeds = zip(*job.runs, strict=True)
    ensemble = Ensemble(METHODS[job.method], mixture, given, seeds, job.steps, device)
    while ensemble.done < job.steps:
        stride = min(100, job.steps - ensemble.done)
        ensemble.run(stride)
        advance(stride * len(job.runs))
    common = {"method": job.method, "problem": job.problem, "steps": job.steps}
    return [
        {**common, "seed": seed, "setting": setting, **scores}
        for (setting, seed), scores in zip(job.runs, scored(ensemble), strict=True)
    ]


def scored(ensemble: Ensemble) -> list[dict[str, float]]:
    """Return the scores of each run, and what its method noted of an ensemble, from `SAMPLES` samples each."""
    mixture, samples = ensemble.mixture, ensemble.samples()
    scores, ratio = score(samples, mixture), density_ratio(samples, mixture)
    real = mixture.sample(SAMPLES, seed=1)
    rows = []
    for e, points in enumerate(samples):
        row = {name: values[e].item() for name, values in vars(scores).items()}
        row["w1"] = wasserstein(points, real)
        row["density_ratio"] = ratio[e].item()
        row |= {name: values[e].item() for name, values in ensemble.method.noted.items()}
        rows.append({key: float(f"{value:.5g}") for key, value in row.items()})
    return rows


def merit(rows: Iterable[Row]) -> float:
    """Return what a setting is chosen by: the mean over its runs of the share of modes times the share of quality."""
    values = [row["modes"] / len(PROBLEMS[row["problem"]].means) * row["high_quality"] for row in rows]
    return sum(values) / len(values)


def by_setting(rows: Iterable[Row]) -> list[tuple[dict[str, float], list[Row]]]:
    """Return the rows of each setting together, the setting of the greatest merit first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(json.dumps(row["setting"], sort_keys=True), []).append(row)
    return sorted(((json.loads(key), group) for key, group in groups.items()), key=lambda item: -merit(item[1]))
