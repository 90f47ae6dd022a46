"""Measures how fast photographs are decoded, and how fast they train beside data on the device.

`python benchmarks/data.py` makes JPEG files of rendered faces, with the grain that photographs have: without it they
would decode faster. Training takes turns, round after round, so that what else the machine does falls on all alike.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import torch
from machine import facts, save, significant
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from tqdm import tqdm

from began.config import TrainConfig
from began.images.batches import Batches
from began.images.faces import rendered_faces
from began.images.sources import WORKERS, Files, open_images
from began.training import Trainer

KINDS = {"178x218": (512, 218, 178), "1024x1024": (128, 1024, 1024)}  # how many, and their height and width
ROUNDS = 5
SECONDS = 4  # that a way trains for in each round


class Going(Batches):
    """Batches that go on from one `fit` to the next: their workers start once, as in a long run."""

    @cached_property
    def _going(self) -> Iterator[Tensor]:
        return super().starting_at(0)

    def starting_at(self, step: int) -> Iterator[Tensor]:
        """Return the one iterator, wherever it is."""
        return self._going


def make_pictures(folder: Path, count: int, height: int, width: int) -> None:
    """Write faces as JPEG files, enlarged where the renderer's 256 pixels are too few, with grain."""
    folder.mkdir()
    rng = torch.Generator().manual_seed(0)
    for i, face in enumerate(rendered_faces(count, min(height, 256))):
        square = interpolate(face[None].float(), (height, height), mode="bicubic", antialias=True)[0]
        large = square.narrow(2, (height - width) // 2, width)
        grainy = (large + 5 * torch.randn(large.shape, generator=rng)).clamp(0, 255).byte()
        Image.fromarray(grainy.permute(1, 2, 0).numpy()).save(folder / f"{i:04}.jpg", quality=90)


def decoded_per_second(images: Files) -> float:
    """Return how many pictures one worker decodes in a second, the median of several passes."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        list(map(images.__getitem__, range(len(images))))
        times.append(time.perf_counter() - start)
    return len(images) / statistics.median(times)


def trained_per_second(trainer: Trainer, steps: int) -> float:
    """Return the images that a run trains on in a second; `fit` ends by reading what the device has computed."""
    start = time.perf_counter()
    trainer.fit(trainer.step + steps, progress=False)
    return steps * trainer.config.batch / (time.perf_counter() - start)


def training_speeds(config: TrainConfig, sets: dict[str, Files], device: torch.device) -> dict[str, list[float]]:
    """Train in turn on resident data and on each set streamed: images a second, one number a round."""
    trainer = Trainer(config, next(iter(sets.values())), device=device)
    batches = {"resident": trainer.batches}
    for kind, images in sets.items():
        batches[kind] = Going(images, config.batch, device=device, resident_bytes=0)
    for trainer.batches in batches.values():
        trained_per_second(trainer, 5)
    steps = max(5, round(SECONDS * trained_per_second(trainer, 20) / config.batch))
    speeds: dict[str, list[float]] = {way: [] for way in batches}
    for _ in tqdm(range(ROUNDS), disable=None):
        for way in speeds:
            trainer.batches = batches[way]
            speeds[way].append(trained_per_second(trainer, steps))
    return speeds


def main(arguments: list[str] | None = None) -> None:
    """Measure loading and write benchmarks/results/data-MACHINE-DATE.json."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--n", type=int, default=32)
    parser.add_argument("--batch", type=int, default=16)
    given = parser.parse_args(arguments)
    size, n, batch = given.size, given.n, given.batch
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as place:
        sets = {}
        for kind, (count, height, width) in KINDS.items():
            make_pictures(Path(place, kind), count, height, width)
            sets[kind] = open_images(f"folder:{place}/{kind}", size=size)
        decoded = {kind: decoded_per_second(images) for kind, images in sets.items()}
        config = TrainConfig(size=size, n=n, batch=batch, lr=1e-5)
        speeds = training_speeds(config, sets, device)
    resident = statistics.median(speeds["resident"])
    result = facts("data", device)
    print(
        f"{result['machine']}: {size}x{size}, n = {n}, batch {batch}: {resident:.0f} images/s from data on the device"
    )
    rows = []
    for kind, rate in decoded.items():
        shares = [a / b for a, b in zip(speeds[kind], speeds["resident"], strict=True)]
        supply = rate * WORKERS
        # A GPU waits if the workers are slower than it; on a CPU, they take their time from the model's
        allowed = min(1, supply / resident) if device.type == "cuda" else 1 / (1 + resident / supply)
        numbers = {
            "decoded_per_s_per_worker": rate,
            "images_per_s": statistics.median(speeds[kind]),
            "resident_images_per_s": resident,
            "share": statistics.median(shares),
            "share_low": min(shares),
            "share_high": max(shares),
            "share_allowed": allowed,
        }
        rows.append({"data": kind, "size": size, "n": n, "batch": batch, "workers": WORKERS})
        rows[-1] |= {name: significant(value) for name, value in numbers.items()}
        print(
            f"{kind:>9} streamed: {numbers['images_per_s']:.0f} images/s, {numbers['share']:.1%} ({min(shares):.1%} to "
            f"{max(shares):.1%}); {WORKERS} workers decode {rate:.0f} pictures/s each, which allows {allowed:.1%}"
        )
    print(save(f"data-{result['machine']}-{result['date']}", {**result, "rows": rows}))


if __name__ == "__main__":
    main()
