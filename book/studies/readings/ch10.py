"""What chapter 10 reads off the benchmarks."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from statistics import median
from typing import Any

from scipy.stats import mannwhitneyu

from studies.tables import within

Result = Mapping[str, Any]
PEAKS = {"T4": 65e12, "L4": 121e12, "A100": 312e12, "H100": 989e12}  # operations a second, half precision, data sheets
REACHED = 1 / 3  # of the peak, assumed
MEASURES = {"M": "$M$", "k": "$k$", "ratio": "ratio of the losses", "sample_std": "pixel std"}


def shape(row: Result) -> str:
    """Return the size of images and the width of networks in words."""
    return f"{row['size']}x{row['size']}, $n$ = {row['n']}"


def machines(results: Sequence[Result]) -> dict[str, list]:
    """Return the columns of what was measured where, and the rate of a large matrix product there."""
    return {
        "machine": [result["machine"] for result in results],
        "float32, TFLOP/s": [result["matrix_tflops"]["float32"] for result in results],
        "bfloat16, TFLOP/s": [result["matrix_tflops"]["bfloat16"] for result in results],
        "torch": [result["torch"] for result in results],
        "date, commit": [f"{result['date']}, `{result['commit'][:7]}`" for result in results],
    }


def floors(rows: Sequence[Result], ways: Mapping[str, str]) -> dict[str, list]:
    """Return the columns of how close ways come to the floor, by size of image and width."""
    found: dict[str, dict[str, float]] = {}
    for row in sorted(rows, key=lambda row: (row["size"], row["n"], row["model"])):
        if "floor_share" in row:
            found.setdefault(f"{row['model']}, {shape(row)}", {})[row["mode"]] = row["floor_share"]
    return {
        "share of the floor": list(found),
        **{name: [share[way] for share in found.values()] for way, name in ways.items()},
    }


def remedies(rows: Sequence[Result]) -> dict[str, list]:
    """Return the columns of what each change to the ports' step brings alone."""
    return {
        "alone": [row["mode"].removeprefix("ports + ") for row in rows],
        "times as fast": [within(*(row[f"ratio{end}"] for end in ("", "_low", "_high"))) for row in rows],
        "peak, MiB": [row["peak_mib"] for row in rows],
        "host reads a step": [row["syncs_per_step"] for row in rows],
    }


def steps_on(result: Result) -> dict[str, list]:
    """Return the columns of a device's speeds, a row a way to do the step."""
    timed = [row for row in result["rows"] if "ratio" in row]
    return {
        result["device"]: [f"{row['model']}, {shape(row)}: {row['mode']}" for row in timed],
        "images a second": [row["images_per_s"] for row in timed],
        "times as fast": [within(*(row[f"ratio{end}"] for end in ("", "_low", "_high"))) for row in timed],
    }


def agreement(rows: Sequence[Result]) -> dict[str, list]:
    """Return the columns of where runs end: medians, and p of a rank test against the reference mode."""
    columns: dict[str, list] = {"": [], "reference": []}
    for model, (measure, title) in product(("BEGAN", "BEGAN-CS"), MEASURES.items()):
        ends: dict[str, list[float]] = {}
        for row in rows:
            if row["model"] == model:
                ends.setdefault(row["way"], []).append(row[measure])
        columns[""].append(f"{model}, {title}")
        columns["reference"].append(f"{median(ends['reference']):.3f}")
        for way in ("float32", "bfloat16"):
            p = mannwhitneyu(ends["reference"], ends[way]).pvalue
            columns.setdefault(f"{way} ($p$)", []).append(f"{median(ends[way]):.3f} ({p:.2f})")
    return columns


def decoding(result: Result) -> dict[str, list]:
    """Return the columns of how fast photographs are decoded, and how much of a resident set's speed is left."""
    rows = result["rows"]
    return {
        "JPEG, pixels": [row["data"] for row in rows],
        "model": [shape(row) for row in rows],
        "decoded a second, a worker": [row["decoded_per_s_per_worker"] for row in rows],
        "taken a second": [row["resident_images_per_s"] for row in rows],
        "speed left": [row["share"] for row in rows],
    }


def celeba(cost: Callable[[int, int, int], int]) -> dict[str, list]:
    """Return the columns of hours that 100 epochs of CelebA would take; `cost` counts a step by size, n and batch."""
    shapes, steps = [(64, 64), (64, 128), (128, 64), (128, 128)], 100 * 202_599 / 64
    costs = [cost(size, n, 64) for size, n in shapes]
    return {
        "": [f"{size}x{size}, $n$ = {n}" for size, n in shapes],
        "TFLOP a step": [one / 1e12 for one in costs],
        **{f"{name}, h": [one * steps / (REACHED * peak) / 3600 for one in costs] for name, peak in PEAKS.items()},
    }


def memory(rows: Sequence[Result]) -> dict[str, list]:
    """Return the columns of the peak memory of a step in float32, with weights and Adam."""
    shapes = [(64, 32), (64, 128), (128, 128)]
    peak = {
        (row["model"], row["size"], row["n"]): row["peak_mib"] / 1024
        for row in rows
        if row["mode"] == "began" and "peak_mib" in row
    }
    return {
        "peak, GiB": [f"{size}x{size}, $n$ = {n}" for size, n in shapes],
        **{model: [peak[model, *one] for one in shapes] for model in ("BEGAN", "BEGAN-CS")},
    }


def hours(rows: Sequence[Result], cost: Callable[[int, int, int], int]) -> dict[str, list]:
    """Return the columns of hours for 100 000 steps at batch 16: measured on a CPU, computed for GPUs."""
    shapes = [(32, 32), (32, 64), (64, 32), (64, 64), (64, 128)]
    of = {(row["size"], row["n"], row["mode"]): row for row in rows if row["model"] == "BEGAN" and row["batch"] == 16}
    costs = [cost(size, n, 16) * 1e5 / 3600 for size, n in shapes]

    def measured(mode: str) -> list[str]:
        return [f"{16e5 / of[*one, mode]['images_per_s'] / 3600:.1f}" for one in shapes]

    return {
        "": [f"{size}x{size}, $n$ = {n}" for size, n in shapes],
        "float32, h": measured("began"),
        "bfloat16, h": measured("began, bfloat16"),
        "peak, GiB": [f"{of[*one, 'began']['peak_mib'] / 1024:.1f}" for one in shapes],
        **{
            f"{name}, h": [f"{h:.1f}" if h >= 0.1 else "< 0.1" for h in (one / (REACHED * peak) for one in costs)]
            for name, peak in PEAKS.items()
        },
    }


def longer(rows: Sequence[Result], size: int, n: int) -> float:
    """Return by which share of its time a step of BEGAN-CS takes longer than one of BEGAN."""
    speed = {
        row["model"]: row["images_per_s"] for row in rows if (row["size"], row["n"], row["mode"]) == (size, n, "began")
    }
    return speed["BEGAN"] / speed["BEGAN-CS"] - 1
