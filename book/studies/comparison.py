"""The comparison on the toy: the same search for every method, and a longer one for BEGAN and BEGAN-CS."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from began.runs.artifacts import Options, artifacts_folder
from began.runs.saving import provenance
from studies import runner
from studies.runner import Advance, Made, Plan, choice, save_text, toy_depends
from studies.statistics import interval
from studies.toy import sweeps
from studies.toy.methods import METHODS
from studies.toy.sweeps import MEMBERS, SCORES, Setting, by_setting, jobs, settings, train_job
from studies.workers import Row

SEARCH_SEEDS = (100, 101)  # none of those reported
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


@dataclass(frozen=True, kw_only=True)
class Lab(runner.Scale):
    """The scale of the comparison: how many settings are tried for each method, for how long, and what is reported.

    `wide` is how many of `WIDE` BEGAN and BEGAN-CS get, of which `refined` go on. `steps` are those of a report.
    """

    seeds: int = choice(10)
    settings: int = choice(16)
    search_steps: int = choice(4000)
    wide: Mapping[str, int] = field(default_factory=lambda: {"began_cs": 200, "began": 48}, metadata={"choice": True})
    wide_steps: int = choice(3000)
    refined: int = choice(8)
    refine_steps: int = choice(8000)
    problems: tuple[str, ...] = choice(tuple(STEPS))


@dataclass(frozen=True)
class Stage(runner.Job):
    """Runs of one method that are trained as one ensemble, in a stage of the comparison."""

    stage: str
    data: str
    job: sweeps.Job

    def work(self, lab: Lab) -> int:
        """Return the run-steps in it."""
        return self.job.work

    @property
    def name(self) -> str:
        """Where its results lie among those of the study."""
        return f"{self.job.method}-{self.data}"

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return what its method and its scores depend on."""
        return toy_depends(METHODS[self.job.method])

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Train them."""
        return Made([{"stage": self.stage, **row} for row in train_job(self.job, device, advance)], {})


def same_for_all(method: str, lab: Lab) -> Plan:
    """Search the method's own knobs on the grid, then report the best setting with other seeds."""
    tried = settings(METHODS[method], lab.settings)
    rows = yield stages("search", method, "grid", lab.search_steps, tried, SEARCH_SEEDS)
    problems = lab.problems if method in EVERYWHERE else ["grid"]
    best = ranked(rows)[:1]
    yield [
        stage
        for problem in problems
        for stage in stages("report", method, problem, lab.steps or STEPS[problem], best, range(lab.seeds))
    ]


def at_its_best(method: str, lab: Lab) -> Plan:
    """Search `WIDE` shortly, the best of it longer with other seeds, then report the best on the grid."""
    tried = settings(METHODS[method], lab.wide[method], choices=WIDE)
    rows = yield stages("wide", method, "grid", lab.wide_steps, tried, SEARCH_SEEDS[:1])
    rows = yield stages("refine", method, "grid", lab.refine_steps, ranked(rows)[: lab.refined], SEARCH_SEEDS)
    yield stages("best", method, "grid", lab.steps or STEPS["grid"], ranked(rows)[:1], range(lab.seeds))


def stages(
    stage: str, method: str, problem: str, steps: int, tried: Sequence[Setting], seeds: Sequence[int]
) -> list[Stage]:
    """Share out the runs of a stage, all settings with all seeds, over ensembles."""
    runs = [(setting, seed) for setting in tried for seed in seeds]
    return [Stage(stage, problem, job) for job in jobs(method, problem, steps, runs, MEMBERS)]


def ranked(rows: Sequence[Row]) -> list[Setting]:
    """List the settings of a stage, the best first."""
    return [setting for setting, _ in by_setting(sorted(rows, key=_place))]


def _place(row: Row) -> tuple[str, str, int]:
    return row["problem"], json.dumps(row["setting"], sort_keys=True), row["seed"]


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
    lab = options.applied(Lab())
    plans = [at_its_best(method, lab) for method in lab.wide] + [same_for_all(method, lab) for method in METHODS]
    made = runner.carry_out(plans, lab, work, device)
    runner.keep(made, out, lab)
    save_text(out / "table.json", json.dumps(table(made.rows), indent=1) + "\n")
    save_text(out / "study.json", json.dumps(provenance(device), indent=1) + "\n")


def load_rows() -> list[Row]:
    """Return the rows of the committed study, as `train_job` made them, each with its stage."""
    return runner.committed_rows("toy")


def load_table() -> list[Row]:
    """Return the committed comparison: `table` of all rows."""
    return json.loads((artifacts_folder() / "toy/table.json").read_text())
