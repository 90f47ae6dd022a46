"""Measures what watching for a collapse costs: a reading against the steps between two readings.

`python benchmarks/monitor.py` times both in turn, round after round, and, once a shape, what it takes to keep a
checkpoint to go back to, beside writing it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import facts, save, significant

from began.collapse import EVERY
from began.config import TrainConfig
from began.images.faces import rendered_faces
from began.images.sources import Pictures
from began.training import Trainer

ROUNDS = 7
SECONDS = 2  # of steps in each round
READINGS = 5


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return how long some work takes, until the device has done it."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def measured(config: TrainConfig, device: torch.device, place: Path) -> dict[str, float]:
    """Return the time of a step and of a reading, the share of the one in the other, and times of checkpoints."""
    images = Pictures(rendered_faces(max(64, config.batch), config.size), "faces")
    trainer = Trainer(config, images, device=device, out=place)

    def train(steps: int) -> Callable[[], object]:
        return lambda: trainer.fit(trainer.step + steps, progress=False)

    def watch() -> None:
        for _ in range(READINGS):
            trainer._watch()

    seconds(train(4), device)
    steps = max(2, round(SECONDS / seconds(train(4), device) * 4))
    watch()
    written = statistics.median(seconds(trainer.save_checkpoint, device) for _ in range(ROUNDS))
    pairs = []
    for _ in range(ROUNDS):
        step = (seconds(train(steps), device) - written) / steps  # `fit` ends with a checkpoint
        pairs.append((step, seconds(watch, device) / READINGS))
    shares = [reading / (EVERY * step) for step, reading in pairs]
    step, reading = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "step_s": step,
        "reading_s": reading,
        "share": statistics.median(shares),
        "share_low": min(shares),
        "share_high": max(shares),
        "checkpoint_s": written,
        "kept_s": seconds(trainer._keep, device),
    }


def main(arguments: list[str] | None = None) -> None:
    """Write benchmarks/results/monitor-MACHINE-DATE.json; a --shape is SIZE N BATCH."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--shape", type=int, nargs=3, action="append", metavar=("SIZE", "N", "BATCH"))
    parser.add_argument("--threads", type=int, help="of the CPU  [all cores]")
    given = parser.parse_args(arguments)
    shapes = given.shape or [(16, 16, 16), (32, 24, 16), (64, 32, 16)]
    if given.threads:
        torch.set_num_threads(given.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result, rows = facts("monitor", device), []
    for size, n, batch in shapes:
        for model in ("began", "began_cs"):
            # Far more steps than are taken, so that no sample grid or checkpoint falls among them
            config = TrainConfig.preset(
                model, size=size, n=n, batch=batch, lr=1e-5, sample_every=10**6, checkpoint_every=10**6
            )
            with tempfile.TemporaryDirectory() as place:
                numbers = measured(config, device, Path(place))
            rows.append({"model": model, "size": size, "n": n, "batch": batch})
            rows[-1] |= {name: significant(value) for name, value in numbers.items()}
            print(
                f"{model}, {size}x{size}, n = {n}, batch {batch}: {numbers['share']:.2%} of the training time "
                f"({numbers['share_low']:.2%} to {numbers['share_high']:.2%}); a checkpoint is written in "
                f"{1e3 * numbers['checkpoint_s']:.0f} ms and kept in {1e3 * numbers['kept_s']:.1f}"
            )
    print(save(f"monitor-{result['machine']}-{result['date']}", {**result, "rows": rows}))


if __name__ == "__main__":
    main()
