"""The pictures a model learns from, and the endless sequence of batches made of them.

Rendered faces, CelebA, LFW, Olivetti, digits or any folder come as uint8 tensors (C, S, S) of one size.
`Batches` turns them into float32 in [-1, 1], in an order that depends on the seed and the step alone.
"""

import difflib
import logging
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from began.errors import BeganError
from began.images.faces import rendered_faces
from began.images.folder import changes, listing, pictures_below, shown
from began.images.pixels import Window, picture_pixels, read_picture, with_channels

SOURCES = ("faces", "celeba:DIR", "folder:DIR", "lfw", "olivetti", "digits")
DEFAULT_FACES = 8192
DOWNLOADS = Path("data/sklearn")
FIGSHARE = "https://ndownloader.figshare.com/files"
CHUNK = 64  # pictures that a thread decodes at a time
WORKERS = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
CELEBA = Window(178, 218, 25, 50, 128)
LFW = Window(250, 250, 61, 61, 128)
logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Pictures(Dataset[Tensor]):
    """A data set in memory: `pixels` is uint8 (N, C, S, S), else ValueError; item i is `pixels[i]`."""

    pixels: Tensor
    name: str
    listing = ""  # of files it has none

    def __post_init__(self):
        """Refuse what is not a stack of pictures."""
        if self.pixels.dtype != torch.uint8 or self.pixels.ndim != 4:
            got = f"{self.pixels.dtype} {tuple(self.pixels.shape)}"
            raise ValueError(f"pixels is {got}: torch.uint8 (N, C, S, S) is needed")

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        """Return one picture, uint8 (C, S, S)."""
        return self.pixels[index]

    @property
    def nbytes(self) -> int:
        """Memory that the set takes, in bytes."""
        return self.pixels.nbytes


@dataclass(eq=False)
class Files(Dataset[Tensor]):
    """Picture files, decoded when asked for: item i is uint8 (channels, size, size).

    A file that cannot be read raises ValueError with its name. `broken` says what the passes over the whole
    set, `decoded` and `checked`, do about it: "stop" lets the error through, "skip" logs it and goes on, with
    ValueError only where nothing is left. `window` is what to keep of a picture, None the central square; `folder`
    what the set is below.
    """

    paths: list[str]
    name: str
    size: int
    channels: int
    window: Window | None = None
    broken: str = "stop"
    folder: str = ""

    def __len__(self) -> int:
        """Count the files."""
        return len(self.paths)

    @cached_property
    def listing(self) -> str:
        """What the set is known by: names below its folder and sizes, as JSON."""
        return listing(self.paths, self.folder)

    def __getitem__(self, index: int) -> Tensor:
        """Decode one picture, uint8 (channels, size, size)."""
        path = self.paths[index]
        try:
            return read_picture(path, self.window, self.size, self.channels)
        except BeganError as error:
            raise BeganError(f"{error}; broken='skip' leaves such files out") from error.__cause__

    @property
    def nbytes(self) -> int:
        """Memory that the decoded set takes, in bytes."""
        return len(self) * self.channels * self.size**2

    def decoded(self, device: torch.device, workers: int) -> Pictures:
        """Decode the whole set, with `workers` threads, into one tensor on `device`."""
        pixels = torch.empty(len(self), self.channels, self.size, self.size, dtype=torch.uint8, device=device)
        kept = 0
        for chunk in self._readable(workers):
            pixels[kept : kept + len(chunk)] = torch.stack(list(chunk.values()))
            kept += len(chunk)
        return Pictures(pixels[:kept], self.name)

    def checked(self, workers: int) -> "Files":
        """Return the files that can be read, found by decoding all of them once with `workers` threads."""
        return replace(self, paths=[self.paths[i] for chunk in self._readable(workers) for i in chunk])

    def _readable(self, workers: int) -> Iterator[dict[int, Tensor]]:
        """Yield the readable pictures by index, in order, a chunk at a time."""
        chunks = [range(i, min(i + CHUNK, len(self))) for i in range(0, len(self), CHUNK)]
        kept = 0
        # Threads will do: Pillow decodes and resizes without holding the interpreter's lock
        with ThreadPoolExecutor(workers) as pool, tqdm(total=len(self), desc=self.name, delay=1) as bar:
            for chunk, pictures in zip(chunks, pool.map(self._attempt, chunks), strict=True):
                if pictures:
                    yield pictures
                kept += len(pictures)
                bar.update(len(chunk))
        if kept == 0:
            raise BeganError(f"none of the {len(self)} pictures of {self.name} can be read")
        if kept < len(self):
            logger.warning("left out %d of the %d pictures of %s", len(self) - kept, len(self), self.name)

    def _attempt(self, indices: range) -> dict[int, Tensor]:
        """Decode some pictures; with broken="skip", log and leave out those that cannot be read."""
        pictures = {}
        for index in indices:
            try:
                pictures[index] = self[index]
            except ValueError as error:
                if self.broken == "stop":
                    raise
                logger.warning("left out %s (%r)", shown(self.paths[index]), error.__cause__)
        return pictures


def open_images(
    spec: str, *, size: int, channels: int = 3, count: int | None = None, seed: int = 0, broken: str = "stop"
) -> Pictures | Files:
    """Open a set of pictures: uint8 (channels, size, size) each, with a length and the name `spec`.

    >>> open_images("faces", size=16, count=4)[0].shape
    torch.Size([3, 16, 16])

    faces       `count` rendered faces (8192 by default), drawn from `seed`
    folder:DIR  every picture below DIR, sorted by path (what is left out: `folder.pictures_below`): its central
                square. UTKFace is such a folder
    celeba:DIR  aligned CelebA pictures, all or some: DIR is img_align_celeba, its parent, or the root given
                to torchvision. Of their 178x218 (or that at another scale) the square of 128 with its corner
                at (25, 50) is kept, as in the BEGAN code most in use. CelebA puts the eyes at (69, 111) and
                (108, 111), the mouth at y = 152: in the square, rows 61 and 102, around column 63.5
    lfw         funneled LFW, 250x250: the central square of 128, with faces about as large as CelebA's
    olivetti    400 grey faces, 64x64
    digits      1797 grey digits, 8x8, that come with scikit-learn

    `size` is 16 to 256 pixels; `channels` 1 (ITU-R 601 luma) or 3 (grey repeated). Apart from faces, `count`
    keeps the first pictures of an order that no seed changes. Files are turned as their EXIF says and resized
    with an antialiased Lanczos filter; 16-bit grey is scaled to 8 bits, transparency laid over white.
    `broken`: a file that cannot be read raises ValueError with its name once it is decoded ("stop"), or is
    logged and left out ("skip"). One beyond Pillow's limit against decompression bombs counts as broken.
    lfw and olivetti are downloaded once, to data/sklearn below the current folder. They and digits need scikit-learn.

    Raises ValueError for an argument out of range, `count` above what is there included; FileNotFoundError
    for a folder or pictures that are not there, and for a download that fails.
    """
    check_range("size", size, 16, 256, " pixels")
    if channels not in (1, 3):
        raise BeganError(f"channels is {channels!r}: 1 (grey) or 3 (colour) is needed")
    if broken not in ("stop", "skip"):
        raise BeganError(f"broken is {broken!r}: 'stop' or 'skip' is needed")
    check_range("count", 1 if count is None else count, 1)
    if spec == "faces":
        faces = rendered_faces(count or DEFAULT_FACES, size, seed=seed, progress=True)
        return Pictures(torch.cat([with_channels(part, channels) for part in faces.split(CHUNK)]), spec)
    if spec in ("olivetti", "digits"):
        grey = _olivetti() if spec == "olivetti" else _digits()
        check_range("count", count or 1, 1, len(grey), f", the pictures of {spec}")
        faces = [Image.fromarray(face) for face in (grey[:count] * 255).round().astype(np.uint8)]
        squares = [face.resize((size, size), Image.Resampling.LANCZOS) for face in faces]
        return Pictures(torch.stack([picture_pixels(square, channels) for square in squares]), spec)
    folder, window = _folder(spec)
    paths = pictures_below(folder)
    check_range("count", count or 1, 1, len(paths), f", the pictures of {spec}")
    return Files(paths[:count], spec, size, channels, window, broken, str(folder))


def check_same(images: Pictures | Files, spec: str, was: str, listed: str | None, *, changed: bool = False) -> None:
    """Raise BeganError unless pictures opened as `spec` are those that a run had as `was`, wherever they lie by now.

    `listed` is their listing of then; without one, of an older run, the folder must be the same. `changed` lets the set
    have changed.
    """
    kinds = {one.partition(":")[0] for one in (spec, was)}
    moved = len(kinds) == 1 and kinds <= {"folder", "celeba"}
    if spec != was and not (moved and (listed or _folder(spec)[0].resolve() == _folder(was)[0].resolve())):
        raise BeganError(f"data must stay {was!r} in a resumed run, got {spec!r}; start anew")
    if listed and images.listing and not changed and (what := changes(listed, images.listing)):
        advice = "put them back, start anew, or go on with what is there (changed_data)"
        raise BeganError(f"the pictures of {shown(spec)} are not those of the run any more: {what}; {advice}")


def check_range(name: str, value: int, low: int, high: int | None = None, meaning: str = "") -> None:
    """Raise ValueError unless the value is an integer from low to high."""
    if not isinstance(value, Integral) or value < low or (high is not None and value > high):
        allowed = f"{low} or more" if high is None else f"{low} to {high}{meaning}"
        raise BeganError(f"{name} is {value!r}: an integer is needed, {allowed}")


def _folder(spec: str) -> tuple[Path, Window | None]:
    """Return the folder that a spec stands for, and the window to keep of its pictures."""
    source, _, place = spec.partition(":")
    if spec == "lfw":
        return _lfw(), LFW
    if source == "folder" and place:
        return _place(place), None
    if source == "celeba" and place:
        root = _place(place)
        inside = (root / "celeba/img_align_celeba", root / "img_align_celeba")
        return next((folder for folder in inside if folder.is_dir()), root), CELEBA
    names = {known.partition(":")[0]: known for known in SOURCES}
    close = [names[name] for name in difflib.get_close_matches(source, names, n=1)]
    likely = [f"folder:{spec}"] if spec and Path(os.path.expanduser(spec)).is_dir() else close
    hint = f"; did you mean {likely[0]!r}?" if likely else ""
    raise BeganError(f"unknown images {spec!r}: known are {', '.join(SOURCES)}{hint}")


def _place(place: str) -> Path:
    """Return the folder of a spec, ~ expanded."""
    try:
        place.encode()
        return Path(place).expanduser()
    except UnicodeEncodeError as error:  # torch could not read it back from a checkpoint
        raise BeganError(f"{place!a} is no name in UTF-8: rename the folder, or make a link to it") from error
    except RuntimeError as error:
        raise BeganError(f"{place}: there is no home that ~ could stand for; write the folder out") from error


def _lfw() -> Path:
    """Return the folder of LFW's pictures, downloaded if it is not there."""
    from sklearn.datasets import fetch_lfw_people  # of the extra `book`

    folder = DOWNLOADS / "lfw_home/lfw_funneled"
    if not folder.is_dir():
        with _download("lfw", f"unpack {FIGSHARE}/5976015, a .tgz, into {folder.parent}"):
            # It decodes to float32, 10 GB for all: let it download, verify, and decode just one person
            fetch_lfw_people(data_home=DOWNLOADS, min_faces_per_person=500, n_retries=1)
    return folder


def _olivetti() -> np.ndarray:
    """Return the Olivetti faces, floats in [0, 1] of shape (400, 64, 64), downloaded if not there."""
    from sklearn.datasets import fetch_olivetti_faces

    with _download("olivetti", f"save {FIGSHARE}/5976027 as {DOWNLOADS}/olivettifaces.mat"):
        return fetch_olivetti_faces(data_home=DOWNLOADS, n_retries=1, return_X_y=True)[0].reshape(-1, 64, 64)


def _digits() -> np.ndarray:
    """Return scikit-learn's digits, floats in [0, 1] of shape (1797, 8, 8)."""
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)[0].reshape(-1, 8, 8) / 16


@contextmanager
def _download(name: str, by_hand: str) -> Iterator[None]:
    """Turn a failed download into FileNotFoundError that says what to do without a network."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Retry downloading")
            yield
    except OSError as error:
        raise FileNotFoundError(f"{name} cannot be downloaded ({error}); by hand: {by_hand}") from error
