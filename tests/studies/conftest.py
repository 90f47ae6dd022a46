"""What tests of studies share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from began.images.faces import rendered_faces
from studies import runner


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, every tenth of which is held out."""
    folder = tmp_path_factory.mktemp("photographs")
    for i, picture in enumerate(rendered_faces(240, 16, seed=2)):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{i:03}.png")
    return folder


class Here:
    """Workers without processes, which end their jobs in another order."""

    def __init__(self, device: torch.device):
        self.device, self.done = device, []

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def call(self, function: Callable, steps: int, *arguments: Any) -> None:
        told: list[int] = []
        self.done.append(function(*arguments, self.device, told.append))
        assert sum(told) == steps

    def finished(self) -> Iterator[list]:
        while self.done:
            yield self.done.pop()


@pytest.fixture(scope="module")
def here() -> Iterator[None]:
    """Jobs are done in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "Workers", Here)
        yield
