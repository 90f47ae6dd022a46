"""`began artifacts`: what the book shows, made again."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import torch

from began.cli.command import Command, check_writable, say, wrote
from began.cli.options import FOLDER, device_option
from began.files import locked
from began.runs.artifacts import Options, artifacts_folder, makers


def options_of_makers(command: Callable) -> Callable:
    """Add an option for each field of Options."""
    kinds = {"photographs": FOLDER, "data": str, "lr": click.FloatRange(0, min_open=True)}
    for field in reversed(fields(Options)):
        kind, many = kinds.get(field.name, click.IntRange(1)), field.name == "data"
        add = click.option(
            f"--{field.name}", type=kind, multiple=many, default=field.default, help=field.metadata["help"]
        )
        command = add(command)
    return command


@click.command(cls=Command, example="began artifacts trials --size 64 --n 64 --steps 20000 --seeds 5 --data faces")
@click.argument("names", nargs=-1, type=click.Choice(list(makers())))
@options_of_makers
@device_option
def artifacts(names: tuple[str, ...], device: torch.device, **given: Any) -> None:
    """Make the artifacts that the book shows again, all or some; a stopped one goes on where it was.

    Where there are no photographs, what was measured on them stays as it is. With another scale than the book's, the
    artifact is written to a folder of its own in runs/artifacts, and what the book shows stays.
    """
    options = Options(**given)
    if options.scale and not names:
        raise click.UsageError("name the artifacts that are to have another scale")
    for name in names or makers():
        make = makers()[name].load()
        out, work = artifacts_folder() / name, Path("runs/artifacts") / name
        if options.scale:
            out = work.with_name(f"{name}-{options.label}")
            say(f"another scale than the book's: {name} goes to {out}")
        # not in `work`, which may be removed
        click.get_current_context().with_resource(locked(work.parent, f".{name}.lock"))
        check_writable(out)
        make(out, work, device, options)
        wrote(out)
