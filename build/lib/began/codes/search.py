"""Finding the code of a picture, and moving in the space of codes: search, interpolation, sweeps, directions."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from began.losses import Norm, reconstruction_loss

LR = 0.05  # of the search: codes are about 1 in size
FOLDS = 5


class Found(NamedTuple):
    """What a search found: the codes z* `(..., B, N_z)`, their errors `(..., B)`, and the lowest errors on the way.

    `trace[i]`, `(..., B)`, is the lowest error after i iterations; the first is that of the start.
    """

    z: Tensor
    error: Tensor
    trace: Tensor


def search(
    generator: nn.Module,
    x: Tensor,
    start: Tensor,
    *,
    iterations: int = 1000,
    lr: float = LR,
    bound: float | None = None,
    norm: Norm = "l1",
    progress: bool = False,
) -> Found:
    """Search z* = argmin_z |x - G(z)| for each image by Adam from `start` (BEGAN 4.3; BEGAN-CS 4.5).

    The best code that came up is kept. All images and starts descend side by side and apart from each other. `bound`
    holds every number of z in [-bound, bound]: 1 keeps to the codes that G was trained on, None lets them go anywhere.
    Shapes: x `(B, C, H, W)`, start `(..., B, N_z)`, leading dimensions being restarts. Raises ValueError where they
    don't fit, for a negative number of iterations, and for an lr or a bound that is not positive.
    """
    if start.ndim < 2 or start.shape[-2] != len(x) or not len(x):
        raise ValueError(f"start must be (..., {len(x)}, N_z), a code for each of the images, got {tuple(start.shape)}")
    if iterations < 0:
        raise ValueError(f"iterations must be at least 0, got {iterations}")
    for name, value in (("lr", lr), ("bound", bound)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    shape = start.shape[:-1]
    z = start.detach().reshape(-1, start.shape[-1]).clone().requires_grad_()
    wanted = x.repeat(len(z) // len(x), 1, 1, 1)
    adam = torch.optim.Adam([z], lr)
    best, lowest = z.detach().clone(), z.new_full((len(z),), torch.inf)
    trace = []
    for i in tqdm(range(iterations + 1), unit="iteration", disable=not progress):
        error = reconstruction_loss(wanted, generator(z), norm)
        if i < iterations:
            (z.grad,) = torch.autograd.grad(error.sum(), z)
        with torch.no_grad():
            better = error < lowest
            best, lowest = torch.where(better[:, None], z, best), torch.where(better, error, lowest)
            trace.append(lowest)
        if i < iterations:
            adam.step()
            if bound is not None:
                with torch.no_grad():
                    z.clamp_(-bound, bound)
    return Found(best.view(start.shape), lowest.view(shape), torch.stack(trace).view(-1, *shape))


def best_start(found: Found) -> Found:
    """Return what is left of restarts, the first dimension, when each image keeps its best.

    Shapes: those of `search` without the first dimension; the trace has the lowest of all restarts.
    """
    error, which = found.error.min(0)
    z = found.z.gather(0, which[None, ..., None].expand(1, *found.z.shape[1:]))[0]
    return Found(z, error, found.trace.amin(1))


def interpolate(a: Tensor, b: Tensor, count: int, *, spherical: bool = False) -> Tensor:
    """Return `count` codes from a to b, both ends included: on the line, or on the arc about 0 (Shoemake 1985).

    The arc turns at an even pace and its length goes from |a| to |b| as the weights say; codes in one direction, or
    opposite ones, take the line. Shapes: `(..., N_z)` twice to `(count, ..., N_z)`. ValueError for a count below 2.
    """
    if count < 2:
        raise ValueError(f"count must be at least 2, got {count}")
    t = torch.linspace(0, 1, count, dtype=a.dtype, device=a.device).view(-1, *[1] * a.ndim)
    line = torch.lerp(a[None], b[None], t)
    if not spherical:
        return line
    angle = torch.cosine_similarity(a, b, -1).clamp(-1, 1).acos()[..., None]
    turn = angle.sin()
    arc = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / turn
    return torch.where(turn.abs() > 1e-3, arc, line)


def sweep(z: Tensor, direction: Tensor, values: Tensor) -> Tensor:
    """Return z with its part along a direction set to each of the values (BEGAN-CS 4.7 sweeps single dimensions).

    `z + (value - z . d) d` with d the direction at length 1; for the i-th row of the identity matrix the i-th number of
    z takes the values. Shapes: z `(..., N_z)`, direction `(N_z,)`, values `(V,)` to `(V, ..., N_z)`. Raises ValueError
    for a direction of length 0.
    """
    length = direction.norm()
    if not length > 0:
        raise ValueError("direction must not be 0 everywhere")
    d = direction / length
    return z + (values.view(-1, *[1] * z.ndim) - (z @ d)[..., None]) * d


class Slopes(NamedTuple):
    """A linear reading of attributes off codes: changes per unit of z `(A, N_z)`, and the share explained `(A,)`."""

    slopes: Tensor
    r2: Tensor


def regress(z: Tensor, values: Tensor) -> Slopes:
    """Regress attributes on codes by least squares: `values = slopes z + constant` (as in Shen et al. 2020, sec. 3).

    The share of the variance explained is that of predictions on left-out fifths. Shapes: `(N, N_z)`, `(N, A)`, N more
    than N_z; ValueError for others.
    """
    if z.ndim != 2 or values.ndim != 2 or len(z) != len(values) or len(z) <= z.shape[1]:
        shapes = f"{tuple(z.shape)} and {tuple(values.shape)}"
        raise ValueError(f"z and values must be (N, N_z) and (N, A) with N above N_z, got {shapes}")
    from sklearn.linear_model import LinearRegression  # of the extra `book`: finding codes needs none of it
    from sklearn.model_selection import cross_val_predict

    codes, wanted = z.double().numpy(), values.double().numpy()
    guess = np.asarray(cross_val_predict(LinearRegression(), codes, wanted, cv=FOLDS)).reshape(wanted.shape)
    r2 = 1 - ((guess - wanted) ** 2).mean(0) / wanted.var(0).clip(1e-12)
    slopes = LinearRegression().fit(codes, wanted).coef_.reshape(values.shape[1], -1)
    return Slopes(torch.from_numpy(slopes).to(z), torch.from_numpy(r2).to(z))


def move(slopes: Tensor, changes: Tensor) -> Tensor:
    """Return the shortest step of z that changes attributes by `changes`, if they are linear in z.

    `pinv(slopes) changes`: of one attribute a step along its slope; of several, those with a change of 0 stay. Shapes:
    `(A, N_z)`, `(..., A)` to `(..., N_z)`.
    """
    return changes @ torch.linalg.pinv(slopes).T


class Disentanglement(NamedTuple):
    """Scores in [0, 1] (Eastwood and Williams 2018, sec. 2).

    disentanglement: 1 where each dimension matters to one attribute only; completeness: 1 where each attribute depends
    on one dimension only.
    """

    disentanglement: float
    completeness: float


def importances(z: Tensor, values: Tensor) -> Tensor:
    """Return how much each dimension matters to each attribute: |coefficients| of a lasso, as in its source (sec. 3).

    Both sides are scaled to a variance of 1; the penalty is chosen by cross-validation. Shapes: `(N, N_z)`, `(N, A)` to
    `(N_z, A)`.
    """

    from sklearn.linear_model import LassoCV

    def scaled(points: Tensor) -> np.ndarray:
        return ((points - points.mean(0)) / points.std(0).clamp(min=1e-12)).double().numpy()

    codes, wanted = scaled(z), scaled(values)
    columns = [np.abs(LassoCV(cv=FOLDS).fit(codes, column).coef_) for column in wanted.T]
    return torch.from_numpy(np.stack(columns, 1))


def disentanglement(importance: Tensor) -> Disentanglement:
    """Return how far dimensions and attributes come in pairs, from importances `(N_z, A)`, none negative.

    `D = sum_i rho_i (1 - H_A(P_i))`, P_i the i-th row over its sum, H_A the entropy to base A, rho_i the row's share
    of all; completeness likewise by columns, each with the same weight (Eastwood and Williams 2018, sec. 2). 0 where
    nothing matters.
    """

    def focus(rows: Tensor) -> Tensor:
        shares = rows / rows.sum(1, keepdim=True).clamp(min=1e-12)
        entropy = torch.special.entr(shares).sum(1) / np.log(rows.shape[1])
        return torch.where(rows.sum(1) > 0, 1 - entropy, 0)

    total = importance.sum(1)
    weight = total / total.sum().clamp(min=1e-12)
    return Disentanglement((weight * focus(importance)).sum().item(), focus(importance.T).mean().item())
