"""Image games whose players move one after the other: EBGAN, WGAN-GP, ALI, and BEGAN in either order."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from began.config import TrainConfig
from began.losses import Losses, discriminator_loss, reconstruction_loss
from began.networks import Encoder, Stack
from began.passes import Began
from began.step import Record, streams
from studies.objectives import gradient_penalty, hinge, logistic, pull_away


class Turns:
    """A game on BEGAN's image networks in which one player moves and the other answers.

    `game(x)`, x `(B, C, H, W)` in [-1, 1], moves the critic, and G as its loss says, each by Adam with the config's
    learning rate. A subclass says what they minimise, and keeps `model`: G, and D or what stands in for it. The
    networks start from the same weights as those of `step.Update` with the same config.
    """

    knobs: ClassVar[dict[str, float]] = {}

    def __init__(self, config: TrainConfig, device: torch.device | str = "cpu", **knobs: float):
        if unknown := knobs.keys() - self.knobs.keys():
            raise ValueError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}; it has {list(self.knobs)}")
        self.knob = {**self.knobs, **knobs}
        self.config, self.device, self.done = config, torch.device(device), 0
        weights, noise, _ = streams(config.seed)
        rng = torch.Generator().manual_seed(weights)
        self.model = Began(config, rng)
        self.rng = torch.Generator(device).manual_seed(noise)
        self.critic = self.make_critic(rng)
        for network in (self.model, self.critic):
            network.to(device).to(memory_format=torch.channels_last)
        self.theta_D, self.theta_G = list(self.critic.parameters()), list(self.makers())
        settings = {"lr": config.lr, "betas": (config.beta1, 0.999), "fused": True}
        self.adam_D, self.adam_G = (
            torch.optim.Adam(self.theta_D, **settings),
            torch.optim.Adam(self.theta_G, **settings),
        )
        self.rows: list[Tensor] = []

    def make_critic(self, rng: torch.Generator) -> nn.Module:
        """Return the network that plays against G: the autoencoder D."""
        return self.model.discriminator

    def makers(self) -> Iterator[nn.Parameter]:
        """Iterate over what moves against the critic: theta_G."""
        return self.model.generator.parameters()

    def __call__(self, x: Tensor) -> None:
        """Move the critic once, and G where it is its turn."""
        self.rows.append(torch.stack(self.move(x.contiguous(memory_format=torch.channels_last))).detach())
        self.done += 1

    def move(self, x: Tensor) -> Record:
        """Move the players and return what is kept of the step; without a controller k and M are 0."""
        loss_real, loss_fake = self.move_critic(x)
        self.move_generator(len(x))
        return self.record(loss_real, loss_fake)

    def move_critic(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Move the critic and return what it lost on real and generated images."""
        with torch.no_grad():
            v = self.model.generator(self.model.noise(len(x), self.rng))
        loss, loss_real, loss_fake = self.critic_loss(x, v)
        self.adam_D.zero_grad()
        loss.backward(inputs=self.theta_D)
        self.adam_D.step()
        return loss_real, loss_fake

    def move_generator(self, count: int) -> Tensor:
        """Move G on a new batch and return its loss."""
        loss = self.generator_loss(self.model.generator(self.model.noise(count, self.rng)))
        self.adam_G.zero_grad()
        loss.backward(inputs=self.theta_G)
        self.adam_G.step()
        return loss

    def record(self, loss_real: Tensor, loss_fake: Tensor) -> Record:
        """Return the record of a step that has two losses alone."""
        zero = loss_real.new_zeros(())
        return Record(loss_real, loss_fake, zero, zero, zero)

    def take_rows(self) -> Tensor:
        """Return the rows since the last call, `(steps, 5)` on the CPU; waits for the device."""
        rows, self.rows = torch.stack(self.rows).cpu(), []
        return rows

    def energy(self, v: Tensor) -> Tensor:
        """Return L(v), one number an image: `(B,)`."""
        return reconstruction_loss(v, self.model.discriminator(v), self.config.norm)

    def critic_loss(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the critic's loss, and its two parts for the record; v passes no gradient to G."""
        raise NotImplementedError

    def generator_loss(self, v: Tensor) -> Tensor:
        """Return G's loss."""
        raise NotImplementedError


class AlternatingBEGAN(Turns):
    """BEGAN with alternating updates: one player moves first, the other answers with the new weights of the first.

    `generator_first` is 0 or 1. k follows the losses that the two players had when they moved.
    """

    knobs: ClassVar = {"generator_first": 0}

    def move(self, x: Tensor) -> Record:
        """Move both players, in the order of `generator_first`, and k."""
        if self.knob["generator_first"]:
            loss_fake = self.move_generator(len(x))
            loss_real, _ = self.move_critic(x)
        else:
            loss_real, _ = self.move_critic(x)
            loss_fake = self.move_generator(len(x))
        equilibrium = self.model.equilibrium
        M = equilibrium.update(loss_real, loss_fake)
        return self.record(loss_real, loss_fake)._replace(k=equilibrium.k, M=M)

    def critic_loss(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return `L_D = L(x) - k L(v)` (BEGAN eq. 7)."""
        real, fake = self.energy(x).mean(), self.energy(v).mean()
        return discriminator_loss(Losses(real, fake, real.new_zeros(())), self.model.equilibrium.k), real, fake

    def generator_loss(self, v: Tensor) -> Tensor:
        """Return `L_G = L(v)`."""
        return self.energy(v).mean()


class EBGAN(Turns):
    """Energy-based GAN: D: L(x) + max(0, m - L(G(z))), G: L(G(z)) + pull PT (Zhao 2017, eq. 1, 2 and 4).

    PT is the mean squared cosine between the codes of a batch; `pull` 0 leaves it out. `margin` is m.
    """

    knobs: ClassVar = {"margin": 0.1, "pull": 0.0}

    def critic_loss(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return `E L(x) + E max(0, m - L(v))`."""
        real, fake = self.energy(x), self.energy(v)
        return hinge(real, fake, self.knob["margin"]), real.mean(), fake.mean()

    def generator_loss(self, v: Tensor) -> Tensor:
        """Return `E L(v) + pull / (B (B - 1)) sum_{i != j} cos(h_i, h_j)^2`."""
        code = self.model.discriminator.encode(v)
        loss = reconstruction_loss(v, self.model.discriminator.decode(code), self.config.norm).mean()
        return loss + pull_away(code, self.knob["pull"]) if self.knob["pull"] else loss


class WGANGP(Turns):
    """WGAN with gradient penalty (Gulrajani 2017, eq. 3): the critic is BEGAN's encoder with one output.

    `critic: E f(v) - E f(x) + penalty E (|grad f(x^)| - 1)^2`, x^ between x and v; `G: -E f(v)`. G moves once in
    `critic_steps` steps.
    """

    knobs: ClassVar = {"penalty": 10.0, "critic_steps": 5}

    def make_critic(self, rng: torch.Generator) -> nn.Module:
        """Return BEGAN's encoder with one number for its code."""
        config = self.config
        critic = Encoder(config.size, config.channels, config.n, 1)
        critic.initialise(rng)
        return critic

    def move(self, x: Tensor) -> Record:
        """Move the critic, and G in every `critic_steps`-th step."""
        loss_real, loss_fake = self.move_critic(x)
        if (self.done + 1) % self.knob["critic_steps"] == 0:
            self.move_generator(len(x))
        return self.record(loss_real, loss_fake)

    def critic_loss(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the critic's loss with its penalty; the record has -E f(x) and -E f(v)."""
        u = torch.rand(len(x), 1, 1, 1, generator=self.rng, dtype=x.dtype, device=x.device)
        penalty = gradient_penalty(self.critic, x, v, u)
        real, fake = self.critic(torch.cat([x, v])).view(2, -1).mean(1).unbind()
        return fake - real + self.knob["penalty"] * penalty, -real, -fake

    def generator_loss(self, v: Tensor) -> Tensor:
        """Return `-E f(v)`."""
        return -self.critic(v).mean()


class Pairs(Stack):
    """ALI's critic: a logit for a pair of an image and a code.

    The image goes through BEGAN's encoder; what comes out meets the code in two linear layers.
    Shapes: `(B, C, H, W)` and `(B, N_z)` to `(B,)`.
    """

    def __init__(self, config: TrainConfig):
        super().__init__(0)
        self.encode = Encoder(config.size, config.channels, config.n, config.n_z)
        self.join = nn.Linear(2 * config.n_z, 2 * config.n_z)
        self.judge = nn.Linear(2 * config.n_z, 1)

    def forward(self, v: Tensor, code: Tensor) -> Tensor:
        """Return the logits."""
        return self.judge(F.elu(self.join(torch.cat([F.elu(self.encode(v)), code], 1)))).squeeze(1)


class ALI(Turns):
    """ALI, or BiGAN: the critic tells (x, Enc(x)) from (G(z), z), G and Enc confuse it (Dumoulin 2017, eq. 2).

    `critic: -E log D(x, Enc(x)) - E log(1 - D(G(z), z))`; G and Enc minimise the same with the labels exchanged. Enc
    is D's encoder in `model` and a function, as in BiGAN (Donahue 2017); ALI's draws from a Gaussian. `tanh` 1 puts
    Enc's codes into the cube that z is drawn from.
    """

    knobs: ClassVar = {"tanh": 0}

    def make_critic(self, rng: torch.Generator) -> nn.Module:
        """Return the critic of pairs."""
        if self.knob["tanh"]:
            self.model.discriminator.encode = nn.Sequential(self.model.discriminator.encode, nn.Tanh())
        critic = Pairs(self.config)
        critic.initialise(rng)
        return critic

    def makers(self) -> Iterator[nn.Parameter]:
        """Iterate over the parameters of G and Enc."""
        yield from self.model.generator.parameters()
        yield from self.model.discriminator.encode.parameters()

    def move(self, x: Tensor) -> Record:
        """Move the critic, then G and Enc on the same batch; the record has the critic's two losses."""
        z = self.model.noise(len(x), self.rng)
        v, h = self.model.generator(z), self.model.discriminator.encode(x)
        loss_real, loss_fake = logistic(self.critic(x, h.detach()), self.critic(v.detach(), z))
        self.adam_D.zero_grad()
        (loss_real + loss_fake).backward()
        self.adam_D.step()
        loss = torch.stack(logistic(self.critic(v, z), self.critic(x, h))).sum()
        self.adam_G.zero_grad()
        loss.backward(inputs=self.theta_G)
        self.adam_G.step()
        return self.record(loss_real, loss_fake)
