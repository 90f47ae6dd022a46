"""Distances between distributions of losses: W_1 on the line, BEGAN's bound on it, and when the bound is exact.

Samples are tensors `(..., N)`, their leading axes equal: N losses for each index before. All is computed in float64.
"""

import math

import torch
from scipy import stats
from torch import Tensor

LARGEST = 5000  # losses up to which Royston's p-value of the Shapiro-Wilk test is accurate


def areas(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the area where F_a lies above F_b, and that where it lies below: `A+` and `A-`, each at least 0.

    `A+ - A- = integral (F_a - F_b) dt = m_b - m_a` and `A+ + A- = W_1`. F is the share of a sample that is at most t.
    Heights are counted in whole numbers, so that an area of 0 is exactly 0.
    Shapes: `(..., N)` and `(..., M)` to `(...)` twice. Raises ValueError for an empty sample, a number that is not
    finite, and unequal leading axes.
    """
    for name, sample in (("a", a), ("b", b)):
        if not sample.dim() or not sample.shape[-1]:
            raise ValueError(f"{name} must hold at least one number along its last axis, got {tuple(sample.shape)}")
        if not sample.isfinite().all():
            raise ValueError(f"{name} must be finite, got {(~sample.isfinite()).sum()} numbers that are not")
    if a.shape[:-1] != b.shape[:-1]:
        raise ValueError(f"a and b must agree before their last axis, got {tuple(a.shape)} and {tuple(b.shape)}")
    n, m = a.shape[-1], b.shape[-1]
    t, origin = torch.cat([a.double(), b.double()], -1).sort(-1)
    height = torch.where(origin < n, m, -n).cumsum(-1)[..., :-1]  # n m (F_a - F_b), from each t to the next
    area = height * t.diff(dim=-1) / (n * m)
    return area.clamp(min=0).sum(-1), area.clamp(max=0).sum(-1).abs()


def w1(a: Tensor, b: Tensor) -> Tensor:
    """Return the exact W_1 of two samples on the line: `integral |F_a - F_b| dt`, in the unit of the samples.

    Shapes: `(..., N)` and `(..., M)` to `(...)`. Raises ValueError as `areas` does.
    """
    above, below = areas(a, b)
    return above + below


def bound(a: Tensor, b: Tensor) -> Tensor:
    """Return BEGAN's lower bound on W_1: `|m_a - m_b| <= W_1`, by Jensen's inequality (BEGAN 3.2).

    Shapes: `(..., N)` and `(..., M)` to `(...)`.
    """
    return (a.double().mean(-1) - b.double().mean(-1)).abs()


def crossing(a: Tensor, b: Tensor) -> Tensor:
    """Return the share of W_1 that the bound misses: `1 - |m_a - m_b| / W_1 = 2 min(A+, A-) / (A+ + A-)`, in [0, 1].

    0 exactly where the distribution functions do not cross, or are equal; 1 where they cross and the means agree.
    Shapes: `(..., N)` and `(..., M)` to `(...)`. Raises ValueError as `areas` does.
    """
    above, below = areas(a, b)
    total = above + below
    return 2 * torch.minimum(above, below) / torch.where(total > 0, total, 1.0)


def gaussian_w2_squared(gap: Tensor, c_1: Tensor, c_2: Tensor) -> Tensor:
    """Return W_2^2 of two Gaussians on the line: `gap^2 + c_1 + c_2 - 2 sqrt(c_1 c_2)`, gap = m_2 - m_1 (BEGAN 3.2).

    c_1 and c_2 are variances. Shapes: any that broadcast. Raises ValueError for a negative variance.
    """
    return gap.square() + _spread(c_1, c_2).square()


def spread_ratio(gap: Tensor, c_1: Tensor, c_2: Tensor) -> Tensor:
    """Return `(c_1 + c_2 - 2 sqrt(c_1 c_2)) / gap^2`: W_2^2 of two Gaussians, over that of their means, minus 1.

    BEGAN 3.2 assumes it constant or falling as the gap grows; it is infinite for equal means. Shapes: any that
    broadcast. Raises ValueError for a negative variance.
    """
    return (_spread(c_1, c_2) / gap).square()


def gaussian_w1(gap: Tensor, c_1: Tensor, c_2: Tensor) -> Tensor:
    """Return W_1 of two Gaussians on the line: the mean of `|N(gap, s^2)|`, s = sqrt(c_2) - sqrt(c_1).

    `s sqrt(2 / pi) exp(-gap^2 / (2 s^2)) + gap erf(gap / (s sqrt(2)))`: quantile functions of Gaussians differ by
    `gap + s Z` with Z a standard normal. Shapes: any that broadcast. Raises ValueError for a negative variance.
    """
    s, gap = _spread(c_1, c_2), gap.abs()
    t = gap / s.clamp(min=torch.finfo(s.dtype).tiny)
    return math.sqrt(2 / math.pi) * s * (-t.square() / 2).exp() + gap * torch.erf(t / math.sqrt(2))


def _spread(c_1: Tensor, c_2: Tensor) -> Tensor:
    """Return `|sqrt(c_1) - sqrt(c_2)|`, whose square is c_1 + c_2 - 2 sqrt(c_1 c_2)."""
    for name, c in (("c_1", c_1), ("c_2", c_2)):
        if not (c >= 0).all():
            raise ValueError(f"{name} must be at least 0, got {c}")
    return (c_1.sqrt() - c_2.sqrt()).abs()


def loss_statistics(real: Tensor, fake: Tensor) -> dict[str, float]:
    """Return how the losses of real and of generated images are distributed, and how far apart.

    `w1`, `crossing` and `spread_ratio` as above; `gap`: `m_2 - m_1`, with its sign, negative where generated images
    have the smaller loss. For each of the two, with the ending `_real` or `_fake`: `mean`, `std`, `skewness`, excess
    `kurtosis`, `nonnormality`: 1 - W of Shapiro and Wilk, the share of the variance that is off the straight line in a
    Q-Q plot, in [0, 1], and `normal_p`, the p-value of the test. Moments are those of the sample (divided by N); what
    describes the shape is nan where all losses are equal.
    Shapes: `(N,)` each, N from 3 to 5000. Raises ValueError for another shape and for numbers that are not finite.
    """
    for name, losses in (("real", real), ("fake", fake)):
        if losses.dim() != 1 or not 3 <= len(losses) <= LARGEST:
            raise ValueError(f"{name} must have the shape (N,), N from 3 to {LARGEST}, got {tuple(losses.shape)}")
    real, fake = (losses.detach().cpu().double() for losses in (real, fake))
    gap = fake.mean() - real.mean()
    c_1, c_2 = real.var(correction=0), fake.var(correction=0)
    found = {"w1": w1(real, fake), "gap": gap, "crossing": crossing(real, fake)}
    found["spread_ratio"] = spread_ratio(gap, c_1, c_2)
    for name, losses in (("real", real), ("fake", fake)):
        found[f"mean_{name}"], found[f"std_{name}"] = losses.mean(), losses.std(correction=0)
        found |= {f"{key}_{name}": value for key, value in _shape(losses).items()}
    return {key: float(value) for key, value in found.items()}


def _shape(losses: Tensor) -> dict[str, float]:
    if losses.min() == losses.max():
        return dict.fromkeys(("skewness", "kurtosis", "nonnormality", "normal_p"), math.nan)
    values = losses.numpy()
    W, p = stats.shapiro(values)
    return {
        "skewness": float(stats.skew(values)),
        "kurtosis": float(stats.kurtosis(values)),
        "nonnormality": float(1 - W),
        "normal_p": float(p),
    }
