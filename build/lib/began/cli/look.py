"""`began sample` and `began info`: what there is of a run."""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import click
import torch

from began.artifacts import artifact_names, artifacts_folder
from began.files import save_grid
from began.runs import load_run


@click.command()
@click.option("--run", required=True, help="folder of a finished run, or the name of an artifact")
@click.option("--count", type=click.IntRange(1), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="samples.png", show_default=True)
def sample(run: str, count: int, seed: int, out: Path) -> None:
    """Write a grid of samples of a finished run."""
    save_grid(load_run(run).sample(count, seed), out, max(1, round(count**0.5)))
    click.echo(str(out))


@click.command()
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
