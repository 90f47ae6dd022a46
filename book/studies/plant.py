"""A linear plant, the loop that k closes around it, and what keeps that loop stable."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, signal
from torch import Tensor

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


def r_squared(plant: Plant, k: Values, ratio: Values) -> float:
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
