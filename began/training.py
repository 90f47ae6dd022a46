"""The loop around the step: progress, history, sample grids, checkpoints, and how it stops."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchvision.utils import save_image
from tqdm.auto import tqdm

from began.config import TrainConfig
from began.datasets import Batches, Files, Pictures
from began.files import atomic_write
from began.parallel import ALONE, Ranks
from began.step import Began, Record, Update

CHECKPOINT = "checkpoint.pt"


class DivergenceError(FloatingPointError):
    """A loss is no longer a finite number."""


class Trainer:
    """A training run: the loop, its history, sample grids and checkpoints.

    `images` is a dataset of uint8 tensors (see `datasets.open_images`). With `out`, sample grids go to `out/samples/`
    and the state to `out/checkpoint.pt`; without, nothing is written. With several `ranks` each trains on its part of
    the batches, and the run is that of one process: only rank 0 writes and shows progress. A resumed run equals an
    uninterrupted one, bit for bit on a CPU. `config` is that given with its precision decided (`step.settled`).
    Raises ValueError where images and config disagree, or ranks do not divide the batch.
    """

    def __init__(
        self,
        config: TrainConfig,
        images: Pictures | Files,
        *,
        device: str | torch.device = "cpu",
        out: Path | None = None,
        ranks: Ranks = ALONE,
    ):
        self.device, self.ranks = torch.device(device), ranks
        self.out = out if ranks.rank == 0 else None
        self.batches = Batches(
            images,
            config.batch,
            device=self.device,
            seed=config.seed,
            flip=config.flip,
            rank=ranks.rank,
            ranks=ranks.count,
        )
        shape, expected = tuple(self.batches.images[0].shape), (config.channels, config.size, config.size)
        if shape != expected:
            raise ValueError(f"images must have the shape {expected} that the config asks for, got {shape}")
        self.update = Update(config, self.device, ranks)
        self.config = self.update.config
        patience = max(config.lr_patience // config.log_every - 1, 0)  # it acts when more readings than this were bad
        self.plateau = ReduceLROnPlateau(self.update.optimizer, factor=0.5, patience=patience, threshold=1e-3, eps=0)
        self.step = 0
        self.seconds = 0.0
        self._checked = 0
        self._rows = torch.empty(0, len(Record._fields))

    @property
    def model(self) -> Began:
        """G, D and the equilibrium."""
        return self.update.model

    @property
    def sampler(self) -> nn.Module:
        """The generator to sample from: the moving average of G where there is one."""
        return self.update.average or self.model.generator

    @property
    def history(self) -> Record:
        """All steps so far, a column `(steps,)` each, on the CPU. Reading it waits for the device."""
        self._rows = torch.cat([self._rows, self.update.read()])
        return Record(*self._rows.unbind(1))

    def fit(self, steps: int | None = None, *, progress: bool = True) -> Record:
        """Train up to step `steps` (`config.steps` if None) and return the history, with a progress bar if asked.

        Ctrl-C or SIGTERM ends the loop after the step in flight (with several ranks, at the next reading of the
        history), with everything saved. Raises DivergenceError, naming the step, when a loss is no longer finite; the
        last checkpoint is kept.
        """
        config, goal = self.config, self.config.steps if steps is None else steps
        start = time.monotonic() - self.seconds
        silent = not progress or self.ranks.rank > 0
        with (
            stop_signals() as stopped,
            tqdm(total=goal, initial=self.step, unit="step", desc=config.data, disable=silent) as bar,
        ):
            for x in self.batches.starting_at(self.step):
                if self.step >= goal or self._agreed(stopped.is_set()):
                    break
                self.update(x)
                self.step += 1
                self.seconds = time.monotonic() - start
                if self.step % config.log_every == 0:
                    self._log(bar)
                if self.out and self.step % config.sample_every == 0:
                    self.save_samples(self.out / f"samples/{self.step:06d}.png")
                if self.out and self.step % config.checkpoint_every == 0:
                    self.save(self.out / CHECKPOINT)
            bar.update(self.step - bar.n)
        self._check()
        if self.out:
            self.save(self.out / CHECKPOINT)
        return self.history

    def _agreed(self, stop: bool) -> bool:
        """Whether to stop: with several ranks, whether one was told to, asked where they wait for each other anyway."""
        if self.ranks.count == 1:
            return stop
        if self.step % self.config.log_every:
            return False
        return self.ranks.mean(torch.tensor(float(stop), device=self.device)).item() > 0

    def _check(self) -> None:
        """Raise DivergenceError where a number in the history since the last check is not finite."""
        rows = torch.stack([column[self._checked :] for column in self.history])
        finite = rows.isfinite().all(0)
        if not finite.all():
            first = self._checked + 1 + int(finite.int().argmin())
            raise DivergenceError(f"a loss is not finite at step {first}; lower lr (now {self.lr:g}) or gamma")
        self._checked = self.step

    def _log(self, bar: tqdm) -> None:
        self._check()
        last = Record(*(column[-self.config.log_every :] for column in self.history))
        mean = Record(*(column.mean() for column in last))
        if self.config.lr_patience:
            self.plateau.step(mean.M.item())
            self.update.lr = float(self.update.optimizer.param_groups[0]["lr"])
        speed = self.step * self.config.batch / self.seconds
        bar.set_postfix_str(
            f"k {last.k[-1]:.4f}, M {mean.M:.4f}, L(x) {mean.loss_real:.4f}, L(G(z)) {mean.loss_fake:.4f}, "
            f"ratio {mean.loss_fake / mean.loss_real:.3f}, {speed:.0f} images/s",
            refresh=False,
        )
        bar.update(self.step - bar.n)

    @property
    def lr(self) -> float:
        """The learning rate now."""
        return self.update.lr

    @torch.no_grad()
    def sample(self, z: Tensor | None = None) -> Tensor:
        """Return G(z), `(B, C, H, W)` about [-1, 1]; by default of the 64 fixed z of the run's sample grids."""
        return self.sampler(self.update.sample_z if z is None else z)

    def save_samples(self, path: Path) -> None:
        """Write the run's 8x8 grid of samples as a picture."""
        with atomic_write(path) as temporary:
            save_image(self.sample(), temporary, nrow=8, normalize=True, value_range=(-1, 1), format="png")

    def save(self, path: Path) -> None:
        """Write a checkpoint, atomically; DivergenceError, and no file, where a loss is no longer finite."""
        self._check()
        state = {
            "config": self.config.to_dict(),
            "device": self.device.type,
            "step": self.step,
            "seconds": self.seconds,
            "plateau": self.plateau.state_dict(),
            **self.update.state_dict(),
            "history": torch.stack(self.history),
        }
        with atomic_write(path) as temporary:
            torch.save(state, temporary)

    @classmethod
    def resume(
        cls,
        path: Path,
        images: Pictures | Files,
        *,
        steps: int | None = None,
        device: str | torch.device = "cpu",
        out: Path | None = None,
        ranks: Ranks = ALONE,
    ) -> Self:
        """Return the run of a checkpoint, ready to `fit` on, to another number of `steps` if given.

        `images` must be those of the run. Raises FileNotFoundError, or ValueError where the file is no checkpoint or
        the run was on another kind of device, whose random numbers differ. No code in the file is run.
        """
        state = load_checkpoint(path)
        if (kind := torch.device(device).type) != state["device"]:
            raise ValueError(f"device must be {state['device']}, where the run was, got {kind}")
        config = TrainConfig.from_dict(state["config"])
        trainer = cls(replace(config, steps=steps or config.steps), images, device=device, out=out, ranks=ranks)
        trainer.update.load_state_dict(state)
        trainer.plateau.load_state_dict(state["plateau"])
        trainer._rows = state["history"].T
        trainer.step = trainer._checked = state["step"]
        trainer.seconds = state["seconds"]
        return trainer


def load_checkpoint(path: Path) -> dict:
    """Read what `Trainer.save` wrote, onto the CPU, without running code from the file.

    Raises FileNotFoundError, or ValueError where the file is no whole checkpoint.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no class of its own for files that it can't read
        raise ValueError(f"{path} is not a checkpoint that can be read: {str(error).splitlines()[0]}") from error
    if not isinstance(state, dict) or not {"config", "device", "step", "model"} <= state.keys():
        raise ValueError(f"{path} is not a checkpoint of a training run")
    return state


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set instead of ending the program; only the main thread receives them."""
    stopped = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    previous = {number: signal.signal(number, lambda *_: stopped.set()) for number in signals}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
