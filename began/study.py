"""The comparison on the toy: the same search for every method, and a longer one for BEGAN and BEGAN-CS."""

import hashlib
import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import torch

from began.files import atomic_write
from began.rivals import METHODS
from began.sweeps import MEMBERS, SCORES, Job, Row, Setting, Workers, by_setting, interval, jobs, settings, train_job

SETTINGS = 16  # tried for each method
SEARCH_SEEDS = (100, 101)  # none of those reported
SEARCH_STEPS = 4000
SEEDS = tuple(range(10))
STEPS = {"grid": 10_000, "ring": 4000, "rare": 4000}

Plan = Generator[tuple[str, list[Job]], list[Row], None]


def same_for_all(method: str) -> Plan:
    """Search the method's own knobs, then report the best setting on every problem, with other seeds."""
    runs = [(setting, seed) for setting in settings(METHODS[method], SETTINGS) for seed in SEARCH_SEEDS]
    rows = yield "search", jobs(method, "grid", SEARCH_STEPS, runs, MEMBERS)
    best, _ = by_setting(rows)[0]
    yield "report", [job for problem, steps in STEPS.items() for job in _reports(method, problem, steps, best)]


def _reports(method: str, problem: str, steps: int, setting: Setting) -> list[Job]:
    return jobs(method, problem, steps, [(setting, seed) for seed in SEEDS], len(SEEDS))


def carry_out(plans: Sequence[Plan], folder: Path, device: torch.device) -> list[Row]:
    """Carry out plans side by side and return the rows of all; `folder` keeps each ensemble's, so a stop loses few."""
    rows: dict[tuple[str, str], list[Row]] = {}
    open_plans: dict[tuple[str, str], tuple[Plan, int]] = {}
    with Workers(device) as workers:

        def go_on(plan: Plan, found: list[Row] | None) -> None:
            try:
                stage, batch = plan.send(found)  # pyright: ignore[reportArgumentType]
            except StopIteration:
                return
            key = (batch[0].method, stage)
            rows[key], open_plans[key] = [], (plan, len(batch))
            for job in batch:
                workers.call(_kept, job, stage, folder)

        for plan in plans:
            go_on(plan, None)
        for found in workers.finished():
            key = (found[0]["method"], found[0]["stage"])
            rows[key] += found
            plan, left = open_plans[key]
            open_plans[key] = (plan, left - 1)
            if left == 1:
                go_on(plan, rows[key])
    return [row for part in rows.values() for row in part]


def _kept(job: Job, stage: str, folder: Path, device: torch.device, advance: Callable[[int], object]) -> list[Row]:
    """Train a job, or read what an earlier call left of it."""
    key = hashlib.sha256(json.dumps(job).encode()).hexdigest()[:16]
    path = folder / f"{job.method}-{job.problem}-{key}.json"
    if path.exists():
        advance(job.steps * len(job.runs))
        rows = json.loads(path.read_text())
    else:
        rows = train_job(job, device, advance)
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(rows))
    return [{"stage": stage, **row} for row in rows]


def table(rows: Sequence[Row]) -> list[Row]:
    """Return the comparison, best first on each problem: scores of each method with their 95 % intervals over seeds."""
    lines = []
    for problem in STEPS:
        for method in METHODS:
            for search, report in (("search", "report"), ("wide", "best")):
                runs = [r for r in rows if (r["method"], r["problem"], r["stage"]) == (method, problem, report)]
                if not runs:
                    continue
                tried = {json.dumps(r["setting"]) for r in rows if (r["method"], r["stage"]) == (method, search)}
                line = {"problem": problem, "method": method, "search": search, "steps": runs[0]["steps"]}
                for name in SCORES:
                    mean, low, high = interval([run[name] for run in runs])
                    line |= {name: mean, f"{name}_low": low, f"{name}_high": high}
                lines.append({**line, "seeds": len(runs), "settings_tried": len(tried), "setting": runs[0]["setting"]})
    return sorted(lines, key=lambda line: (list(STEPS).index(line["problem"]), -line["modes"] * line["high_quality"]))
