"""What all commands share: --quiet, the paths that they tell, and that they write over nothing unless told to."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from began.cli.options import OUTPUT
from began.files import explained, picture_format
from began.images.folder import shown

QUIET = "began.quiet"


class Command(click.Command):
    """A command with an `example` in its help, and with --quiet: only errors, and the paths that were written."""

    def __init__(self, *args: Any, example: str, **options: Any):
        super().__init__(*args, epilog=f"\b\nExample:\n  {example}", **options)
        self.params.append(click.Option(["--quiet"], is_flag=True, help="print errors and the paths written only"))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; where it is to be quiet, without the stream that bars go to."""
        if not ctx.params.pop("quiet"):
            return super().invoke(ctx)
        ctx.meta[QUIET] = True
        logging.disable(logging.WARNING)
        try:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
                return super().invoke(ctx)
        finally:
            logging.disable(logging.NOTSET)


def quiet() -> bool:
    """Whether the command that runs was told to be quiet."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(QUIET))


def say(text: str) -> None:
    """Print what a quiet command does not."""
    if not quiet():
        click.echo(text)


def wrote(*paths: Path) -> None:
    """Print the paths that were written, one a line."""
    for path in paths:
        click.echo(os.fsencode(path) if os.name == "posix" else str(path))  # which need not be text


def picture_option(default: str) -> Callable[[Callable], Callable]:
    """Add --out, the name of a picture in a format that can be written."""
    text = "a picture: .png, .jpg or .webp"
    return click.option("--out", type=OUTPUT, default=default, show_default=True, callback=_picture, help=text)


def _picture(_ctx: click.Context, _param: click.Parameter, value: Path) -> Path:
    try:
        picture_format(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


force_option = click.option("--force", is_flag=True, help="write over what is there")


def check_outputs(*paths: Path, force: bool, reads: Iterable[str | Path] = ()) -> None:
    """Refuse to write over what the command `reads`, over anything unless forced, or in vain."""
    for path in paths:
        if os.path.lexists(path):
            if any(os.path.exists(path) and os.path.exists(other) and path.samefile(other) for other in reads):
                raise click.UsageError(f"{shown(path)} is read by this command: choose another --out")
            if not force:
                raise click.UsageError(f"{shown(path)} is there already: --force replaces it, another --out does not")
        check_writable(path.parent)


def check_writable(folder: Path) -> None:
    """Make a folder, and raise OSError where nothing can be written to it: before the work is done, not after."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
