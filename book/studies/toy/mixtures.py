"""Mixtures of Gaussians in the plane, and how well samples cover them: the toy on which GANs are compared."""

from dataclasses import dataclass

import torch
from torch import Tensor

SAMPLES = 2500  # VEEGAN's number, at which all published figures were taken
RADIUS = 3  # standard deviations within which a sample counts as high quality


@dataclass(frozen=True)
class Mixture:
    """A mixture of isotropic Gaussians: `means` `(K, 2)`, one standard deviation, `weights` `(K,)` that sum to 1.

    `scale` is the length that becomes 1 when samples are handed to a network, as images are brought to [-1, 1].
    """

    name: str
    means: Tensor
    std: float
    weights: Tensor
    scale: float

    def draw(self, mode: Tensor, noise: Tensor) -> Tensor:
        """Return the points that uniform `mode` `(...)` in [0, 1) and standard normal `noise` `(..., 2)` stand for.

        `mode` picks a mean by the distribution function of the weights. Shapes: `(..., 2)`.
        """
        bounds = self.weights.to(mode).cumsum(0)[:-1]
        return self.means.to(noise)[torch.bucketize(mode, bounds, right=True)] + self.std * noise

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """Return `count` points drawn from the mixture: `(count, 2)`."""
        rng = torch.Generator().manual_seed(seed)
        return self.draw(torch.rand(count, generator=rng), torch.randn(count, 2, generator=rng))


def grid() -> Mixture:
    """Return the 25 Gaussians of VEEGAN: means {-4, -2, 0, 2, 4}^2, standard deviation 0.05, equal weights."""
    axis = torch.arange(-4.0, 5.0, 2.0)
    return Mixture("grid", torch.cartesian_prod(axis, axis), 0.05, torch.full((25,), 1 / 25), scale=4.0)


def ring() -> Mixture:
    """Return the 8 Gaussians of Unrolled GAN: on a circle of radius 2, standard deviation 0.02, equal weights."""
    angle = torch.arange(8) * torch.pi / 4
    return Mixture("ring", 2 * torch.stack([angle.cos(), angle.sin()], 1), 0.02, torch.full((8,), 1 / 8), scale=2.0)


def rare() -> Mixture:
    """Return the grid with weights that fall geometrically, the rarest mode a fiftieth as frequent as the commonest.

    A critic that is an energy weighs a mode by its probability: the energy of a rare one may stay high at little
    cost, and then G stays away. Which mode is rare follows a fixed shuffle, so that neighbours differ.
    """
    order = torch.tensor([7, 18, 2, 23, 12, 5, 15, 9, 20, 0, 14, 24, 3, 17, 10, 21, 6, 1, 13, 8, 19, 22, 4, 11, 16])
    weights = torch.logspace(0, -1, 25, base=50.0)[order]
    even = grid()
    return Mixture("rare", even.means, even.std, weights / weights.sum(), even.scale)


PROBLEMS = {mixture.name: mixture for mixture in (grid(), ring(), rare())}


@dataclass(frozen=True)
class Scores:
    """How samples cover a mixture, one number a run, each of shape `(E,)`.

    modes: means that are nearest to at least one high-quality sample. high_quality: share, in [0, 1], of samples
    within three standard deviations of their nearest mean. reverse_kl: `KL(q | p)` in nats, q the histogram of the
    nearest means, p the weights.
    """

    modes: Tensor
    high_quality: Tensor
    reverse_kl: Tensor


def score(samples: Tensor, mixture: Mixture) -> Scores:
    """Score samples in the mixture's own units, `(E, S, 2)` (VEEGAN 4.1 for modes and quality).

    A sample that is not finite belongs to no mode, and makes reverse_kl infinite. Raises ValueError for another shape.
    """
    nearest, good = _assigned(samples, mixture)
    finite = samples.cpu().isfinite().all(2)
    q = (nearest * finite[..., None]).mean(1)
    kl = torch.special.xlogy(q, q / mixture.weights.double()).sum(1)
    kl = kl.masked_fill(~finite.all(1), float("inf"))
    captured = (nearest * good[..., None]).sum(1) > 0
    return Scores(captured.sum(1), good.double().mean(1), kl)


def density_ratio(samples: Tensor, mixture: Mixture) -> Tensor:
    """Return the least p / p_g over the modes that high-quality samples `(E, S, 2)` are in, one number a run.

    p and p_g are the shares of the mixture and of all the samples; infinite where no sample is of high quality. Raises
    ValueError for another shape.
    """
    nearest, good = _assigned(samples, mixture)
    return (mixture.weights.double() / (nearest * good[..., None]).mean(1)).amin(1)


def _assigned(samples: Tensor, mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Return the nearest mean of each sample, as 0 and 1 `(E, S, K)`, and whether it is of high quality, `(E, S)`."""
    if samples.dim() != 3 or samples.shape[2] != 2:
        raise ValueError(f"samples must have the shape (E, S, 2), got {tuple(samples.shape)}")
    samples = samples.cpu().double()
    distance, nearest = torch.cdist(samples.nan_to_num(), mixture.means.double()).min(2)
    good = samples.isfinite().all(2) & (distance <= RADIUS * mixture.std)
    return torch.nn.functional.one_hot(nearest, len(mixture.means)).double(), good


def wasserstein(a: Tensor, b: Tensor) -> float:
    """Return the exact W_1 between two sets of points, `(S, 2)` each: how far the cheapest plan moves them on average.

    Infinite where a point is not finite.
    """
    if not (a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    import ot  # only now: a GPU's bare machine trains ensembles without it

    cost = torch.cdist(a.cpu().double(), b.cpu().double()).numpy()
    return ot.emd2([], [], cost, numItermax=10_000_000)  # pyright: ignore[reportReturnType]
