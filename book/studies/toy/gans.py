"""BEGAN, BEGAN-CS and the GANs they are compared with on the toy: the losses of each, beside their equations.

s = D(v) is a logit: log D of the papers is `-softplus(-s)`, log(1 - D) is `-softplus(s)`. Expectations are means over
the batch, losses have one entry a run, `(E,)`.
"""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from studies.objectives import gradient_penalty, logistic
from studies.toy.ensemble import Batch, Knob, Method, mean


def cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """Return `-E log D - E log(1 - D)` of logits `(E, B, 1)` of what is to be taken for real, and what for fake."""
    loss_real, loss_fake = logistic(real[..., 0], fake[..., 0])
    return loss_real + loss_fake


class GAN(Method):
    """GAN: D: max E log D(x) + E log(1 - D(G(z))), G: max E log D(G(z)) (Goodfellow 2014, eq. 1, sec. 3)."""

    title = "GAN"

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `-E log D(x) - E log(1 - D(v))`."""
        return cross_entropy(self.net("D", batch.x), self.net("D", v))

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `-E log D(v)`."""
        return mean(softplus(-self.net("D", v)))


class MinimaxGAN(GAN):
    """GAN as the game is written: G: min E log(1 - D(G(z))), flat where D is sure (Goodfellow 2014, eq. 1)."""

    title = "GAN, minimax"

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `E log(1 - D(v))`."""
        return -mean(softplus(self.net("D", v)))


class SmoothedGAN(GAN):
    """One-sided label smoothing: the target of a real sample is 0.9, not 1 (Salimans 2016, sec. 3.4)."""

    title = "label smoothing"
    knobs: ClassVar = {"target": Knob(0.9, (0.7, 0.8, 0.9), "label of a real sample", high=1)}

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `-E [t log D(x) + (1 - t) log(1 - D(x))] - E log(1 - D(v))`."""
        real, t = self.net("D", batch.x), self.knob.target
        return mean(t * softplus(-real) + (1 - t) * softplus(real)) + mean(softplus(self.net("D", v)))


class FeatureMatching(GAN):
    """Feature matching: G: min |E f(x) - E f(G(z))|^2, f what D's last layer sees (Salimans 2016, sec. 3.1)."""

    title = "feature matching"

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `|E f(x) - E f(v)|^2`."""
        f = self.networks["D"].hidden
        real, fake = f(self.theta["D"], batch.x), f(self.theta["D"], v)
        return (real.mean(1) - fake.mean(1)).square().sum(1)


class MinibatchDiscrimination(GAN):
    """Minibatch discrimination: D also sees how near the others of the batch are (Salimans 2016, sec. 3.2).

    `M_i = f(x_i) T`, `c_b(x_i, x_j) = exp(-|M_ib - M_jb|_1)`, `o(x_i)_b = sum_j c_b(x_i, x_j)`; the last layer sees
    (f, o).
    """

    title = "minibatch discrimination"
    critic = ("D", "Head")
    knobs: ClassVar = {
        "kernels": Knob(8, (8,), "rows b of M", low=1),
        "dimensions": Knob(3, (3,), "numbers in a row of M", low=1),
    }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return G's layers, D's with T as the last, and the layer on top."""
        knob = self.knob
        sizes = (2, *self.hidden, knob.kernels * knob.dimensions)
        return {**super().shapes(), "D": sizes, "Head": (knob.width + knob.kernels, 1)}

    def net(self, name: str, v: Tensor) -> Tensor:
        """Apply a network, D with its view of the batch."""
        if name != "D":
            return super().net(name, v)
        *layers, T, bias = self.theta["D"]
        f = self.networks["D"].hidden((*layers, T, bias), v)
        M = torch.baddbmm(bias, f, T).unflatten(2, (self.knob.kernels, self.knob.dimensions)).transpose(1, 2)
        o = torch.exp(-torch.cdist(M, M, p=1)).sum(3).transpose(1, 2)
        return super().net("Head", torch.cat([f, o], 2))


class HistoricalAveraging(GAN):
    """Historical averaging: both losses gain `|theta - mean of past theta|^2` (Salimans 2016, sec. 3.3)."""

    title = "historical averaging"
    knobs: ClassVar = {"history": Knob(1e-3, (1e-4, 1e-3, 1e-2), "weight of the term")}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.past = {name: [part.detach().clone() for part in theta] for name, theta in self.theta.items()}

    def distance(self, name: str) -> Tensor:
        """Return `|theta - mean of past theta|^2` of a network."""
        pairs = zip(self.theta[name], self.past[name], strict=True)
        return torch.stack([(part - past).square().flatten(1).sum(1) for part, past in pairs]).sum(0)

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return GAN's loss and D's distance from its past."""
        return super().critic_loss(batch, v) + self.knob.history.flatten() * self.distance("D")

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return GAN's loss and G's distance from its past."""
        return super().generator_loss(batch, v) + self.knob.history.flatten() * self.distance("G")

    def step(self, batches: Batch) -> None:
        """Step, then add the new weights to the means."""
        super().step(batches)
        count = self.adam["G"].moments.steps + 1
        with torch.no_grad():
            for name, theta in self.theta.items():
                for past, part in zip(self.past[name], theta, strict=True):
                    past.add_((part - past) / count)


class ExperienceReplay(GAN):
    """Experience replay: half of the samples that D sees are from earlier steps of G (Shrivastava 2017, sec. 2.3)."""

    title = "experience replay"
    knobs: ClassVar = {"memory": Knob(100, (100,), "earlier half batches that are kept", low=1)}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        theta = self.theta["G"][0]
        self.kept = theta.new_zeros(self.knob.memory, len(theta), self.knob.batch // 2, 2)
        self.count = torch.zeros((), dtype=torch.long, device=theta.device)

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return GAN's loss with half of v exchanged for what an earlier step made."""
        half, slots = self.kept.shape[2], len(self.kept)
        with torch.no_grad():
            slot = (batch.u[:, 0, 0] * self.count.clamp(max=slots)).long()  # each run draws its own
            old = self.kept.transpose(0, 1)[torch.arange(len(v), device=v.device), slot]
            old = torch.where(self.count > 0, old, v[:, :half])
            self.kept.index_copy_(0, (self.count % slots)[None], v[None, :, :half])
            self.count += 1
        return super().critic_loss(batch, torch.cat([old, v[:, half:]], 1))


class LSGAN(Method):
    """Least squares: D: E (D(x) - 1)^2 + E D(G(z))^2, G: E (D(G(z)) - 1)^2, the 0-1 code (Mao 2017, eq. 9)."""

    title = "LSGAN"

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `E (D(x) - 1)^2 + E D(v)^2`, both halved."""
        return (mean((self.net("D", batch.x) - 1).square()) + mean(self.net("D", v).square())) / 2

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `E (D(v) - 1)^2`, halved."""
        return mean((self.net("D", v) - 1).square()) / 2


class WGAN(Method):
    """Wasserstein GAN: max_f E f(x) - E f(G(z)), |weights| <= c; G: max E f(G(z)) (Arjovsky 2017, alg. 1).

    The paper uses RMSProp, here it is Adam as everywhere.
    """

    title = "WGAN"
    knobs: ClassVar = {
        "clip": Knob(0.01, (0.01, 0.03, 0.1, 0.3), "bound c on the critic's weights"),
        "critic_steps": Knob(5, (5,), "steps of the critic to one of G", low=1),
    }

    @property
    def batches(self) -> int:
        """How many batches a step takes: one for each step of the critic."""
        return self.knob.critic_steps

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `E f(v) - E f(x)`."""
        return mean(self.net("D", v)) - mean(self.net("D", batch.x))

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `-E f(v)`."""
        return -mean(self.net("D", v))

    @torch.no_grad()
    def move(self, players: tuple[str, ...], gradients: tuple[Tensor, ...]) -> None:
        """Move, then clip the critic's weights."""
        super().move(players, gradients)
        if players == self.critic:
            for part in self.weights(players):
                part.copy_(torch.maximum(torch.minimum(part, self.knob.clip), -self.knob.clip))


class WGANGP(WGAN):
    """WGAN with a gradient penalty: + 10 E (|grad f(x^)| - 1)^2, x^ between x and G(z) (Gulrajani 2017, eq. 3)."""

    title = "WGAN-GP"
    knobs: ClassVar = {
        "penalty": Knob(10.0, (0.1, 1.0, 10.0), "weight of the penalty"),
        "critic_steps": Knob(5, (5,), "steps of the critic to one of G", low=1),
    }
    move = Method.move

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `E f(v) - E f(x) + penalty E (|grad f(x^)| - 1)^2`."""
        penalty = gradient_penalty(partial(self.net, "D"), batch.x, v, batch.u)
        return super().critic_loss(batch, v) + self.knob.penalty.flatten() * penalty


class RGAN(Method):
    """Relativistic GAN: D: -E log sigma(C(x) - C(G(z))), G: the two exchanged (Jolicoeur-Martineau 2018)."""

    title = "RGAN"

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `-E log sigma(C(x) - C(v))`, over pairs."""
        return mean(softplus(self.net("D", v) - self.net("D", batch.x)))

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `-E log sigma(C(v) - C(x))`, over pairs."""
        return mean(softplus(self.net("D", batch.x) - self.net("D", v)))


class RaGAN(Method):
    """Relativistic average GAN: D compares C(x) with E C(G(z)), and C(G(z)) with E C(x) (Jolicoeur-Martineau 2018)."""

    title = "RaGAN"

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `-E log sigma(C(x) - E C(v)) - E log(1 - sigma(C(v) - E C(x)))`."""
        return self._compared(self.net("D", batch.x), self.net("D", v))

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return the critic's loss with x and v exchanged."""
        return self._compared(self.net("D", v), self.net("D", batch.x))

    @staticmethod
    def _compared(above: Tensor, below: Tensor) -> Tensor:
        over, under = above - below.mean(1, keepdim=True), below - above.mean(1, keepdim=True)
        return mean(softplus(-over)) + mean(softplus(under))


class UnrolledGAN(GAN):
    """Unrolled GAN: G descends GAN's loss against D after 5 more steps, and through them (Metz 2017, eq. 10).

    It looks ahead at D's full learning rate, also where that of D itself decays.
    """

    title = "Unrolled GAN"
    knobs: ClassVar = {"unrolled": Knob(5, (5,), "steps of D that G looks ahead", low=1)}

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `-E log D_5(v)`, with a graph through Adam's steps from D to D_5."""
        adam, now = self.adam["D"], self.theta["D"]
        moments = adam.moments
        try:
            for _ in range(self.knob.unrolled):
                gradients = torch.autograd.grad(self.critic_loss(batch, v).sum(), self.theta["D"], create_graph=True)
                self.theta["D"], moments = adam.moved(self.theta["D"], gradients, moments)
            return super().generator_loss(batch, v)
        finally:
            self.theta["D"] = now


class ALI(Method):
    """ALI, or BiGAN: D tells (x, F(x)) from (G(z), z), G and F from confusing it (Dumoulin 2017, eq. 2; Donahue 2017).

    F is a function, as in BiGAN; ALI's draws from a Gaussian.
    """

    title = "ALI/BiGAN"
    generator = ("G", "F")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the layers of G, of D on pairs, and of F from the plane to z."""
        n_z = self.knob.n_z
        return {**super().shapes(), "D": (2 + n_z, *self.hidden, 1), "F": (2, *self.hidden, n_z)}

    def logits(self, batch: Batch, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return D's logits of the pairs (x, F(x)) and (v, z)."""
        inferred = torch.cat([batch.x, self.net("F", batch.x)], 2)
        return self.net("D", inferred), self.net("D", torch.cat([v, batch.z], 2))

    def critic_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `-E log D(x, F(x)) - E log(1 - D(v, z))`."""
        return cross_entropy(*self.logits(batch, v))

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `-E log(1 - D(x, F(x))) - E log D(v, z)`."""
        real, fake = self.logits(batch, v)
        return cross_entropy(fake, real)


class VEEGAN(ALI):
    """VEEGAN: G minimises the log-ratio that D learned and |z - F(G(z))|^2, F the latter (Srivastava 2017, alg. 1)."""

    title = "VEEGAN"
    knobs: ClassVar = {"reconstruction": Knob(1.0, (0.3, 1.0, 3.0), "weight of |z - F(G(z))|^2")}

    def generator_loss(self, batch: Batch, v: Tensor) -> Tensor:
        """Return `-E s(v, z) + E |z - F(v)|^2`, s the logit of (x, F(x)) against (v, z)."""
        ratio = mean(self.net("D", torch.cat([v, batch.z], 2)))
        return self.knob.reconstruction.flatten() * (batch.z - self.net("F", v)).square().sum(2).mean(1) - ratio
