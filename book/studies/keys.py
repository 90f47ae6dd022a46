"""Names for results by all that they depend on: what was made under other settings is not found, and made again."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from began.measure import distances
from began.runs.artifacts import artifacts_folder
from studies.toy.ensemble import Method
from studies.toy.mixtures import RADIUS, SAMPLES


def fingerprint(depends: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that change with any of the settings, which are what JSON can hold."""
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]


def measures(data: str, photographs: Path) -> dict[str, Any]:
    """Return what measures of images depend on beside the images: the data held against, the reader, and sizes."""
    sizes = {name: getattr(distances, name) for name in ("NEIGHBOURS", "COMPONENTS", "NEAREST")}
    if data == "photographs":
        return sizes | {"photographs": _listed(photographs)}
    return sizes | {"reader": _digest(artifacts_folder() / "attributes/16.safetensors")}


def toy(method: type[Method]) -> dict[str, Any]:
    """Return what a run on a toy depends on beside its setting: the defaults of its knobs, and how it is scored."""
    return {"knobs": {name: knob.default for name, knob in method.all_knobs().items()}, "scores": [SAMPLES, RADIUS]}


@cache
def _listed(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path.relative_to(folder)), path.stat().st_size) for path in folder.rglob("*") if path.is_file())


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
