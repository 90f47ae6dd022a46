"""One update of G, D and k: three ways to the same gradients, and what moves with them."""

import copy
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim.swa_utils import get_ema_multi_avg_fn

from began.acceleration import DTYPES, WARM_UP, Graphed, can_compile, precisions, seconds
from began.config import TrainConfig
from began.equilibrium import Equilibrium
from began.losses import Losses, Norm, discriminator_loss, generator_loss, latent_constraint, reconstruction_loss
from began.networks import Autoencoder, Decoder, Encoder, Stack
from began.parallel import ALONE, Ranks

logger = logging.getLogger(__name__)
K_MIN = 2.0**-50  # stands in for k = 0 where a gradient is divided by k; a power of two, so that this loses no digit


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
        self.equilibrium = Equilibrium(config.gamma, config.lambda_k, config.k_0, scale_free=config.scale_free)
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

    def forward(self, halfway: "Callable[..., Halfway]", *arguments: Any) -> "Halfway":
        """Run the forward half of a pass: the one call that DistributedDataParallel has to see."""
        return halfway(self, *arguments)


Halfway = tuple[Losses, Callable[[], None]]  # the losses of a forward pass, and what to call for its gradients


def reference_pass(model: Began, x: Tensor, z_D: Tensor, z_G: Tensor) -> Halfway:
    """Get the gradients of both players by the equations as they are written: two losses, two backward passes.

    `L_D = L(x) - k L(G(z_D)) + alpha L_c` over theta_D, `L_G = L(G(z_G))` over theta_G (BEGAN eq. 7; BEGAN-CS eq. 7).
    Returns L(x), L(G(z_G)) and L_c, and what adds the gradients. Shapes: x `(B, ...)`, z_D and z_G `(B, N_z)`.
    """
    G, D = model.generator, model.discriminator

    def loss(v: Tensor) -> Tensor:
        return reconstruction_loss(v, D(v), model.norm).mean()

    v = G(z_D).detach()
    constraint = latent_constraint(z_D, D.encode(v), model.norm).mean()
    losses_D = Losses(loss(x), loss(v), constraint)
    L_D = discriminator_loss(losses_D, model.equilibrium.k, model.alpha)
    L_G = generator_loss(losses_D._replace(fake=loss(G(z_G))))

    def backward() -> None:
        L_D.backward(inputs=list(D.parameters()))
        L_G.backward(inputs=list(G.parameters()))

    return Losses(losses_D.real.detach(), L_G.detach(), constraint.detach()), backward


def fast_pass(model: Began, x: Tensor, z: Tensor) -> Halfway:
    """Get the gradients of `reference_pass(model, x, z, z)` from one pass over each network.

    D's backward pass of `L(x) - k L(v)`, v = G(z), also yields `-k dL(v)/dv`; divided by -k it is what G needs, so no
    gradient is computed twice or thrown away. With alpha > 0 the pass is cut at the code h, because the gradient of
    `alpha L_c` must reach theta_Enc but not v. Returns L(x), L(G(z)) and L_c, and what adds the gradients.
    Shapes: x `(B, ...)`, z `(B, N_z)`.
    """
    G, D = model.generator, model.discriminator
    fake = G(z)
    v = fake.detach().to(x.dtype).requires_grad_()
    xv = torch.cat([x, v])
    if model.alpha:
        h_x, h_v = D.encode(x), D.encode(v)
        h = torch.cat([h_x, h_v]).detach().requires_grad_()
    else:
        h = D.encode(xv)
        h_x, h_v = h.detach().chunk(2)
    L_x, L_v = reconstruction_loss(xv, D.decode(h), model.norm).view(2, -1).mean(1).unbind()
    constraint = latent_constraint(z, h_v, model.norm).mean()
    k = model.equilibrium.k.clamp(min=K_MIN)

    def backward() -> None:
        (L_x - k * L_v).backward()
        assert v.grad is not None
        if model.alpha:
            assert h.grad is not None
            dh_x, dh_v = h.grad.chunk(2)
            (dv,) = torch.autograd.grad(h_v, v, dh_v, retain_graph=True)
            v.grad += dv
            theta_Enc = list(D.encode.parameters())
            torch.autograd.backward([h_x, h_v, model.alpha * constraint], [dh_x, dh_v, None], inputs=theta_Enc)
        fake.backward((v.grad / -k).to(fake.dtype))

    return Losses(L_x.detach(), L_v.detach(), constraint.detach()), backward


def float16_pass(model: Began, x: Tensor, z: Tensor, scale: Callable[[Tensor], Tensor]) -> Halfway:
    """Get the gradients of `fast_pass` for losses that went through `scale`, in the range of float16, too small for k.

    L(v) has a backward pass of its own, for theta_D and v alike, and k multiplies only the gradient of theta_D, which
    is float32 as theta_D is. Returns and shapes: as in `fast_pass`.
    """
    G, D = model.generator, model.discriminator
    theta_D = list(D.parameters())
    fake = G(z)
    v = fake.detach().to(x.dtype).requires_grad_()
    h_v = D.encode(v)
    L_x = reconstruction_loss(x, D(x), model.norm).mean()
    L_v = reconstruction_loss(v, D.decode(h_v), model.norm).mean()
    constraint = latent_constraint(z, h_v, model.norm).mean()
    L_D_but_v = scale(L_x + model.alpha * constraint if model.alpha else L_x)
    L_G = scale(L_v)

    def backward() -> None:
        L_G.backward(inputs=[*theta_D, v], retain_graph=bool(model.alpha))
        for parameter in theta_D:
            assert parameter.grad is not None
            parameter.grad.mul_(-model.equilibrium.k)
        L_D_but_v.backward(inputs=theta_D)
        assert v.grad is not None
        fake.backward(v.grad.to(fake.dtype))

    return Losses(L_x.detach(), L_v.detach(), constraint.detach()), backward


def streams(seed: int) -> tuple[int, int, int]:
    """Return the seeds of a run's weights, noise and sample grid: noise drawn with that of the weights repeats them."""
    weights, noise, grid = (int(part) for part in np.random.SeedSequence(seed).generate_state(3))
    return weights, noise, grid


class Update:
    """One update of G, D and k, all from the same pass (BEGAN 3.4), with everything that it moves on the device.

    `update(x)` with x `(B, C, H, W)` in [-1, 1] moves both players by Adam, k, the carries and the moving average, and
    writes a row of `Record` on the device; `read()` hands the rows over. Nothing in it waits for the host, and on CUDA
    it is one graph unless `graph` is False. With several `ranks`, x is this process's part of the batch, z is drawn for
    the whole batch, and gradients, losses, k and M are those of the whole. `config` is that given with its precision
    decided (`settled`).
    """

    def __init__(self, config: TrainConfig, device: torch.device, ranks: Ranks = ALONE, *, graph: bool = True):
        self.config, self.ranks = settled(config, device, ranks), ranks
        weights, noise, grid = streams(config.seed)
        self.model = Began(config, torch.Generator().manual_seed(weights))
        self.model.to(device).to(memory_format=torch.channels_last)
        self.rng = torch.Generator(device).manual_seed(noise)
        self.sample_z = self.model.noise(64, torch.Generator(device).manual_seed(grid))
        self.average = copy.deepcopy(self.model.generator) if config.ema else None
        self._move_average = get_ema_multi_avg_fn(config.ema)
        self._lr = torch.tensor(config.lr, dtype=torch.float32, device=device)  # a graph reads it in each replay
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=self._lr,
            betas=(config.beta1, 0.999),
            fused=True,
            capturable=device.type == "cuda",
        )
        precision = self.config.precision
        self.scaler = GradScaler(device.type, enabled=precision == "float16")
        self._autocast = nullcontext() if precision == "float32" else torch.autocast(device.type, DTYPES[precision])
        self._rows = torch.zeros(config.log_every, len(Record._fields), device=device)
        self._cursor = torch.zeros(1, len(Record._fields), dtype=torch.int64, device=device)  # the next row, by column
        self._written = 0
        torch.backends.cudnn.benchmark = True  # the shapes stay: cuDNN tries its kernels once and keeps the fastest
        if config.compile and can_compile(device):
            # BEGAN-CS goes back through Enc twice; compiled, the gradients of torch 2.6 are then wrong
            self.model.generator.compile(dynamic=False)
            self.model.discriminator.decode.compile(dynamic=False)
            if not config.alpha:
                self.model.discriminator.encode.compile(dynamic=False)
        self._graph = Graphed(device, self.rng) if graph and device.type == "cuda" and ranks.count == 1 else None
        self._players = ranks.parallel(self.model)

    @property
    def how(self) -> str:
        """What the update runs on and in, in words."""
        device = self._lr.device
        where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        graph = ", one CUDA graph a step" if self._graph else ""
        processes = f", {self.ranks.count} processes" if self.ranks.count > 1 else ""
        return f"{self.config.precision} on {where}{graph}{processes}"

    @property
    def nbytes(self) -> int:
        """What the weights, Adam's two moments of each, and the moving average take on a disk, about."""
        average = self.average.parameters() if self.average else ()
        return 3 * sum(part.nbytes for part in self.model.parameters()) + sum(part.nbytes for part in average)

    @property
    def lr(self) -> float:
        """The learning rate now, read from the device."""
        return self._lr.item()

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr.fill_(value)
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr

    def __call__(self, x: Tensor) -> None:
        """Update once; ValueError where the rows are full and have to be read first."""
        if self._written == len(self._rows):
            raise ValueError(f"{self._written} rows are unread: read() comes at least every log_every steps")
        if self._graph:
            self._graph(self._update, x)
        else:
            self._update(x)
        self._written += 1

    def _update(self, x: Tensor) -> None:
        model, ranks = self.model, self.ranks
        x = x.to(model.equilibrium.k.dtype).contiguous(memory_format=torch.channels_last)

        def z() -> Tensor:
            return model.noise(len(x) * ranks.count, self.rng)[ranks.rank * len(x) :][: len(x)]

        with self._autocast:
            losses, backward = self._forward(x, z)
        model.zero_grad(set_to_none=True)
        backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        losses = Losses(*ranks.mean(torch.stack(losses)).unbind())
        M = model.equilibrium.update(losses.real, losses.fake)
        for stack in model.stacks():
            stack.decay_carry()
        if self.average is not None:
            self._move_average(list(self.average.parameters()), list(model.generator.parameters()), None)
            for mine, current in zip(self.average.buffers(), model.generator.buffers(), strict=True):
                mine.copy_(current)
        row = torch.stack(Record(*losses, model.equilibrium.k, M))
        self._rows.scatter_(0, self._cursor, row.to(self._rows.dtype).unsqueeze(0))
        self._cursor += 1

    def _forward(self, x: Tensor, z: Callable[[], Tensor]) -> Halfway:
        """Run the forward half of the pass that the config asks for."""
        if self.config.mode == "reference":
            return self._players(reference_pass, x, z(), z())
        if self.scaler.is_enabled():
            return self._players(float16_pass, x, z(), self.scaler.scale)
        return self._players(fast_pass, x, z())

    def read(self) -> Tensor:
        """Return the rows written since the last call, `(steps, 5)` on the CPU; waits for the device."""
        rows = self._rows[: self._written].to("cpu", copy=True)
        self._cursor.zero_()
        self._written = 0
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next update depends on, the batch aside."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "rng": self.rng.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the state of another Update of this config, before the first call."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.lr = float(self.optimizer.param_groups[0]["lr"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.rng.set_state(state["rng"])


def settled(config: TrainConfig, device: torch.device, ranks: Ranks = ALONE) -> TrainConfig:
    """Return a config whose precision is decided: that asked for where the device has it, the best for "auto".

    "auto" is bfloat16 on a GPU that has it; where there is only float16, the faster of float16 and float32 in a trial
    of this config; else float32. A precision that the device lacks gives way to float32, with a line in the log.
    """
    # float16 scales its losses, in a pass of two halves: neither the equations word by word, nor one for DDP
    scaling = config.mode == "fast" and ranks.count == 1
    available = [precision for precision in precisions(device) if scaling or precision != "float16"]
    if config.precision in available:
        return config
    if config.precision != "auto":
        where = f"on {device}, mode {config.mode}, processes: {ranks.count}"
        logger.warning("precision %s can't be had (%s): going on with float32", config.precision, where)
        return replace(config, precision="float32")
    best = "float32"
    if device.type == "cuda" and "bfloat16" in available:
        best = "bfloat16"
    elif device.type == "cuda" and "float16" in available:
        best = min(available, key=lambda precision: seconds_a_step(replace(config, precision=precision), device))
    return replace(config, precision=best)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one behind it, says that there is not enough memory; a CPU's has no class of its own."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error):
        return True
    behind = error.__cause__ or error.__context__
    return behind is not None and out_of_memory(behind)


def fitting_batch(config: TrainConfig, device: torch.device, ranks: Ranks = ALONE) -> int:
    """Return the first of a half, a quarter, ... of a config's batch that fits into the free memory; 0 if none does.

    Each is tried, by updates of a model of its own; with several `ranks`, by this process's part.
    """
    batch = config.batch // ranks.count // 2
    while batch and not _fits(replace(config, batch=batch, compile=False), device):
        batch //= 2
    return batch * ranks.count


def _fits(config: TrainConfig, device: torch.device) -> bool:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        update = Update(replace(config, log_every=WARM_UP + 1), device)
        x = torch.zeros(config.batch, config.channels, config.size, config.size, device=device)
        for _ in range(WARM_UP + 1):  # the second has Adam's moments beside it, the last is a graph
            update(x)
        update.read()
    except (RuntimeError, MemoryError):  # oneDNN and cuDNN have words of their own for a lack of memory
        return False
    return True


def seconds_a_step(config: TrainConfig, device: torch.device, steps: int = 20) -> float:
    """Return the mean time of `steps` updates after a warm-up; infinity where a loss is not finite or memory ends."""
    once = replace(config, log_every=steps + 2 * WARM_UP, compile=False)
    try:
        update = Update(once, device)
        x = torch.rand(config.batch, config.channels, config.size, config.size, device=device).mul_(2).sub_(1)
        seconds(update, x, 2 * WARM_UP)
        mean = seconds(update, x, steps)
    except torch.OutOfMemoryError:
        return math.inf
    return mean if update.read().isfinite().all() else math.inf
