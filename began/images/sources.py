"""The pictures a model learns from, and the endless sequence of batches made of them.

Rendered faces, CelebA, LFW, Olivetti, digits or any folder come as uint8 tensors (C, S, S) of one size.
`Batches` turns them into float32 in [-1, 1], in an order that depends on the seed and the step alone.
"""

import difflib
import logging
import os
import re
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image
from sklearn.datasets import fetch_lfw_people, fetch_olivetti_faces, load_digits
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from began.images.faces import rendered_faces

SOURCES = ("faces", "celeba:DIR", "folder:DIR", "lfw", "olivetti", "digits")
DEFAULT_FACES = 8192
EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
DOWNLOADS = Path("data/sklearn")
FIGSHARE = "https://ndownloader.figshare.com/files"
CHUNK = 64  # pictures that a thread decodes at a time
WORKERS = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
TURNS = {  # what undoes each orientation of EXIF
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Window(NamedTuple):
    """The square kept of aligned pictures, in pixels of their original width and height."""

    width: int
    height: int
    left: int
    top: int
    side: int


CELEBA = Window(178, 218, 25, 50, 128)
LFW = Window(250, 250, 61, 61, 128)

logger = logging.getLogger(__name__)
_warning_filters = threading.Lock()


def to_unit(pixels: Tensor) -> Tensor:
    """Map uint8 pixels, 0 to 255, to float32 in [-1, 1]; any shape, on the device they are on."""
    return pixels.float() / 127.5 - 1


def to_pixels(images: Tensor) -> Tensor:
    """Map floats to uint8 pixels: the inverse of `to_unit`, rounded and clamped to 0 to 255; any shape."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


@dataclass(eq=False)
class Pictures(Dataset[Tensor]):
    """A data set in memory: `pixels` is uint8 (N, C, S, S), else ValueError; item i is `pixels[i]`."""

    pixels: Tensor
    name: str

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
    ValueError only where nothing is left. `window` is what to keep of a picture, None the central square.
    """

    paths: list[str]
    name: str
    size: int
    channels: int
    window: Window | None = None
    broken: str = "stop"

    def __len__(self) -> int:
        """Count the files."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        """Decode one picture, uint8 (channels, size, size)."""
        path = self.paths[index]
        try:
            return _read(path, self.window, self.size, self.channels)
        except Exception as error:  # decoders raise nearly every kind on bad bytes, SyntaxError included
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"cannot read {path} ({reason}); broken='skip' leaves such files out") from error

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
            raise ValueError(f"none of the {len(self)} pictures of {self.name} can be read")
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
                logger.warning("left out %s (%r)", self.paths[index], error.__cause__)
        return pictures


class Batches:
    """An endless sequence of batches: float32 (batch, C, S, S) in [-1, 1] on `device`.

    Epoch e is a permutation of the set drawn from (seed, e), and epochs follow one another without a gap: a
    batch may straddle two of them, and batch t depends on (seed, t) alone. With `flip`, each picture is mirrored
    left to right with probability 1/2, drawn anew in each epoch; the order stays the same. Process `rank` of
    `ranks` that train together gets its part of each batch, (batch / ranks, C, S, S): the parts in order are the
    batch of a single process.
    A set that fits into half of the device's free memory (or `resident_bytes`) is decoded once, kept there as uint8
    and gathered there; one that fits into half of the host's only is kept and gathered on the host. A larger one is
    decoded once to check it (a broken file then shows before the first step, and a permutation knows how many
    pictures it has), and again in every epoch by `workers` processes. From the host to CUDA batches go as uint8,
    through pinned memory, while the step before computes. All ways give the same batches, and on CUDA none makes the
    host wait for the device. Where a host does not say what is free, as macOS does not, 8 GiB are assumed.

    Raises ValueError before anything is decoded where `images` is of another class, `batch`, `seed`, `rank`,
    `ranks` or `workers` out of range, `batch` not a multiple of `ranks`, or the set smaller than a batch; after
    that for broken pictures (see `Files`), and where those left out leave less than a batch.
    """

    def __init__(
        self,
        images: Dataset[Tensor],
        batch: int,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
        flip: bool = False,
        rank: int = 0,
        ranks: int = 1,
        resident_bytes: int | None = None,
        workers: int = WORKERS,
    ):
        """Take what `open_images` returns, or `Pictures` of a tensor, and decode it if it fits."""
        if not isinstance(images, Pictures | Files):
            raise ValueError(f"images is {type(images).__name__}: open_images(...) or Pictures(...) is needed")
        _check_range("batch", batch, 1, len(images), f", the pictures of {images.name}")
        _check_range("seed", seed, 0)
        _check_range("workers", workers, 1)
        _check_range("ranks", ranks, 1)
        _check_range("rank", rank, 0, ranks - 1, f", as there are {ranks} ranks")
        if batch % ranks:
            raise ValueError(f"batch is {batch}: a multiple of ranks, {ranks}, is needed")
        self.batch, self.seed, self.flip, self.device, self.workers = batch, seed, flip, torch.device(device), workers
        self._share = slice(rank * batch // ranks, (rank + 1) * batch // ranks)
        home = _home(images.nbytes, self.device, resident_bytes)
        if isinstance(images, Files):
            images = images.decoded(home, workers) if home else images.checked(workers)
        elif home:
            images = Pictures(images.pixels.to(home), images.name)
        _check_range("batch", batch, 1, len(images), f", the readable pictures of {images.name}")
        self.images = images

    def starting_at(self, step: int) -> Iterator[Tensor]:
        """Return an iterator over batch `step`, `step` + 1 and so on; ValueError where `step` is negative."""
        _check_range("step", step, 0)
        if isinstance(self.images, Pictures):
            pictures = self.images.pixels
            batches = (pictures[indices] for indices, _ in self._order(step, pictures.device))
        else:
            batches = self._loaded(step)
        # Workers run ahead, so what to mirror comes from an order of its own, which is on the device
        pairs = zip(_moved(batches, self.device), self._order(step, self.device), strict=True)
        return (to_unit(_mirrored(pixels, flips) if self.flip else pixels) for pixels, (_, flips) in pairs)

    def _loaded(self, step: int) -> Iterator[Tensor]:
        """Decode batch `step` and all later ones in worker processes, ahead of need, into pinned memory for CUDA."""
        # Not in threads: around Pillow's calls they contend for the interpreter, with the training loop too
        loader = DataLoader(
            self.images,
            batch_sampler=(indices.tolist() for indices, _ in self._order(step, torch.device("cpu"))),
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # without one it draws from the global generator, and z would change
        )
        return iter(loader)

    def _order(self, step: int, device: torch.device) -> Iterator[Tensor]:
        """Yield `_draw`'s columns for batch `step` and all later ones, int64 (2, batch / ranks); one copy an epoch."""
        epoch, done = divmod(step * self.batch, len(self.images))
        queue = _to_device(self._draw(epoch), device)[:, done:]
        while True:
            if queue.shape[1] < self.batch:
                epoch += 1
                queue = torch.cat([queue, _to_device(self._draw(epoch), device)], 1)
            yield queue[:, : self.batch][:, self._share]
            queue = queue[:, self.batch :]

    def _draw(self, epoch: int) -> Tensor:
        """Draw one epoch: the order of the pictures, and 1 for each that `flip` mirrors, int64 (2, N)."""
        rng, count = np.random.default_rng((self.seed, epoch)), len(self.images)
        return torch.from_numpy(np.stack([rng.permutation(count), rng.integers(0, 2, count)]))


def _mirrored(pixels: Tensor, flips: Tensor) -> Tensor:
    """Mirror the pictures (B, C, S, S) whose flip (B,) is not 0."""
    return torch.where(flips.view(-1, 1, 1, 1) != 0, pixels.flip(3), pixels)


def _moved(batches: Iterator[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield each batch on `device`, fetched when it is asked for; on CUDA nothing waits for the steps queued before.

    By then the consumer has queued the step before, and a copy on a stream of its own runs beside it.
    """
    copying = torch.cuda.Stream(device) if device.type == "cuda" else None
    for batch in batches:
        if copying is None or batch.is_cuda:
            yield batch.to(device)
            continue
        with torch.cuda.stream(copying):
            moved = _to_device(batch, device)
        computing = torch.cuda.current_stream(device)
        computing.wait_stream(copying)
        moved.record_stream(computing)  # else a later copy could take its memory before the step has read it
        yield moved


def _to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy from the host; to CUDA through pinned memory, from which a copy is queued like any other work."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def open_images(
    spec: str, *, size: int, channels: int = 3, count: int | None = None, seed: int = 0, broken: str = "stop"
) -> Pictures | Files:
    """Open a set of pictures: uint8 (channels, size, size) each, with a length and the name `spec`.

    faces       `count` rendered faces (8192 by default), drawn from `seed`
    folder:DIR  every picture below DIR, sorted by path, hidden files and linked folders aside: its central
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
    lfw and olivetti are downloaded once, to data/sklearn below the current folder.

    Raises ValueError for an argument out of range, `count` above what is there included; FileNotFoundError
    for a folder or pictures that are not there, and for a download that fails.
    """
    _check_range("size", size, 16, 256, " pixels")
    if channels not in (1, 3):
        raise ValueError(f"channels is {channels!r}: 1 (grey) or 3 (colour) is needed")
    if broken not in ("stop", "skip"):
        raise ValueError(f"broken is {broken!r}: 'stop' or 'skip' is needed")
    _check_range("count", 1 if count is None else count, 1)
    if spec == "faces":
        faces = rendered_faces(count or DEFAULT_FACES, size, seed=seed, progress=True)
        return Pictures(torch.cat([_with_channels(part, channels) for part in faces.split(CHUNK)]), spec)
    if spec in ("olivetti", "digits"):
        grey = _olivetti() if spec == "olivetti" else load_digits(return_X_y=True)[0].reshape(-1, 8, 8) / 16
        _check_range("count", count or 1, 1, len(grey), f", the pictures of {spec}")
        faces = [Image.fromarray(face) for face in (grey[:count] * 255).round().astype(np.uint8)]
        squares = [face.resize((size, size), Image.Resampling.LANCZOS) for face in faces]
        return Pictures(torch.stack([_pixels(square, channels) for square in squares]), spec)
    folder, window = _folder(spec)
    paths = _picture_paths(folder)
    _check_range("count", count or 1, 1, len(paths), f", the pictures of {spec}")
    return Files(paths[:count], spec, size, channels, window, broken)


def _check_range(name: str, value: int, low: int, high: int | None = None, meaning: str = "") -> None:
    """Raise ValueError unless the value is an integer from low to high."""
    if not isinstance(value, Integral) or value < low or (high is not None and value > high):
        allowed = f"{low} or more" if high is None else f"{low} to {high}{meaning}"
        raise ValueError(f"{name} is {value!r}: an integer is needed, {allowed}")


def _folder(spec: str) -> tuple[Path, Window | None]:
    """Return the folder that a spec stands for, and the window to keep of its pictures."""
    source, _, place = spec.partition(":")
    root = Path(place).expanduser()
    if spec == "lfw":
        return _lfw(), LFW
    if source == "folder" and place:
        return root, None
    if source == "celeba" and place:
        inside = (root / "celeba/img_align_celeba", root / "img_align_celeba")
        return next((folder for folder in inside if folder.is_dir()), root), CELEBA
    names = {known.partition(":")[0]: known for known in SOURCES}
    close = [names[name] for name in difflib.get_close_matches(source, names, n=1)]
    likely = [f"folder:{spec}"] if spec and Path(spec).expanduser().is_dir() else close
    hint = f"; did you mean {likely[0]!r}?" if likely else ""
    raise ValueError(f"unknown images {spec!r}: known are {', '.join(SOURCES)}{hint}")


def _picture_paths(folder: Path) -> list[str]:
    """List the pictures below a folder, sorted by path."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    found = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    # Hidden ones are no pictures: a zip made on macOS has a '._x.jpg' beside each 'x.jpg'
    paths = sorted(p for p in found if p.suffix.lower() in EXTENSIONS and not p.name.startswith("."))
    if not paths:
        raise FileNotFoundError(f"there are no pictures ({', '.join(EXTENSIONS)}) in or below {folder}")
    return [str(path) for path in paths]


def _lfw() -> Path:
    """Return the folder of LFW's pictures, downloaded if it is not there."""
    folder = DOWNLOADS / "lfw_home/lfw_funneled"
    if not folder.is_dir():
        with _download("lfw", f"unpack {FIGSHARE}/5976015, a .tgz, into {folder.parent}"):
            # It decodes to float32, 10 GB for all: let it download, verify, and decode just one person
            fetch_lfw_people(data_home=DOWNLOADS, min_faces_per_person=500, n_retries=1)
    return folder


def _olivetti() -> np.ndarray:
    """Return the Olivetti faces, floats in [0, 1] of shape (400, 64, 64), downloaded if not there."""
    with _download("olivetti", f"save {FIGSHARE}/5976027 as {DOWNLOADS}/olivettifaces.mat"):
        return fetch_olivetti_faces(data_home=DOWNLOADS, n_retries=1, return_X_y=True)[0].reshape(-1, 64, 64)


@contextmanager
def _download(name: str, by_hand: str) -> Iterator[None]:
    """Turn a failed download into FileNotFoundError that says what to do without a network."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Retry downloading")
            yield
    except OSError as error:
        raise FileNotFoundError(f"{name} cannot be downloaded ({error}); by hand: {by_hand}") from error


def _read(path: str, window: Window | None, size: int, channels: int) -> Tensor:
    """Decode, crop, resize and turn one picture file: uint8 (channels, size, size)."""
    with _open(path) as image:
        # A JPEG decodes at 1/2, 1/4 or 1/8 if 2.5 * size pixels are left: 2 to 4 times faster, 0.5 levels off
        reduced = image.draft(None, (5 * size // 2, 5 * size // 2))
        picture = _plain(image)
        # The exact size: that of a picture at 1/4, say, has its fraction rounded up
        width, height = reduced[1][2:] if reduced else picture.size
        square = picture.resize((size, size), Image.Resampling.LANCZOS, box=_box(width, height, window))
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
        return _pixels(square if turn is None else square.transpose(turn), channels)


def _open(path: str) -> Image.Image:
    """Open a picture file; raise where Pillow only warns of a decompression bomb, ignore damaged EXIF."""
    with _warning_filters, warnings.catch_warnings():  # all threads have the same filters
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = Image.open(path)
        if "exif" in image.info:
            image.getexif()  # kept by the picture, so that it is parsed, and complained about, in here
        return image


def _plain(image: Image.Image) -> Image.Image:
    """Convert any kind of picture to 8-bit grey or RGB."""
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        return Image.fromarray((np.asarray(image) / 257).round().clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("a picture of floating-point numbers has no agreed range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "L" else image.convert("RGB")


def _pixels(image: Image.Image, channels: int) -> Tensor:
    """Turn a grey or RGB picture into uint8 (channels, height, width)."""
    pixels = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1).copy()
    return _with_channels(torch.from_numpy(pixels), channels).contiguous()


def _box(width: float, height: float, window: Window | None) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the square to keep of a picture."""
    if window is None:
        side = min(width, height)
        return (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2
    scale = width / window.width
    if abs(height - scale * window.height) > 1:
        shape = f"{window.width}x{window.height}"
        raise ValueError(f"{width:g}x{height:g} has not the shape of aligned pictures, {shape}: use folder:DIR")
    left, top, side = scale * window.left, scale * window.top, scale * window.side
    return left, top, left + side, top + side


def _with_channels(pixels: Tensor, channels: int) -> Tensor:
    """Turn uint8 (..., 1 or 3, S, S) into (..., channels, S, S): luma, or grey repeated."""
    if pixels.shape[-3] == channels:
        return pixels
    if channels == 3:
        return pixels.expand(*pixels.shape[:-3], 3, -1, -1)
    red, green, blue = pixels.float().unbind(-3)
    return (0.299 * red + 0.587 * green + 0.114 * blue).round().to(torch.uint8).unsqueeze(-3)


def _home(nbytes: int, device: torch.device, resident_bytes: int | None) -> torch.device | None:
    """Return where a set can stay decoded, the device or else the host; None where it takes too much of either."""
    if resident_bytes is not None:
        return device if nbytes <= resident_bytes else None
    places = dict.fromkeys((device, torch.device("cpu")))
    return next((place for place in places if nbytes <= _free_bytes(place) // 2), None)


def _free_bytes(device: torch.device) -> int:
    """Return the memory that is free on a device, in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    meminfo, container = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
    if not meminfo.exists():
        return 8 * 2**30
    free = int(re.findall(r"MemAvailable:\s+(\d+)", meminfo.read_text())[0]) * 1024
    limit = container.read_text().strip() if container.exists() else "max"
    return free if limit == "max" else min(free, int(limit))
