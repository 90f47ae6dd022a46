"""What the benchmarks say of the machine they ran on, and where they write."""

import os
import platform
import re
from pathlib import Path

import torch


def machine_name(device: torch.device) -> str:
    """Return a short name of this machine, fit for a file's name."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        info = Path("/proc/cpuinfo")
        found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        name = f"{found[1] if found else platform.machine()} {cores} cores"
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)|processor|cpu", "", name.lower())).strip("-")


def result_file(name: str) -> Path:
    """Return benchmarks/results/NAME.json."""
    return Path(__file__).parent / "results" / f"{name}.json"
