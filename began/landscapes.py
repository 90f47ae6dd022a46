"""What G's samples feel: the critic's opinion of each point of the plane, and the gradient that each sample receives.

Points v are in units of the mixture's scale, as the networks see them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from began import rivals
from began.ensembles import Batch, Ensemble, Method

LOSSES: dict[type[Method], Callable[[Tensor], Tensor]] = {
    rivals.MinimaxGAN: lambda s: -softplus(s),
    rivals.GAN: lambda s: softplus(-s),
    rivals.LSGAN: lambda s: (s - 1).square() / 2,
    rivals.WGAN: lambda s: -s,
    rivals.WGANGP: lambda s: -s,
    rivals.EBGAN: lambda energy: energy,
    rivals.BEGAN: lambda energy: energy,
    rivals.BEGANCS: lambda energy: energy,
}  # G's loss of one sample as a function of the critic's output there, where it is one


def draw(ensemble: Ensemble, count: int, seed: int = 0) -> Batch:
    """Return a batch of `count` that is the same for all runs: x from the mixture, z and u uniform."""
    rng = torch.Generator().manual_seed(seed)
    x = ensemble.mixture.sample(count, seed) / ensemble.mixture.scale
    z = 2 * torch.rand(count, ensemble.method.knob.n_z, generator=rng) - 1
    parts = (x, z, torch.rand(count, 1, generator=rng))
    return Batch(*(part.to(ensemble.device).expand(len(ensemble.seeds), -1, -1) for part in parts))


@torch.no_grad()
def place(ensemble: Ensemble, at: tuple[float, float], std: float) -> None:
    """Make all G(z) one bunch about a point: G's last layer is scaled and shifted, its other layers stay.

    `at` and `std`, of each coordinate over 2048 z, are in units of the mixture's scale.
    """
    theta = ensemble.method.theta["G"]
    v = ensemble.method.net("G", draw(ensemble, 2048).z)
    factor = std / v.std(1, keepdim=True)
    theta[-2].mul_(factor)
    theta[-1].copy_(torch.tensor(at, device=v.device) + factor * (theta[-1] - v.mean(1, keepdim=True)))
    for average, part in zip(ensemble.average, theta, strict=True):
        average.copy_(part)


def train_critic(ensemble: Ensemble, steps: int) -> None:
    """Go on for some steps in which G stays as it is; the critic, and F and k where there are any, move.

    Raises ValueError on CUDA, where the step is a graph that has G's learning rate in it.
    """
    if ensemble.graphed is not None:
        raise ValueError("G can be held on the CPU only, the ensemble is on CUDA")
    adam = ensemble.method.adam["G"]
    lr, adam.lr = adam.lr, torch.zeros_like(adam.lr)
    try:
        ensemble.run(steps)
    finally:
        adam.lr = lr


def generator_loss(method: Method, batch: Batch, v: Tensor) -> Tensor:
    """Return G's loss, `(E,)`, also of BEGAN, whose step computes `E L(v)` together with the loss of D."""
    return rivals.mean(method.energy(v)) if isinstance(method, rivals.BEGAN) else method.generator_loss(batch, v)


def pull(method: Method, batch: Batch, v: Tensor) -> Tensor:
    """Return `-B dL_G / dv_i`: the direction in which G's loss would have each sample go.

    The factor B undoes the mean over the batch. `v = G(batch.z)` for methods that look at z. Shapes: `(E, B, 2)`.
    """
    v = v.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(generator_loss(method, batch, v).sum(), v)
    return -v.shape[1] * gradient


@torch.no_grad()
def critic(method: Method, points: Tensor) -> Tensor:
    """Return the critic's output at each point: a logit, a value of f, or the energy L(v).

    ALI and VEEGAN are asked about (v, F(v)). Shapes: `(E, P, 2)` to `(E, P)`. Raises ValueError for minibatch
    discrimination, whose logit is of a batch.
    """
    if isinstance(method, rivals.MinibatchDiscrimination):
        raise ValueError("minibatch discrimination has no opinion of a point alone")
    if isinstance(method, rivals.Autoencoding):
        return method.energy(points)
    if isinstance(method, rivals.ALI):
        points = torch.cat([points, method.net("F", points)], 2)
    return method.net("D", points)[..., 0]


def landscape(method: Method, points: Tensor) -> Tensor:
    """Return G's loss of a sample at each point: the surface down which `pull` points.

    Shapes: `(E, P, 2)` to `(E, P)`. Raises ValueError where that loss is no function of the critic's output there.
    """
    if type(method) not in LOSSES:
        raise ValueError(f"{method.title}: G's loss of a sample depends on more than the critic's output there")
    return LOSSES[type(method)](critic(method, points))


def spreading(v: Tensor, arrows: Tensor) -> Tensor:
    """Return the cosine between all arrows and all directions away from the samples' mean, one number a run.

    `sum a_i . (v_i - mean v) / (|a| |v - mean v|)`: half the rate at which arrows a let the variance of v grow, over
    what they could reach at most. 1: apart; -1: together; 0: neither. Shapes: `(E, B, 2)` twice to `(E,)`.
    """
    return torch.cosine_similarity((v - v.mean(1, keepdim=True)).flatten(1), arrows.flatten(1))


def unison(arrows: Tensor) -> Tensor:
    """Return `|mean a| / mean |a|`, one number a run: 1 where all arrows agree, near 0 where each has its own way."""
    return arrows.mean(1).norm(dim=1) / arrows.norm(dim=2).mean(1)


@dataclass(frozen=True)
class View:
    """What one run looks like at one moment, in units of the mixture's scale.

    `surface` `(n, n)`, rows from below, is the landscape over the square about `middle` that extends `reach` each
    way, or None; v and arrows are samples and their pull, `(B, 2)`.
    """

    v: Tensor
    arrows: Tensor
    middle: tuple[float, float]
    reach: float
    surface: Tensor | None = None


def views(
    ensemble: Ensemble, *, count: int = 64, middle: tuple[float, float] = (0, 0), reach: float = 1.4, size: int = 60
) -> list[View]:
    """Return how each run looks now, at `count` samples; without a surface where there is no `landscape`."""
    method, batch = ensemble.method, draw(ensemble, count)
    v = method.net("G", batch.z).detach()
    arrows = pull(method, batch, v)
    surfaces: Sequence[Tensor | None] = [None] * len(v)
    if type(method) in LOSSES:
        axis = torch.linspace(-reach, reach, size, device=v.device)
        points = torch.cartesian_prod(axis + middle[1], axis + middle[0]).flip(1)
        surfaces = list(landscape(method, points.expand(len(v), -1, -1)).unflatten(1, (size, size)))
    return [View(*parts[:2], middle, reach, parts[2]) for parts in zip(v, arrows, surfaces, strict=True)]
