"""The command line: `began train | sample | info | artifacts`."""

import dataclasses
import json
import logging
import os
import platform
import shlex
import shutil
import signal
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
import torch
from torchvision.utils import save_image

from began.artifacts import RECIPES, artifact_names, artifacts_folder, load_run, open_data, save_run
from began.config import PRESETS, TrainConfig
from began.files import atomic_write
from began.parallel import ALONE, Ranks, joined, lost_contact
from began.training import CHECKPOINT, Trainer, load_checkpoint

FOLDER = click.Path(path_type=Path, file_okay=False)


class Errors(click.Group):
    """A group that turns the package's own errors into one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (ValueError, OSError, FloatingPointError) as error:
            raise click.ClickException(str(error)) from error


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
        device = torch.device(value)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # an unknown name, or one that is not there
        reason = str(error).splitlines()[0]
        raise click.BadParameter(f"{value!r} can't be used here ({reason}); cpu always can") from error
    return device


@click.group(cls=Errors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("began"))
def main() -> None:
    """Train BEGAN and BEGAN-CS on pictures, and look at what they learned."""
    logging.basicConfig(format="%(message)s")


@main.command()
@click.option("--preset", type=click.Choice(list(PRESETS)), default="began", show_default=True)
@click.option("--out", type=FOLDER, help="where the run goes  [runs/PRESET-DATA]")
@click.option("--resume", is_flag=True, help="go on with the run in --out, to --steps if given")
@device_option
@config_options
def train(preset: str, out: Path | None, resume: bool, device: torch.device, **given: Any) -> None:
    """Train a model; Ctrl-C saves and stops, --resume goes on.

    On several GPUs: torchrun --nproc-per-node 4 --no-python -- began train ..., the same run as on one.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    config = TrainConfig.preset(preset, **changes)
    out = out or Path("runs") / f"{preset}-{config.data.partition(':')[0]}"
    checkpoint = out / CHECKPOINT
    if resume:
        config = _resumed(checkpoint, changes)
    elif checkpoint.exists():
        raise click.UsageError(f"{out} holds a run already: --resume goes on with it, another --out starts anew")
    out.mkdir(parents=True, exist_ok=True)
    with joined(device) as ranks:
        trainer = _trainer(config, device, out, ranks)
        _fit(trainer, out, f"began train --resume --out {shlex.quote(str(out))} --device {device}")


def _trainer(config: TrainConfig, device: torch.device, out: Path, ranks: Ranks = ALONE) -> Trainer:
    """Return the run in `out`, at its checkpoint if it has one."""
    images, checkpoint = open_data(config), out / CHECKPOINT
    if checkpoint.exists():
        return Trainer.resume(checkpoint, images, steps=config.steps, device=device, out=out, ranks=ranks)
    return Trainer(config, images, device=device, out=out, ranks=ranks)


def _resumed(checkpoint: Path, changes: dict[str, Any]) -> TrainConfig:
    """Return a checkpoint's config, with another number of steps if given; nothing else may change."""
    state = load_checkpoint(checkpoint)
    config = TrainConfig.from_dict(state["config"])
    for name, value in changes.items():
        if name != "steps" and value != getattr(config, name):
            raise click.UsageError(f"--resume keeps {name} = {getattr(config, name)!r}, got {value!r}; start anew")
    steps = changes.get("steps", config.steps)
    if steps < state["step"]:
        raise click.UsageError(f"--steps must be at least {state['step']}, where the run is, got {steps}")
    return dataclasses.replace(config, steps=steps)


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
        raise SystemExit(128 + signal.SIGINT)
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
    images = load_run(run).sample(count, seed)
    with atomic_write(out) as temporary:
        columns = max(1, round(count**0.5))
        save_image(images, temporary, nrow=columns, normalize=True, value_range=(-1, 1), format="png")
    click.echo(str(out))


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


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(list(RECIPES)))
@device_option
def artifacts(names: tuple[str, ...], device: torch.device) -> None:
    """Train the artifacts that the book shows again, all or some; a stopped one goes on where it was."""
    for name in names or RECIPES:
        config, work = RECIPES[name], Path("runs/artifacts") / name
        if not _can_go_on(work / CHECKPOINT, config):
            shutil.rmtree(work, ignore_errors=True)
        _fit(_trainer(config, device, work), artifacts_folder() / name, f"began artifacts {name}", half=True)


if __name__ == "__main__":
    main()
