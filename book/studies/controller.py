"""How the ratio answers to k: a linear plant fitted to recorded runs, and the loop that the controller closes."""

import copy
import itertools
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy import optimize, signal
from torch import Tensor

from began.config import TrainConfig
from began.equilibrium import Equilibrium
from began.files import atomic_write
from began.images.faces import rendered_faces
from began.images.sources import Batches, Pictures
from began.losses import convergence_measure
from began.runs import artifacts_folder, provenance
from began.step import Update
from studies.gammas import BASE
from studies.toy.ensemble import Ensemble
from studies.toy.gans import BEGAN
from studies.toy.mixtures import PROBLEMS
from studies.workers import Workers

Values = Tensor | np.ndarray | Sequence[float]
DRIFT = 3  # degree of the polynomial in time that training itself adds to a recorded ratio


@dataclass(frozen=True)
class Plant:
    """The ratio r = L(G(z)) / L(x) that a weight k leads to, about an operating point.

    `y_{t+1} = a_1 y_t + ... + a_n y_{t-n+1} + b k_{t-delay}`, `r_t = base + y_t + noise`, with white noise of standard
    deviation `noise`: what a batch adds. `a` has one or two coefficients; k and r have no units. Raises ValueError for
    no coefficients, a negative delay or noise, and a plant that is not stable by itself.
    """

    a: tuple[float, ...]
    b: float
    delay: int = 0
    base: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not self.a:
            raise ValueError("a must have at least one coefficient, got none")
        if self.delay < 0 or self.noise < 0:
            raise ValueError(f"delay and noise must be at least 0, got {self.delay} and {self.noise}")
        if abs(np.roots([1, *(-c for c in self.a)])).max(initial=0) >= 1:
            raise ValueError(f"a must have all its poles within the unit circle, got {self.a}")

    @property
    def gain(self) -> float:
        """By how much r changes with k in the end: `b / (1 - a_1 - ... - a_n)`."""
        return self.b / (1 - sum(self.a))

    def transfer(self) -> tuple[NDArray, NDArray]:
        """Return numerator and denominator of `r / k` as polynomials in z, highest power first."""
        return self.b * np.eye(len(self.a))[0], np.r_[1, np.negative(self.a), np.zeros(self.delay)]

    def answer(self, k: Values) -> NDArray:
        """Return r without noise for a sequence of k, `(T,)`, from rest at its first value."""
        k = np.asarray(k, dtype=float)
        moved = signal.lfilter(np.r_[np.zeros(1 + self.delay), self.b], np.r_[1, np.negative(self.a)], k - k[0])
        return self.base + self.gain * k[0] + np.asarray(moved)


def fit_plant(k: Values, ratio: Values, order: int = 1, delay: int = 0) -> Plant:
    """Return the plant whose answer to k is nearest to a recorded ratio in least squares.

    The plant sees k alone and none of the past ratio, so that the noise of batches does not bias its poles (the output
    error method; Ljung 1999, sec. 4.2). A cubic in time takes up what training itself moves; `base` is as of the mean.
    Shapes: `(T,)` both. Raises ValueError for unequal lengths, another order than 1 or 2, and a k that stands still.
    """
    k, ratio = np.asarray(k, dtype=float), np.asarray(ratio, dtype=float)
    if k.shape != ratio.shape or k.ndim != 1:
        raise ValueError(f"k and ratio must be sequences of one length, got {k.shape} and {ratio.shape}")
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order}")
    if np.ptp(k) == 0:
        raise ValueError("k must move, or nothing can be learnt from it")
    wanted = _without_drift(ratio)

    def miss(values: NDArray) -> NDArray:
        return wanted - _without_drift(_plant(values, delay).answer(k))

    bounds = [0.999] * order + [np.inf]
    found = optimize.least_squares(miss, [*(0.5, 0.0)[:order], 1.0], bounds=(np.negative(bounds), bounds))
    plant = _plant(found.x, delay)
    noise = float(np.sqrt(2 * found.cost / (len(k) - len(found.x) - DRIFT - 1)))
    return Plant(plant.a, plant.b, delay, float(ratio.mean() - plant.answer(k).mean()), noise)


def _plant(values: NDArray, delay: int) -> Plant:
    """Return the plant with poles p and b; two poles are real, so that any between -1 and 1 are stable."""
    *poles, b = map(float, values)
    return Plant(tuple((-np.poly(poles)[1:]).tolist()), b, delay)


def _without_drift(values: NDArray) -> NDArray:
    time = np.linspace(-1, 1, len(values))
    return values - np.polynomial.legendre.legval(time, np.polynomial.legendre.legfit(time, values, DRIFT))


def explained(plant: Plant, k: Values, ratio: Values) -> float:
    """Return which share of a recorded ratio's variance about its drift the plant's answer to k explains, at most 1."""
    wanted = _without_drift(np.asarray(ratio, dtype=float))
    left = wanted - _without_drift(plant.answer(k))
    return float(1 - (left @ left) / (wanted @ wanted))


def closed_loop(plant: Plant, gain: float) -> NDArray:
    """Return the polynomial, highest power first, whose roots are the modes of the loop.

    With `k_{t+1} = k_t + gain (gamma - r_t)`, gain = lambda L(x), the loop's denominator is
    `(z - 1) A(z) + gain B(z)`, B / A the plant's transfer function.
    """
    numerator, denominator = plant.transfer()
    return np.polyadd(np.polymul([1, -1], denominator), gain * numerator)


def spectral_radius(plant: Plant, gain: float) -> float:
    """Return the largest modulus of the loop's modes: below 1 it is stable, and errors shrink by it each step."""
    return float(abs(np.roots(closed_loop(plant, gain))).max())


def largest_gain(plant: Plant) -> float:
    """Return the gain lambda L(x) above which the loop is unstable; for one pole and no delay it is `(1 - a) / b`.

    Raises ValueError for a plant whose ratio falls with k: no gain above 0 makes a stable loop of it.
    """
    if plant.gain <= 0:
        raise ValueError(f"the ratio must rise with k, got a plant of gain {plant.gain:.3g}")
    low = high = 1e-3 / plant.gain
    while spectral_radius(plant, high) < 1:
        high *= 2
    found: Any = optimize.brentq(lambda gain: spectral_radius(plant, gain) - 1, low, high)
    return float(found)


class Step(NamedTuple):
    """How the loop follows a step of gamma: r over the steps for a step of 1, and two numbers on it.

    `settling`: steps until r stays within 5 % of the step; `overshoot`: how far r goes beyond, a share of the step.
    """

    ratio: NDArray
    settling: float
    overshoot: float


def step_response(plant: Plant, gain: float, steps: int) -> Step:
    """Return how the loop, unclipped and without noise, answers to a step of gamma; settling is inf if it does not."""
    loop = closed_loop(plant, gain)
    numerator = np.pad(gain * plant.transfer()[0], (plant.delay + 2, 0))  # as many coefficients as the loop has
    ratio = np.asarray(signal.lfilter(numerator, loop, np.ones(steps)))
    outside = np.flatnonzero(abs(ratio - 1) > 0.05)
    settling = float(outside[-1] + 1) if len(outside) and outside[-1] + 1 < steps else np.inf
    return Step(ratio, settling, float(max(ratio.max() - 1, 0)))


def simulate(
    plant: Plant,
    gamma: float | Values,
    gain: float,
    steps: int,
    k_0: float = 0.0,
    *,
    disturbance: float | Values = 0.0,
    wind_up: bool = False,
    seed: int = 0,
) -> tuple[NDArray, NDArray]:
    """Return k and r, `(steps,)` each, of the plant under `k_{t+1} = clip(k_t + gain (gamma - r_t), 0, 1)`.

    `gamma` and `disturbance`, which is added to r, may change over the steps. With `wind_up` the controller keeps its
    sum unclipped and only the weight that the plant gets is clipped. Noise is drawn from `seed`.
    """
    gamma, disturbance = (np.broadcast_to(np.asarray(value, dtype=float), (steps,)) for value in (gamma, disturbance))
    noise = plant.noise * np.random.default_rng(seed).standard_normal(steps)
    y, waiting, total = np.full(len(plant.a), plant.gain * k_0), deque([k_0] * plant.delay), k_0  # y: newest first
    k, r = np.empty(steps), np.empty(steps)
    for t in range(steps):
        k[t] = min(max(total, 0.0), 1.0)
        r[t] = plant.base + y[0] + disturbance[t] + noise[t]
        total = (total if wind_up else k[t]) + gain * (gamma[t] - r[t])
        waiting.append(k[t])
        y = np.r_[np.dot(plant.a, y) + plant.b * waiting.popleft(), y[:-1]]
    return k, r


SEEDS = range(5)
WARM_UP = 500  # steps of BASE, after which every branch of a recording starts from the same networks
TOY = {"gamma": 1.0, "lambda_k": 0.03, "code": 1, "width": 64, "batch": 128}  # a code of one number keeps k off 0
TOY_WARM_UP = 500
STILL = 0.05  # share of steps at the clip from which on a loop is called unstable
DITHER, HOLD = 0.4, 25  # k's swing, a share of its value, and the mean steps between two changes
LAMBDAS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0)
TOY_GAINS = (0.06, 0.125, 0.25, 0.5, 1.0, 2.0)  # lambda of the scale-free rule


class Branch(NamedTuple):
    """How training goes on after the warm-up: gamma at each step, and lambda; or `swing` moves k instead of them."""

    lambda_k: float
    gamma: tuple[float, ...]
    wind_up: bool = False
    swing: tuple[float, ...] = ()


def swings() -> NDArray:
    """Return what k is multiplied by at each step of a dither: up or down, changing at random."""
    changes = np.random.default_rng(0).random(900) < 1 / HOLD
    return 1 + DITHER * np.cumprod(np.where(changes, -1, 1))


def branches() -> dict[str, Branch]:
    """Name the branches of a recording: k swung by itself, each lambda, a step of gamma, and one out of reach."""
    swing = tuple(swings().tolist())
    out_of_reach = (0.3,) * 100 + (0.9,) * 200
    return {
        "dither": Branch(1.0, (0.9,) * len(swing), swing=swing),
        **{f"lambda {value:g}": Branch(value, (0.9,) * 240) for value in LAMBDAS},
        "step": Branch(0.5, (0.75,) * 160),
        "clip": Branch(0.3, out_of_reach),
        "wind-up": Branch(0.3, out_of_reach, wind_up=True),
    }


class WindUp(Equilibrium):
    """The controller with its sum left unclipped: only k, which D gets, is clipped."""

    def __init__(self, start: Equilibrium):
        super().__init__(start.gamma, start.lambda_k, start.k)
        self.sum = self.k.clone()

    @torch.no_grad()
    def update(self, loss_real: Tensor, loss_fake: Tensor) -> Tensor:
        """Move the sum and k, and return M."""
        self.sum.add_(self.lambda_k * (self.gamma * loss_real - loss_fake))
        self.k.copy_(self.sum.clamp(0, 1))
        return convergence_measure(loss_real, loss_fake, self.gamma)


class Recording(NamedTuple):
    """The warm-up of one seed and all branches after it."""

    seed: int

    @property
    def work(self) -> int:
        """The steps in it."""
        return WARM_UP + sum(len(branch.gamma) for branch in branches().values())


def record(
    job: Recording, folder: Path, device: torch.device, advance: Callable[[int], object] = lambda _: None
) -> list[Path]:
    """Train one seed's recording and leave L(x), L(G(z)) and the k of each step, `(3, steps)` a branch, in a file."""
    path = folder / f"{job.seed}.safetensors"
    if path.exists():
        advance(job.work)
        return [path]
    config = TrainConfig(seed=job.seed, log_every=1, **BASE)
    images = Pictures(rendered_faces(8192, config.size, seed=0), "faces")
    batches = Batches(images, config.batch, device=device, seed=job.seed)

    def run(update: Update, first: int, branch: Branch) -> Tensor:
        equilibrium, rows = update.model.equilibrium, []
        swing = equilibrium.k.item() * np.array(branch.swing)
        equilibrium.lambda_k.fill_(branch.lambda_k)
        for t, x in enumerate(itertools.islice(batches.starting_at(first), len(branch.gamma))):
            equilibrium.gamma.fill_(branch.gamma[t])
            if branch.swing:
                equilibrium.k.fill_(swing[t])
            k = equilibrium.k.clone()
            update(x)
            (row,) = update.read()
            rows.append(torch.stack([row[0], row[1], k.cpu()]))
        advance(len(rows))
        return torch.stack(rows, 1)

    update = Update(config, device)
    found = {"warm-up": run(update, 0, Branch(config.lambda_k, (config.gamma,) * WARM_UP))}
    state = copy.deepcopy(update.state_dict())
    for name, branch in branches().items():
        update = Update(config, device)
        update.load_state_dict(copy.deepcopy(state))
        if branch.wind_up:
            update.model.equilibrium = WindUp(update.model.equilibrium)
        found[name] = run(update, WARM_UP, branch)
    with atomic_write(path) as temporary:
        save_file(found, temporary)
    return [path]


def record_toy() -> dict[str, Tensor]:
    """Return the dither and each lambda of the scale-free rule on the 25 Gaussians, as `load_recordings` does."""
    names, seeds, swing = ["dither", *map(str, TOY_GAINS)], len(SEEDS), swings()
    ensemble = toy_warmed_up(list(SEEDS) * len(names), len(swing))
    assert isinstance(ensemble.method, BEGAN)
    ensemble.method.equilibrium.lambda_k.copy_(torch.tensor([1.0, *TOY_GAINS]).repeat_interleave(seeds))
    rows = follow(ensemble, swing, seeds).unflatten(0, (len(names), seeds))
    return {f"toy {name}": part.clone() for name, part in zip(names, rows, strict=True)}


def toy_warmed_up(seeds: Sequence[int], steps: int) -> Ensemble:
    """Return BEGAN on the 25 Gaussians after its warm-up, a run a seed, with `steps` to go."""
    ensemble = Ensemble(BEGAN, PROBLEMS["grid"], [TOY] * len(seeds), seeds, TOY_WARM_UP + steps)
    ensemble.run(TOY_WARM_UP)
    return ensemble


def follow(ensemble: Ensemble, swing: NDArray, swung: int) -> Tensor:
    """Let BEGAN's runs go on, and return L(x), L(G(z)) and the k of each step, `(E, 3, steps)`.

    The first `swung` of them get their k of now times `swing`, `(steps,)`; the others get their controller's.
    """
    assert isinstance(ensemble.method, BEGAN)
    k, readings, rows = ensemble.method.equilibrium.k, ensemble.method.readings, []
    settled = k[:swung].clone()
    for factor in swing:
        k[:swung] = float(factor) * settled
        used = k.clone()
        ensemble.run(1)
        rows.append(torch.stack([readings["loss_real"], readings["loss_fake"], used], 1))
    return torch.stack(rows, 2)


def largest_stable(lambdas: Sequence[float], clipped: Sequence[float]) -> float:
    """Return the largest lambda that leaves k alone: up to it, k is at the clip in fewer than `STILL` of the steps.

    `clipped` has that share for each of `lambdas`, which rise. Raises ValueError where the least lambda is too large.
    """
    first = next((i for i, share in enumerate(clipped) if share >= STILL), len(lambdas))
    if first == 0:
        raise ValueError(f"clipped must begin below {STILL}, got {clipped[0]}")
    return lambdas[first - 1]


def record_all(out: Path, work: Path, device: torch.device) -> None:
    """Make the artifact: record all seeds in `work`, and put them together in `out`. A stopped call goes on."""
    with Workers(device) as workers:
        for seed in SEEDS:
            workers.call(record, Recording(seed), work)
        paths = sorted(path for found in workers.finished() for path in found)
    runs = [load_file(path) for path in paths]
    together = {name: torch.stack([run[name] for run in runs]) for name in runs[0]} | record_toy()
    with atomic_write(out / "recordings.safetensors") as temporary:
        save_file(together, temporary)
    origin = {"config": TrainConfig(**BASE).to_dict(), "seeds": list(SEEDS), **provenance(device)}
    with atomic_write(out / "record.json") as temporary:
        temporary.write_text(json.dumps(origin, indent=1) + "\n")


def load_recordings() -> dict[str, Tensor]:
    """Return L(x), L(G(z)) and k at each step, `(seeds, 3, steps)`, by name.

    On 16x16 faces: "warm-up" and those of `branches`. On the 25 Gaussians: "toy dither", and "toy 0.5" for a lambda.
    """
    return load_file(artifacts_folder() / "controller/recordings.safetensors")
