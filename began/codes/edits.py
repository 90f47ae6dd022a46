"""Codes of somebody's own pictures: found, kept in a file, and changed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from began.codes.search import Found, best_start, regress, search
from began.errors import BeganError
from began.files import atomic_write
from began.images.faces import ATTRIBUTES
from began.images.pixels import to_pixels
from began.measure.reader import CONTINUOUS, Reader
from began.runs.results import Run, generate

SAMPLES = 2000  # of which attributes are read, to find the way in which each changes


def invert(
    run: Run, x: Tensor, *, iterations: int = 1000, restarts: int = 0, bound: float | None = None, seed: int = 0
) -> Found:
    """Search the codes of images with a run's networks, from Enc(x) and from `restarts` random codes; keep the best.

    With no iterations the result is the one shot of BEGAN-CS, Enc(x). Shapes and what is raised: as `search.search`,
    to which the rest goes; x `(B, C, H, W)` on the device of the networks. Shows its progress.
    """
    rng = torch.Generator().manual_seed(seed)
    random = torch.rand(restarts, len(x), run.config.n_z, generator=rng) * 2 - 1
    with torch.no_grad():
        encoded = torch.cat([run.discriminator.encode(part) for part in x.split(64)])
    starts = torch.cat([encoded[None], random.to(x)])
    for network in (run.generator, run.discriminator):
        network.requires_grad_(False)
    return best_start(search(run.generator, x, starts, iterations=iterations, bound=bound, progress=iterations > 0))


def save_codes(path: Path, z: Tensor, names: Sequence[str]) -> None:
    """Write codes `(B, N_z)` and the names of their pictures to a safetensors file, atomically."""
    with atomic_write(path) as temporary:
        save_file(
            {"z": z.cpu().contiguous()}, temporary, {"names": json.dumps(list(names))}
        )  # ASCII, whatever they are


class Codes(NamedTuple):
    """Codes `(B, N_z)`, and the names of the pictures that they were found for."""

    z: Tensor
    names: list[str]


def load_codes(path: str | Path, n_z: int) -> Codes:
    """Load what `save_codes` wrote; no code in the file is run.

    Raises FileNotFoundError where there is none, ValueError where it holds anything but codes of `n_z` numbers.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no codes at {path}; began invert writes them beside its picture")
    try:
        with safe_open(path, "pt") as file:
            z, names = file.get_tensor("z"), (file.metadata() or {}).get("names", "")
        names = json.loads(names) if names.startswith("[") else names.split("\n")  # as they were kept at first
    except Exception as error:  # safetensors has one exception for all
        raise BeganError(f"{path} does not hold codes that began invert wrote") from error
    if z.ndim != 2 or z.shape[1] != n_z:
        raise BeganError(
            f"{path} holds codes {tuple(z.shape)}, where the run's have {n_z} numbers: found by another run?"
        )
    return Codes(z, names)


def attribute_slopes(run: Run, reader: Reader, seed: int = 0) -> tuple[list[str], Tensor]:
    """Return the names of A attributes, and how they change per unit of z, `(A, N_z)`: all numbers a reader reads.

    They are regressed on samples, made as small as the reader's pictures. Raises ValueError for a run that was not
    trained on rendered faces in colour.
    """
    if run.config.data != "faces" or run.config.channels != 3:
        raise BeganError(f"attributes are read off rendered faces in colour; the run's data is {run.config.data!r}")
    columns = reader.readable(CONTINUOUS)
    z = torch.rand(SAMPLES, run.config.n_z, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    size = (reader.config.size, reader.config.size)
    samples = F.interpolate(generate(run.generator, z.to(next(run.generator.parameters()))).cpu(), size, mode="area")
    read = reader.read(to_pixels(samples)).attributes
    return [ATTRIBUTES[column].name for column in columns], regress(z, read[:, columns]).slopes
