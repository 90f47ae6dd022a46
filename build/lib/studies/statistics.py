"""What is said of several seeds: a mean and its interval, and rows by gamma."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scipy import stats


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval by Student's t, which is the mean alone where all values are equal."""
    mean = sum(values) / len(values)
    error = stats.sem(values) if len(values) > 1 and math.isfinite(mean) else 0.0
    if not error > 0:
        return mean, mean, mean
    low, high = stats.t.interval(0.95, len(values) - 1, mean, error)
    return mean, float(low), float(high)


def by_gamma(rows: Iterable[Mapping[str, Any]]) -> dict[float, list[Mapping[str, Any]]]:
    """Return the rows of trials by their gamma, the smallest first, each group by seed."""
    groups: dict[float, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["setting"]["gamma"], row["seed"])):
        groups.setdefault(row["setting"]["gamma"], []).append(row)
    return groups
