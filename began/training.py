"""The training step, fast and word by word, and the loop around it."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.utils import save_image
from tqdm.auto import tqdm

from began.config import TrainConfig
from began.datasets import Batches, Files, Pictures
from began.equilibrium import Equilibrium
from began.files import atomic_write
from began.losses import Losses, Norm, discriminator_loss, generator_loss, latent_constraint, reconstruction_loss
from began.networks import Autoencoder, Decoder, Encoder, Stack

K_MIN = 2.0**-50  # stands in for k = 0 where a gradient is divided by k; a power of two, so that this loses no digit
CHECKPOINT = "checkpoint.pt"


class Record(NamedTuple):
    """What is kept of each step, k as it is after it: scalars, or a column of the history each."""

    loss_real: Tensor
    loss_fake: Tensor
    constraint: Tensor
    k: Tensor
    M: Tensor


class Began(nn.Module):
    """G, D and the equilibrium between them, with the loss that they play for.

    `generator` maps `(B, N_z)` to samples, `discriminator.encode` samples to codes, `discriminator.decode` codes back.
    """

    norm: Norm

    def __init__(self, config: TrainConfig, rng: torch.Generator | None = None):
        super().__init__()
        shape = config.size, config.channels, config.n, config.n_z
        self.generator = Decoder(*shape, skip=config.skip, carry_steps=config.carry_steps)
        self.discriminator = Autoencoder(
            Encoder(*shape, carry_steps=config.carry_steps),
            Decoder(*shape, skip=config.skip, carry_steps=config.carry_steps),
        )
        self.equilibrium = Equilibrium(config.gamma, config.lambda_k, config.k_0)
        self.alpha, self.norm, self.n_z = config.alpha, config.norm, config.n_z
        for stack in self.stacks():
            stack.initialise(rng)

    def stacks(self) -> Iterator[Stack]:
        """Iterate over the three stacks of convolutions: G, Enc, Dec."""
        return (module for module in self.modules() if isinstance(module, Stack))

    def noise(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        """Draw z uniformly from [-1, 1]: `(count, N_z)`, on the device and in the type of k."""
        k = self.equilibrium.k
        return torch.rand(count, self.n_z, generator=rng, device=k.device, dtype=k.dtype).mul_(2).sub_(1)


def reference_gradients(model: Began, x: Tensor, z_D: Tensor, z_G: Tensor) -> Losses:
    """Set the gradients of both players by the equations as they are written: two losses, two backward passes.

    `L_D = L(x) - k L(G(z_D)) + alpha L_c` over theta_D, `L_G = L(G(z_G))` over theta_G (BEGAN eq. 7; BEGAN-CS eq. 7).
    Returns L(x), L(G(z_G)) and L_c. Shapes: x `(B, ...)`, z_D and z_G `(B, N_z)`.
    """
    G, D = model.generator, model.discriminator

    def loss(v: Tensor) -> Tensor:
        return reconstruction_loss(v, D(v), model.norm).mean()

    v = G(z_D).detach()
    constraint = latent_constraint(z_D, D.encode(v), model.norm).mean()
    losses_D = Losses(loss(x), loss(v), constraint)
    L_D = discriminator_loss(losses_D, model.equilibrium.k, model.alpha)
    L_G = generator_loss(losses_D._replace(fake=loss(G(z_G))))
    model.zero_grad(set_to_none=True)
    L_D.backward(inputs=list(D.parameters()))
    L_G.backward(inputs=list(G.parameters()))
    return Losses(losses_D.real.detach(), L_G.detach(), constraint.detach())


def fast_gradients(model: Began, x: Tensor, z: Tensor) -> Losses:
    """Set the same gradients as `reference_gradients(model, x, z, z)`, from one pass over each network.

    D's backward pass of `L(x) - k L(v)`, v = G(z), also yields `-k dL(v)/dv`; divided by -k it is what G needs, so no
    gradient is computed twice or thrown away. The pass is cut at the code h, because the gradient of `alpha L_c` must
    reach theta_Enc but not v. Returns L(x), L(G(z)) and L_c. Shapes: x `(B, ...)`, z `(B, N_z)`.
    """
    G, D = model.generator, model.discriminator
    model.zero_grad(set_to_none=True)
    fake = G(z)
    v = fake.detach().requires_grad_()
    h_x, h_v = D.encode(x), D.encode(v)
    h = torch.cat([h_x, h_v]).detach().requires_grad_()
    L_x, L_v = reconstruction_loss(torch.cat([x, v]), D.decode(h), model.norm).view(2, -1).mean(1).unbind()

    k = model.equilibrium.k.clamp(min=K_MIN)
    (L_x - k * L_v).backward()
    assert h.grad is not None
    assert v.grad is not None
    dh_x, dh_v = h.grad.chunk(2)

    constraint = latent_constraint(z, h_v, model.norm).mean()
    if model.alpha:
        (dv,) = torch.autograd.grad(h_v, v, dh_v, retain_graph=True)
        v.grad += dv
        theta_Enc = list(D.encode.parameters())
        torch.autograd.backward([h_x, h_v, model.alpha * constraint], [dh_x, dh_v, None], inputs=theta_Enc)
    else:
        torch.autograd.backward([h_x, h_v], [dh_x, dh_v])
    fake.backward(v.grad / -k)
    return Losses(L_x.detach(), L_v.detach(), constraint.detach())


def train_step(
    model: Began,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    rng: torch.Generator,
    *,
    reference: bool = False,
) -> Record:
    """Update D, G and k once, all from the same pass (BEGAN 3.4), and return the step's scalars.

    Nothing waits for the host. `reference` draws z_D and z_G apart and uses `reference_gradients`.
    Shapes: x `(B, C, H, W)` in [-1, 1].
    """
    z = model.noise(len(x), rng)
    losses = reference_gradients(model, x, z, model.noise(len(x), rng)) if reference else fast_gradients(model, x, z)
    optimizer.step()
    M = model.equilibrium.update(losses.real, losses.fake)
    for stack in model.stacks():
        stack.decay_carry()
    return Record(*losses, model.equilibrium.k.clone(), M)


class DivergenceError(FloatingPointError):
    """A loss is no longer a finite number."""


class Trainer:
    """A training run: the loop, its history, sample grids and checkpoints.

    `images` is a dataset of uint8 tensors (see `datasets.open_images`). With `out`, sample grids go to `out/samples/`
    and the state to `out/checkpoint.pt`; without, nothing is written. A resumed run equals an uninterrupted one,
    bit for bit on a CPU. Raises ValueError where images and config disagree.
    """

    def __init__(
        self,
        config: TrainConfig,
        images: Pictures | Files,
        *,
        device: str | torch.device = "cpu",
        out: Path | None = None,
    ):
        self.config, self.device, self.out = config, torch.device(device), out
        self.batches = Batches(images, config.batch, device=self.device, seed=config.seed)
        shape, expected = tuple(self.batches.images[0].shape), (config.channels, config.size, config.size)
        if shape != expected:
            raise ValueError(f"images must have the shape {expected} that the config asks for, got {shape}")
        # independent streams: noise drawn with the seed of the weights would repeat them
        weights, noise, grid = (int(seed) for seed in np.random.SeedSequence(config.seed).generate_state(3))
        self.model = Began(config, torch.Generator().manual_seed(weights))
        self.model.to(self.device).to(memory_format=torch.channels_last)
        players = self.model.generator, self.model.discriminator
        self.optimizer = torch.optim.Adam(
            [{"params": list(player.parameters())} for player in players],
            lr=config.lr,
            betas=(config.beta1, 0.999),
            fused=True,
        )
        patience = max(config.lr_patience // config.log_every - 1, 0)  # it acts when more readings than this were bad
        self.plateau = ReduceLROnPlateau(self.optimizer, factor=0.5, patience=patience, threshold=1e-3, eps=0)
        self.average = (
            AveragedModel(self.model.generator, multi_avg_fn=get_ema_multi_avg_fn(config.ema)) if config.ema else None
        )
        self.rng = torch.Generator(self.device).manual_seed(noise)
        self.sample_z = self.model.noise(64, torch.Generator(self.device).manual_seed(grid))
        self.step = 0
        self.seconds = 0.0
        self._checked = 0
        self._unread: list[Tensor] = []
        self._rows = torch.empty(0, len(Record._fields))

    @property
    def sampler(self) -> nn.Module:
        """The generator to sample from: the moving average of G where there is one."""
        return self.average.module if self.average else self.model.generator

    @property
    def history(self) -> Record:
        """All steps so far, a column `(steps,)` each, on the CPU. Reading it waits for the device."""
        if self._unread:
            self._rows = torch.cat([self._rows, torch.stack(self._unread).cpu()])
            self._unread.clear()
        return Record(*self._rows.unbind(1))

    def fit(self, steps: int | None = None, *, progress: bool = True) -> Record:
        """Train up to step `steps` (`config.steps` if None) and return the history, with a progress bar if asked.

        Ctrl-C or SIGTERM ends the loop after the step in flight, with everything saved. Raises DivergenceError, naming
        the step, when a loss is no longer finite; the last checkpoint is kept.
        """
        config, goal = self.config, self.config.steps if steps is None else steps
        first, start = self.step, time.monotonic() - self.seconds
        with (
            stop_signals() as stopped,
            tqdm(total=goal, initial=first, unit="step", desc=config.data, disable=not progress) as bar,
        ):
            for x in self.batches.starting_at(self.step):
                if self.step >= goal or stopped.is_set():
                    break
                x = x.contiguous(memory_format=torch.channels_last)
                row = train_step(self.model, self.optimizer, x, self.rng, reference=config.mode == "reference")
                self._unread.append(torch.stack(row))
                if self.average:
                    self.average.update_parameters(self.model.generator)
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
        return float(self.optimizer.param_groups[0]["lr"])

    @torch.no_grad()
    def sample(self, z: Tensor | None = None) -> Tensor:
        """Return G(z), `(B, C, H, W)` about [-1, 1]; by default of the 64 fixed z of the run's sample grids."""
        return self.sampler(self.sample_z if z is None else z)

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
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "plateau": self.plateau.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "rng": self.rng.get_state(),
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
    ) -> Self:
        """Return the run of a checkpoint, ready to `fit` on, to another number of `steps` if given.

        `images` must be those of the run. Raises FileNotFoundError, or ValueError where the file is no checkpoint or
        the run was on another kind of device, whose random numbers differ. No code in the file is run.
        """
        state = load_checkpoint(path)
        if (kind := torch.device(device).type) != state["device"]:
            raise ValueError(f"device must be {state['device']}, where the run was, got {kind}")
        config = TrainConfig.from_dict(state["config"])
        trainer = cls(replace(config, steps=steps or config.steps), images, device=device, out=out)
        trainer.model.load_state_dict(state["model"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.plateau.load_state_dict(state["plateau"])
        if trainer.average:
            trainer.average.load_state_dict(state["average"])
        trainer.rng.set_state(state["rng"])
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
