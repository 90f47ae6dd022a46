"""Many small runs as one program: every tensor has a leading axis E, one entry a run."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from began.devices.acceleration import WARM_UP, Graphed
from began.errors import BeganError
from began.losses import distance
from studies.toy.mixtures import SAMPLES, Mixture
from studies.toy.perceptrons import Adam, Perceptrons

BLOCK = 64  # steps whose noise is drawn at once

logger = logging.getLogger(__name__)


class Batch(NamedTuple):
    """What a step sees: x from the mixture in units of its scale, z, and u for methods that draw something more.

    Shapes: `(E, B, 2)`, `(E, B, n_z)` in [-1, 1], `(E, B, 1)` in [0, 1).
    """

    x: Tensor
    z: Tensor
    u: Tensor


@dataclass(frozen=True)
class Knob:
    """A setting of a method: its default, the values worth trying, what it is, and from where to where it may be."""

    default: float | int
    choices: tuple[float | int, ...]
    meaning: str
    low: float = 0.0
    high: float = math.inf


COMMON = {
    "lr_g": Knob(1e-3, (1e-4, 3e-4, 1e-3, 3e-3), "learning rate of G"),
    "lr_d": Knob(1e-3, (1e-4, 3e-4, 1e-3, 3e-3), "learning rate of the critic"),
    "beta_1": Knob(0.5, (0.0, 0.5, 0.9), "Adam's first decay", high=0.999),
    "gain_g": Knob(1.0, (1.0, 1.7), "weights of G start with variance gain^2 / inputs"),
    "gain_d": Knob(1.0, (1.0,), "the same for the critic"),
    "decay": Knob(0.0, (0.0, 0.5), "share of the steps, at the end, in which the learning rates fall to 0", high=1),
    "ema": Knob(0.0, (0.0,), "moving average of G that is sampled", high=0.99999),
    "n_z": Knob(2, (2,), "numbers in z", low=1),
    "width": Knob(128, (128,), "units of a hidden layer", low=1),
    "layers": Knob(2, (2,), "hidden layers", low=1),
    "batch": Knob(64, (64,), "samples of a step", low=2),
    "grain": Knob(0.0, (0.0,), "standard deviation of new white noise on x, in units of the mixture's scale"),
}


class Method:
    """How G is trained against a critic: the losses of E runs side by side.

    A subclass gives `critic_loss` and `generator_loss`, one number a run, and names the networks that each of them
    moves. Its knobs add to `COMMON`. Those that are floats are each run's own, tensors `(E, 1, 1)` in `self.knob`;
    whole numbers shape the program and are the same in all runs. Raises ValueError for a knob that the method has not,
    a value outside the knob's range, and whole numbers that differ.
    """

    title: ClassVar[str]
    knobs: ClassVar[dict[str, Knob]] = {}
    critic: ClassVar[tuple[str, ...]] = ("D",)
    generator: ClassVar[tuple[str, ...]] = ("G",)

    def __init__(self, settings: Sequence[Mapping[str, float]], seeds: Sequence[int], device: torch.device | str):
        self.knob = stacked(self.all_knobs(), settings, device)
        self.networks = {name: Perceptrons(*sizes) for name, sizes in self.shapes().items()}
        rngs = [stream(seed, 0) for seed in seeds]
        self.theta, self.adam = {}, {}
        for name, network in self.networks.items():
            ours = name in self.generator
            gain, lr = (self.knob.gain_g, self.knob.lr_g) if ours else (self.knob.gain_d, self.knob.lr_d)
            theta = [part.requires_grad_() for part in network.initial(gain, rngs)]
            self.theta[name] = theta
            self.adam[name] = Adam(theta, lr, self.knob.beta_1)
        self.noted: dict[str, Tensor] = {}
        self.share: Tensor | float = 1.0

    @classmethod
    def all_knobs(cls) -> dict[str, Knob]:
        """Return the knobs of all methods and this one's own, by name."""
        return {**COMMON, **cls.knobs}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the sizes of each network's layers: by default G from z to the plane and D from there to a number."""
        return {"G": (self.knob.n_z, *self.hidden, 2), "D": (2, *self.hidden, 1)}

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths of the hidden layers, the same in all networks."""
        return (self.knob.width,) * self.knob.layers

    @property
    def batches(self) -> int:
        """How many batches a step takes: one for each step of the critic."""
        return 1

    def net(self, name: str, v: Tensor) -> Tensor:
        """Apply a network to its inputs, `(E, B, inputs)`."""
        return self.networks[name](self.theta[name], v)

    def step(self, batches: Batch) -> None:
        """Move the critic once for each batch, then G once, on the last. Shapes: `(batches, E, B, ...)`."""
        for i in range(self.batches):
            batch = Batch(*(part[i] for part in batches))
            v = self.net("G", batch.z)
            self.descend(self.critic, self.critic_loss(batch, v.detach()))
            if i == self.batches - 1:
                self.descend(self.generator, self.generator_loss(batch, v))

    def descend(self, players: tuple[str, ...], loss: Tensor) -> None:
        """Move some networks by one step of Adam down a loss, `(E,)`; the others stay."""
        self.move(players, torch.autograd.grad(loss.sum(), self.weights(players)))

    def weights(self, players: tuple[str, ...]) -> list[Tensor]:
        """List the tensors of some networks."""
        return [part for name in players for part in self.theta[name]]

    def move(self, players: tuple[str, ...], gradients: tuple[Tensor, ...]) -> None:
        """Move some networks by one step of Adam, given the gradients of `weights(players)`."""
        rest = iter(gradients)
        for name in players:
            theta = self.theta[name]
            self.adam[name].step(theta, list(islice(rest, len(theta))), self.share)

    def note(self, **values: Tensor) -> None:
        """Note values of this step, `(E,)` each, for whoever looks between steps."""
        for name, value in values.items():
            self.noted.setdefault(name, torch.empty_like(value)).copy_(value.detach())

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return the critic's loss on a batch and v = G(z), which passes no gradient to G: `(E,)`."""
        raise NotImplementedError

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return G's loss on a batch and v = G(z): `(E,)`."""
        raise NotImplementedError


def stacked(knobs: Mapping[str, Knob], settings: Sequence[Mapping[str, float]], device: torch.device | str) -> Any:
    """Return the settings of E runs as one namespace: tensors `(E, 1, 1)`, and whole numbers as they are."""
    for setting in settings:
        if unknown := setting.keys() - knobs.keys():
            raise BeganError(f"there is no knob {', '.join(sorted(unknown))}; there are {', '.join(knobs)}")
    merged: dict[str, Any] = {}
    for name, knob in knobs.items():
        values = [setting.get(name, knob.default) for setting in settings]
        for value in values:
            if not knob.low <= value <= knob.high or not math.isfinite(value):
                raise BeganError(f"{name} must lie in [{knob.low:g}, {knob.high:g}], got {value}")
        if isinstance(knob.default, int):
            if len(set(values)) > 1 or not float(values[0]).is_integer():
                raise BeganError(f"{name} must be one whole number in all runs, got {sorted(set(values))}")
            merged[name] = int(values[0])
        else:
            merged[name] = torch.tensor([float(value) for value in values], device=device)[:, None, None]
    return SimpleNamespace(**merged)


def stream(seed: int, number: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return one of the random streams of a run."""
    return torch.Generator(device).manual_seed(1_000_003 * seed + number)


class Ensemble:
    """E runs of one method on one mixture, each with a seed and knobs of its own, trained as one program.

    A run draws its weights and noise from its own seed, so it is the same whatever runs beside it, to the rounding of
    sums. On CUDA the step is a graph. Nothing in a step waits for the host. Raises ValueError for settings and seeds
    that are not as many, and what `Method` raises.
    """

    def __init__(
        self,
        method: type[Method],
        mixture: Mixture,
        settings: Sequence[Mapping[str, float]],
        seeds: Sequence[int],
        steps: int,
        device: torch.device | str = "cpu",
    ):
        if not seeds or len(settings) != len(seeds):
            raise BeganError(f"settings and seeds must be as many, one a run, got {len(settings)} and {len(seeds)}")
        self.device = torch.device(device)
        self.mixture, self.seeds, self.steps = mixture, list(seeds), steps
        self.method = method(settings, seeds, self.device)
        self.done = 0
        self.block: Batch | None = None
        self.rngs = [stream(seed, 1, self.device) for seed in seeds]
        grainy = any(setting.get("grain", 0) for setting in settings)  # the noise of a run without is what it was
        self.grain_rngs = [stream(seed, 2, self.device) for seed in seeds] if grainy else []
        self.average = [part.detach().clone() for part in self.method.theta["G"]]
        self.clock = torch.zeros((), device=self.device)
        self.indices = torch.arange(BLOCK, device=self.device).split(1)
        self.graphed = Graphed(self.device) if self.device.type == "cuda" else None

    def run(self, steps: int) -> None:
        """Go on for some steps of G. Raises ValueError for more than are left."""
        if steps > self.steps - self.done:
            raise BeganError(f"steps must be at most {self.steps - self.done}, those that are left, got {steps}")
        for _ in range(steps):
            i = self.done % BLOCK
            if i == 0:
                self._draw()
            self._go(self.indices[i])
            self.done += 1

    def _go(self, index: Tensor) -> None:
        """Do a step: as a graph on CUDA, by single steps from there on where none can be captured."""
        if self.graphed:
            captures = self.graphed.calls == WARM_UP
            try:
                return self.graphed(self._step, index)
            except Exception as error:  # nothing of the step has run on the device
                if not captures:
                    raise
                logger.warning("CUDA graph does not work here (%s): going on without it", error)
                self.graphed = None
        return self._step(index)

    def _draw(self) -> None:
        """Draw the next block of points and noise, each run from its own stream, into the place of the last."""
        knob = self.method.knob
        shape = (BLOCK, self.method.batches, knob.batch)
        numbers = [
            (
                torch.rand(shape, generator=rng, device=self.device),
                torch.randn(*shape, 2, generator=rng, device=self.device),
                torch.rand(*shape, knob.n_z, generator=rng, device=self.device),
                torch.rand(*shape, 1, generator=rng, device=self.device),
            )
            for rng in self.rngs
        ]
        mode, noise, z, u = (torch.stack(part, 2) for part in zip(*numbers, strict=True))
        x = self.mixture.draw(mode, noise) / self.mixture.scale
        if self.grain_rngs:
            xi = [torch.randn(*shape, 2, generator=rng, device=self.device) for rng in self.grain_rngs]
            x = x + knob.grain * torch.stack(xi, 2)
        block = Batch(x, 2 * z - 1, u)
        if self.block is None:
            self.block = block
        else:  # where the graph reads
            for old, new in zip(self.block, block, strict=True):
                old.copy_(new)

    def _step(self, index: Tensor) -> None:
        method = self.method
        left = 1 - self.clock / self.steps
        method.share = (left / method.knob.decay).clamp(0, 1)
        method.step(Batch(*(part.index_select(0, index)[0] for part in self.block or ())))
        self.clock += 1
        with torch.no_grad():
            for average, part in zip(self.average, method.theta["G"], strict=True):
                average.lerp_(part, 1 - method.knob.ema)

    @torch.no_grad()
    def samples(self, count: int = SAMPLES, seed: int = 0) -> Tensor:
        """Return G(z) of each run in the mixture's units, `(E, count, 2)`, at z drawn from `seed`, the same for all."""
        z = torch.rand(count, self.method.knob.n_z, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        z = z.to(self.device).expand(len(self.seeds), -1, -1)
        return self.method.networks["G"](self.average, z) * self.mixture.scale


def mean(values: Tensor) -> Tensor:
    """Return the mean over all but the first axis, the runs."""
    return values.flatten(1).mean(1)


def row_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return `losses.distance` with the L2 norm, of `(E, B, d)` twice: `(E, B)`."""
    return distance(a.flatten(0, 1), b.flatten(0, 1), "l2").view(a.shape[:2])
