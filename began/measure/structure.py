"""Which gamma leaves room for all of the data, and how much grain makes room for a gamma.

L(x) = s + t: s is what samples as rich as the data cost D, t is texture and noise that samples can do without. The
controller holds L(G(z)) = gamma L(x), so samples as rich as the data need gamma >= s / (s + t). Grain on the real
pictures raises L(x) and hardly touches s. It does not just add to the L1 loss, since a residual m meets noise as
`E |m + sigma xi|`: for residuals that are about normal, `L^2 = L_0^2 + (2 / pi) sigma^2`, L_0 the loss without.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from began.config import TrainConfig
from began.images.batches import Batches
from began.images.pixels import to_unit
from began.images.sources import Files, Pictures
from began.losses import reconstruction_loss
from began.passes import Began
from began.step import streams

NOISE = (2 / math.pi) ** 0.5  # E |xi| of xi ~ N(0, 1)
MOST = 10_000  # pictures that are looked at, from all over the set
HELD_OUT = 10  # every so-manieth is not trained on


class Room(NamedTuple):
    """Mean losses of held-out pictures under D that learnt L(x) alone, from pictures with some grain.

    whole: of pictures with that grain; clean: of the same without; copies: of what a second D, trained apart, made of
    the clean ones. Copies are as rich as the data and as plain as what a decoder draws.
    """

    grain: float
    whole: float
    clean: float
    copies: float

    @property
    def gammas(self) -> tuple[float, float]:
        """The least gamma that leaves room at this grain: for samples like the copies, and like the clean pictures.

        Photographs, whose own texture samples can do without, are nearer the first; clean drawings the second.
        """
        return self.copies / self.whole, self.clean / self.whole

    def grains_for(self, gamma: float) -> tuple[float, float]:
        """Return how much more grain makes room for a gamma above 0: again for copies, and for the pictures."""
        low, high = (max((s / gamma) ** 2 - self.whole**2, 0.0) ** 0.5 / NOISE for s in (self.copies, self.clean))
        return low, high


class Critic:
    """D that learns L(x) alone, by Adam with a config's rate, from pictures with the config's grain.

    `critic(x)` learns from a batch `(B, C, H, W)` in [-1, 1].
    """

    def __init__(self, config: TrainConfig, seed: int, device: str | torch.device = "cpu"):
        weights, noise, _ = streams(seed)
        D = Began(config, torch.Generator().manual_seed(weights)).discriminator
        self.D = D.to(device).to(memory_format=torch.channels_last)
        self.rng, self.config = torch.Generator(device).manual_seed(noise), config
        self.adam = torch.optim.Adam(self.D.parameters(), lr=config.lr, betas=(config.beta1, 0.999), fused=True)

    def __call__(self, x: Tensor) -> None:
        """Learn from a batch."""
        x = spoilt(x, self.config.grain, self.rng).contiguous(memory_format=torch.channels_last)
        self.adam.zero_grad()
        reconstruction_loss(x, self.D(x), self.config.norm).mean().backward()
        self.adam.step()

    @torch.no_grad()
    def copy(self, images: Tensor) -> Tensor:
        """Return D(x), a few at a time."""
        return torch.cat([self.D(part) for part in images.split(50)])

    def loss(self, images: Tensor) -> float:
        """Return the mean L of pictures."""
        return reconstruction_loss(images, self.copy(images), self.config.norm).mean().item()


def spoilt(x: Tensor, grain: float, rng: torch.Generator) -> Tensor:
    """Return x + grain xi, xi ~ N(0, 1)."""
    return x + grain * torch.randn(x.shape, generator=rng, device=x.device, dtype=x.dtype)


def room(
    images: Pictures | Files, config: TrainConfig, *, steps: int = 500, device: str | torch.device = "cpu"
) -> Room:
    """Return the room that pictures leave at a config's grain: two D of its networks learn from them for some steps.

    Ten seconds at 16x16 with the config's defaults on one core, four times as many at each doubling of the size. Of a
    large set `MOST` pictures are looked at. Raises ValueError for fewer pictures than `HELD_OUT`.
    """
    some = range(0, len(images), -(-len(images) // MOST))
    pixels = torch.stack([images[i] for i in some])
    held = torch.arange(len(pixels)) % HELD_OUT == HELD_OUT - 1
    if not held.any():
        raise ValueError(f"{images.name} must hold at least {HELD_OUT} pictures, got {len(images)}")
    pair = [Critic(config, seed, device) for seed in (config.seed, config.seed + 1)]
    batches = Batches(Pictures(pixels[~held], images.name), config.batch, device=device, seed=config.seed)
    for _, x in zip(range(steps), batches.starting_at(0), strict=False):
        for critic in pair:
            critic(x)
    clean = to_unit(pixels[held].to(device))
    whole = spoilt(clean, config.grain, torch.Generator(device).manual_seed(config.seed))
    first, second = pair
    return Room(config.grain, first.loss(whole), first.loss(clean), first.loss(second.copy(clean)))
