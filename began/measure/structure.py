"""Which gamma leaves room for all of the data: how much of L(x) is structure, and how much texture beyond any code.

L(x) = s + t: s is what samples as rich as the data cost that are as plain as what a decoder draws; t is texture and
noise that no short code holds and that samples don't need. The controller holds L(G(z)) = gamma L(x), so samples as
rich as the data need gamma >= s / (s + t). Grain on the real pictures adds to t alone, and lowers that line.
"""

from dataclasses import replace
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

MOST = 10_000  # pictures that are looked at, from all over the set
HELD_OUT = 10  # every so-manieth is not trained on
GRAINS = (0.0, 0.1, 0.2)


class Room(NamedTuple):
    """Mean losses of held-out pictures at one grain, under D that learnt L(x) alone from pictures with that grain.

    whole: of pictures with grain; clean: of the same without; copies: of what a second D, trained apart, made of them.
    The copies are as rich as the data, and as plain as what a decoder draws: their loss stands for s.
    """

    grain: float
    whole: float
    clean: float
    copies: float

    @property
    def texture(self) -> float:
        """t: what of the loss the copies do without."""
        return self.whole - self.copies

    @property
    def gamma(self) -> float:
        """s / (s + t): the least gamma that leaves room for samples like the copies."""
        return self.copies / self.whole

    @property
    def gamma_clean(self) -> float:
        """The least gamma that leaves room for the pictures themselves, down to their own texture."""
        return self.clean / self.whole


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


def rooms(
    images: Pictures | Files,
    config: TrainConfig,
    grains: tuple[float, ...] = GRAINS,
    *,
    steps: int = 500,
    device: str | torch.device = "cpu",
) -> list[Room]:
    """Return the room at several grains, in order: see `room`."""
    return [room(images, replace(config, grain=grain), steps=steps, device=device) for grain in sorted(grains)]


def grain_for(gamma: float, found: list[Room]) -> float:
    """Return the least grain with which a gamma leaves room, on the line between the grains that were tried.

    ValueError where even the largest of them leaves none.
    """
    for low, high in zip([found[0], *found], found, strict=False):
        if high.gamma <= gamma:
            share = (low.gamma - gamma) / (low.gamma - high.gamma) if low.gamma > gamma else 0.0
            return low.grain + share * (high.grain - low.grain)
    raise ValueError(f"gamma must be at least {found[-1].gamma:.3g} with a grain of {found[-1].grain}, got {gamma}")
