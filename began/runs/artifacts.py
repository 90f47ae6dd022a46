"""Where artifacts lie, which there are, and who makes each again."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import torch

MAKERS = "began.artifacts"  # the entry points of what can be made


@dataclass(frozen=True)
class Options:
    """What whoever makes an artifact is asked for: a folder of `photographs`, which need not be there."""

    photographs: Path = Path("data/photographs")


# make(out, work, device, options): leave the artifact in `out`, and what a stopped call goes on from in `work`
Maker = Callable[[Path, Path, torch.device, Options], None]


def makers() -> dict[str, EntryPoint]:
    """Return, by the name of an artifact, the entry point whose `load()` is its `Maker`; nothing is imported."""
    return {point.name: point for point in entry_points(group=MAKERS)}


def artifacts_folder() -> Path:
    """Return data/artifacts: of the current folder or one above it, else of the repository that holds this package."""
    here = Path.cwd()
    for root in (here, *here.parents):
        if (root / "data/artifacts").is_dir():
            return root / "data/artifacts"
    return Path(__file__).resolve().parents[2] / "data/artifacts"


def artifact_names() -> list[str]:
    """List the finished runs in `artifacts_folder()`."""
    return sorted(path.parent.name for path in artifacts_folder().glob("*/run.json"))
