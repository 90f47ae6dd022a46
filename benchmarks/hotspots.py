"""Says which operations a step spends its time in: `python benchmarks/hotspots.py --shape 64 128 64`.

Where the step falls short of what the device can do, this is where to look. Of single steps: a graph's kernels are the
same, and theirs have names.
"""

import argparse
from typing import Any

import torch
from machine import facts, merged, save, significant
from step import Reading, batch, decided
from torch.profiler import ProfilerActivity, profile

from began.config import TrainConfig
from began.devices.acceleration import seconds

STEPS = 5
MOST = 25  # operations that are named


def operations(config: TrainConfig, device: torch.device) -> list[dict[str, Any]]:
    """Return a row for each operation that takes much of the device's time in a step, with its share and its calls."""
    step, x = Reading(config, device, graph=False), batch(config, device)
    seconds(step, x, STEPS)
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=activities) as seen:
        seconds(step, x, STEPS)
    key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    # on a GPU its kernels, which count for the operations that started them as well
    there = [e for e in seen.key_averages() if e.device_type.name.lower() == device.type]
    there = [e for e in there if not getattr(e, "is_user_annotation", False)]
    found = sorted(there, key=lambda event: -getattr(event, key))
    total = sum(getattr(event, key) for event in found)
    return [
        {
            "operation": event.key,
            "share": significant(getattr(event, key) / total),
            "us_per_step": significant(getattr(event, key) / STEPS),
            "calls_per_step": event.count / STEPS,
        }
        for event in found[:MOST]
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure and write benchmarks/results/hotspots-MACHINE.json."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shape", type=int, nargs=3, action="append", metavar=("SIZE", "N", "BATCH"), required=True)
    given = parser.parse_args(arguments)
    device, rows = torch.device(given.device), []
    result = facts("hotspots", device)
    name = f"hotspots-{result['machine']}"
    for size, n, count in given.shape:
        config = decided(TrainConfig(size=size, n=n, batch=count), device)
        what = {"model": "BEGAN", "mode": "began, no graph", "size": size, "n": n, "batch": count}
        rows += [what | row for row in operations(config, device)]
        print(what, config.precision)
        for row in rows[-MOST:]:
            print(f"{row['share']:7.1%} {row['us_per_step']:10.4g} us {row['calls_per_step']:6g} x {row['operation']}")
        save(name, merged(name, {**result, "rows": rows}))


if __name__ == "__main__":
    main()
