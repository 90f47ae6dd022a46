"""What is said of several seeds: a mean and its interval, beside its null, ranks, and rows by gamma."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval by Student's t, which is the mean alone where all values are equal."""
    mean = sum(values) / len(values)
    error = stats.sem(values) if len(values) > 1 and math.isfinite(mean) else 0.0
    if not error > 0:
        return mean, mean, mean
    low, high = stats.t.interval(0.95, len(values) - 1, mean, error)
    return mean, float(low), float(high)


class BesideNull(NamedTuple):
    """A mean over seeds with its 95 % interval, and the same of a null, in which what is looked for can't be."""

    mean: float
    low: float
    high: float
    null: float
    null_low: float
    null_high: float
    seeds: int


def paired(gains: Sequence[float]) -> BesideNull:
    """Return what one way gains over another, seed by seed; the null swaps the two at random in each seed."""
    signs = np.array(list(itertools.product((-1, 1), repeat=len(gains))))
    low, high = np.quantile(signs @ np.asarray(gains) / len(gains), (0.025, 0.975))
    return BesideNull(*interval(gains), 0.0, float(low), float(high), len(gains))


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation, nan where either is constant."""
    found: Any = stats.spearmanr(first, second)
    return float(found.statistic)


def by_gamma(rows: Iterable[Mapping[str, Any]]) -> dict[float, list[Mapping[str, Any]]]:
    """Return the rows of trials by their gamma, the smallest first, each group by seed."""
    groups: dict[float, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["setting"]["gamma"], row["seed"])):
        groups.setdefault(row["setting"]["gamma"], []).append(row)
    return groups
