"""The controller that keeps E[L(G(z))] / E[L(x)] at gamma."""

import torch
from torch import Tensor, nn

from began.losses import convergence_measure


class Equilibrium(nn.Module):
    """The weight k_t of L(G(z)) in D's loss, as tensors on the device.

    `k_{t+1} = clip(k_t + lambda (gamma L(x) - L(G(z))), 0, 1)` (BEGAN 3.4). It accumulates the error: integral control,
    with the clip as its anti-windup. gamma in [0, 1], lambda > 0, k_0 in [0, 1]. Nothing here waits for the host.
    Raises ValueError for a value outside its range.
    """

    k: Tensor
    gamma: Tensor
    lambda_k: Tensor

    def __init__(self, gamma: float = 0.5, lambda_k: float = 1e-3, k_0: float = 0.0):
        super().__init__()
        for name, value in {"gamma": gamma, "k_0": k_0}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {value}")
        if not lambda_k > 0:
            raise ValueError(f"lambda_k must be positive, got {lambda_k}")
        self.register_buffer("k", torch.tensor(float(k_0)))
        self.register_buffer("gamma", torch.tensor(float(gamma)))
        self.register_buffer("lambda_k", torch.tensor(float(lambda_k)))

    @torch.no_grad()
    def update(self, loss_real: Tensor, loss_fake: Tensor) -> Tensor:
        """Move k by one step, in place, and return M of the same losses.

        `M = L(x) + |gamma L(x) - L(G(z))|` (BEGAN 3.4.1). Shapes: scalars, batch means of L.
        """
        self.k.add_(self.lambda_k * (self.gamma * loss_real - loss_fake)).clamp_(0, 1)
        return convergence_measure(loss_real, loss_fake, self.gamma)

    @property
    def saturated(self) -> Tensor:
        """Whether the clip holds k at 0 or 1, where the controller has no authority left: a boolean scalar."""
        return (self.k <= 0) | (self.k >= 1)
