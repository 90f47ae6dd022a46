"""The loop around the step: progress, history, sample grids, checkpoints, and how it stops."""

import gc
import logging
import signal
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from began.checkpoints import CHECKPOINT, instead, load_checkpoint
from began.collapse import COUNT, EVERY, CollapseError, Reading, healthy, read, suspicion
from began.config import TrainConfig
from began.devices.acceleration import out_of_memory, usable
from began.devices.parallel import ALONE, Ranks, Vote
from began.errors import BeganError
from began.files import atomic_write, locked, remove_unfinished, save_grid
from began.images.batches import Batches
from began.images.pixels import to_unit
from began.images.sources import Files, Pictures, check_same, open_images
from began.passes import Began
from began.rescue import Rescue, good_checkpoint, remedied
from began.signals import stop_signals
from began.step import Record, Update, streams
from began.tuning import fitting_batch, settled

logger = logging.getLogger(__name__)
CHANGEABLE = ("steps", "on_collapse", "remedy", "good_mib", "data")  # in a resumed run; of data, where it lies


class DivergenceError(FloatingPointError):
    """A loss is no longer a finite number."""


class MemoryLimitError(MemoryError):
    """A step takes more memory than there is."""


class Trainer:
    """A training run: the loop, its history, sample grids and checkpoints, and the watch for a mode collapse.

    `images` is a dataset of uint8 tensors (see `images.sources.open_images`). With `out`, sample grids go to
    `out/samples/` and the state to `out/checkpoint.pt`; without, nothing is written. With several `ranks` each trains
    on its part of the batches, and the run is that of one process: only rank 0 writes and shows progress. With `stream`
    files are decoded anew in every epoch, even if they fit into memory. A resumed run equals an uninterrupted one, bit
    for bit on a CPU. `config` is that given with its precision decided (`tuning.settled`).

    Every `collapse.EVERY` steps a `Reading` is taken; `readings` holds them. A suspected collapse is logged; with
    `on_collapse="stop"` it ends the run, with "rollback" the run goes on from its last good checkpoint with the
    config's remedy (BEGAN 3.4.1 halves the learning rate), and `rollbacks` tells of it. Raises ValueError where images
    and config disagree, ranks do not divide the batch, the device can't be used, or a rollback has no `out` to go back
    to.
    """

    update_of: ClassVar[type[Update]] = Update

    def __init__(
        self,
        config: TrainConfig,
        images: Pictures | Files,
        *,
        device: str | torch.device = "cpu",
        out: Path | None = None,
        ranks: Ranks = ALONE,
        stream: bool = False,
    ):
        if config.on_collapse == "rollback" and out is None:
            raise BeganError("on_collapse='rollback' needs out, a folder for the checkpoints to go back to")
        self.device, self.ranks, self.folder = usable(device), ranks, out
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
        self._begin(config)
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

    def _begin(self, config: TrainConfig) -> None:
        self.config = config = settled(config, self.device, self.ranks)
        self.update = self.update_of(config, self.device, self.ranks)
        patience = max(config.lr_patience // config.log_every - 1, 0)  # it acts when more readings than this were bad
        self.plateau = ReduceLROnPlateau(self.update.optimizer, factor=0.5, patience=patience, threshold=1e-3, eps=0)

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

    def fit(self, steps: int | None = None, *, progress: bool = True, quiet_stop: bool = False) -> Record:
        """Train up to step `steps` (`config.steps` if None) and return the history, with a progress bar if asked.

        Ctrl-C, SIGTERM or SIGHUP ends the loop after the step in flight (with several ranks, all of them a step later);
        once everything is saved it raises KeyboardInterrupt, or SystemExit for the other two. With `quiet_stop` it
        returns instead, and `stopped_by` is the signal's number. The last checkpoint is kept where it raises
        DivergenceError, naming the step, because a loss is no longer finite; MemoryLimitError, naming a batch that was
        found to fit; or OSError, naming a file that can't be written. Raises BlockingIOError at once where another run
        trains in `out`; CollapseError with the evidence, everything saved, where a collapse is to stop the run, or
        where going back did not help.
        """
        with locked(self.out) if self.out else nullcontext():
            if self.out:
                remove_unfinished(self.out)
            self._fit(steps, progress)
        if self.stopped_by and not quiet_stop:
            raise KeyboardInterrupt if self.stopped_by == signal.SIGINT else SystemExit(128 + self.stopped_by)
        return self.history

    def _fit(self, steps: int | None, progress: bool) -> None:
        goal = self.config.steps if steps is None else steps
        self._start = time.monotonic() - self.seconds
        silent = not progress or self.ranks.rank > 0
        if self.config.on_collapse == "rollback" and not self.rescue.good:
            self._save()
            self._keep()
        with (
            stop_signals() as told,  # to the end: a second one must not break off the last save
            tqdm(total=goal, initial=self.step, unit="step", desc=self.config.data, disable=silent) as bar,
            logging_redirect_tqdm(),
        ):
            vote, self.stopped_by = Vote(self.ranks, told), None
            while self.step < goal and not self.stopped_by:
                try:
                    self._train(goal, vote, bar)
                except (CollapseError, DivergenceError) as error:
                    if self.config.on_collapse != "rollback":
                        if isinstance(error, CollapseError):
                            self._save()
                        raise
                    self._go_back(error)
                    bar.n = self.step
            bar.update(self.step - bar.n)
            self._check()
            self._save()
            self.stopped_by = self.stopped_by or vote(ask=True) or vote(ask=True) or None  # the answer comes second

    def _train(self, goal: int, vote: Vote, bar: tqdm) -> None:
        """Train up to step `goal`, or until told to stop; CollapseError where a collapse is more than worth a line."""
        config = self.config
        for x in self.batches.starting_at(self.step):
            self.stopped_by = vote() or None
            if self.step >= goal or self.stopped_by:
                return
            self._update(x)
            self.step += 1
            self.seconds = time.monotonic() - self._start
            if self.step % config.log_every == 0:
                self._log(bar)
            if self.step % EVERY == 0:
                self._watch()
            if self.out and self.step % config.sample_every == 0:
                self.save_samples(self.out / f"samples/{self.step:06d}.png")
            if self.step % config.checkpoint_every == 0:
                self._save()
                if config.on_collapse == "rollback" and healthy(self.readings):
                    self._keep()

    def _update(self, x: Tensor) -> None:
        try:
            self.update(x)
            return
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            reason = (str(error) or "out of memory").splitlines()[0]
        # only here, with the error gone, is the memory free that its frames held
        gc.collect()
        batch = fitting_batch(self.config, self.device, self.ranks)
        advice = f"a batch of {batch} does" if batch else "not even one picture does: try a smaller size or n"
        what = f"batch {self.config.batch} at size {self.config.size}, n {self.config.n}"
        raise MemoryLimitError(f"{what} does not fit into the memory of {self.device}; {advice} ({reason})")

    def _watch(self) -> None:
        """Take a reading, and judge what there is; CollapseError unless a warning is enough."""
        if (self.watched == self.watched[:1]).all():  # one picture, or copies of one: nothing can be less diverse
            return
        # `forward` is past torch.compile, which would compile once more for another batch size
        G, Enc = self.model.generator.forward, self.model.discriminator.encode.forward
        with torch.no_grad():
            x, v = self.watched, G(self.update.sample_z[:COUNT])
            row = read(self.model.equilibrium.k, x.flatten(1), v.flatten(1), Enc(x), Enc(v))
        self.readings.append(Reading(*self.ranks.mean(row).tolist()))
        before, self._suspicion = self._suspicion, suspicion(self.readings)
        if self._suspicion and self.config.on_collapse != "warn":
            raise CollapseError(f"a mode collapse is suspected at step {self.step}: {self._suspicion}")
        if self._suspicion and not before:
            logger.warning(
                "a mode collapse is suspected at step %d: %s; see the samples, and on_collapse='rollback'",
                self.step,
                self._suspicion,
            )

    def _save(self) -> None:
        if self.out:
            self.save(self.out / CHECKPOINT)

    def _keep(self) -> None:
        """Keep the checkpoint just written as a good one, within the disk space that the config grants."""
        self.rescue.keep(self.step, max(self.config.good_mib * 2**20 // self.update.nbytes, 1))

    def _go_back(self, error: CollapseError | DivergenceError) -> None:
        """Go on from the last good checkpoint with the remedy, or raise CollapseError where that did not help."""
        found, lr = self.step, self.lr
        try:
            path = self.rescue.way_back(error)
        except CollapseError:
            self._save()
            raise
        self._begin(remedied(self.config))
        self._restore(path, good_checkpoint(path, self.config, CHANGEABLE))
        if self.config.remedy == "lr":
            self.update.lr = lr / 2
        self._suspicion = None
        self.rescue.rollbacks.append(
            {"step": found, "evidence": str(error), "to": self.step, "lr": self.lr, "alpha": self.config.alpha}
        )
        logger.warning("%s; going on from step %d with lr %.3g, alpha %g", error, self.step, self.lr, self.config.alpha)
        self._save()
        self.ranks.mean(torch.zeros(1, device=self.device)).item()  # waits until all of them have read the file
        self.rescue.tidy()

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
        save_grid(self.sample(), path, 8)

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
            "pictures": self.listing,
            "history": torch.stack(self.history),
            "readings": torch.tensor(self.readings).view(-1, len(Reading._fields)),
            **self.rescue.state_dict(),
        }
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            torch.save(state, file)  # to a name, torch would not say why it failed

    @classmethod
    def resume(
        cls,
        path: Path,
        images: Pictures | Files,
        *,
        config: TrainConfig | None = None,
        device: str | torch.device = "cpu",
        out: Path | None = None,
        ranks: Ranks = ALONE,
        stream: bool = False,
        changed_data: bool = False,
    ) -> Self:
        """Return the run of a checkpoint, ready to `fit` on.

        `images` must be those of the run, wherever they lie by now, unless `changed_data`. `config`, if given, may
        differ from the run's in what `CHANGEABLE` names. On another kind of device than it was on the run goes on with
        other random numbers, and a line in the log says so. Raises FileNotFoundError, or ValueError where the file is
        no checkpoint, or another field of the config or the set of pictures differs. No code in the file is run.
        """
        state = load_checkpoint(path)
        was = TrainConfig.from_dict(state["config"])
        config = config or was
        if config.precision == "auto":
            config = replace(config, precision=was.precision)
        for name, value, other in was.differences(config, CHANGEABLE):
            raise BeganError(f"{name} must stay {value!r} in a resumed run, got {other!r}; start anew")
        check_same(images, config.data, was.data, state.get("pictures"), changed=changed_data)
        trainer = cls(config, images, device=device, out=out, ranks=ranks, stream=stream)
        trainer._restore(path, state)
        trainer.seconds = state["seconds"]
        trainer.rescue.load_state_dict(state)
        return trainer

    def _restore(self, path: Path, state: dict) -> None:
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
