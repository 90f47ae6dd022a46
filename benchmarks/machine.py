"""What each benchmark says of the machine that it ran on, and where it leaves its numbers."""

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch

from began.files import atomic_write
from began.runs.saving import provenance

RESULTS = Path(os.environ.get("BEGAN_RESULTS") or Path(__file__).parent / "results")  # a job of gpu.py has its own
IDENTITY = (
    "model",
    "mode",
    "way",
    "data",
    "test",
    "operation",
    "size",
    "n",
    "batch",
    "members",
    "seed",
)  # what names a row


def machine_name(device: torch.device) -> str:
    """Return a short name of this machine, fit for a file's name."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        info = Path("/proc/cpuinfo")
        found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
        name = f"{found[1] if found else platform.machine()} {torch.get_num_threads()} threads"
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)|processor|cpu", "", name.lower())).strip("-")


def facts(benchmark: str, device: torch.device) -> dict[str, Any]:
    """Return what a result says of where it comes from: machine, device, threads, date, commit, torch."""
    known = provenance(device)
    return {
        "benchmark": benchmark,
        "machine": machine_name(device),
        **{name: known[name] for name in ("device", "threads", "date", "commit")},
        "torch": known["versions"]["torch"],
    }


def save(name: str, result: dict[str, Any]) -> Path:
    """Write benchmarks/results/NAME.json and return its path."""
    path = RESULTS / f"{name}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n")
    return path


def merged(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with the rows that the same commit left under its name, where there are no new ones."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"commit": None}
    if found["commit"] != result["commit"]:
        return result

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row.get(part) for part in IDENTITY)

    new = {key(row) for row in result["rows"]}
    old = [row for row in found["rows"] if key(row) not in new]
    kept = {part: value for part, value in found.items() if not result.get(part)}
    return {**result, **kept, "rows": old + result["rows"]}


def significant(value: float) -> float:
    """Round to four significant digits."""
    return float(f"{value:.4g}")


def environment() -> str:
    """Return all that may matter of this machine to someone who does not have it."""
    lines = [f"Python {sys.version}", platform.platform(), torch.__config__.show()]
    lines += [str(torch.cuda.get_device_properties(i)) for i in range(torch.cuda.device_count())]
    lines += sorted(f"{part.name}=={part.version}" for part in distributions())
    with contextlib.suppress(OSError):
        lines.append(subprocess.run(["nvidia-smi", "-q"], capture_output=True, text=True).stdout)
    return "\n".join(lines)


if __name__ == "__main__":
    print(environment())
