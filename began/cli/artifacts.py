"""`began artifacts`: what the book shows, made again."""

from pathlib import Path

import click
import torch

from began.cli.command import Command, check_writable, wrote
from began.cli.options import FOLDER, device_option
from began.files import locked
from began.runs.artifacts import Options, artifacts_folder, makers


@click.command(cls=Command, example="began artifacts toy faces32-began")
@click.argument("names", nargs=-1, type=click.Choice(list(makers())))
@click.option(
    "--photographs",
    type=FOLDER,
    default=Options.photographs,
    help="of trials, survival and inversions: a folder of pictures of yours",
)
@device_option
def artifacts(names: tuple[str, ...], photographs: Path, device: torch.device) -> None:
    """Make the artifacts that the book shows again, all or some; a stopped one goes on where it was.

    Where there are no photographs, what was measured on them stays as it is.
    """
    for name in names or makers():
        make = makers()[name].load()
        out, work = artifacts_folder() / name, Path("runs/artifacts") / name
        # not in `work`, which may be removed
        click.get_current_context().with_resource(locked(work.parent, f".{name}.lock"))
        check_writable(out)
        make(out, work, device, Options(photographs))
        wrote(out)
