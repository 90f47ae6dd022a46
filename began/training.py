"""The loop around the step: progress, sample grids, checkpoints, the watch for a collapse, and how it stops."""

import gc
import logging
import signal
import time
from contextlib import nullcontext

import torch
from torch import Tensor
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from began.collapse import COUNT, EVERY, CollapseError, Reading, healthy, suspicion, take_reading
from began.devices.acceleration import out_of_memory
from began.devices.parallel import Vote
from began.files import locked, remove_unfinished
from began.rescue import good_checkpoint, remedied
from began.signals import stop_signals
from began.state import CHANGEABLE, DivergenceError, State
from began.step import Record
from began.tuning import fitting_batch

logger = logging.getLogger(__name__)
DROP = 5  # by which the learning rate falls after `lr_drop`


class MemoryLimitError(MemoryError):
    """A step takes more memory than there is."""


class Trainer(State):
    """A training run: the loop, its history, sample grids and checkpoints, and the watch for a mode collapse.

    >>> from began import TrainConfig
    >>> trainer = Trainer(TrainConfig(size=16, n=4, count=32, batch=8, steps=4))
    >>> history = trainer.fit(progress=False)
    >>> len(history.k), trainer.sample().shape
    (4, torch.Size([64, 3, 16, 16]))

    `images` are by default those that the config names (see `images.sources.open_images`). With `out`, sample grids go
    to `out/samples/` and the state to `out/checkpoint.pt`; without, nothing is written. With several `ranks` each
    trains on its part of the batches, and the run is that of one process: only rank 0 writes and shows progress. With
    `stream` files are decoded anew in every epoch, even if they fit into memory. `rule(model, x, z)` gets the gradients
    in another way than the config's (see `step.Update`). A resumed run equals an uninterrupted one, bit for bit on a
    CPU. `config` is that given with its precision decided (`tuning.settled`).

    Every `collapse.EVERY` steps a `Reading` is taken, of the pictures as they are: grain is what the update alone sees.
    `readings` holds them. A suspected collapse is logged; with `on_collapse="stop"` it ends the run, with "rollback"
    the run goes on from its last good checkpoint with the config's remedy (BEGAN 3.4.1 halves the learning rate), and
    `rollbacks` tells of it. Raises ValueError where images and config disagree, ranks do not divide the batch, the
    device can't be used, or a rollback has no `out` to go back to.
    """

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
            self.save_checkpoint()
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
                            self.save_checkpoint()
                        raise
                    self._go_back(error)
                    bar.n = self.step
            bar.update(self.step - bar.n)
            self.check()
            self.save_checkpoint()
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
            if self.step == config.lr_drop:
                self.update.lr /= DROP
            if self.step % config.log_every == 0:
                self._log(bar)
            if self.step % EVERY == 0:
                self._watch()
            if self.out and self.step % config.sample_every == 0:
                self.save_samples(self.out / f"samples/{self.step:06d}.png")
            if self.step % config.checkpoint_every == 0:
                self.save_checkpoint()
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
            row = take_reading(self.model.equilibrium.k, x.flatten(1), v.flatten(1), Enc(x), Enc(v))
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

    def _keep(self) -> None:
        """Keep the checkpoint just written as a good one, within the disk space that the config grants."""
        self.rescue.keep(self.step, max(self.config.good_mib * 2**20 // self.update.nbytes, 1))

    def _go_back(self, error: CollapseError | DivergenceError) -> None:
        """Go on from the last good checkpoint with the remedy, or raise CollapseError where that did not help."""
        found, lr = self.step, self.lr
        try:
            path = self.rescue.way_back(error)
        except CollapseError:
            self.save_checkpoint()
            raise
        self.begin(remedied(self.config))
        self.restore(path, good_checkpoint(path, self.config, CHANGEABLE))
        if self.config.remedy == "lr":
            again = self.step < self.config.lr_drop <= found  # the drop is still to come, and comes
            self.update.lr = lr / 2 * (DROP if again else 1)
        self._suspicion = None
        self.rescue.rollbacks.append(
            {"step": found, "evidence": str(error), "to": self.step, "lr": self.lr, "alpha": self.config.alpha}
        )
        logger.warning("%s; going on from step %d with lr %.3g, alpha %g", error, self.step, self.lr, self.config.alpha)
        self.save_checkpoint()
        self.ranks.mean(torch.zeros(1, device=self.device)).item()  # waits until all of them have read the file
        self.rescue.tidy()

    def _log(self, bar: tqdm) -> None:
        self.check()
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
