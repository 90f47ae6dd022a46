"""Measures what `began train` takes before it trains: the imports, in a fresh interpreter, against those of a commit.

Usage: python benchmarks/imports.py [--before COMMIT]
"""

import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

import click
import torch
from machine import facts, save, significant

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 7
NOW = "from began.cli import main; main.get_command(None, 'train')"


def seconds(statement: str, folder: Path) -> float:
    """Return how long a new interpreter takes to run a statement in a folder, whose packages come first."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], cwd=folder, check=True)
    return time.perf_counter() - start


@click.command()
@click.option("--before", default="28d9977", show_default=True, help="a commit to compare with")
def main(before: str) -> None:
    """Write benchmarks/results/imports-MACHINE.json: seconds, and ratios over `import torch`, in interleaved rounds."""
    archive = subprocess.run(["git", "archive", before, "began"], cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            tar.extractall(place, filter="data")
        ways = {
            "torch": ("import torch", ROOT),
            "began train": (NOW, ROOT),
            f"began.cli at {before}": ("import began.cli", Path(place)),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS + 1):  # the first fills the disk's cache
            for name, (statement, folder) in ways.items():
                times[name].append(seconds(statement, folder))
    medians = {name: statistics.median(found[1:]) for name, found in times.items()}
    result = facts("imports", torch.device("cpu"))
    rows = [
        {
            "import": name,
            "seconds": significant(median),
            "seconds_low": significant(min(times[name][1:])),
            "seconds_high": significant(max(times[name][1:])),
            "ratio": significant(median / medians["torch"]),
        }
        for name, median in medians.items()
    ]
    for row in rows:
        print(f"{row['import']}: {row['seconds']:.2f} s, {row['ratio']:.2f} times `import torch`")
    print(save(f"imports-{result['machine']}", {**result, "rows": rows}))


if __name__ == "__main__":
    main()
