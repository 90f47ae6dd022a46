"""How good and how different generated pictures are: distances between sets, and what rendered faces allow to count.

Quality and diversity are two things. A generator that draws one sharp face is precise and covers nothing; noise around
every face covers all and is precise nowhere. So there is no single number here. `measure` gives all of them, of one set
of samples against held-out pictures.
"""

import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from began.images.faces import ATTRIBUTES
from began.images.pixels import pixel_std, to_unit
from began.measure.reader import CATEGORICAL, CONTINUOUS, Reader, check_pictures, nearest_face

NEIGHBOURS = 5
COMPONENTS = 64  # of the pixels, as many as the reader has features
NEAREST = 256  # samples whose nearest rendered face is searched


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the squared Frechet distance of the Gaussians that fit two sets (Heusel et al. 2017, eq. 6).

    `|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))`, at least 0 but for rounding, and larger for small sets.
    Shapes: `(N, d)` and `(M, d)`, N and M at least 2; ValueError for others.
    """
    a, b = _sets(a, b, 2)
    # with C = R^T R, the trace of the root is the sum of the singular values of R_a R_b^T, full rank or not
    R_a, R_b = (torch.linalg.qr((points - points.mean(0)) / (len(points) - 1) ** 0.5).R for points in (a, b))
    shift = (a.mean(0) - b.mean(0)).square().sum()
    return (shift + R_a.square().sum() + R_b.square().sum() - 2 * torch.linalg.svdvals(R_a @ R_b.T).sum()).item()


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Return the unbiased estimate of the squared maximum mean discrepancy (Binkowski et al. 2018, eq. 4).

    Its kernel is `(x . y / d + 1)^3`. For two sets from one distribution its mean is 0 whatever their size, so it may
    come out negative. Shapes: `(N, d)` and `(M, d)`, N and M at least 2; ValueError for others.
    """
    a, b = _sets(a, b, 2)
    within = 0.0
    for points in (a, b):
        kernel = polynomial_kernel(points.numpy(), coef0=1)
        within += (kernel.sum() - kernel.trace()) / (len(points) * (len(points) - 1))
    return float(within - 2 * polynomial_kernel(a.numpy(), b.numpy(), coef0=1).mean())


def neighbour_metrics(samples: Tensor, real: Tensor, k: int = NEIGHBOURS) -> dict[str, float]:
    """Return precision, recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

    Around each point of a set lies a ball that reaches to its k-th neighbour in that set. precision: share of samples
    in a real ball; recall: share of real points in a ball of samples; density: real balls that a sample lies in, over
    k; coverage: share of real balls with a sample in them. All lie in [0, 1] but density, which is about 1 for real
    points. Shapes: `(N, d)` and `(M, d)`, N and M more than k; ValueError for others.
    """
    samples, real = _sets(samples, real, k + 1)
    inside_real = pairwise_distances(samples.numpy(), real.numpy()) <= _radii(real, k)
    inside_samples = pairwise_distances(real.numpy(), samples.numpy()) <= _radii(samples, k)
    return {
        "precision": float(inside_real.any(1).mean()),
        "recall": float(inside_samples.any(1).mean()),
        "density": float(inside_real.sum(1).mean() / k),
        "coverage": float(inside_real.any(0).mean()),
    }


def _radii(points: Tensor, k: int) -> NDArray:
    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points.numpy()).kneighbors()[0][:, -1]


def averageness(samples: Tensor, real: Tensor) -> float:
    """Return how far samples are from the mean real point, over how far real points are from it.

    Distances are mean |differences|, averaged over a set. Below 1: nearer the mean than real ones, 0: all are the mean.
    Shapes: `(N, d)` and `(M, d)`, N and M at least 1; ValueError for others, and for real points that are all alike.
    """
    samples, real = _sets(samples, real, 1)
    mean = real.mean(0)
    away = (real - mean).abs().mean()
    if not away > 0:
        raise ValueError("real must hold points that differ, got all alike")
    return ((samples - mean).abs().mean() / away).item()


def sharpness(images: Tensor) -> float:
    """Return the mean |difference| of neighbouring pixels, side by side or one above the other: 0 of a plain picture.

    Shape: `(B, C, H, W)`. Blur lowers it, noise raises it.
    """
    return torch.stack([images.diff(dim=axis).abs().mean() for axis in (2, 3)]).mean().item()


def attribute_diversity(samples: Tensor, real: Tensor, reader: Reader) -> dict[str, float]:
    """Return how much of the real attributes' diversity samples have, 1 being as much as real faces.

    Only attributes that the reader can read count. A cell is a combination of levels. cells: share of the cells that
    real faces reach which samples reach too; entropy: that of the samples' cells over that of the real faces'; spread:
    standard deviation of a continuous attribute over the real one, averaged over attributes. The larger set is cut to
    the size of the other. Shapes: attributes as `Reader.read` gives them, `(N, len(ATTRIBUTES))` each.
    """
    count = min(len(samples), len(real))
    samples, real = samples[:count], real[:count]
    choices, numbers = reader.readable(CATEGORICAL), reader.readable(CONTINUOUS)
    cells = [_cells(table, choices) for table in (samples, real)]
    reached, known = (cell > 0 for cell in cells)
    entropies = [torch.special.entr(cell / count).sum() for cell in cells]
    return {
        "cells": ((reached & known).sum() / known.sum()).item(),
        "entropy": (entropies[0] / entropies[1]).item(),
        "spread": (samples[:, numbers].std(0) / real[:, numbers].std(0)).mean().item(),
    }


def _cells(attributes: Tensor, columns: list[int]) -> Tensor:
    """Count the faces in each combination of levels of some columns."""
    cell, count = torch.zeros(len(attributes), dtype=torch.long), 1
    for column in columns:
        levels = len(ATTRIBUTES[column].levels)
        cell, count = cell * levels + attributes[:, column].long(), count * levels
    return cell.bincount(minlength=count)


def measure(
    samples: Tensor, held_out: Tensor, reader: Reader | None = None, *, nearest: int = NEAREST
) -> dict[str, float]:
    """Measure samples against held-out pictures, uint8 `(N, C, S, S)` and `(M, C, S, S)`, and return by name:

    - pixel_std, as `images.pixels.pixel_std`; sharpness, over that of the held-out pictures; averageness of the pixels;
    - pixel_frechet, pixel_kernel, pixel_precision, pixel_recall, pixel_density and pixel_coverage: on the leading
      principal components of the held-out pictures;
    - with a reader, for rendered faces: the same six and averageness on its features, as reader_frechet, ...; cells,
      entropy and spread, see `attribute_diversity`; nearest_face, the distance that `reader.nearest_face` finds,
      averaged over the `nearest` first samples.

    Features are shifted and scaled to a mean of 0 and a variance of 1, on average over the dimensions, of the held-out
    pictures, and the Frechet distance is divided by d: a generator that always draws the mean is at 1. Raises
    ValueError for pictures of another type, size or number (at least 6).
    """
    _check(samples, held_out, NEIGHBOURS + 1)
    values = {
        "pixel_std": pixel_std(to_unit(samples)),
        "sharpness": sharpness(to_unit(samples)) / sharpness(to_unit(held_out)),
        "averageness": averageness(to_unit(samples).flatten(1), to_unit(held_out).flatten(1)),
        **_compare("pixel", *_components(samples, held_out)),
    }
    if reader is not None:
        fake, real = reader.read(samples), reader.read(held_out)
        values |= _compare("reader", *_scaled(fake.features, real.features))
        values["reader_averageness"] = averageness(fake.features, real.features)
        values |= attribute_diversity(fake.attributes, real.attributes, reader)
        values["nearest_face"] = nearest_face(samples[:nearest], reader).distance.mean().item()
    return values


def curve_metrics(samples: Tensor, held_out: Tensor, reader: Reader | None = None) -> dict[str, float]:
    """Measure what is cheap enough to be followed over training: pixel_std, pixel_frechet, and reader_frechet.

    As `measure` does; the last only with a reader.
    """
    _check(samples, held_out, 2)
    values = {
        "pixel_std": pixel_std(to_unit(samples)),
        "pixel_frechet": _frechet(*_components(samples, held_out)),
    }
    if reader is not None:
        values["reader_frechet"] = scaled_frechet(reader.read(samples).features, reader.read(held_out).features)
    return values


def scaled_frechet(samples: Tensor, real: Tensor) -> float:
    """Return the Frechet distance of features `(N, d)` and `(M, d)` on `measure`'s scale: always the mean is at 1."""
    return _frechet(*_scaled(samples, real))


def _compare(name: str, samples: Tensor, real: Tensor) -> dict[str, float]:
    values = {
        "frechet": _frechet(samples, real),
        "kernel": kernel_distance(samples, real),
        **neighbour_metrics(samples, real),
    }
    return {f"{name}_{key}": value for key, value in values.items()}


def _frechet(samples: Tensor, real: Tensor) -> float:
    return frechet_distance(samples, real) / real.shape[1]


def _components(samples: Tensor, held_out: Tensor) -> tuple[Tensor, Tensor]:
    """Return both on the leading principal components of the held-out pixels, scaled."""
    fake, real = (to_unit(pictures).flatten(1).numpy() for pictures in (samples, held_out))
    pca = PCA(min(COMPONENTS, *real.shape), svd_solver="covariance_eigh").fit(real)
    return _scaled(torch.from_numpy(pca.transform(fake)), torch.from_numpy(pca.transform(real)))


def _scaled(samples: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and scale both so that the real ones have mean 0, and variance 1 averaged over the dimensions."""
    mean, scale = real.mean(0), real.var(0).mean().sqrt()
    return (samples - mean) / scale, (real - mean) / scale


def _check(samples: Tensor, held_out: Tensor, least: int) -> None:
    for name, pictures in (("samples", samples), ("held_out", held_out)):
        check_pictures(name, pictures, tuple(held_out.shape[1:]))
        if len(pictures) < least:
            raise ValueError(f"{name} must hold at least {least} pictures, got {len(pictures)}")


def _sets(a: Tensor, b: Tensor, least: int) -> tuple[Tensor, Tensor]:
    """Return two sets of points in float64, or raise ValueError."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < least:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise ValueError(f"the sets must have shapes (N, d) and (M, d) with N and M at least {least}, got {shapes}")
    return a.double(), b.double()
