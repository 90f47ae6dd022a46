"""`began invert` and `began edit`: codes of somebody's own pictures."""

import math
from pathlib import Path

import click
import torch

from began.cli.command import Command, check_outputs, force_option, picture_option, say, wrote
from began.cli.options import FILE, device_option
from began.codes import edits
from began.codes.search import interpolate, move
from began.errors import BeganError
from began.files import save_grid
from began.images.folder import shown
from began.images.pixels import read_picture, to_unit
from began.measure.reader import load_reader
from began.runs.results import generate, load, run_folder

FURTHEST = 1e6  # from 0 that a number of z is set: codes are about 1 in size


def _number(text: str) -> float:
    """Return a number that a code can hold; BadParameter for another."""
    if not math.isfinite(value := float(text)) or abs(value) > FURTHEST:
        raise click.BadParameter(f"{text}: a number from {-FURTHEST:g} to {FURTHEST:g} is needed")
    return value


def _checked(_ctx: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    return value if value is None else _number(str(value))


def _changes(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    try:
        return {name: _number(value) for name, value in (value.split("=") for value in values)}
    except ValueError as error:
        raise click.BadParameter(f"{', '.join(values)}: NAME=NUMBER is needed, as in 12=3") from error


@click.command(cls=Command, example="began invert --run runs/mine --image me.jpg --bound 1 --out found.png")
@click.option("--run", required=True, help="folder of a finished run, or the name of an artifact")
@click.option(
    "--image", "images", type=FILE, multiple=True, required=True, help="a picture of yours; give it again for more"
)
@click.option("--iterations", type=click.IntRange(0), default=1000, show_default=True, help="0: G(Enc(x)), in one shot")
@click.option(
    "--restarts", type=click.IntRange(0), default=0, show_default=True, help="random codes to start from as well"
)
@click.option(
    "--bound",
    type=click.FloatRange(0, min_open=True),
    callback=_checked,
    help="keep each number of z in [-bound, bound]",
)
@picture_option("inverted.png")
@force_option
@device_option
def invert(
    run: str,
    images: tuple[str, ...],
    iterations: int,
    restarts: int,
    bound: float | None,
    out: Path,
    force: bool,
    device: torch.device,
) -> None:
    """Find codes z* from which G redraws pictures, and write them beside --out, where `began edit` takes them from.

    The search starts at Enc(x). --out shows each picture, the one shot G(Enc(x)), and G(z*).
    """
    codes = out.with_suffix(".safetensors")
    check_outputs(out, codes, force=force, reads=[*images, *run_folder(run).glob("*")])
    loaded = load(run).to(device)
    pictures = [read_picture(image, None, loaded.config.size, loaded.config.channels) for image in images]
    x = to_unit(torch.stack(pictures).to(device))
    found = edits.invert(loaded, x, iterations=iterations, restarts=restarts, bound=bound)
    edits.save_codes(codes, found.z, images)
    with torch.no_grad():
        one_shot = loaded.generator(loaded.discriminator.encode(x))
    columns = torch.stack([x, one_shot, generate(loaded.generator, found.z)], 1)
    save_grid(columns.flatten(0, 1), out, 3)
    for name, error in zip(images, found.error.tolist(), strict=True):
        say(f"{shown(name)}: error {error:.4f}")
    say("the pictures, in one shot, and as found; and their codes:")
    wrote(out, codes)


@click.command(
    cls=Command, example="began edit --run runs/mine --codes found.safetensors --dimension 12=3 --out edited.png"
)
@click.option("--run", required=True, help="the run that the codes were found with")
@click.option("--codes", required=True, type=FILE, help="what began invert wrote")
@click.option(
    "--dimension", "dimensions", callback=_changes, multiple=True, metavar="I=VALUE", help="set a number of z"
)
@click.option(
    "--attribute",
    "attributes",
    callback=_changes,
    multiple=True,
    metavar="NAME=AMOUNT",
    help="change an attribute of a rendered face by so much, and hold the other numbers",
)
@click.option("--toward", type=FILE, help="codes of pictures that have something")
@click.option("--away", type=FILE, help="codes of pictures that do not")
@click.option(
    "--amount",
    type=float,
    default=1.0,
    show_default=True,
    callback=_checked,
    help="how far to go from --away to --toward",
)
@click.option("--frames", type=click.IntRange(2), default=5, show_default=True, help="from the picture to its change")
@picture_option("edited.png")
@force_option
@device_option
def edit(
    run: str,
    codes: str,
    dimensions: dict[str, float],
    attributes: dict[str, float],
    toward: str | None,
    away: str | None,
    amount: float,
    frames: int,
    out: Path,
    force: bool,
    device: torch.device,
) -> None:
    """Change pictures through their codes, and write the way there, a row a picture.

    --toward and --away add the difference of two mean codes: of people who smile and people who don't, for instance.
    """
    reads = [path for path in (codes, toward, away) if path is not None]
    check_outputs(out, force=force, reads=[*reads, *run_folder(run).glob("*")])
    loaded = load(run).to(device)
    n_z = loaded.config.n_z
    z = edits.load_codes(codes, n_z).z
    changed = z.clone()
    if (toward is None) != (away is None):
        raise click.UsageError("--toward and --away need each other")
    if not (dimensions or attributes or toward):
        raise click.UsageError("nothing to change: give --dimension, --attribute, or --toward and --away")
    for name, value in dimensions.items():
        if not (name.isdecimal() and int(name) < n_z):
            raise click.BadParameter(f"{name!r} is not a dimension: 0 to {n_z - 1} are", param_hint="--dimension")
        changed[:, int(name)] = value
    if toward is not None and away is not None:
        ends = (edits.load_codes(path, n_z).z.mean(0) for path in (toward, away))
        changed += amount * (next(ends) - next(ends))
    if attributes:
        names, slopes = edits.attribute_slopes(loaded, load_reader())
        if unknown := [name for name in attributes if name not in names]:
            message = f"{unknown[0]!r} can't be read as a number off these faces; can: {', '.join(names)}"
            raise click.BadParameter(message, param_hint="--attribute")
        changed += move(slopes, torch.tensor([attributes.get(name, 0.0) for name in names]))
    way = interpolate(z, changed, frames).transpose(0, 1).flatten(0, 1)
    pictures = generate(loaded.generator, way.to(device))
    if not pictures.isfinite().all():
        raise BeganError(f"codes of length {changed.norm(dim=1).max():.3g} are too far out: G has no picture for them")
    save_grid(pictures, out, frames)
    step, length = (part.norm(dim=1).mean().item() for part in (changed - z, z))
    say(f"codes of length {length:.1f} moved by {step:.1f}:")
    wrote(out)
