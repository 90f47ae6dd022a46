"""Losses of the games that both the toy and the pictures play, of what their critics say.

The batch is the last axis of what comes in, `(..., B)`; a leading one holds runs that are trained side by side.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize, relu, softplus


def logistic(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return `-E log D` and `-E log(1 - D)`, of logits `(..., B)` of what is to be taken for real, and what for fake.

    Their sum is what GAN's critic minimises, and ALI's, whose G and Enc do so with the two exchanged.
    """
    return softplus(-real).mean(-1), softplus(fake).mean(-1)


def hinge(real: Tensor, fake: Tensor, margin: Tensor | float) -> Tensor:
    """Return `E L(x) + E max(0, m - L(v))`, of energies `(..., B)` (Zhao 2017, eq. 1)."""
    return real.mean(-1) + relu(margin - fake).mean(-1)


def pull_away(codes: Tensor, weight: Tensor | float) -> Tensor:
    """Return `weight / (B (B - 1)) sum_{i != j} cos(h_i, h_j)^2`, of codes `(..., B, d)` (Zhao 2017, eq. 4)."""
    unit, count = normalize(codes, dim=-1), codes.shape[-2]
    others = (unit @ unit.mT).square().sum((-2, -1)) - count
    return weight * others / (count * (count - 1))


def gradient_penalty(critic: Callable[[Tensor], Tensor], x: Tensor, v: Tensor, u: Tensor) -> Tensor:
    """Return `E (|grad f(x^)| - 1)^2`, x^ from x to v by the share u in [0, 1) (Gulrajani 2017, eq. 3).

    Shapes: x and v `(..., B, ...)`, of which f makes `(..., B, 1)`.
    """
    between = torch.lerp(x, v, u).requires_grad_()
    f = critic(between)
    (slope,) = torch.autograd.grad(f.sum(), between, create_graph=True)
    # where ReLUs leave no slope, the root of 0 would have no derivative
    length = (slope.flatten(f.dim() - 1).square().sum(-1) + 1e-12).sqrt()
    return (length - 1).square().mean(-1)
