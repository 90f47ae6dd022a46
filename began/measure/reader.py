"""Reading the attributes of rendered faces: a small network, and the nearest face that can be drawn.

The renderer goes from attributes to a picture. The `Reader` goes back: a convolutional network trained on rendered
faces, whose last hidden layer also serves as features for distances between sets of pictures. `nearest_face` ends the
way back: it starts from what the reader sees and descends through the renderer.
"""

import dataclasses
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR
from tqdm.auto import tqdm

from began.errors import BeganError
from began.files import atomic_write, readable
from began.images.faces import ATTRIBUTES, render, sample_attributes
from began.images.pixels import to_pixels, to_unit
from began.runs.artifacts import artifacts_folder
from began.runs.results import load_weights
from began.runs.saving import provenance

CATEGORICAL = [column for column, attribute in enumerate(ATTRIBUTES) if attribute.levels]
CONTINUOUS = [column for column, attribute in enumerate(ATTRIBUTES) if not attribute.levels]
LEVELS = [len(ATTRIBUTES[column].levels) for column in CATEGORICAL]
LOW = torch.tensor([ATTRIBUTES[column].low for column in CONTINUOUS])
HIGH = torch.tensor([ATTRIBUTES[column].high for column in CONTINUOUS])
READABLE = 0.5  # the skill from which on an attribute counts as readable: half-way from a guess to certainty
TRAINED, SCORED, BANK = 5001, 5002, 5003  # seeds of faces: to train on, to score on, to start a search from


@dataclass(frozen=True)
class ReaderConfig:
    """What a reader is, and how it is trained: on `steps` batches of new faces, none of them seen twice.

    `n` counts the filters of the first level. Raises ValueError for a `size` that is not 16, 32, 64, ..., 256, and for
    another number that is not positive.
    """

    size: int = 16
    n: int = 24
    features: int = 64
    steps: int = 4000
    batch: int = 128
    lr: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.size not in (16, 32, 64, 128, 256):
            raise BeganError(f"size must be 16, 32, 64, 128 or 256, got {self.size}")
        for name in ("n", "features", "steps", "batch", "lr"):
            if not getattr(self, name) > 0:
                raise BeganError(f"{name} must be positive, got {getattr(self, name)}")


class Seen(NamedTuple):
    """What a reader sees in B pictures: its features `(B, features)`, and attributes `(B, len(ATTRIBUTES))`."""

    features: Tensor
    attributes: Tensor


class Reader(nn.Module):
    """A network from pictures `(B, 3, size, size)` in [-1, 1] to features `(B, features)` and guesses.

    Two 3x3 convolutions a resolution with n, 2n, ... filters, halved down to 4x4, then two linear layers. The guesses
    are the logits of each categorical attribute's levels, then the continuous attributes, scaled to [0, 1].
    `skill` holds, after training, how well each attribute is read on faces that were not trained on (see `skills`).
    """

    def __init__(self, config: ReaderConfig):
        super().__init__()
        self.config = config
        self.skill: dict[str, float] = {}
        layers: list[nn.Module] = []
        channels = 3
        for level in range(int(math.log2(config.size)) - 1):
            width = (level + 1) * config.n
            layers += [nn.Conv2d(channels, width, 3, stride=2 if level else 1, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
            channels = width
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 4 * channels, config.features), nn.ReLU())
        self.head = nn.Linear(config.features, sum(LEVELS) + len(CONTINUOUS))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and guesses."""
        features = self.body(x.contiguous(memory_format=torch.channels_last))
        return features, self.head(features)

    @torch.no_grad()
    def read(self, pictures: Tensor) -> Seen:
        """Return what is seen in uint8 pictures `(B, 3, size, size)`: the likeliest levels, numbers in their ranges.

        Raises ValueError for pictures of another type or shape.
        """
        check_pictures("pictures", pictures, (3, self.config.size, self.config.size))
        parts = [self(to_unit(part)) for part in pictures.split(256)]
        features, guesses = (torch.cat(column) for column in zip(*parts, strict=True))
        *choices, numbers = guesses.split([*LEVELS, len(CONTINUOUS)], 1)
        attributes = torch.empty(len(pictures), len(ATTRIBUTES))
        attributes[:, CATEGORICAL] = torch.stack([choice.argmax(1) for choice in choices], 1).float()
        attributes[:, CONTINUOUS] = LOW + (HIGH - LOW) * numbers.clamp(0, 1)
        return Seen(features, attributes)

    def readable(self, columns: list[int]) -> list[int]:
        """Return those of some columns of `ATTRIBUTES` whose skill is at least `READABLE`."""
        return [column for column in columns if self.skill[ATTRIBUTES[column].name] >= READABLE]


def check_pictures(name: str, pictures: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ValueError, naming the argument, unless pictures are uint8 `(B, *shape)` with B at least 1."""
    if pictures.dtype != torch.uint8 or pictures.shape[1:] != shape or not len(pictures):
        expected = ", ".join(map(str, ("B", *shape)))
        raise ValueError(f"{name} must be torch.uint8 ({expected}), got {pictures.dtype} {tuple(pictures.shape)}")


def reading_loss(guesses: Tensor, attributes: Tensor) -> Tensor:
    """Return what training lowers: cross-entropies, and 6 times the squared errors of scaled numbers, summed.

    A uniform number in [0, 1] has variance 1/12, so a blind guess costs 1/2. Shapes: the head's output, and
    `(B, len(ATTRIBUTES))`.
    """
    *choices, numbers = guesses.split([*LEVELS, len(CONTINUOUS)], 1)
    loss = 6 * (numbers - scaled(attributes)).square().mean(0).sum()
    for choice, column in zip(choices, CATEGORICAL, strict=True):
        loss = loss + F.cross_entropy(choice, attributes[:, column].long())
    return loss


def scaled(attributes: Tensor) -> Tensor:
    """Return the continuous columns of `(B, len(ATTRIBUTES))`, scaled from their ranges to [0, 1]."""
    return (attributes[:, CONTINUOUS] - LOW) / (HIGH - LOW)


def train_reader(config: ReaderConfig | None = None, *, progress: bool = True) -> Reader:
    """Train a reader, 16x16 by default: four minutes on one core. Its weights are rounded to float16, as they are kept.

    `progress` shows a bar.
    """
    config = config or ReaderConfig()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        reader = Reader(config).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(reader.parameters(), lr=config.lr, fused=True)
    schedule = OneCycleLR(optimizer, config.lr, total_steps=config.steps)
    for step in tqdm(range(config.steps), unit="step", desc="reader", disable=not progress):
        attributes = sample_attributes(TRAINED, range(step * config.batch, (step + 1) * config.batch))
        _, guesses = reader(render(attributes, config.size))
        optimizer.zero_grad()
        reading_loss(guesses, attributes).backward()
        optimizer.step()
        schedule.step()
    reader = reader.half().float().eval()
    reader.skill = skills(reader)
    return reader


def skills(reader: Reader, count: int = 8192) -> dict[str, float]:
    """Return how well each attribute is read off `count` faces that no reader is trained on.

    1 is without a fault, 0 no better than the best constant guess: (accuracy - base rate) / (1 - base rate) of a
    categorical attribute, R^2 of a continuous one.
    """
    true = sample_attributes(SCORED, range(count))
    read = torch.cat([reader.read(to_pixels(render(part, reader.config.size))).attributes for part in true.split(256)])
    skill = {}
    for attribute, value, guess in zip(ATTRIBUTES, true.unbind(1), read.unbind(1), strict=True):
        if attribute.levels:
            base = value.long().bincount().max() / count
            skill[attribute.name] = (((guess == value).float().mean() - base) / (1 - base)).item()
        else:
            skill[attribute.name] = (1 - (guess - value).square().mean() / value.var(correction=0)).item()
    return skill


def save_reader(reader: Reader, folder: Path) -> None:
    """Write `<size>.safetensors`, in float16, and `<size>.json`: config, skill and provenance, each file atomically."""
    name = str(reader.config.size)
    weights = {key: value.half().contiguous() for key, value in reader.state_dict().items()}
    with atomic_write(folder / f"{name}.safetensors") as temporary:
        save_file(weights, temporary)
    skill = {key: round(value, 4) for key, value in reader.skill.items()}
    record = {"config": dataclasses.asdict(reader.config), "skill": skill, **provenance(torch.device("cpu"))}
    with atomic_write(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def load_reader(size: int = 16, folder: Path | None = None) -> Reader:
    """Load the reader of pictures of one size: the committed one without a folder. No code in the files is run.

    Raises FileNotFoundError where there is none, ValueError, naming the file, where one is damaged.
    """
    folder = folder or artifacts_folder() / "attributes"
    if not (folder / f"{size}.json").is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.json"))) or "none"
        raise FileNotFoundError(f"no reader of pictures of size {size} in {folder} (sizes there: {known})")
    with readable(folder / f"{size}.json"):
        record = json.loads((folder / f"{size}.json").read_text())
        reader = Reader(ReaderConfig(**record["config"])).to(memory_format=torch.channels_last)
        reader.skill = record["skill"]
    load_weights(reader, folder / f"{size}.safetensors")
    return reader.eval()


class Nearest(NamedTuple):
    """The nearest faces found: mean |difference| of the pixels `(B,)`, and attributes `(B, len(ATTRIBUTES))`."""

    distance: Tensor
    attributes: Tensor


def nearest_face(pictures: Tensor, reader: Reader, steps: int = 30) -> Nearest:
    """Search, for each picture, the face that the renderer can draw and that differs least from it.

    The distance is that of BEGAN's L1 loss, the mean |difference| of pixels in [-1, 1]. The search starts from what
    the reader sees, or from the nearest of 4096 random faces. Twice it tries all levels of the categorical attributes
    and descends on the continuous ones, `steps` times, through the renderer. The best face that came up is kept, so the
    distance found is an upper bound. Shape: uint8 `(B, 3, size, size)`; ValueError for another.
    """
    known = sample_attributes(BANK, range(4096))
    drawn = render(known, reader.config.size)
    found = []
    for some in pictures.split(256):
        guess, x = reader.read(some).attributes, to_unit(some)
        near = known[torch.cdist(x.flatten(1), drawn.flatten(1), p=1).argmin(1)]
        best = Nearest(_distance(x, guess), guess)
        best = _better(best, Nearest(_distance(x, near), near))
        for _ in range(2):
            best = _descended(x, _with_best_levels(x, best), steps)
        found.append(best)
    return Nearest(*(torch.cat(column) for column in zip(*found, strict=True)))


def _distance(x: Tensor, attributes: Tensor) -> Tensor:
    return (render(attributes, x.shape[-1]) - x).abs().flatten(1).mean(1)


def _better(a: Nearest, b: Nearest) -> Nearest:
    first = a.distance <= b.distance
    return Nearest(torch.where(first, a.distance, b.distance), torch.where(first[:, None], a.attributes, b.attributes))


def _with_best_levels(x: Tensor, best: Nearest) -> Nearest:
    """Try all combinations of levels."""
    for levels in itertools.product(*map(range, LEVELS)):
        tried = best.attributes.clone()
        tried[:, CATEGORICAL] = torch.tensor(levels, dtype=tried.dtype)
        best = _better(best, Nearest(_distance(x, tried), tried))
    return best


def _descended(x: Tensor, best: Nearest, steps: int) -> Nearest:
    """Descend on the continuous attributes, each scaled to [0, 1], with Adam and a rate that falls to 0."""
    numbers = scaled(best.attributes).requires_grad_()
    optimizer = torch.optim.Adam([numbers], lr=0.05)
    for step in range(steps):
        attributes = best.attributes.clone()
        attributes[:, CONTINUOUS] = LOW + (HIGH - LOW) * numbers
        distance = _distance(x, attributes)
        best = _better(best, Nearest(distance.detach(), attributes.detach()))
        (numbers.grad,) = torch.autograd.grad(distance.sum(), numbers)
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / steps)
        optimizer.step()
        with torch.no_grad():
            numbers.clamp_(0, 1)
    return best
