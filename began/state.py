"""What a run is at a step: networks, Adam, k, history and readings, in one piece that is saved and loaded whole."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from began.checkpoints import CHECKPOINT, instead, load_checkpoint
from began.collapse import COUNT, Reading
from began.config import TrainConfig
from began.devices.acceleration import out_of_memory, usable
from began.devices.parallel import ALONE, Ranks
from began.errors import BeganError
from began.files import atomic_write, save_grid
from began.images.batches import Batches
from began.images.pixels import to_unit
from began.images.sources import Files, Pictures, check_same, open_images
from began.networks import Decoder
from began.passes import Began, Rule
from began.rescue import Rescue
from began.step import Record, Update, streams
from began.tuning import settled

logger = logging.getLogger(__name__)
CHANGEABLE = ("steps", "on_collapse", "remedy", "good_mib", "data")  # in a resumed run; of data, where it lies


class DivergenceError(FloatingPointError):
    """A loss is no longer a finite number; the message names the step.

    >>> from began import Trainer, TrainConfig
    >>> config = TrainConfig(size=16, n=4, count=8, batch=4, steps=40, lr=1e9)
    >>> Trainer(config).fit(progress=False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    began.state.DivergenceError: a loss is not finite at step ...; lower lr (now 1e+09) or gamma
    """


class State:
    """All that a run depends on and leaves, at a step; `training.Trainer` moves it on, and documents the arguments."""

    def __init__(
        self,
        config: TrainConfig,
        images: Pictures | Files | None = None,
        *,
        device: str | torch.device = "cpu",
        out: Path | None = None,
        ranks: Ranks = ALONE,
        stream: bool = False,
        rule: Rule | None = None,
    ):
        if config.on_collapse == "rollback" and out is None:
            raise BeganError("on_collapse='rollback' needs out, a folder for the checkpoints to go back to")
        self.device, self.ranks, self.rule = usable(device), ranks, rule
        images = open_data(config) if images is None else images
        self.out = out if ranks.rank == 0 else None
        self.batches = Batches(
            images,
            config.batch,
            device=self.device,
            seed=config.seed,
            flip=config.flip,
            rank=ranks.rank,
            ranks=ranks.count,
            resident_bytes=0 if stream else None,
        )
        shape, expected = tuple(self.batches.images[0].shape), (config.channels, config.size, config.size)
        if shape != expected:
            raise BeganError(f"images must have the shape {expected} that the config asks for, got {shape}")
        total = len(self.batches.images)
        watched = range(0, total, -(-total // COUNT))  # from all over the set, which may be sorted
        self.begin(config)
        self.listing = images.listing
        self.watched = to_unit(torch.stack([self.batches.images[i] for i in watched])).to(self.model.equilibrium.k)
        self.step = 0
        self.seconds = 0.0
        self.stopped_by: int | None = None  # the signal that ended the last `fit`
        self.readings: list[Reading] = []
        self.rescue = Rescue(out, writes=self.out is not None)
        self._suspicion: str | None = None
        self._checked = 0
        self._rows = torch.empty(0, len(Record._fields))

    def begin(self, config: TrainConfig) -> None:
        """Make the networks of a config anew, as they are before the first step."""
        self.config = config = settled(config, self.device, self.ranks)
        self.update = Update(config, self.device, self.ranks, rule=self.rule)
        patience = max(config.lr_patience // config.log_every - 1, 0)  # it acts when more readings than this were bad
        self.plateau = ReduceLROnPlateau(self.update.optimizer, factor=0.5, patience=patience, threshold=1e-3, eps=0)

    @property
    def model(self) -> Began:
        """G, D and the equilibrium."""
        return self.update.model

    @property
    def sampler(self) -> Decoder:
        """The generator to sample from: the moving average of G where there is one."""
        return self.update.average or self.model.generator

    @property
    def lr(self) -> float:
        """The learning rate now."""
        return self.update.lr

    @property
    def history(self) -> Record:
        """All steps so far, a column `(steps,)` each, on the CPU. Reading it waits for the device."""
        self._rows = torch.cat([self._rows, self.update.take_rows()])
        return Record(*self._rows.unbind(1))

    def check(self) -> None:
        """Raise DivergenceError where a number in the history since the last check is not finite."""
        rows = torch.stack([column[self._checked :] for column in self.history])
        finite = rows.isfinite().all(0)
        if not finite.all():
            first = self._checked + 1 + int(finite.int().argmin())
            raise DivergenceError(f"a loss is not finite at step {first}; lower lr (now {self.lr:g}) or gamma")
        self._checked = self.step

    @torch.no_grad()
    def sample(self, z: Tensor | None = None) -> Tensor:
        """Return G(z), `(B, C, H, W)` about [-1, 1]; by default of the 64 fixed z of the run's sample grids."""
        return self.sampler(self.update.sample_z if z is None else z)

    def save_samples(self, path: Path) -> None:
        """Write the run's 8x8 grid of samples as a picture."""
        save_grid(self.sample(), path, 8)

    def save(self, path: Path) -> None:
        """Write a checkpoint, atomically; DivergenceError, and no file, where a loss is no longer finite."""
        self.check()
        state = {
            "config": self.config.to_dict(),
            "device": self.device.type,
            "step": self.step,
            "seconds": self.seconds,
            "plateau": self.plateau.state_dict(),
            **self.update.state_dict(),
            "pictures": self.listing,
            "history": torch.stack(self.history),
            "readings": torch.tensor(self.readings).view(-1, len(Reading._fields)),
            **self.rescue.state_dict(),
        }
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            torch.save(state, file)  # to a name, torch would not say why it failed

    def save_checkpoint(self) -> None:
        """Write `out/checkpoint.pt`, where there is an `out`."""
        if self.out:
            self.save(self.out / CHECKPOINT)

    @classmethod
    def resume(
        cls,
        path: Path,
        images: Pictures | Files | None = None,
        *,
        config: TrainConfig | None = None,
        device: str | torch.device = "cpu",
        out: Path | None = None,
        ranks: Ranks = ALONE,
        stream: bool = False,
        changed_data: bool = False,
        rule: Rule | None = None,
    ) -> Self:
        """Return the run of a checkpoint, ready to `fit` on.

        `images`, by default those that the config names, must be those of the run, wherever they lie by now, unless
        `changed_data`. `config`, if given, may differ from the run's in what `CHANGEABLE` names. On another kind of
        device than it was on the run goes on with other random numbers, and a line in the log says so. No code in the
        file is run. Raises FileNotFoundError, or ValueError where the file is no checkpoint, or another field of the
        config or the set of pictures differs.
        """
        state = load_checkpoint(path)
        was = TrainConfig.from_record(state["config"])
        config = config or was
        if config.precision == "auto":
            config = replace(config, precision=was.precision)
        for name, value, other in was.differences(config, CHANGEABLE):
            raise BeganError(f"{name} must stay {value!r} in a resumed run, got {other!r}; start anew")
        images = open_data(config) if images is None else images
        check_same(images, config.data, was.data, state.get("pictures"), changed=changed_data)
        trainer = cls(config, images, device=device, out=out, ranks=ranks, stream=stream, rule=rule)
        trainer.restore(path, state)
        trainer.seconds = state["seconds"]
        trainer.rescue.load_state_dict(state)
        return trainer

    def restore(self, path: Path, state: dict[str, Any]) -> None:
        """Take over what a checkpoint, `load_checkpoint(path)`, holds; BeganError where it does not fit."""
        here = self.device.type
        if (there := state["device"]) != here:  # whose random numbers are others
            logger.warning("%s is from %s: the run goes on on %s, but not bit for bit as there", path, there, here)
            _, noise, _ = streams(self.config.seed, state["step"])
            state = state | {"rng": torch.Generator(self.device).manual_seed(noise).get_state()}
        try:
            self.update.load_state_dict(state)
            self.plateau.load_state_dict(state["plateau"])
        except (RuntimeError, LookupError, TypeError, ValueError) as error:
            if out_of_memory(error):
                raise
            raise BeganError(f"{path} does not hold the weights of its own config{instead(path)}") from error
        self._rows = state["history"].T
        self.step = self._checked = state["step"]
        self.readings = [Reading(*row) for row in state["readings"].tolist()]


def open_data(config: TrainConfig) -> Pictures | Files:
    """Open the pictures that a config names, as `images.sources.open_images` does."""
    return open_images(
        config.data, size=config.size, channels=config.channels, count=config.count, broken=config.broken
    )
