"""What G's samples feel: the critic's opinion of each point of the plane, and the gradient that each sample receives.

Points v are in units of the mixture's scale, as the networks see them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from studies.toy import autoencoders, gans
from studies.toy.ensemble import Batch, Ensemble, Method

NON_SATURATING = (gans.GAN, gans.SmoothedGAN, gans.HistoricalAveraging, gans.ExperienceReplay)
LOSSES: dict[type[Method], Callable[[Tensor], Tensor]] = {
    gans.MinimaxGAN: lambda s: -softplus(s),
    **dict.fromkeys(NON_SATURATING, lambda s: softplus(-s)),
    gans.LSGAN: lambda s: (s - 1).square() / 2,
    **dict.fromkeys((gans.WGAN, gans.WGANGP), lambda s: -s),
    **dict.fromkeys((autoencoders.EBGAN, autoencoders.BEGAN, autoencoders.BEGANCS), lambda energy: energy),
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


def pull(method: Method, batch: Batch, v: Tensor) -> Tensor:
    """Return `-B dL_G / dv_i`: the direction in which G's loss would have each sample go.

    The factor B undoes the mean over the batch. `v = G(batch.z)` for methods that look at z. Shapes: `(E, B, 2)`.
    """
    v = v.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(method.generator_loss(batch, v).sum(), v)
    return -v.shape[1] * gradient


@torch.no_grad()
def critic(method: Method, points: Tensor) -> Tensor:
    """Return the critic's output at each point: a logit, a value of f, or the energy L(v).

    ALI and VEEGAN are asked about (v, F(v)). Shapes: `(E, P, 2)` to `(E, P)`. Raises ValueError for minibatch
    discrimination, whose logit is of a batch.
    """
    if isinstance(method, gans.MinibatchDiscrimination):
        raise ValueError("minibatch discrimination has no opinion of a point alone")
    if isinstance(method, autoencoders.Autoencoding):
        return method.energy(points)
    if isinstance(method, gans.ALI):
        points = torch.cat([points, method.net("F", points)], 2)
    return method.net("D", points)[..., 0]


def landscape(method: Method, batch: Batch, v: Tensor, points: Tensor) -> Tensor:
    """Return B times G's loss if the first sample were at each point and the others stayed, up to a constant a run.

    Its slope at the first sample is minus that sample's `pull`. Where the loss is a sum over samples, that is
    `LOSSES` of the critic's output, for any of them. Shapes: v `(E, B, 2)`, points `(E, P, 2)` to `(E, P)`.
    """
    if type(method) in LOSSES:
        return LOSSES[type(method)](critic(method, points))
    heights = []
    for point in points.unbind(1):
        moved = torch.cat([point[:, None], v[:, 1:]], 1)
        heights.append(v.shape[1] * method.generator_loss(batch, moved).detach())
    return torch.stack(heights, 1)


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

    v and arrows are samples and their pull, `(B, 2)`; `surface` `(n, n)`, rows from below, is the landscape over the
    square about `middle` that extends `reach` each way.
    """

    v: Tensor
    arrows: Tensor
    surface: Tensor
    middle: tuple[float, float]
    reach: float


def views(
    ensemble: Ensemble, *, count: int = 64, middle: tuple[float, float] = (0, 0), reach: float = 1.4, size: int = 60
) -> list[View]:
    """Return how each run looks now, at `count` samples and a surface of size x size points."""
    method, batch = ensemble.method, draw(ensemble, count)
    v = method.net("G", batch.z).detach()
    axis = torch.linspace(-reach, reach, size, device=v.device)
    points = torch.cartesian_prod(axis + middle[1], axis + middle[0]).flip(1)  # y outside, x inside
    surfaces = landscape(method, batch, v, points.expand(len(v), -1, -1)).unflatten(1, (size, size))
    parts = zip(v, pull(method, batch, v), surfaces, strict=True)
    return [View(*part, middle, reach) for part in parts]
