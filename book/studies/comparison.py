"""The comparison on the toy: the same search for every method, and a longer one for BEGAN and BEGAN-CS."""

import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import torch

from began.files import atomic_write
from began.runs.artifacts import Options, artifacts_folder
from began.runs.saving import provenance
from studies.keys import fingerprint, toy
from studies.statistics import interval
from studies.toy.methods import METHODS
from studies.toy.sweeps import MEMBERS, SCORES, Job, Setting, by_setting, jobs, settings, train_job
from studies.workers import Row, Workers

SETTINGS = 16  # tried for each method
SEARCH_SEEDS = (100, 101)  # none of those reported
SEARCH_STEPS = 4000
SEEDS = tuple(range(10))
STEPS = {"grid": 8000, "ring": 3000, "rare": 3000}
EVERYWHERE = ("gan", "lsgan", "wgan_gp", "ebgan", "veegan", "began", "began_cs")  # the others: on the grid
PUBLISHED = {  # modes and share of high quality on the grid, means of five runs (VEEGAN, table 1)
    "gan": (3.3, 0.005),
    "ali": (15.8, 0.016),
    "unrolled_gan": (23.6, 0.16),
    "veegan": (24.6, 0.40),
}

# BEGAN and BEGAN-CS at their best: many settings shortly, the best of them longer, the best of all reported.
WIDE = {
    "lr_g": (1e-4, 2e-4, 4e-4, 8e-4),
    "lr_d": (2e-4, 5e-4, 1.5e-3, 4e-3),
    "beta_1": (0.0, 0.5),
    "gain_g": (1.0, 1.7, 3.0),
    "gain_d": (1.0, 1.7),
    "gamma": (0.5, 0.7, 1.0, 1.2, 1.5, 2.5, 25.0),
    "lambda_k": (1e-4, 1e-3, 1e-2, 3e-2),
    "k_0": (0.0, 0.5, 1.0),
    "alpha": (0.03, 0.1, 0.3, 1.0),
    "decay": (0.5,),
    "ema": (0.99,),
    "layers": (2, 3),
}
WIDE_SETTINGS = {"began_cs": 200, "began": 48}
WIDE_STEPS = 3000
REFINED, REFINE_STEPS = 8, 8000
BEST_STEPS = 8000

Plan = Generator[tuple[str, list[Job]], list[Row], None]


def same_for_all(method: str) -> Plan:
    """Search the method's own knobs on the grid, then report the best setting with other seeds."""
    runs = [(setting, seed) for setting in settings(METHODS[method], SETTINGS) for seed in SEARCH_SEEDS]
    rows = yield "search", jobs(method, "grid", SEARCH_STEPS, runs, MEMBERS)
    best, _ = by_setting(rows)[0]
    problems = STEPS if method in EVERYWHERE else ["grid"]
    yield "report", [job for problem in problems for job in _reports(method, problem, STEPS[problem], best)]


def at_its_best(method: str) -> Plan:
    """Search `WIDE` shortly, the best of it longer with other seeds, then report the best on the grid."""
    wide = settings(METHODS[method], WIDE_SETTINGS[method], choices=WIDE)
    rows = yield "wide", jobs(method, "grid", WIDE_STEPS, [(setting, SEARCH_SEEDS[0]) for setting in wide], MEMBERS)
    runs = [(setting, seed) for setting, _ in by_setting(rows)[:REFINED] for seed in SEARCH_SEEDS]
    rows = yield "refine", jobs(method, "grid", REFINE_STEPS, runs, MEMBERS)
    best, _ = by_setting(rows)[0]
    yield "best", _reports(method, "grid", BEST_STEPS, best)


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
                rows[key].sort(key=_place)  # they came as they ended
                go_on(plan, rows[key])
    return [row for part in rows.values() for row in part]


def _place(row: Row) -> tuple[str, str, int]:
    return row["problem"], json.dumps(row["setting"], sort_keys=True), row["seed"]


def _kept(job: Job, stage: str, folder: Path, device: torch.device, advance: Callable[[int], object]) -> list[Row]:
    """Train a job, or read what an earlier call left of it."""
    path = folder / f"{job.method}-{job.problem}-{fingerprint({'job': job, **toy(METHODS[job.method])})}.json"
    if path.exists():
        advance(job.work)
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


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Do the whole comparison and write it: `rows.jsonl`, a line a run, `table.json`, and `study.json`, its provenance.

    `work` keeps what is done, so that a stopped study goes on.
    """
    plans = [at_its_best(method) for method in WIDE_SETTINGS] + [same_for_all(method) for method in METHODS]
    rows = carry_out(plans, work, device)
    texts = {
        "rows.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "table.json": json.dumps(table(rows), indent=1) + "\n",
        "study.json": json.dumps(provenance(device), indent=1) + "\n",
    }
    for name, text in texts.items():
        with atomic_write(out / name) as temporary:
            temporary.write_text(text)


def load_rows() -> list[Row]:
    """Return the rows of the committed study, as `train_job` made them, each with its stage."""
    return [json.loads(line) for line in (artifacts_folder() / "toy/rows.jsonl").read_text().splitlines()]


def load_table() -> list[Row]:
    """Return the committed comparison: `table` of all rows."""
    return json.loads((artifacts_folder() / "toy/table.json").read_text())
