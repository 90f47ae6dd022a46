"""Trains what the book would show from a GPU: `python benchmarks/trainings.py NAME FOLDER`.

A second call with the same folder goes on from the checkpoint there. The finished run lies in FOLDER/NAME, as one of
the artifacts.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from began.checkpoints import CHECKPOINT
from began.config import TrainConfig
from began.devices.launch import joined
from began.devices.parallel import Ranks
from began.images.pixels import to_pixels
from began.runs.saving import save_run
from began.state import open_data
from began.training import Trainer

NEVER = 10**6
_FACES: dict[str, Any] = {
    "size": 64,
    "n": 48,  # its checkpoint comes back from a machine that is lent, that of a wider model does not
    "count": 20_000,
    "steps": 30_000,
    "gamma": 1.0,  # as the book's own, at a lower rate since it is wider
    "lambda_k": 0.03,
    "carry_steps": 4000,
    "lr": 3e-4,
    "lr_patience": 10_000,
    "ema": 0.999,
    "sample_every": NEVER,  # torchvision may not be there
    "checkpoint_every": 10_000,
}
TRAININGS = {
    "faces64-wide-began": TrainConfig.preset("began", grain=0.1, **_FACES),
    "faces64-wide-began-cs": TrainConfig.preset("began_cs", grain=0.15, **_FACES),
    "two-processes": TrainConfig(size=64, n=48, steps=500, count=2048, sample_every=NEVER),
    "tiny": TrainConfig(size=16, n=4, batch=4, steps=400, count=64, sample_every=NEVER, checkpoint_every=50),
}


def begun(config: TrainConfig, folder: Path, device: torch.device, ranks: Ranks) -> Trainer:
    """Return the run in a folder, at its checkpoint where that is of this config."""
    images, checkpoint = open_data(config), folder / CHECKPOINT
    try:
        return Trainer.resume(checkpoint, images, config=config, device=device, out=folder, ranks=ranks)
    except (FileNotFoundError, ValueError) as error:
        print(f"from the start: {error}")
        return Trainer(config, images, device=device, out=folder, ranks=ranks)


def save_samples(samples: Tensor, path: Path) -> None:
    """Write the 64 samples of a run as one picture, eight by eight."""
    rows = [torch.cat(list(row), 2) for row in to_pixels(samples).cpu().split(8)]
    Image.fromarray(torch.cat(rows, 1).permute(1, 2, 0).numpy()).save(path)


def main(name: str, place: str) -> None:
    """Train until the end, or until told to stop."""
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else None
    config, folder = TRAININGS[name], Path(place)
    with joined(device or torch.device("cpu")) as ranks:
        trainer = begun(config, folder, device or torch.device("cpu"), ranks)
        print(f"from step {trainer.step}, {trainer.update.how}", flush=True)
        trainer.fit(progress=False, quiet_stop=True)
        print(f"{trainer.step} of {config.steps} steps in {trainer.seconds:.0f} s, {trainer.update.how}", flush=True)
        if ranks.rank:
            return
        save_samples(trainer.sample(), folder / "samples.png")
        if trainer.step < config.steps:
            raise SystemExit(f"stopped at step {trainer.step}; a second call goes on")
        left = folder / name if ranks.count == 1 else folder  # a rehearsal of several processes is no artifact
        print(save_run(trainer, left, half=True)["metrics"])
        (folder / "samples.png").replace(left / "samples.png")
        (folder / CHECKPOINT).unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
