"""G, D and k together, and three ways through them to the same gradients."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from began.config import TrainConfig
from began.equilibrium import Equilibrium
from began.losses import Losses, Norm, discriminator_loss, generator_loss, latent_constraint, reconstruction_loss
from began.networks import Autoencoder, Decoder, Encoder, Stack

K_MIN = 2.0**-50  # stands in for k = 0 where a gradient is divided by k; a power of two, so that this loses no digit


class Began(nn.Module):
    """G, D and the equilibrium between them, with the loss that they play for.

    `generator` maps `(B, N_z)` to samples, `discriminator.encode` samples to codes, `discriminator.decode` codes back.
    """

    norm: Norm

    def __init__(self, config: TrainConfig, rng: torch.Generator | None = None):
        super().__init__()
        shape = config.size, config.channels, config.n, config.n_z
        self.generator = Decoder(*shape, skip=config.skip, carry_steps=config.carry_steps)
        self.discriminator = Autoencoder(
            Encoder(*shape, carry_steps=config.carry_steps),
            Decoder(*shape, skip=config.skip, carry_steps=config.carry_steps),
        )
        self.equilibrium = Equilibrium(config.gamma, config.lambda_k, config.k_0, scale_free=config.scale_free)
        self.alpha, self.norm, self.n_z = config.alpha, config.norm, config.n_z
        for stack in self.stacks():
            stack.initialise(rng)

    def stacks(self) -> Iterator[Stack]:
        """Iterate over the three stacks of convolutions: G, Enc, Dec."""
        return (module for module in self.modules() if isinstance(module, Stack))

    def noise(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        """Draw z uniformly from [-1, 1]: `(count, N_z)`, on the device and in the type of k."""
        k = self.equilibrium.k
        return torch.rand(count, self.n_z, generator=rng, device=k.device, dtype=k.dtype).mul_(2).sub_(1)

    def forward(self, halfway: "Callable[..., Halfway]", *arguments: Any) -> "Halfway":
        """Run the forward half of a pass: the one call that DistributedDataParallel has to see."""
        return halfway(self, *arguments)


Halfway = tuple[Losses, Callable[[], None]]  # the losses of a forward pass, and what to call for its gradients
Rule = Callable[[Began, Tensor, Tensor], Halfway]  # of x and z: how the players' gradients come about


def reference_pass(model: Began, x: Tensor, z_D: Tensor, z_G: Tensor) -> Halfway:
    """Get the gradients of both players by the equations as they are written: two losses, two backward passes.

    `L_D = L(x) - k L(G(z_D)) + alpha L_c` over theta_D, `L_G = L(G(z_G))` over theta_G (BEGAN eq. 7; BEGAN-CS eq. 7).
    Returns L(x), L(G(z_G)) and L_c, and what adds the gradients. Shapes: x `(B, ...)`, z_D and z_G `(B, N_z)`.
    """
    G, D = model.generator, model.discriminator

    def loss(v: Tensor) -> Tensor:
        return reconstruction_loss(v, D(v), model.norm).mean()

    v = G(z_D).detach()
    constraint = latent_constraint(z_D, D.encode(v), model.norm).mean()
    losses_D = Losses(loss(x), loss(v), constraint)
    L_D = discriminator_loss(losses_D, model.equilibrium.k, model.alpha)
    L_G = generator_loss(losses_D._replace(fake=loss(G(z_G))))

    def backward() -> None:
        L_D.backward(inputs=list(D.parameters()))
        L_G.backward(inputs=list(G.parameters()))

    return Losses(losses_D.real.detach(), L_G.detach(), constraint.detach()), backward


def fast_pass(model: Began, x: Tensor, z: Tensor) -> Halfway:
    """Get the gradients of `reference_pass(model, x, z, z)` from one pass over each network.

    D's backward pass of `L(x) - k L(v)`, v = G(z), also yields `-k dL(v)/dv`; divided by -k it is what G needs, so no
    gradient is computed twice or thrown away. With alpha > 0 the pass is cut at the code h, because the gradient of
    `alpha L_c` must reach theta_Enc but not v. Returns L(x), L(G(z)) and L_c, and what adds the gradients.
    Shapes: x `(B, ...)`, z `(B, N_z)`.
    """
    G, D = model.generator, model.discriminator
    fake = G(z)
    v = fake.detach().to(x.dtype).requires_grad_()
    xv = torch.cat([x, v])
    if model.alpha:
        h_x, h_v = D.encode(x), D.encode(v)
        h = torch.cat([h_x, h_v]).detach().requires_grad_()
    else:
        h = D.encode(xv)
        h_x, h_v = h.detach().chunk(2)
    L_x, L_v = reconstruction_loss(xv, D.decode(h), model.norm).view(2, -1).mean(1).unbind()
    constraint = latent_constraint(z, h_v, model.norm).mean()
    k = model.equilibrium.k.clamp(min=K_MIN)

    def backward() -> None:
        (L_x - k * L_v).backward()
        assert v.grad is not None
        if model.alpha:
            assert h.grad is not None
            dh_x, dh_v = h.grad.chunk(2)
            (dv,) = torch.autograd.grad(h_v, v, dh_v, retain_graph=True)
            v.grad += dv
            theta_Enc = list(D.encode.parameters())
            torch.autograd.backward([h_x, h_v, model.alpha * constraint], [dh_x, dh_v, None], inputs=theta_Enc)
        fake.backward((v.grad / -k).to(fake.dtype))

    return Losses(L_x.detach(), L_v.detach(), constraint.detach()), backward


def float16_pass(model: Began, x: Tensor, z: Tensor, scale: Callable[[Tensor], Tensor]) -> Halfway:
    """Get the gradients of `fast_pass` for losses that went through `scale`, in the range of float16, too small for k.

    L(v) has a backward pass of its own, for theta_D and v alike, and k multiplies only the gradient of theta_D, which
    is float32 as theta_D is. Returns and shapes: as in `fast_pass`.
    """
    G, D = model.generator, model.discriminator
    theta_D = list(D.parameters())
    fake = G(z)
    v = fake.detach().to(x.dtype).requires_grad_()
    h_v = D.encode(v)
    L_x = reconstruction_loss(x, D(x), model.norm).mean()
    L_v = reconstruction_loss(v, D.decode(h_v), model.norm).mean()
    constraint = latent_constraint(z, h_v, model.norm).mean()
    L_D_but_v = scale(L_x + model.alpha * constraint if model.alpha else L_x)
    L_G = scale(L_v)

    def backward() -> None:
        L_G.backward(inputs=[*theta_D, v], retain_graph=bool(model.alpha))
        for parameter in theta_D:
            assert parameter.grad is not None
            parameter.grad.mul_(-model.equilibrium.k)
        L_D_but_v.backward(inputs=theta_D)
        assert v.grad is not None
        fake.backward(v.grad.to(fake.dtype))

    return Losses(L_x.detach(), L_v.detach(), constraint.detach()), backward
