"""Options that several commands share."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
import torch

from began.config import TrainConfig
from began.devices.acceleration import best_device, usable
from began.images.folder import shown


class Place(click.Path):
    """A path that is not empty, as an unset variable is, and neither a pipe nor a device, on which reading may hang."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse the others."""
        if not os.fspath(value):
            self.fail("its name is empty", param, ctx)
        if os.path.exists(value) and not (os.path.isfile(value) or os.path.isdir(value)):
            self.fail(f"{shown(value)} is a pipe or a device", param, ctx)
        return super().convert(value, param, ctx)


FOLDER = Place(path_type=Path, file_okay=False)
FILE = Place(exists=True, dir_okay=False)
OUTPUT = Place(path_type=Path, dir_okay=False)


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
    return click.option("--device", default=best_device(), show_default=True, callback=_device)(command)


def _device(_ctx: click.Context, _param: click.Parameter, value: str) -> torch.device:
    try:
        return usable(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
