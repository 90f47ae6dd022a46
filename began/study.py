"""The comparison of all methods on the toy: the same search for each, then more seeds at the setting that it chose."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from began.files import atomic_write
from began.rivals import METHODS
from began.sweeps import MEMBERS, Job, Row, Workers, by_setting, jobs, settings, train

SETTINGS = 16  # tried for each method
SEARCH_SEEDS = (100, 101)  # none of those reported
SEARCH_STEPS = 4000
SEEDS = tuple(range(10))
STEPS = {"grid": 10_000, "ring": 4000, "rare": 4000}


def searches(method: str) -> list[Job]:
    """Return the runs among which a method's setting is chosen: each setting with each of the search's seeds."""
    runs = [(setting, seed) for setting in settings(METHODS[method], SETTINGS) for seed in SEARCH_SEEDS]
    return jobs(method, "grid", SEARCH_STEPS, runs, MEMBERS)


def reports(method: str, rows: Sequence[Row]) -> list[Job]:
    """Return the runs that the table reports, at the best setting among the rows of the search, on every problem."""
    best, _ = by_setting(rows)[0]
    return [job for name, steps in STEPS.items() for job in jobs(method, name, steps, [(best, s) for s in SEEDS], 10)]


def compare(methods: Sequence[str], folder: Path, device: torch.device) -> list[Row]:
    """Do both parts for some methods and return all rows; `folder` keeps each ensemble's, so that a stop loses few."""
    rows: dict[str, list[Row]] = {method: [] for method in methods}
    left: dict[str, int] = {}
    with Workers(device) as workers:

        def start(method: str, batch: list[Job]) -> None:
            left[method] = len(batch)
            for job in batch:
                workers.call(_kept, job, folder)

        for method in methods:
            start(method, searches(method))
        for found in workers.finished():
            method = found[0]["method"]
            rows[method] += found
            left[method] -= 1
            if not left[method] and found[0]["seed"] in SEARCH_SEEDS:
                start(method, reports(method, rows[method]))
    return [row for method in methods for row in rows[method]]


def _kept(job: Job, folder: Path, device: torch.device, advance: Callable[[int], object]) -> list[Row]:
    """Train a job, or read what an earlier call left of it."""
    key = hashlib.sha256(json.dumps(job).encode()).hexdigest()[:16]
    path = folder / f"{job.method}-{job.problem}-{key}.json"
    if path.exists():
        advance(job.steps * len(job.runs))
        return json.loads(path.read_text())
    rows = train(job, device, advance)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(rows))
    return rows
