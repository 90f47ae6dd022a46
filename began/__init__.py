"""BEGAN and BEGAN-CS: what one needs to train and use them. All else is reached by its room, and may move."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from began.collapse import CollapseError
    from began.config import TrainConfig
    from began.equilibrium import Equilibrium
    from began.errors import BeganError
    from began.images.pixels import to_pixels, to_unit
    from began.images.sources import open_images
    from began.losses import (
        Losses,
        convergence_measure,
        discriminator_loss,
        generator_loss,
        latent_constraint,
        reconstruction_loss,
    )
    from began.runs.results import Run, load
    from began.runs.saving import train
    from began.state import DivergenceError
    from began.training import Trainer

__version__ = "0.1.0"
__all__ = [
    "BeganError",
    "CollapseError",
    "DivergenceError",
    "Equilibrium",
    "Losses",
    "Run",
    "TrainConfig",
    "Trainer",
    "convergence_measure",
    "discriminator_loss",
    "generator_loss",
    "latent_constraint",
    "load",
    "open_images",
    "reconstruction_loss",
    "to_pixels",
    "to_unit",
    "train",
]
_ROOMS = (
    "runs.saving",
    "runs.results",
    "training",
    "images.sources",
    "images.pixels",
    "equilibrium",
    "losses",
    "state",
    "collapse",
)


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: `began --help` need not wait for torch."""
    if name in __all__:
        for room in _ROOMS:
            if hasattr(found := import_module(f"began.{room}"), name):
                return getattr(found, name)
    raise AttributeError(f"module 'began' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
