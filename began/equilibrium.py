"""The controller that keeps E[L(G(z))] / E[L(x)] at gamma."""

import torch
from torch import Tensor, nn

from began.losses import convergence_measure


class Equilibrium(nn.Module):
    """The weight k_t of L(G(z)) in D's loss, as tensors on the device.

    >>> balance = Equilibrium(gamma=0.5, lambda_k=0.1)
    >>> _ = balance.update(torch.tensor(0.4), torch.tensor(0.1))
    >>> balance.k
    tensor(0.0100)

    `k_{t+1} = clip(k_t + lambda (gamma L(x) - L(G(z))), 0, 1)` (BEGAN 3.4). It accumulates the error: integral control,
    with the clip as its anti-windup. gamma >= 0 (the paper: [0, 1]), lambda > 0, k_0 in [0, 1]. `scale_free` divides
    the error by L(x), so that lambda means the same on any data. Each may be a tensor `(E,)`, for E runs side by side.
    Nothing here waits for the host. Raises ValueError for a value outside its range.
    """

    k: Tensor
    gamma: Tensor
    lambda_k: Tensor

    def __init__(
        self,
        gamma: float | Tensor = 0.5,
        lambda_k: float | Tensor = 1e-3,
        k_0: float | Tensor = 0.0,
        *,
        scale_free: bool = False,
    ):
        super().__init__()
        values = {"gamma": gamma, "lambda_k": lambda_k, "k": k_0}
        for name, value in values.items():
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.get_default_dtype()).clone())
        if not (self.gamma >= 0).all():
            raise ValueError(f"gamma must be at least 0, got {gamma}")
        if not (self.lambda_k > 0).all():
            raise ValueError(f"lambda_k must be positive, got {lambda_k}")
        if not ((self.k >= 0) & (self.k <= 1)).all():
            raise ValueError(f"k_0 must lie in [0, 1], got {k_0}")
        self.scale_free = scale_free

    @torch.no_grad()
    def update(self, loss_real: Tensor, loss_fake: Tensor) -> Tensor:
        """Move k by one step, in place, and return M of the same losses.

        `M = L(x) + |gamma L(x) - L(G(z))|` (BEGAN 3.4.1). Shapes: that of k, batch means of L.
        """
        error = self.gamma * loss_real - loss_fake
        self.k.add_(self.lambda_k * (error / loss_real if self.scale_free else error)).clamp_(0, 1)
        return convergence_measure(loss_real, loss_fake, self.gamma)

    @property
    def saturated(self) -> Tensor:
        """Whether the clip holds k at 0 or 1, where the controller has no authority left: booleans like k."""
        return (self.k <= 0) | (self.k >= 1)
