"""How far a run comes by the defaults, beside those of the first edition: five seeds each, in as many steps.

`python benchmarks/defaults.py` trains each run as `began train` does and measures its samples against held-out faces.
Another call goes on with what is missing. The defaults were chosen on other seeds than these.
"""

import argparse
import json
from dataclasses import replace
from typing import Any

import torch
from machine import RESULTS, facts, machine_name, save, significant

from began.config import TrainConfig
from began.devices.acceleration import keep_memory
from began.state import open_data
from began.training import Trainer
from studies.models import coverage, untrained

FIRST: dict[str, Any] = {"gamma": 1.0, "grain": 0.0, "ema": 0.0, "lr_drop": 0}  # where the first edition's differ
SEEDS = range(40, 45)


def main() -> None:
    """Train what is missing, and write after each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=TrainConfig().steps)
    steps: int = parser.parse_args().steps
    device, file = torch.device("cpu"), f"defaults-{machine_name(torch.device('cpu'))}"
    keep_memory()
    now = TrainConfig(steps=steps)
    ways = {"defaults": now, "first edition": replace(now, **FIRST)}
    images = open_data(now)
    path = RESULTS / f"{file}.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(row["way"], row["seed"]) for row in rows if row["steps"] == steps}
    for seed in SEEDS:
        for way, config in ways.items():
            if (way, seed) in done:
                continue
            trainer = Trainer(replace(config, seed=seed), images)
            trainer.fit(progress=False)
            found = coverage(trainer.sampler, trainer.config)
            null = coverage(untrained(trainer.config), trainer.config)
            found |= {f"untrained_{name}": value for name, value in null.items()}
            found = {name: significant(value) for name, value in {**found, "seconds": trainer.seconds}.items()}
            rows.append({"way": way, "steps": steps, "seed": seed, **found})
            print(rows[-1], flush=True)
            save(file, {**facts("defaults", device), "config": now.to_dict(), "rows": rows})


if __name__ == "__main__":
    main()
