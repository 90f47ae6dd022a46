"""The equations of BEGAN and BEGAN-CS, one function each."""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

Norm = Literal["l1", "l2"]


class Losses(NamedTuple):
    """The scalars of one step: L(x), L(G(z)) and L_c, each the mean over its batch.

    >>> Losses(real=torch.tensor(0.2), fake=torch.tensor(0.1), constraint=torch.tensor(0.5)).fake
    tensor(0.1000)
    """

    real: Tensor
    fake: Tensor
    constraint: Tensor


def distance(a: Tensor, b: Tensor, norm: Norm) -> Tensor:
    """Return the distance between two batches, one number a row, on a scale that does not depend on their size.

    `l1`: mean |a - b| (BEGAN eq. 1 with eta = 1). `l2`: |a - b|_2 / sqrt(d), d the numbers in a row (the norm of
    BEGAN-CS; divided so that lambda and alpha mean the same at every image size).
    Shapes: `(B, ...)` twice to `(B,)`. Raises ValueError for another norm or unequal shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"a and b must have the same shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    difference, dims = a - b, tuple(range(1, a.dim()))
    if norm == "l1":
        return difference.abs().mean(dims)
    if norm == "l2":
        return torch.linalg.vector_norm(difference, dim=dims) / a[0].numel() ** 0.5
    raise ValueError(f"norm must be one of {get_args(Norm)}, got {norm!r}")


def reconstruction_loss(v: Tensor, reconstruction: Tensor, norm: Norm = "l1") -> Tensor:
    """Return L(v) = |v - D(v)|, one number a row (BEGAN eq. 1; BEGAN-CS eq. 2 with the L2 norm).

    >>> reconstruction_loss(torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8))
    tensor([1., 1.])

    Shapes: `(B, ...)` twice to `(B,)`. Raises ValueError as `distance` does.
    """
    return distance(v, reconstruction, norm)


def latent_constraint(z: Tensor, code: Tensor, norm: Norm = "l1") -> Tensor:
    """Return |z - Enc(G(z))|, one number a row: the constraint of BEGAN-CS, L_c in the batch mean.

    >>> latent_constraint(torch.zeros(1, 64), torch.full((1, 64), 0.5), norm="l2")
    tensor([0.5000])

    Shapes: `(B, N_z)` twice to `(B,)`. Raises ValueError as `distance` does.
    """
    return distance(z, code, norm)


def discriminator_loss(losses: Losses, k: Tensor | float, alpha: Tensor | float = 0.0) -> Tensor:
    """Return L_D = L(x) - k L(G(z)) + alpha L_c (BEGAN eq. 7; BEGAN-CS eq. 7), minimised over theta_D only.

    >>> discriminator_loss(Losses(torch.tensor(0.2), torch.tensor(0.1), torch.tensor(0.5)), k=0.5, alpha=0.1)
    tensor(0.2000)
    """
    return losses.real - k * losses.fake + alpha * losses.constraint


def generator_loss(losses: Losses) -> Tensor:
    """Return L_G = L(G(z)) (BEGAN eq. 7), minimised over theta_G only: L_c is no part of it.

    >>> generator_loss(Losses(torch.tensor(0.2), torch.tensor(0.1), torch.tensor(0.5)))
    tensor(0.1000)
    """
    return losses.fake


def convergence_measure(loss_real: Tensor, loss_fake: Tensor, gamma: Tensor | float) -> Tensor:
    """Return M = L(x) + |gamma L(x) - L(G(z))| (BEGAN 3.4.1); lower is better, 0 the least.

    >>> convergence_measure(torch.tensor(0.2), torch.tensor(0.1), gamma=0.75)
    tensor(0.2500)
    """
    return loss_real + (gamma * loss_real - loss_fake).abs()
