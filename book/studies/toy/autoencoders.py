"""Methods whose critic is an autoencoder: EBGAN, BEGAN and BEGAN-CS, the losses of each beside their equations."""

from typing import ClassVar

import torch
from torch import Tensor

from began.equilibrium import Equilibrium
from began.errors import BeganError
from began.losses import Losses, discriminator_loss, generator_loss
from studies.objectives import hinge, pull_away
from studies.toy.ensemble import Batch, Knob, Method, mean, row_distance


class Autoencoding(Method):
    """What BEGAN and EBGAN share: D is an autoencoder, L(v) = |v - Dec(Enc(v))|_2 / sqrt(2)."""

    critic = ("Enc", "Dec")
    knobs: ClassVar = {"code": Knob(2, (2,), "numbers in the code h", low=1)}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the layers of G, of Enc to the code, and of Dec back to the plane."""
        shapes, code = super().shapes(), self.knob.code
        return {"G": shapes["G"], "Enc": (2, *self.hidden, code), "Dec": (code, *self.hidden, 2)}

    def energy(self, v: Tensor, code: Tensor | None = None) -> Tensor:
        """Return L of each sample, `(E, B)`, given its code if it is known."""
        return row_distance(v, self.net("Dec", self.net("Enc", v) if code is None else code))

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `E L(v)`."""
        return mean(self.energy(v))


class EBGAN(Autoencoding):
    """Energy-based GAN: D: L(x) + max(0, m - L(G(z))), G: L(G(z)) (Zhao 2017, eq. 1 and 2)."""

    title = "EBGAN"
    knobs: ClassVar = {
        **Autoencoding.knobs,
        "margin": Knob(0.3, (0.03, 0.1, 0.3, 1.0), "energy m above which D lets samples be"),
    }

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `E L(x) + E max(0, m - L(v))`."""
        return hinge(self.energy(batch.x), self.energy(v), self.knob.margin[:, 0])


class EBGANPT(EBGAN):
    """EBGAN, repelling: G's loss gains the mean squared cosine between the codes of a batch (Zhao 2017, eq. 4)."""

    title = "EBGAN-PT"
    knobs: ClassVar = {**EBGAN.knobs, "pull": Knob(0.1, (0.03, 0.1, 0.3), "weight of the pulling-away term")}

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `E L(v) + pull / (N (N - 1)) sum_{i != j} cos(h_i, h_j)^2`."""
        code = self.net("Enc", v)
        return pull_away(code, self.knob.pull.flatten()) + mean(self.energy(v, code))


class BEGAN(Autoencoding):
    """BEGAN: D: L(x) - k L(G(z)), G: L(G(z)), k by `Equilibrium`, all moved at once (Berthelot 2017, sec. 3.3)."""

    title = "BEGAN"
    knobs: ClassVar = {
        **Autoencoding.knobs,
        "gamma": Knob(1.0, (0.5, 0.7, 1.0, 2.5, 5.0, 25.0), "target of L(G(z)) / L(x)"),
        "lambda_k": Knob(1e-3, (1e-4, 1e-3, 1e-2, 1e-1), "gain of k, whose error is divided by L(x)", low=1e-12),
        "k_0": Knob(0.0, (0.0, 0.1, 0.5), "k at the start", high=1),
    }
    alpha: Tensor | float = 0.0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        values = (self.knob.gamma, self.knob.lambda_k, self.knob.k_0)
        self.equilibrium = Equilibrium(*(value.flatten() for value in values), scale_free=True)

    def step(self, batches: Batch) -> None:
        """Move D, G and k once, all from one pass."""
        x, z = batches.x[0], batches.z[0]
        g = self.net("G", z)
        v = g.detach().requires_grad_()
        both = torch.cat([x, v], 1)
        code = self.net("Enc", both)
        real, fake = self.energy(both, code).unflatten(1, (2, -1)).mean(2).unbind(1)
        losses = Losses(real, fake, self.constraint(z, code[:, x.shape[1] :]))
        (down,) = torch.autograd.grad(generator_loss(losses).sum(), v, retain_graph=True)
        loss = discriminator_loss(losses, self.equilibrium.k, self.alpha)
        gradients = torch.autograd.grad(loss.sum(), self.weights(self.critic))
        self.move(self.generator, torch.autograd.grad(g, self.theta["G"], down))
        self.move(self.critic, gradients)
        M = self.equilibrium.update(real.detach(), fake.detach())
        self.note(loss_real=real, loss_fake=fake, k=self.equilibrium.k, M=M)

    def constraint(self, z: Tensor, code: Tensor) -> Tensor:
        """Return L_c, which BEGAN has not: 0."""
        return torch.zeros_like(code[:, 0, 0])


class BEGANCS(BEGAN):
    """BEGAN-CS: D's loss gains alpha |z - Enc(G(z))|, which G never sees (Chang 2018, eq. 7)."""

    title = "BEGAN-CS"
    knobs: ClassVar = {**BEGAN.knobs, "alpha": Knob(0.1, (0.03, 0.1, 0.3, 1.0), "weight of the constraint")}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.knob.code != self.knob.n_z:
            raise BeganError(f"code must equal n_z = {self.knob.n_z} for the constraint, got {self.knob.code}")
        self.alpha = self.knob.alpha.flatten()

    def constraint(self, z: Tensor, code: Tensor) -> Tensor:
        """Return `E |z - Enc(G(z))|`."""
        return mean(row_distance(z, code))
