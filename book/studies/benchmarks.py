"""What `benchmarks/` measured, for chapters to show."""

import json
from typing import Any

from began.runs.artifacts import artifacts_folder


def benchmark_results(benchmark: str) -> list[dict[str, Any]]:
    """Return what a benchmark ("step", "agreement", "data" or "monitor") left in benchmarks/results, oldest first."""
    folder = artifacts_folder().parent.parent / "benchmarks/results"
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return sorted((r for r in results if r["benchmark"] == benchmark), key=lambda result: result["date"])
