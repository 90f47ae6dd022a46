"""Options that several commands share."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args, get_origin

import click
import torch

from began.config import TrainConfig
from began.devices.acceleration import usable

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(exists=True, dir_okay=False)


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
