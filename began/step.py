"""One update of G, D and k: three ways to the same gradients, and what moves with them."""

import copy
import io
import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.optim.swa_utils import get_ema_multi_avg_fn

from began.config import TrainConfig
from began.devices.acceleration import DTYPES, WARM_UP, Graphed, compile_failure, out_of_memory, precisions
from began.devices.parallel import ALONE, Ranks
from began.errors import BeganError
from began.losses import Losses
from began.passes import Began, Halfway, Rule, fast_pass, float16_pass, reference_pass

logger = logging.getLogger(__name__)


class Record(NamedTuple):
    """What is kept of each step, k as it is after it: scalars, or a column of the history each."""

    loss_real: Tensor
    loss_fake: Tensor
    constraint: Tensor
    k: Tensor
    M: Tensor


def streams(seed: int, *later: int) -> tuple[int, int, int]:
    """Return the seeds of a run's weights, noise and sample grid: noise drawn with that of the weights repeats them.

    From a `later` step on, a run whose generator was lost has seeds of their own.
    """
    weights, noise, grid = (int(part) for part in np.random.SeedSequence(seed, spawn_key=later).generate_state(3))
    return weights, noise, grid


class Update:
    """One update of G, D and k, all from the same pass (BEGAN 3.4), with everything that it moves on the device.

    `update(x)` with x `(B, C, H, W)` in [-1, 1] moves both players by Adam, k, the carries and the moving average, and
    writes a row of `Record` on the device; `take_rows()` hands them over. Nothing in it waits for the host, and on CUDA
    it is one graph unless `graph` is False. With a `config.grain` the pass, whichever it is, sees x + grain xi, xi
    normal and new in each step: L(x) in the rows is that of grainy pictures, while the batch stays as it was. What
    fails of graph, torch.compile and lower precision in the first calls, the run goes on `without`. With several
    `ranks`, x is this process's part of the batch, and all else is that of the whole. `config` is that given with its
    precision decided without a trial (`decided`; with one: `tuning.settled`).
    `rule(model, x, z)` gets the gradients in another way: it returns the losses and what adds the gradients, as
    `passes.fast_pass` does.
    """

    def __init__(
        self,
        config: TrainConfig,
        device: torch.device,
        ranks: Ranks = ALONE,
        *,
        rule: Rule | None = None,
        graph: bool = True,
    ):
        self.config, self.ranks, self.device, self.rule = decided(config, device, ranks), ranks, device, rule
        if rule and self.config.precision == "float16":
            raise BeganError("precision must be float32 or bfloat16 for a rule of one's own: float16 has its own pass")
        self.without: list[str] = []  # what failed, and why
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
        self._compute_in(self.config.precision)
        self._compiled = config.compile
        if config.compile and (error := compile_failure(device)):
            self._do_without("torch.compile", error)
        self._rows = torch.zeros(config.log_every, len(Record._fields), device=device)
        self._cursor = torch.zeros(1, len(Record._fields), dtype=torch.int64, device=device)  # the next row, by column
        self._written = 0
        torch.backends.cudnn.benchmark = True  # the shapes stay: cuDNN tries its kernels once and keeps the fastest
        if self._compiled:
            # BEGAN-CS goes back through Enc twice; compiled, the gradients of torch 2.6 are then wrong
            self.model.generator.compile(dynamic=False)
            self.model.discriminator.decode.compile(dynamic=False)
            if not config.alpha:
                self.model.discriminator.encode.compile(dynamic=False)
        self._graph = Graphed(device, self.rng) if graph and device.type == "cuda" and ranks.count == 1 else None
        self._players = ranks.parallel(self.model)
        self._works = ranks.count > 1  # processes that train together would have to agree on what they do without

    def _compute_in(self, precision: str) -> None:
        self.config, kind = replace(self.config, precision=precision), self.device.type
        self.scaler = GradScaler(kind, enabled=precision == "float16")
        self._autocast = nullcontext() if precision == "float32" else torch.autocast(kind, DTYPES[precision])

    @property
    def how(self) -> str:
        """What the update runs on and in, in words, and what it does without."""
        where = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        graph = ", one CUDA graph a step" * bool(self._graph) + ", compiled" * self._compiled
        processes = f", {self.ranks.count} processes" if self.ranks.count > 1 else ""
        without = "".join(f"; without {what}" for what in self.without)
        return f"{self.config.precision} on {where}{graph}{processes}{without}"

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
            raise ValueError(f"{self._written} rows are unread: take_rows() comes at least every log_every steps")
        (self._try if self._doubtful else self._run)(x)
        self._works = True
        self._written += 1

    def _run(self, x: Tensor) -> None:
        if self._graph:
            self._graph(self._update, x)
        else:
            self._update(x)

    def _try(self, x: Tensor) -> None:
        """Update once, anew from the same state without what has failed; waits for the host."""
        before = io.BytesIO()  # on the host: the device may have no room for it
        torch.save(self.state_dict(), before)
        what = self._doubtful
        try:
            return self._run(x)
        except Exception as error:  # each compiler has errors of its own
            if out_of_memory(error) and what != "CUDA graph":
                raise
            self._do_without(what, error)
        before.seek(0)
        self.load_state_dict(torch.load(before, map_location="cpu", weights_only=True))
        self._cursor.fill_(self._written)
        return (self._try if self._doubtful else self._run)(x)

    @property
    def _doubtful(self) -> str:
        if self._works:  # what is left to fail
            return "CUDA graph" if self._graph and self._graph.calls == WARM_UP else ""
        return "torch.compile" if self._compiled else self.config.precision.replace("float32", "")

    def _do_without(self, what: str, error: Exception) -> None:
        reason = next((line for line in str(error).splitlines() if not line.endswith(":")), repr(error))
        logger.warning("%s does not work here (%s): going on without it", what, reason)
        self.without.append(f"{what} ({reason})")
        if what == "CUDA graph":
            self._graph, self.rng = None, torch.Generator(self.device)
        elif what == "torch.compile":
            self._compiled = False
            for part in self.model.modules():
                part._compiled_call_impl = None
        self._compute_in("float32" if what in DTYPES else self.config.precision)  # a scaler may be half way

    def _update(self, x: Tensor) -> None:
        model, ranks = self.model, self.ranks
        x = x.to(model.equilibrium.k.dtype).contiguous(memory_format=torch.channels_last)

        def ours(of_all: Tensor) -> Tensor:
            return of_all[ranks.rank * len(x) :][: len(x)]

        def z() -> Tensor:
            return ours(model.noise(len(x) * ranks.count, self.rng))

        if self.config.grain:
            shape = (len(x) * ranks.count, *x.shape[1:])
            xi = ours(torch.randn(shape, generator=self.rng, device=x.device, dtype=x.dtype))
            # not clipped to [-1, 1]: clipped noise has a mean of its own near black and white, which D would learn
            x = torch.add(x, xi, alpha=self.config.grain).contiguous(memory_format=torch.channels_last)
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
        """Run the forward half of the pass that the config asks for, or of a rule of somebody's own."""
        if self.rule:
            return self._players(self.rule, x, z())
        if self.config.mode == "reference":
            return self._players(reference_pass, x, z(), z())
        if self.scaler.is_enabled():
            return self._players(float16_pass, x, z(), self.scaler.scale)
        return self._players(fast_pass, x, z())

    def take_rows(self) -> Tensor:
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
        self.optimizer.param_groups[0]["capturable"] = self._lr.is_cuda  # it may come from another kind of device
        self.lr = float(self.optimizer.param_groups[0]["lr"])
        if state["scaler"]:  # empty where the run does without float16
            self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.rng.set_state(state["rng"])


def offered(config: TrainConfig, device: torch.device, ranks: Ranks = ALONE) -> list[str]:
    """List the precisions that a config can be trained in on a device."""
    # float16 scales its losses, in a pass of two halves: neither the equations word by word, nor one for DDP
    scaling = config.mode == "fast" and ranks.count == 1
    return [precision for precision in precisions(device) if scaling or precision != "float16"]


def decided(config: TrainConfig, device: torch.device, ranks: Ranks = ALONE) -> TrainConfig:
    """Return a config whose precision is one that is `offered`, by rule: that asked for, or float32 with a line logged.

    "auto" is bfloat16 on a GPU that has it, else float32.
    """
    available = offered(config, device, ranks)
    if config.precision in available:
        return config
    if config.precision == "auto":
        best = "bfloat16" if device.type == "cuda" and "bfloat16" in available else "float32"
        return replace(config, precision=best)
    where = f"on {device}, mode {config.mode}, processes: {ranks.count}"
    logger.warning("precision %s can't be had (%s): going on with float32", config.precision, where)
    return replace(config, precision="float32")
