"""`began invert` and `began edit`: codes of somebody's own pictures."""

from pathlib import Path

import click
import torch

from began.cli.options import FILE, device_option
from began.codes import edits
from began.codes.search import interpolate, move
from began.files import save_grid
from began.images.pixels import to_unit
from began.images.sources import Files
from began.measure.reader import load_reader
from began.runs import generate, load_run


def _changes(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in (value.split("=") for value in values)}
    except ValueError as error:
        raise click.BadParameter(f"{', '.join(values)}: NAME=NUMBER is needed, as in 12=3") from error


@click.command()
@click.option("--run", required=True, help="folder of a finished run, or the name of an artifact")
@click.option(
    "--image", "images", type=FILE, multiple=True, required=True, help="a picture of yours; give it again for more"
)
@click.option("--iterations", type=click.IntRange(0), default=1000, show_default=True, help="0: G(Enc(x)), in one shot")
@click.option(
    "--restarts", type=click.IntRange(0), default=0, show_default=True, help="random codes to start from as well"
)
@click.option("--bound", type=click.FloatRange(0, min_open=True), help="keep each number of z in [-bound, bound]")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="inverted.png", show_default=True)
@device_option
def invert(
    run: str,
    images: tuple[str, ...],
    iterations: int,
    restarts: int,
    bound: float | None,
    out: Path,
    device: torch.device,
) -> None:
    """Find codes z* from which G redraws pictures, and write them beside --out, where `began edit` takes them from.

    The search starts at Enc(x). --out shows each picture, the one shot G(Enc(x)), and G(z*).
    """
    loaded = load_run(run).to(device)
    files = Files(list(images), "", loaded.config.size, loaded.config.channels)
    x = to_unit(torch.stack([files[i] for i in range(len(files))]).to(device))
    found = edits.invert(loaded, x, iterations=iterations, restarts=restarts, bound=bound)
    codes = out.with_suffix(".safetensors")
    edits.save_codes(codes, found.z, images)
    with torch.no_grad():
        one_shot = loaded.generator(loaded.discriminator.encode(x))
    columns = torch.stack([x, one_shot, generate(loaded.generator, found.z)], 1)
    save_grid(columns.flatten(0, 1), out, 3)
    for name, error in zip(images, found.error.tolist(), strict=True):
        click.echo(f"{name}: error {error:.4f}")
    click.echo(f"{out}: the pictures, in one shot, and as found; {codes}: their codes")


@click.command()
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
@click.option("--amount", type=float, default=1.0, show_default=True, help="how far to go from --away to --toward")
@click.option("--frames", type=click.IntRange(2), default=5, show_default=True, help="from the picture to its change")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="edited.png", show_default=True)
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
    device: torch.device,
) -> None:
    """Change pictures through their codes, and write the way there, a row a picture.

    --toward and --away add the difference of two mean codes: of people who smile and people who don't, for instance.
    """
    loaded = load_run(run).to(device)
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
    save_grid(generate(loaded.generator, way.to(device)), out, frames)
    step, length = (part.norm(dim=1).mean().item() for part in (changed - z, z))
    click.echo(f"{out}: codes of length {length:.1f} moved by {step:.1f}")
