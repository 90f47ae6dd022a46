"""Noticing a mode collapse while it happens: what is read off a run, and the rule that judges the readings."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

EVERY = 100  # steps between two readings
COUNT = 32  # fixed samples and pictures that are read: more would cost over a hundredth of the training time
QUIET = 10  # readings at the start at which nothing is judged: k and G have yet to find each other
BAND = 50  # readings back over which the highest k counts
DROP = 0.6  # of that highest k, below which k has dropped
SOME = 0.01  # of k, below which a drop says nothing
ALIKE = 0.1  # spread below which samples are alike, as they also are where a run starts slowly
PAUSE = 5  # readings over which such a run has to grow
BLOWN = 2.0  # spread above which samples are no pictures any more


class CollapseError(RuntimeError):
    """A run has collapsed, and nobody asked to go back, or going back did not help.

    >>> from began import Trainer, TrainConfig
    >>> config = TrainConfig(size=16, n=4, count=8, batch=4, steps=2, on_collapse="stop")
    >>> try:
    ...     _ = Trainer(config).fit(progress=False)
    ... except CollapseError as error:
    ...     print(error)
    """


class Reading(NamedTuple):
    """What is read off a run at one step.

    k of the equilibrium; spread: the root mean squared distance between two samples over that between two pictures;
    var_real and var_fake: the total variance of the codes of pictures and of samples, the Var(real) and Var(gen) of
    BEGAN-CS, fig. 2; top: the share of the leading principal component in var_fake.
    """

    k: float
    spread: float
    var_real: float
    var_fake: float
    top: float


def take_reading(k: Tensor, x: Tensor, v: Tensor, h_x: Tensor, h_v: Tensor) -> Tensor:
    """Return the numbers of a `Reading`, `(..., 5)`, on the device: nothing waits for the host.

    The mean squared distance between two points of a set is twice the set's total variance. Shapes: k `(...)`,
    pictures x and samples v `(..., B, d)`, their codes `(..., B, N_h)`, B at least 2.
    """
    spread = (total_variance(v) / total_variance(x)).sqrt()
    # the decomposition refuses what is not finite
    squares = torch.linalg.svdvals((h_v - h_v.mean(-2, keepdim=True)).nan_to_num()).square()
    top = squares[..., 0] / squares.sum(-1)
    return torch.stack([k, spread, total_variance(h_x), total_variance(h_v), top], -1)


def total_variance(points: Tensor) -> Tensor:
    """Return the variance of a set, summed over its dimensions: `(..., B, d)` to `(...)`."""
    return points.var(-2).sum(-1)


def suspicion(readings: Sequence[Reading]) -> str | None:
    """Return the evidence that a run has collapsed, or None, given all its readings, one every `EVERY` steps.

    Each number is the median of its last three. After `QUIET` readings a collapse is suspected where

    - k is below `DROP` times its highest of the last `BAND` readings, if that was more than `SOME`: the least p / p_g
      where G is bounds k (chapter 9);
    - the spread is below `ALIKE`, and neither it nor k is higher than `PAUSE` readings ago: samples are alike, and
      they stay so;
    - the spread is above `BLOWN`: G has left the pictures.
    """
    if len(readings) <= QUIET:
        return None
    k, spread = _smooth(readings)
    if not spread[-1] <= BLOWN:
        return f"samples differ {spread[-1]:.3g} times as much as pictures do"
    if dropped(readings):
        return f"k fell from {max(k):.3g} to {k[-1]:.3g}"
    if spread[-1] < ALIKE and spread[-1] <= spread[-1 - PAUSE] and k[-1] <= k[-1 - PAUSE]:
        return f"samples differ {spread[-1]:.3g} times as much as pictures do, and neither that nor k grows"
    return None


def dropped(readings: Sequence[Reading]) -> bool:
    """Whether k has dropped: the part of the rule that needs no look at samples."""
    k, _ = _smooth(readings)
    return k[-1] < DROP * max(k) and max(k) > SOME


def healthy(readings: Sequence[Reading]) -> bool:
    """Whether a checkpoint is worth going back to: nothing is suspected, nor about to be."""
    if len(readings) <= QUIET or suspicion(readings):
        return False
    k, spread = _smooth(readings)
    return spread[-1] > 2 * ALIKE and k[-1] > (1 + DROP) / 2 * max(k)


def _smooth(readings: Sequence[Reading]) -> tuple[list[float], list[float]]:
    """Return the medians of three of k and of the spread, over the band."""
    last = readings[-BAND - 2 :]
    columns = ([reading.k for reading in last], [reading.spread for reading in last])
    k, spread = ([median(column[max(i - 2, 0) : i + 1]) for i in range(len(column))] for column in columns)
    return k, spread
