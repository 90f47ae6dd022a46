"""Which runs take off at 64x64: the map of grain and gamma of `studies.grain`, and what may help a launch.

`python benchmarks/takeoff.py` trains each setting with each seed and reads off how much of the pictures' standard
deviation the samples have; no reader of that size is needed. Another call goes on with what is missing.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from machine import RESULTS, facts, machine_name, save, significant

from began.config import TrainConfig
from began.images.batches import Batches
from began.images.faces import rendered_faces
from began.images.pixels import pixel_std, to_unit
from began.images.sources import Pictures
from began.runs.results import generate
from began.step import Update

MAP = {0.5: (0.0, 0.1, 0.15, 0.2, 0.3), 0.65: (0.1, 0.15), 0.8: (0.0, 0.05, 0.1, 0.15), 1.0: (0.0, 0.15)}
LAUNCH = (
    {"gamma": 0.5, "k_0": 0.5},
    {"gamma": 0.5, "lambda_k": 0.3},
    {"gamma": 0.5, "lr": 2e-4},
    {"gamma": 0.5, "norm": "l2"},
    {"gamma": 0.5, "grain": 0.15, "lambda_k": 1e-3},
)
SETTINGS: tuple[Mapping[str, Any], ...] = (
    *({"gamma": gamma, "grain": grain} for gamma, grains in MAP.items() for grain in grains),
    *LAUNCH,
)
SEED = 20  # the first
READ = 10  # readings of a run


def name(setting: Mapping[str, Any]) -> str:
    """Return a setting in words."""
    return ", ".join(f"{key} {value}" for key, value in setting.items())


def follow(config: TrainConfig, images: Pictures, device: torch.device) -> Iterator[dict[str, Any]]:
    """Train a run and yield what is read off it."""
    update = Update(config, device)
    real = pixel_std(to_unit(images.pixels[:1000]))
    z = update.model.noise(256, torch.Generator(device).manual_seed(config.seed))
    batches = Batches(images, config.batch, device=device, seed=config.seed).starting_at(0)
    for step, x in zip(range(1, config.steps + 1), batches, strict=False):
        update(x)
        if step % config.log_every == 0:
            loss_real, loss_fake, _, k, _ = update.take_rows().mean(0).tolist()
            std = pixel_std(generate(update.model.generator, z)) / real
            yield {"step": step, "std": std, "loss_real": loss_real, "loss_fake": loss_fake, "k": k}


def main() -> None:
    """Train what is missing, and write after each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option, default in (("size", 64), ("n", 32), ("batch", 16), ("steps", 3000), ("seeds", 3), ("count", 8192)):
        parser.add_argument(f"--{option}", type=int, default=default)
    asked = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = Pictures(rendered_faces(asked.count, asked.size, seed=0), "faces")
    file = f"takeoff-{machine_name(device)}"
    path = RESULTS / f"{file}.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    shape = {"size": asked.size, "n": asked.n, "batch": asked.batch, "steps": asked.steps}
    done = {(row["way"], row["seed"]) for row in rows if all(row[part] == value for part, value in shape.items())}
    for seed in range(SEED, SEED + asked.seeds):
        for setting in SETTINGS:
            if (name(setting), seed) in done:
                continue
            started = time.perf_counter()
            given = {"lambda_k": 0.03, "lr_patience": 0, "log_every": asked.steps // READ, **shape, **setting}
            config = TrainConfig.from_dict({**given, "seed": seed})
            read = list(follow(config, images, device))
            readings = {part: [significant(one[part]) for one in read] for part in read[0]}
            seconds = significant(time.perf_counter() - started)
            rows.append({"way": name(setting), **shape, "seed": seed, "seconds": seconds, **readings})
            print(f"{name(setting)}, seed {seed}: std {readings['std'][-1]} after {seconds} s", flush=True)
            save(file, {**facts("takeoff", device), "rows": rows})


if __name__ == "__main__":
    main()
