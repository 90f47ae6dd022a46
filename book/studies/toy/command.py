"""`began sweep`: one method on a toy, with all combinations of its knobs."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import click
import torch

from began.cli.command import Command, check_outputs, force_option, quiet, say, wrote
from began.cli.options import OUTPUT, device_option
from began.files import atomic_write, explained, locked, readable
from studies.statistics import interval
from studies.toy.methods import METHODS
from studies.toy.mixtures import PROBLEMS
from studies.toy.sweeps import MEMBERS, SCORES, Setting, by_setting, combinations, jobs, members, train_job
from studies.workers import Row, Workers

FIRST = '{"method": '  # how a row begins


def knob_options(command: Callable) -> Callable:
    """Add an option for each knob of any method, which takes one value or several with commas between."""
    knobs = {name: knob for method in METHODS.values() for name, knob in method.all_knobs().items()}
    for name, knob in reversed(knobs.items()):
        owners = [key for key, method in METHODS.items() if name in method.all_knobs()]
        of = "" if len(owners) == len(METHODS) else f" ({', '.join(owners)})"
        text = f"{knob.meaning}{of}  [{knob.default}]"
        command = click.option("--" + name.replace("_", "-"), name, callback=_numbers, help=text, metavar="NUMBERS")(
            command
        )
    return command


def _numbers(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[float] | None:
    if value is None:
        return None
    try:
        return [float(part) for part in value.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a number or several with commas between") from error


@click.command(cls=Command, example="began sweep toy --method began_cs --gamma 0.5,0.7 --seeds 10")
@click.argument("task", type=click.Choice(["toy"]))
@click.option("--method", type=click.Choice(list(METHODS)), default="began_cs", show_default=True)
@click.option("--problem", type=click.Choice(list(PROBLEMS)), default="grid", show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=10, show_default=True, help="runs of each setting")
@click.option("--steps", type=click.IntRange(1), default=10_000, show_default=True, help="steps of G")
@click.option("--out", type=OUTPUT, help="JSON lines  [runs/sweep-METHOD.jsonl]")
@force_option
@device_option
@knob_options
def sweep(
    task: str,
    method: str,
    problem: str,
    seeds: int,
    steps: int,
    out: Path | None,
    force: bool,
    device: torch.device,
    **given: list[float] | None,
) -> None:
    """Train a method on a toy with all combinations of the knobs given, all seeds side by side.

    Prints the mean scores of each setting as its runs end, and adds a line for each run to --out. Runs that are there
    already are not trained again, so a stopped sweep goes on when it is called once more; with --force it starts anew.
    """
    out = out or Path("runs") / f"sweep-{method}.jsonl"
    varied = {name: values for name, values in given.items() if values is not None}
    runs = [(setting, seed) for setting in combinations(varied) for seed in range(seeds)]
    jobs(method, problem, steps, runs, MEMBERS)  # refuses what can't be run before any is
    click.get_current_context().with_resource(locked(out.parent, f".{out.name}.lock"))
    check_outputs(out, force=True)
    if force:
        out.unlink(missing_ok=True)
    rows = [row for row in _rows(out, method, problem, steps) if (row["setting"], row["seed"]) in runs]
    there = [(row["setting"], row["seed"]) for row in rows]
    missing = [run for run in runs if run not in there]
    say("".join(f"{name:>14}" for name in (*varied, *SCORES)))
    shown: list[Setting] = []

    def show(write: Callable[[str], object]) -> None:
        for setting, group in by_setting(rows):
            if len(group) == seeds and setting not in shown:
                shown.append(setting)
                means = [interval([row[name] for row in group])[0] for name in SCORES]
                write("".join(f"{value:14.4g}" for value in (*map(setting.get, varied), *means)))

    show(say)
    try:
        with explained(out), Workers(device) as workers, out.open("a") as file:
            for job in jobs(method, problem, steps, missing, members(len(missing), workers)):
                workers.call(train_job, job.work, job)
            for found in workers.finished():
                rows += found
                file.writelines(json.dumps(row) + "\n" for row in found)
                file.flush()
                show(say if quiet() else workers.bar.write)
    except KeyboardInterrupt:
        say(f"stopped; {len(rows)} of {len(runs)} runs are in {out}; the same command goes on")
        raise SystemExit(128 + signal.SIGINT) from None
    wrote(out)


def _rows(file: Path, method: str, problem: str, steps: int) -> list[Row]:
    """Return what an earlier sweep left of the same runs; BeganError where a file is not of a sweep."""
    if not file.exists():
        return []
    with readable(file):
        text = file.read_text()
        whole = text[: text.rfind("\n") + 1]
        rows = [json.loads(line) for line in whole.splitlines()]
        same = [row for row in rows if (row["method"], row["problem"], row["steps"]) == (method, problem, steps)]
        cut = text[len(whole) :]
        if not (cut.startswith(FIRST) or FIRST.startswith(cut)):
            raise ValueError(f"{cut[:40]!r} is no row of a sweep")
    if cut:  # by a kill, or a full disk
        with atomic_write(file) as temporary:
            temporary.write_text(whole)
    return same
