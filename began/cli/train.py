"""`began train`: a run from the command line, on one process or several."""

import dataclasses
import shlex
import signal
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import torch

from began.checkpoints import CHECKPOINT, load_checkpoint
from began.cli.command import Command, say, wrote
from began.cli.options import FOLDER, config_options, device_option
from began.cli.rehearsal import rehearse
from began.config import PRESETS, TrainConfig
from began.devices.acceleration import keep_memory
from began.devices.launch import joined, launched
from began.devices.parallel import ALONE, Ranks, lost_contact
from began.errors import BeganError
from began.files import locked
from began.runs.saving import RUN_FILES, check_free, save_run
from began.state import CHANGEABLE, DivergenceError, open_data
from began.training import Trainer


@click.command(cls=Command, example="began train --data folder:pictures --size 64 --steps 100000 --out runs/mine")
@click.option("--preset", type=click.Choice(list(PRESETS)), help="[began, or that of the run that is resumed]")
@click.option("--out", type=FOLDER, help="where the run goes  [runs/PRESET-DATA]")
@click.option("--resume", is_flag=True, help="go on with the run in --out, to --steps if given")
@click.option("--changed-data", is_flag=True, help="go on though the pictures have changed since")
@click.option("--dry-run", is_flag=True, help="train 20 steps, write nothing, and say what the whole run takes")
@click.option("--stream", is_flag=True, help="decode pictures anew in every epoch, even if all fit into memory")
@device_option
@config_options
def train(
    preset: str | None,
    out: Path | None,
    resume: bool,
    changed_data: bool,
    dry_run: bool,
    stream: bool,
    device: torch.device,
    **given: Any,
) -> None:
    """Train a model; Ctrl-C saves and stops, --resume goes on, with --data where the pictures have moved.

    On several GPUs: torchrun --nproc-per-node 4 --no-python -- began train ..., the same run as on one.
    """
    keep_memory()
    changes = {name: value for name, value in given.items() if value is not None}
    config = TrainConfig.preset(preset or "began", **changes)
    if dry_run:
        with joined(device) as ranks:
            return rehearse(config, device, ranks)
    out = out or Path("runs") / f"{preset or 'began'}-{config.data.partition(':')[0]}"
    checkpoint = out / CHECKPOINT
    if resume:
        of_preset = [name for values in PRESETS.values() for name in values] if preset else []
        config = _resumed(checkpoint, {name: getattr(config, name) for name in of_preset} | changes)
    else:
        try:
            check_free(out)
        except BeganError as error:
            raise click.UsageError(str(error)) from error
    with nullcontext() if launched().rank else locked(out), joined(device) as ranks:
        go_on = f"began train --resume --out {shlex.quote(str(out))} --device {device}"
        trainer = open_trainer(config, device, out, ranks, stream=stream, changed_data=changed_data)
        try:
            finish(trainer, out, go_on)
        except (OSError, DivergenceError) as error:
            if not checkpoint.exists():
                raise
            remedy = " --on-collapse rollback" if isinstance(error, DivergenceError) else ""
            raise click.ClickException(f"{error}; go on from the last checkpoint with: {go_on}{remedy}") from error


def open_trainer(
    config: TrainConfig,
    device: torch.device,
    out: Path,
    ranks: Ranks = ALONE,
    *,
    stream: bool = False,
    changed_data: bool = False,
) -> Trainer:
    """Return the run in `out`, at its checkpoint if it has one, with its pictures or with `changed_data`."""
    checkpoint = out / CHECKPOINT
    if not checkpoint.exists():
        return Trainer(config, open_data(config), device=device, out=out, ranks=ranks, stream=stream)
    try:
        images = open_data(config)
    except FileNotFoundError as error:
        kind, _, place = config.data.partition(":")
        moved = f"; where its pictures have moved: --data {kind}:DIR" if place else ""
        raise FileNotFoundError(f"{error}{moved}") from error
    return Trainer.resume(
        checkpoint,
        images,
        config=config,
        device=device,
        out=out,
        ranks=ranks,
        stream=stream,
        changed_data=changed_data,
    )


def _resumed(checkpoint: Path, changes: dict[str, Any]) -> TrainConfig:
    """Return a checkpoint's config with the changes given, of which `CHANGEABLE` are allowed."""
    state = load_checkpoint(checkpoint)
    config = TrainConfig.from_record(state["config"])
    for name, value in changes.items():
        if name not in CHANGEABLE and value != getattr(config, name):
            raise click.UsageError(f"--resume keeps {name} = {getattr(config, name)!r}, got {value!r}; start anew")
    config = dataclasses.replace(config, **changes)
    if config.steps < state["step"]:
        raise click.UsageError(f"--steps must be at least {state['step']}, where the run is, got {config.steps}")
    return config


def finish(trainer: Trainer, out: Path, go_on: str, *, half: bool = False) -> None:
    """Train a run to its end and write it to `out`, weights in float16 if `half`; say how to go on where it stops."""
    if trainer.ranks.rank == 0:
        say(f"training in {trainer.update.how}")
    try:
        trainer.fit(quiet_stop=True)
    except RuntimeError as error:
        if not lost_contact(error):
            raise
        who = f"rank {trainer.ranks.rank} of {trainer.ranks.count}"
        raise click.ClickException(f"{who} lost another process at step {trainer.step}; go on with: {go_on}") from error
    if trainer.ranks.rank:
        return
    if trainer.step < trainer.config.steps:
        say(f"stopped at step {trainer.step}; go on with: {go_on}")
        wrote(*[trainer.out / CHECKPOINT] if trainer.out else [])
        raise SystemExit(128 + (trainer.stopped_by or signal.SIGINT))
    record = save_run(trainer, out, half=half)
    trainer.save_samples(out / "samples.png")
    say(", ".join(f"{name} {value:.4g}" for name, value in record["metrics"].items() if value is not None))
    if trainer.update.without:
        say(f"trained in {trainer.update.how}")
    wrote(*(out / name for name in RUN_FILES), *[trainer.out / CHECKPOINT] if trainer.out else [])
