"""Where artifacts lie, which there are, and who makes each again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import torch

from began.errors import BeganError

T = TypeVar("T")
MAKERS = "began.artifacts"  # the entry points of what can be made


def _option(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True)
class Options:
    """What whoever makes an artifact is asked for: the reader's `photographs`, and the scale, by default the book's."""

    photographs: Path = _option(Path("data/photographs"), "folder of pictures of yours, where a study has them")
    data: tuple[str, ...] = _option((), "faces, photographs, digits or grid, where a study has them")
    size: int | None = _option(None, "height and width of the pictures")
    n: int | None = _option(None, "filters of the first level")
    batch: int | None = _option(None, "pictures a step")
    lr: float | None = _option(None, "Adam's learning rate; runs of survival have twice or six times as much")
    steps: int | None = _option(None, "steps of each run")
    seeds: int | None = _option(None, "runs of each setting")
    settings: int | None = _option(None, "settings tried for each method (toy)")

    @property
    def scale(self) -> dict[str, Any]:
        """What is asked for of another scale, by name."""
        return {name: value for name, value in vars(self).items() if name != "photographs" and value not in (None, ())}

    @property
    def label(self) -> str:
        """The scale asked for, as the name of a folder has it."""
        shown = {name: ",".join(value) if name == "data" else value for name, value in self.scale.items()}
        return "-".join(f"{name}={value}" for name, value in shown.items())

    def applied(self, own: T) -> T:
        """Return `own`, a dataclass, with what is asked for; BeganError names what it has not."""
        if unknown := [f"--{name}" for name in self.scale if name not in vars(own)]:
            raise BeganError(f"{', '.join(unknown)} can't be chosen here")
        return type(own)(**{**vars(own), **self.scale})


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
