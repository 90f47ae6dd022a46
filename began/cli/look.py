"""`began sample` and `began info`: what there is of a run."""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import click
import torch

from began.cli.command import Command, check_outputs, force_option, picture_option, quiet, wrote
from began.files import save_grid
from began.runs.artifacts import artifact_names, artifacts_folder
from began.runs.results import load, run_folder


@click.command(cls=Command, example="began sample --run runs/mine --count 16 --out grid.png")
@click.option("--run", required=True, help="folder of a finished run, or the name of an artifact")
@click.option("--count", type=click.IntRange(1), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
@picture_option("samples.png")
@force_option
def sample(run: str, count: int, seed: int, out: Path, force: bool) -> None:
    """Write a grid of samples of a finished run."""
    check_outputs(out, force=force, reads=run_folder(run).glob("*"))
    save_grid(load(run).sample(count, seed), out, max(1, round(count**0.5)))
    wrote(out)


@click.command(cls=Command, example="began info runs/mine")
@click.argument("run", required=False)
def info(run: str | None) -> None:
    """Print what is known of a run, or of this installation; with --quiet only where it, or its artifacts, lie."""
    if run is not None:
        record = load(run).record
        click.echo(str(run_folder(run)) if quiet() else json.dumps(record, indent=1))
        return
    if quiet():
        click.echo(str(artifacts_folder()))
        return
    click.echo(f"began {version('began')}, Python {platform.python_version()}, torch {torch.__version__}")
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    click.echo(f"devices: {', '.join(['cpu', *devices])}")
    click.echo(f"artifacts in {artifacts_folder()}: {', '.join(artifact_names()) or 'none'}")
