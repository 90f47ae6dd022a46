"""Asks whether the ways to do a step end alike: `python benchmarks/agreement.py`.

The same seeds and data, trained by the equations word by word, by one pass in float32, and in lower precision. Two
ways agree if their runs differ no more than seeds do. A second call does what is missing.
"""

import argparse
import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from machine import RESULTS, facts, save
from tqdm import tqdm

from began.config import TrainConfig
from began.images.pixels import pixel_std
from began.images.sources import open_images
from began.runs.results import generate, summary
from began.training import Trainer

WAYS = {
    "reference": {"mode": "reference", "precision": "float32"},
    "float32": {"precision": "float32"},
    "bfloat16": {"precision": "bfloat16"},
    "float16": {"precision": "float16"},
}


def main(arguments: list[str] | None = None) -> None:
    """Train in each way and write benchmarks/results/agreement-MACHINE.json."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of the CPU  [all cores]")
    given = parser.parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    where = torch.device(given.device)
    base = TrainConfig(size=given.size, n=given.n, steps=given.steps, count=4096)
    images = open_images(base.data, size=base.size, count=base.count)
    result = {**facts("agreement", where), "config": base.to_dict()}
    name = f"agreement-{result['machine']}"
    rows = _done(RESULTS / f"{name}.json", result)
    # float16 is emulated on a CPU, some 40 times slower
    ways = {way: options for way, options in WAYS.items() if where.type == "cuda" or way != "float16"}
    for seed, alpha, (way, options) in tqdm(list(product(range(given.seeds), (0.0, 0.1), ways.items())), disable=None):
        model = "BEGAN-CS" if alpha else "BEGAN"
        if any((row["model"], row["way"], row["seed"]) == (model, way, seed) for row in rows):
            continue
        trainer = Trainer(replace(base, alpha=alpha, seed=seed, **options), images, device=where)
        history = trainer.fit(progress=False)
        z = trainer.model.noise(256, torch.Generator(where).manual_seed(1))
        spread = pixel_std(generate(trainer.sampler, z))
        rows.append({"model": model, "way": way, "seed": seed, **summary(history), "sample_std": spread})
        save(name, {**result, "rows": rows})
    print(f"{len(rows)} runs in {RESULTS / name}.json")


def _done(path: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a file that the same commit wrote with the same settings."""
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    return found["rows"] if all(found[key] == result[key] for key in ("commit", "config")) else []


if __name__ == "__main__":
    main()
