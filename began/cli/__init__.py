"""The command line: `began train | sample | invert | edit | info | artifacts`, and what installed studies add to it."""

import io
import logging
import os
import signal
import sys
import traceback
from concurrent.futures import BrokenExecutor
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any

import click

PLUGINS = "began.commands"  # the entry points of commands that others bring
COMMANDS = {  # where each is, and its line of help: a command is imported when it is called
    "train": ("began.cli.train:train", "Train a model; Ctrl-C saves and stops, --resume goes on."),
    "sample": ("began.cli.look:sample", "Write a grid of samples of a finished run."),
    "invert": ("began.cli.codes:invert", "Find codes z* from which G redraws pictures."),
    "edit": ("began.cli.codes:edit", "Change pictures through their codes."),
    "info": ("began.cli.look:info", "Print what is known of a run, or of this installation."),
    "artifacts": ("began.cli.artifacts:artifacts", "Make the artifacts that the book shows again."),
}


class Commands(click.Group):
    """A group that imports a command when it is called, and turns the package's own errors into one line, exit 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, those of others last."""
        return [*COMMANDS, *sorted(entry_points(group=PLUGINS).names)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name in COMMANDS:
            return EntryPoint(cmd_name, COMMANDS[cmd_name][0], PLUGINS).load()
        return next((point.load() for point in entry_points(group=PLUGINS, name=cmd_name)), None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        lines = {name: line for name, (_, line) in COMMANDS.items()}
        with formatter.section("Commands"):
            formatter.write_dl([(name, lines.get(name, f"see {name} --help")) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            raise SystemExit(128 + signal.SIGINT) from None
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):  # click's own affairs
            raise
        except Exception as error:
            reason = _mendable(error)
            if ctx.params["traceback"] or reason is None:
                traceback.print_exc()
            if isinstance(error, click.ClickException):
                raise
            report = "this is a fault of began: please report it, with the lines above and those of: began info"
            raise click.ClickException((reason or report).replace("\n", "\\n")) from error  # a name may have more lines


def _mendable(error: Exception) -> str | None:
    """Return what a user is told of an error that a user can mend; None for any other."""
    from began.collapse import CollapseError
    from began.devices.acceleration import out_of_memory
    from began.errors import BeganError
    from began.state import DivergenceError
    from began.training import MemoryLimitError

    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; pip install 'began[book]' brings what this needs"
    known = BeganError | OSError | CollapseError | DivergenceError | MemoryLimitError | BrokenExecutor
    if isinstance(error, known | click.ClickException):
        return str(error)
    if isinstance(error, RuntimeError | MemoryError) and out_of_memory(error):
        reason = (str(error) or "out of memory").splitlines()[0]
        return f"this does not fit into the memory; ask for less ({reason})"
    return None


HELP = """\b
Examples:
  began train --data folder:pictures --out runs/mine
  began train --help

\b
Exit codes:
  0         done
  1         an error
  2         the command can't be run as it was given
  130, 143  stopped by Ctrl-C, SIGTERM; a run is saved and goes on with --resume"""


@click.group(
    cls=Commands, epilog=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option("--traceback", is_flag=True, help="show where an error comes from")
@click.version_option(version("began"))
def main(traceback: bool) -> None:
    """Train BEGAN and BEGAN-CS on pictures, and look at what they learned."""
    logging.basicConfig(format="%(message)s")
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise click.ClickException("the current folder is gone: change to another, with cd") from error
    for stream in (sys.stdout, sys.stderr):  # a path may hold bytes that are no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
