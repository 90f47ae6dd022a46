"""The command line: `began train | sample | invert | edit | sweep | info | artifacts`."""

import dataclasses
import json
import logging
import os
import platform
import shlex
import shutil
import signal
import tempfile
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
import torch
from torch import Tensor
from torchvision.utils import save_image

from began.codes import edits
from began.codes.search import interpolate, move
from began.collapse import CollapseError
from began.config import PRESETS, TrainConfig
from began.files import atomic_write, explained, locked, readable
from began.images.sources import Files, to_unit
from began.measure.reader import load_reader, save_reader, train_reader
from began.parallel import ALONE, Ranks, joined, lost_contact
from began.runs import RECIPES, Run, artifact_names, artifacts_folder, generate, load_run, open_data, save_run
from began.step import out_of_memory
from began.training import (
    CHANGEABLE,
    CHECKPOINT,
    DivergenceError,
    MemoryLimitError,
    Trainer,
    load_checkpoint,
    usable,
)
from studies.comparison import study
from studies.controller import record_all
from studies.gammas import run_trials
from studies.inversions import invert_all
from studies.survival import follow_all
from studies.toy.gans import METHODS
from studies.toy.mixtures import PROBLEMS
from studies.toy.sweeps import (
    MEMBERS,
    SCORES,
    Row,
    Setting,
    by_setting,
    combinations,
    interval,
    jobs,
    members,
    train_job,
)
from studies.workers import Workers

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(exists=True, dir_okay=False)


class Errors(click.Group):
    """A group that turns the package's own errors into one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (ValueError, OSError, FloatingPointError, CollapseError, MemoryLimitError, BrokenExecutor) as error:
            raise click.ClickException(str(error)) from error
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            reason = (str(error) or "out of memory").splitlines()[0]
            raise click.ClickException(f"this does not fit into the memory; ask for less ({reason})") from error


def config_options(command: Callable) -> Callable:
    """Add an option for each field of TrainConfig; those not given are left out."""
    for field in reversed(dataclasses.fields(TrainConfig)):
        name = "--" + field.name.replace("_", "-")
        if field.type is bool:
            name, kind = f"{name}/--no-{name[2:]}", None
        elif get_origin(field.type) is Literal:
            kind = click.Choice(get_args(field.type))
        else:
            kind = next(t for t in (*get_args(field.type), field.type) if t in (int, float, str))
        default = "" if field.default is None else f"  [{field.default}]"
        command = click.option(name, field.name, type=kind, default=None, help=field.metadata["help"] + default)(
            command
        )
    return command


def device_option(command: Callable) -> Callable:
    """Add --device, a CUDA device where there is one by default."""
    default = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    return click.option("--device", default=default, show_default=True, callback=_device)(command)


def _device(_ctx: click.Context, _param: click.Parameter, value: str) -> torch.device:
    try:
        return usable(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group(cls=Errors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("began"))
def main() -> None:
    """Train BEGAN and BEGAN-CS on pictures, and look at what they learned."""
    logging.basicConfig(format="%(message)s")


@main.command()
@click.option("--preset", type=click.Choice(list(PRESETS)), help="[began, or that of the run that is resumed]")
@click.option("--out", type=FOLDER, help="where the run goes  [runs/PRESET-DATA]")
@click.option("--resume", is_flag=True, help="go on with the run in --out, to --steps if given")
@device_option
@config_options
def train(preset: str | None, out: Path | None, resume: bool, device: torch.device, **given: Any) -> None:
    """Train a model; Ctrl-C saves and stops, --resume goes on.

    On several GPUs: torchrun --nproc-per-node 4 --no-python -- began train ..., the same run as on one.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    config = TrainConfig.preset(preset or "began", **changes)
    out = out or Path("runs") / f"{preset or 'began'}-{config.data.partition(':')[0]}"
    checkpoint = out / CHECKPOINT
    if resume:
        of_preset = [name for values in PRESETS.values() for name in values] if preset else []
        config = _resumed(checkpoint, {name: getattr(config, name) for name in of_preset} | changes)
    elif checkpoint.exists():
        raise click.UsageError(f"{out} holds a run already: --resume goes on with it, another --out starts anew")
    with nullcontext() if int(os.environ.get("RANK", "0")) else locked(out), joined(device) as ranks:
        go_on = f"began train --resume --out {shlex.quote(str(out))} --device {device}"
        trainer = _trainer(config, device, out, ranks)
        try:
            _fit(trainer, out, go_on)
        except (OSError, DivergenceError) as error:
            if not checkpoint.exists():
                raise
            remedy = " --on-collapse rollback" if isinstance(error, DivergenceError) else ""
            raise click.ClickException(f"{error}; go on from the last checkpoint with: {go_on}{remedy}") from error


def _trainer(config: TrainConfig, device: torch.device, out: Path, ranks: Ranks = ALONE) -> Trainer:
    """Return the run in `out`, at its checkpoint if it has one."""
    images, checkpoint = open_data(config), out / CHECKPOINT
    if checkpoint.exists():
        return Trainer.resume(checkpoint, images, config=config, device=device, out=out, ranks=ranks)
    return Trainer(config, images, device=device, out=out, ranks=ranks)


def _resumed(checkpoint: Path, changes: dict[str, Any]) -> TrainConfig:
    """Return a checkpoint's config with the changes given, of which `CHANGEABLE` are allowed."""
    state = load_checkpoint(checkpoint)
    config = TrainConfig.from_dict(state["config"])
    for name, value in changes.items():
        if name not in CHANGEABLE and value != getattr(config, name):
            raise click.UsageError(f"--resume keeps {name} = {getattr(config, name)!r}, got {value!r}; start anew")
    config = dataclasses.replace(config, **changes)
    if config.steps < state["step"]:
        raise click.UsageError(f"--steps must be at least {state['step']}, where the run is, got {config.steps}")
    return config


def _fit(trainer: Trainer, out: Path, go_on: str, *, half: bool = False) -> None:
    if trainer.ranks.rank == 0:
        click.echo(f"training in {trainer.update.how}")
    try:
        trainer.fit()
    except RuntimeError as error:
        if not lost_contact(error):
            raise
        who = f"rank {trainer.ranks.rank} of {trainer.ranks.count}"
        raise click.ClickException(f"{who} lost another process at step {trainer.step}; go on with: {go_on}") from error
    if trainer.ranks.rank:
        return
    if trainer.step < trainer.config.steps:
        click.echo(f"stopped at step {trainer.step}; go on with: {go_on}")
        raise SystemExit(128 + (trainer.stopped_by or signal.SIGINT))
    record = save_run(trainer, out, half=half)
    trainer.save_samples(out / "samples.png")
    click.echo(", ".join(f"{name} {value:.4g}" for name, value in record["metrics"].items()))
    click.echo(f"{out}: samples.png, run.json, history.jsonl, generator.safetensors, discriminator.safetensors")


@main.command()
@click.option("--run", required=True, help="folder of a finished run, or the name of an artifact")
@click.option("--count", type=click.IntRange(1), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="samples.png", show_default=True)
def sample(run: str, count: int, seed: int, out: Path) -> None:
    """Write a grid of samples of a finished run."""
    _write_grid(load_run(run).sample(count, seed), out, max(1, round(count**0.5)))
    click.echo(str(out))


def _write_grid(images: Tensor, out: Path, columns: int) -> None:
    with atomic_write(out) as temporary:
        save_image(images, temporary, nrow=columns, normalize=True, value_range=(-1, 1), format="png")


def _changes(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in (value.split("=") for value in values)}
    except ValueError as error:
        raise click.BadParameter(f"{', '.join(values)}: NAME=NUMBER is needed, as in 12=3") from error


@main.command()
@click.option("--run", required=True, help="folder of a finished run, or the name of an artifact")
@click.option(
    "--image", "images", type=FILE, multiple=True, required=True, help="a picture of yours; give it again for more"
)
@click.option("--iterations", type=click.IntRange(0), default=1000, show_default=True, help="0: G(Enc(x)), in one shot")
@click.option(
    "--restarts", type=click.IntRange(0), default=0, show_default=True, help="random codes to start from as well"
)
@click.option("--bound", type=click.FloatRange(0, min_open=True), help="keep each number of z in [-bound, bound]")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="inverted.png", show_default=True)
@device_option
def invert(
    run: str,
    images: tuple[str, ...],
    iterations: int,
    restarts: int,
    bound: float | None,
    out: Path,
    device: torch.device,
) -> None:
    """Find codes z* from which G redraws pictures, and write them beside --out, where `began edit` takes them from.

    The search starts at Enc(x). --out shows each picture, the one shot G(Enc(x)), and G(z*).
    """
    loaded = _on(load_run(run), device)
    files = Files(list(images), "", loaded.config.size, loaded.config.channels)
    x = to_unit(torch.stack([files[i] for i in range(len(files))]).to(device))
    found = edits.invert(loaded, x, iterations=iterations, restarts=restarts, bound=bound)
    codes = out.with_suffix(".safetensors")
    edits.save_codes(codes, found.z, images)
    with torch.no_grad():
        one_shot = loaded.generator(loaded.discriminator.encode(x))
    columns = torch.stack([x, one_shot, generate(loaded.generator, found.z)], 1)
    _write_grid(columns.flatten(0, 1), out, 3)
    for name, error in zip(images, found.error.tolist(), strict=True):
        click.echo(f"{name}: error {error:.4f}")
    click.echo(f"{out}: the pictures, in one shot, and as found; {codes}: their codes")


@main.command()
@click.option("--run", required=True, help="the run that the codes were found with")
@click.option("--codes", required=True, type=FILE, help="what began invert wrote")
@click.option(
    "--dimension", "dimensions", callback=_changes, multiple=True, metavar="I=VALUE", help="set a number of z"
)
@click.option(
    "--attribute",
    "attributes",
    callback=_changes,
    multiple=True,
    metavar="NAME=AMOUNT",
    help="change an attribute of a rendered face by so much, and hold the other numbers",
)
@click.option("--toward", type=FILE, help="codes of pictures that have something")
@click.option("--away", type=FILE, help="codes of pictures that do not")
@click.option("--amount", type=float, default=1.0, show_default=True, help="how far to go from --away to --toward")
@click.option("--frames", type=click.IntRange(2), default=5, show_default=True, help="from the picture to its change")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="edited.png", show_default=True)
@device_option
def edit(
    run: str,
    codes: str,
    dimensions: dict[str, float],
    attributes: dict[str, float],
    toward: str | None,
    away: str | None,
    amount: float,
    frames: int,
    out: Path,
    device: torch.device,
) -> None:
    """Change pictures through their codes, and write the way there, a row a picture.

    --toward and --away add the difference of two mean codes: of people who smile and people who don't, for instance.
    """
    loaded = _on(load_run(run), device)
    n_z = loaded.config.n_z
    z = edits.load_codes(codes, n_z).z
    changed = z.clone()
    if (toward is None) != (away is None):
        raise click.UsageError("--toward and --away need each other")
    if not (dimensions or attributes or toward):
        raise click.UsageError("nothing to change: give --dimension, --attribute, or --toward and --away")
    for name, value in dimensions.items():
        if not (name.isdecimal() and int(name) < n_z):
            raise click.BadParameter(f"{name!r} is not a dimension: 0 to {n_z - 1} are", param_hint="--dimension")
        changed[:, int(name)] = value
    if toward is not None and away is not None:
        ends = (edits.load_codes(path, n_z).z.mean(0) for path in (toward, away))
        changed += amount * (next(ends) - next(ends))
    if attributes:
        names, slopes = edits.attribute_slopes(loaded, load_reader())
        if unknown := [name for name in attributes if name not in names]:
            message = f"{unknown[0]!r} can't be read as a number off these faces; can: {', '.join(names)}"
            raise click.BadParameter(message, param_hint="--attribute")
        changed += move(slopes, torch.tensor([attributes.get(name, 0.0) for name in names]))
    way = interpolate(z, changed, frames).transpose(0, 1).flatten(0, 1)
    _write_grid(generate(loaded.generator, way.to(device)), out, frames)
    step, length = (part.norm(dim=1).mean().item() for part in (changed - z, z))
    click.echo(f"{out}: codes of length {length:.1f} moved by {step:.1f}")


def _on(run: Run, device: torch.device) -> Run:
    """Return a run whose networks are on a device."""
    return dataclasses.replace(run, generator=run.generator.to(device), discriminator=run.discriminator.to(device))


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


@main.command()
@click.argument("task", type=click.Choice(["toy"]))
@click.option("--method", type=click.Choice(list(METHODS)), default="began_cs", show_default=True)
@click.option("--problem", type=click.Choice(list(PROBLEMS)), default="grid", show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=10, show_default=True, help="runs of each setting")
@click.option("--steps", type=click.IntRange(1), default=10_000, show_default=True, help="steps of G")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="JSON lines  [runs/sweep-METHOD.jsonl]")
@device_option
@knob_options
def sweep(
    task: str,
    method: str,
    problem: str,
    seeds: int,
    steps: int,
    out: Path | None,
    device: torch.device,
    **given: list[float] | None,
) -> None:
    """Train a method on a toy with all combinations of the knobs given, all seeds side by side.

    Prints the mean scores of each setting as its runs end, and adds a line for each run to --out. Runs that are there
    already are not trained again, so a stopped sweep goes on when it is called once more.
    """
    out = out or Path("runs") / f"sweep-{method}.jsonl"
    varied = {name: values for name, values in given.items() if values is not None}
    runs = [(setting, seed) for setting in combinations(varied) for seed in range(seeds)]
    jobs(method, problem, steps, runs, MEMBERS)  # refuses what can't be run before any is
    click.get_current_context().with_resource(locked(out.parent, f".{out.name}.lock"))
    rows = [row for row in _rows(out, method, problem, steps) if (row["setting"], row["seed"]) in runs]
    there = [(row["setting"], row["seed"]) for row in rows]
    missing = [run for run in runs if run not in there]
    click.echo("".join(f"{name:>14}" for name in (*varied, *SCORES)))
    shown: list[Setting] = []

    def show(write: Callable[[str], object]) -> None:
        for setting, group in by_setting(rows):
            if len(group) == seeds and setting not in shown:
                shown.append(setting)
                means = [interval([row[name] for row in group])[0] for name in SCORES]
                write("".join(f"{value:14.4g}" for value in (*map(setting.get, varied), *means)))

    show(click.echo)
    try:
        with explained(out), Workers(device) as workers, out.open("a") as file:
            for job in jobs(method, problem, steps, missing, members(len(missing), workers)):
                workers.call(train_job, job)
            for found in workers.finished():
                rows += found
                file.writelines(json.dumps(row) + "\n" for row in found)
                file.flush()
                show(workers.bar.write)
    except KeyboardInterrupt:
        click.echo(f"stopped; {len(rows)} of {len(runs)} runs are in {out}; the same command goes on")
        raise SystemExit(128 + signal.SIGINT) from None
    click.echo(str(out))


def _rows(file: Path, method: str, problem: str, steps: int) -> list[Row]:
    """Return what an earlier sweep left of the same runs."""
    text = file.read_text() if file.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:  # a kill, or a full disk, has cut the last line off
        with atomic_write(file) as temporary:
            temporary.write_text(whole)
    with readable(file):
        rows = [json.loads(line) for line in whole.splitlines()]
    return [row for row in rows if (row["method"], row["problem"], row["steps"]) == (method, problem, steps)]


@main.command()
@click.argument("run", required=False)
def info(run: str | None) -> None:
    """Print what is known of a run, or of this installation."""
    if run is not None:
        click.echo(json.dumps(load_run(run).record, indent=1))
        return
    click.echo(f"began {version('began')}, Python {platform.python_version()}, torch {torch.__version__}")
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    click.echo(f"devices: {', '.join(['cpu', *devices])}")
    click.echo(f"artifacts in {artifacts_folder()}: {', '.join(artifact_names()) or 'none'}")


def _can_go_on(checkpoint: Path, config: TrainConfig) -> bool:
    """Whether a checkpoint is of this config, whatever precision the run settled on, and not at its end."""
    if not checkpoint.exists():
        return False
    state = load_checkpoint(checkpoint)
    run = TrainConfig.from_dict({**state["config"], "precision": config.precision})
    return run == config and state["step"] < config.steps


STUDIES = ("toy", "attributes", "trials", "controller", "survival", "inversions")


@main.command()
@click.argument("names", nargs=-1, type=click.Choice([*RECIPES, *STUDIES]))
@click.option(
    "--photographs",
    type=FOLDER,
    default="data/photographs",
    help="of trials, survival and inversions: a folder of pictures of yours",
)
@device_option
def artifacts(names: tuple[str, ...], photographs: Path, device: torch.device) -> None:
    """Make the artifacts that the book shows again, all or some; a stopped one goes on where it was.

    Where there are no photographs, what was measured on them stays as it is.
    """
    for name in names or (*RECIPES, *STUDIES):
        out, work = artifacts_folder() / name, Path("runs/artifacts") / name
        # not in `work`, which may be removed
        click.get_current_context().with_resource(locked(work.parent, f".{name}.lock"))
        with explained(out):  # before the work is done, not after
            out.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=out).close()
        if name == "toy":
            study(out, work, device)
        elif name == "attributes":
            save_reader(train_reader(), out)
        elif name == "trials":
            run_trials(out, work, photographs, device)
        elif name == "controller":
            record_all(out, work, device)
        elif name == "survival":
            follow_all(out, work, photographs, device)
        elif name == "inversions":
            invert_all(out, work, photographs, device)
        else:
            config = RECIPES[name]
            if not _can_go_on(work / CHECKPOINT, config):
                shutil.rmtree(work, ignore_errors=True)
            _fit(_trainer(config, device, work), out, f"began artifacts {name}", half=True)


if __name__ == "__main__":
    main()
