"""The comparison of all methods on the toy: the same search for each, then more seeds at the setting that it chose."""

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from began.files import atomic_write
from began.rivals import METHODS
from began.sweeps import MEMBERS, SCORES, Job, Row, by_setting, interval, jobs, settings, train

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


def run_all(methods: Sequence[str], folder: Path, device: torch.device) -> list[Row]:
    """Do both parts for some methods and return all rows; `folder` keeps each ensemble's rows, so that a stop loses few.

    On a CPU as many ensembles at a time as it has cores, a thread each; on a GPU one after another.
    """
    # glibc hands freed memory back and faults it in again in every step otherwise: 1.2 times the time
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 33))
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 30))
    workers = (os.cpu_count() or 1) if device.type == "cpu" else 1
    context = multiprocessing.get_context("spawn")
    rows: list[Row] = []
    with (
        tqdm(unit="ensemble", desc="toy") as bar,
        ProcessPoolExecutor(workers, context, initializer=_alone) as pool,
    ):
        waiting: dict[Future[list[Row]], str] = {}
        left: dict[str, int] = {}

        def start(method: str, batch: list[Job]) -> None:
            left[method] = len(batch)
            bar.total = (bar.total or 0) + len(batch)
            for job in batch:
                waiting[pool.submit(_kept, job, folder, str(device))] = method

        try:
            for method in methods:
                start(method, searches(method))
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    method = waiting.pop(future)
                    rows += future.result()
                    bar.update()
                    left[method] -= 1
                    found = [row for row in rows if row["method"] == method]
                    if left[method] == 0 and not any(row["seed"] in SEEDS for row in found):
                        start(method, reports(method, found))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return rows


def _kept(job: Job, folder: Path, device: str) -> list[Row]:
    """Train a job, or read what an earlier call left of it."""
    key = hashlib.sha256(json.dumps(job).encode()).hexdigest()[:16]
    path = folder / f"{job.method}-{job.problem}-{key}.json"
    if path.exists():
        return json.loads(path.read_text())
    rows = train(job, device)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(rows))
    return rows


def _alone() -> None:
    """Keep a worker to one core, and vanishing gradients from slowing it down."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
