"""The endless sequence of batches that a set of pictures becomes, in an order that seed and step alone decide."""

import logging
import re
import signal
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from began.errors import BeganError
from began.images.memory import free_memory
from began.images.pixels import to_unit
from began.images.sources import WORKERS, Files, Pictures, check_range

SHARED = re.compile("shared memory|No space left on device|Bus error|torch_shm_manager")  # in torch's errors
NO_ROOM = "too little shared memory (/dev/shm, docker's --shm-size) for processes that decode: decoding in this one"
logger = logging.getLogger(__name__)


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
            raise BeganError(f"images is {type(images).__name__}: open_images(...) or Pictures(...) is needed")
        check_range("batch", batch, 1, len(images), f", the pictures of {images.name}")
        check_range("seed", seed, 0)
        check_range("workers", workers, 1)
        check_range("ranks", ranks, 1)
        check_range("rank", rank, 0, ranks - 1, f", as there are {ranks} ranks")
        if batch % ranks:
            raise BeganError(f"batch is {batch}: a multiple of ranks, {ranks}, is needed")
        self.batch, self.seed, self.flip, self.device, self.workers = batch, seed, flip, torch.device(device), workers
        self._share = slice(rank * batch // ranks, (rank + 1) * batch // ranks)
        home = _home(images.nbytes, self.device, resident_bytes)
        if isinstance(images, Files):
            images = images.decoded(home, workers) if home else images.checked(workers)
        elif home:
            images = Pictures(images.pixels.to(home), images.name)
        check_range("batch", batch, 1, len(images), f", the readable pictures of {images.name}")
        self.images = images

    def starting_at(self, step: int) -> Iterator[Tensor]:
        """Return an iterator over batch `step`, `step` + 1 and so on; ValueError where `step` is negative."""
        check_range("step", step, 0)
        if isinstance(self.images, Pictures):
            pictures = self.images.pixels
            batches = (pictures[indices] for indices, _ in self._order(step, pictures.device))
        else:
            batches = self._loaded(step)
        # Workers run ahead, so what to mirror comes from an order of its own, which is on the device
        pairs = zip(_moved(batches, self.device), self._order(step, self.device), strict=True)
        return (to_unit(_mirrored(pixels, flips) if self.flip else pixels) for pixels, (_, flips) in pairs)

    def _loaded(self, step: int) -> Iterator[Tensor]:
        """Decode batch `step` and all later ones in worker processes, ahead of need, into pinned memory for CUDA.

        Where the memory that processes share is too small for that, in this one, with a line in the log.
        """
        # Not in threads: around Pillow's calls they contend for the interpreter, with the training loop too
        for workers in (self.workers, 0):
            loader = DataLoader(
                self.images,
                batch_sampler=(indices.tolist() for indices, _ in self._order(step, torch.device("cpu"))),
                num_workers=workers,
                pin_memory=self.device.type == "cuda",
                worker_init_fn=_deaf,
                generator=torch.Generator(),  # without one it draws from the global generator, and z would change
            )
            try:
                for batch in loader:
                    yield batch
                    step += 1
            except (RuntimeError, OSError) as error:
                if not workers or (isinstance(error, RuntimeError) and not SHARED.search(str(error))):
                    raise
                logger.warning(NO_ROOM)

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


def _deaf(_worker: int) -> None:
    """Let signals to a whole group of processes, such as Ctrl-C or a batch system's, be the training process's affair.

    It tells its workers when to end, and they see it when it died. A second SIGTERM ends one that no longer hears.
    """
    for name in {"SIGINT", "SIGHUP"} & vars(signal).keys():
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))


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


def _home(nbytes: int, device: torch.device, resident_bytes: int | None) -> torch.device | None:
    """Return where a set can stay decoded, the device or else the host; None where it takes too much of either."""
    if resident_bytes is not None:
        return device if nbytes <= resident_bytes else None
    places = dict.fromkeys((device, torch.device("cpu")))
    return next((place for place in places if nbytes <= _free_bytes(place) // 2), None)


def _free_bytes(device: torch.device) -> int:
    """Return the memory that is free on a device, in bytes."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
