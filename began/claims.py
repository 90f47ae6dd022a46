"""What a chapter found of each claim that it tests, kept for the chapter that collects them."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from began.artifacts import artifacts_folder
from began.files import atomic_write

Verdict = Literal["reproduced", "differs", "not reproduced", "open"]


@dataclass(frozen=True)
class Claim:
    """One claim: what the paper says, what was measured, and between which 95 % bounds.

    `claim` is its id in the book, `paper` the published figure in words, `data` what it was measured on, `section`
    where to read of it. Raises ValueError for an unknown verdict and for a number outside its own bounds.
    """

    claim: str
    paper: str
    ours: float
    low: float
    high: float
    unit: str
    seeds: int
    data: str
    verdict: Verdict
    section: str

    def __post_init__(self) -> None:
        """Check the verdict and the bounds."""
        if self.verdict not in get_args(Verdict):
            raise ValueError(f"verdict must be one of {', '.join(get_args(Verdict))}, got {self.verdict!r}")
        if not self.low <= self.ours <= self.high:
            raise ValueError(f"ours must lie in [low, high] = [{self.low}, {self.high}], got {self.ours}")


def save_claims(chapter: int, claims: Sequence[Claim]) -> Path:
    """Write data/claims/NN.json, numbers to four significant digits, and return its path."""
    lines = [
        {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in line.items()}
        for line in map(dataclasses.asdict, claims)
    ]
    path = artifacts_folder().parent / f"claims/{chapter:02}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(lines, indent=1) + "\n")
    return path
