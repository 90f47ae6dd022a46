"""E small networks side by side, and an Adam with a learning rate for each."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor


class Perceptrons:
    """E multilayer perceptrons of one shape with ReLU between layers; theta is a list of weights and biases.

    Shapes: theta `(E, inputs, outputs)` and `(E, 1, outputs)` by turns; from `(E, B, sizes[0])` to `(E, B, sizes[-1])`.
    """

    def __init__(self, *sizes: int):
        self.shapes = list(pairwise(sizes))

    def initial(self, gain: Tensor, rngs: Sequence[torch.Generator]) -> list[Tensor]:
        """Draw theta: weights uniform in `[-gain sqrt(3 / n), gain sqrt(3 / n)]`, n the inputs of a layer; biases 0.

        Their variance is gain^2 / n; BEGAN-CS 4.6 has gain sqrt(3). Shape: gain `(E, 1, 1)`.
        """
        theta = []
        for inputs, outputs in self.shapes:
            weights = torch.stack([torch.rand(inputs, outputs, generator=rng) for rng in rngs]).to(gain)
            theta += [(2 * weights - 1) * gain * math.sqrt(3 / inputs), torch.zeros_like(weights[:, :1])]
        return theta

    def hidden(self, theta: Sequence[Tensor], x: Tensor) -> Tensor:
        """Return the features that the last layer sees: `(E, B, sizes[-2])`."""
        for weight, bias in zip(theta[:-2:2], theta[1:-2:2], strict=True):
            x = torch.baddbmm(bias, x, weight).relu_()
        return x

    def __call__(self, theta: Sequence[Tensor], x: Tensor) -> Tensor:
        """Apply the networks."""
        return torch.baddbmm(theta[-1], self.hidden(theta, x), theta[-2])


class Moments(NamedTuple):
    """The state of Adam: the moving averages of gradients and of their squares, and how many there were."""

    first: list[Tensor]
    second: list[Tensor]
    steps: Tensor


class Adam:
    """Adam (Kingma, Ba 2015) with a learning rate and beta_1 of each run's own, `(E, 1, 1)`; beta_2 is 0.999.

    torch.optim has one rate a group of parameters, and here the runs share their tensors.
    """

    BETA_2, EPS = 0.999, 1e-8

    def __init__(self, theta: Sequence[Tensor], lr: Tensor, beta_1: Tensor):
        self.lr, self.beta_1 = lr, beta_1
        zeros = [torch.zeros_like(part) for part in theta]
        self.moments = Moments(zeros, [part.clone() for part in zeros], torch.zeros((), device=lr.device))

    def moved(
        self, theta: Sequence[Tensor], gradients: Sequence[Tensor], moments: Moments
    ) -> tuple[list[Tensor], Moments]:
        """Return theta and the moments after one step; nothing is changed in place, so it can be differentiated."""
        steps = moments.steps + 1
        first = [torch.lerp(g, m, self.beta_1) for m, g in zip(moments.first, gradients, strict=True)]
        second = [self.BETA_2 * s + (1 - self.BETA_2) * g * g for s, g in zip(moments.second, gradients, strict=True)]
        rate, eps = self._scaled(steps)
        moved = [p - rate * m / (s + eps).sqrt() for p, m, s in zip(theta, first, second, strict=True)]
        return moved, Moments(first, second, steps)

    @torch.no_grad()
    def step(self, theta: Sequence[Tensor], gradients: Sequence[Tensor], share: Tensor | float = 1.0) -> None:
        """Move theta in place by one step with a share of the learning rate."""
        self.moments.steps.add_(1)
        rate, eps = self._scaled(self.moments.steps)
        for p, g, m, s in zip(theta, gradients, self.moments.first, self.moments.second, strict=True):
            m.lerp_(g, 1 - self.beta_1)
            s.mul_(self.BETA_2).addcmul_(g, g, value=1 - self.BETA_2)
            p.addcdiv_(m * (-share * rate), (s + eps).sqrt_())

    def _scaled(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rate and epsilon for moments as they are, not divided by `1 - beta^steps` for their start at 0.

        Epsilon is squared, for use within the root, whose derivative at 0 is then finite.
        """
        correction = 1 - self.BETA_2**steps
        return self.lr * correction.sqrt() / (1 - self.beta_1**steps), self.EPS**2 * correction
