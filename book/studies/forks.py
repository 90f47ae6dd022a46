"""What gamma trades on photographs, in runs that had taken off before it was changed, as one artifact.

A trunk learns photographs with a gamma and a rate at which runs take off (chosen on `CHOSEN_ON`, a seed that is not
reported); from its end copies go on with another gamma, and after as many steps back at the trunk's. So a low gamma is
asked what it does to a G that draws the data, not whether G finds its way there. What samples are is measured in three
ways, none of which is enough:

- reconstruction: a small autoencoder learns from the samples alone; its loss on held-out photographs, over that of one
  that learnt from as many real photographs. 1 is as useful as the data. It sees what samples lack, people or detail; it
  cannot see flaws: with noise for a quarter of the pictures, the null `noise`, it learns as much.
- density, precision and coverage (`measure.distances.neighbour_metrics`) on principal components of the pixels. The
  first two reward whatever is average: blurred photographs beat real ones, and noise passes, of which the components
  keep little. Coverage sees who is missing, but neither blur nor noise.
- sharpness: blur lowers it and noise raises it; it knows nothing of faces.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from began.images.batches import Batches
from began.images.pixels import pixel_std, to_pixels, to_unit
from began.images.sources import Pictures
from began.measure.distances import measure
from began.measure.structure import Critic
from began.runs.artifacts import Options
from began.runs.results import generate
from began.step import Update
from studies import grain, runner
from studies.rivals import FRESH, null_pictures
from studies.runner import Advance, Job, Made, Plan, Run, choice, rounded
from studies.statistics import BesideNull, interval, rank_correlation
from studies.workers import Row


@dataclass(frozen=True, kw_only=True)
class Lab(grain.Lab):
    """The scale of the study: an autoencoder with `pupil` filters takes `lessons` batches from `count` pictures."""

    count: int = 2000
    lessons: int = 300
    pupil: int = 8
    data: tuple[str, ...] = choice(("photographs",))


CHOSEN_ON = 110
TRUNK: dict[str, float] = {"gamma": 0.9, "grain": 0.0, "lr": 1e-3}
GAMMAS = (0.3, 0.5, 0.7, 0.9)  # the last is the trunk's: what as many steps do without a change
LOOK = 100  # steps between two readings
NULLS = ("untrained", "one", "ten", "blurred", "noise", "real")


@dataclass(frozen=True)
class Fork(Run):
    """A trunk of `steps`; from its end one run for each of `gammas`, there for `away` steps and back for as many."""

    gammas: tuple[float, ...]
    away: int

    def work(self, lab: Any) -> int:
        """Return the steps in it."""
        return self.steps + 2 * self.away * len(self.gammas)

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return its config and what its measures depend on."""
        return {"config": grain.config_of(self, lab).to_dict(), "measures": lab.measures(self.data)}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Train the trunk, then each fork there and back; measure the samples at the end of each."""
        images, judge, rows = lab.pictures(self.data)[0], Judge(self, lab), []
        real = pixel_std(to_unit(judge.held_out))

        def draw(update: Update, count: int) -> Tensor:
            """Return samples, always of the same z."""
            z = update.model.noise(lab.count, torch.Generator(device).manual_seed(2**40 + self.seed))
            return to_pixels(generate(update.model.generator, z[:count]))

        def go_on(update: Update, part: str, gamma: float, start: int, steps: int) -> Update:
            """Go on at a gamma, and note what came of it."""
            update.model.equilibrium.gamma.fill_(gamma)
            readings: list[dict[str, float]] = []
            batches = Batches(images, lab.batch, device=device, seed=self.seed).starting_at(start)
            for step, x in zip(range(start + 1, start + steps + 1), batches, strict=False):
                update(x)
                if step % lab.window == 0:
                    update.take_rows()
                    advance(lab.window)
                if step % LOOK == 0 or step == start + steps:
                    std = pixel_std(to_unit(draw(update, lab.few))) / real
                    readings.append({"step": step, "k": update.model.equilibrium.k.item(), "std": std})
            row = self.row(part=part, gamma=gamma, steps=steps, setting=dict(self.setting))
            row["readings"] = runner.columns(readings)
            row["final"] = judge(draw(update, lab.count))
            rows.append(rounded(row))
            return update

        trunk = go_on(grain.begin(self, lab, device), "trunk", self.setting["gamma"], 0, self.steps)
        for gamma in self.gammas:
            there = go_on(grain.fork(trunk, self, lab), "there", gamma, self.steps, self.away)
            go_on(there, "back", self.setting["gamma"], self.steps + self.away, self.away)
            rows[-1]["from"] = gamma
        return Made(rows, {})


class Judge:
    """Measures samples of a run as the module says: `judge(samples)`, uint8 `(N, C, S, S)` of any number."""

    def __init__(self, run: Run, lab: Lab):
        images, self.held_out = lab.pictures(run.data)
        self.config, self.lessons = lab.config(run.data, n=lab.pupil, lr=1e-3, seed=run.seed), lab.lessons
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(run.seed))
        self.known = self.learnt(images.pixels[order[: lab.count]])

    def __call__(self, samples: Tensor) -> dict[str, float]:
        """Return the measures by name."""
        return {**measure(samples, self.held_out), "reconstruction": self.learnt(samples) / self.known}

    def learnt(self, pictures: Tensor) -> float:
        """Return L of held-out pictures under D that learnt L(x) alone from others."""
        critic = Critic(self.config, self.config.seed)
        batches = Batches(Pictures(pictures, "lessons"), self.config.batch, seed=self.config.seed).starting_at(0)
        for _, x in zip(range(self.lessons), batches, strict=False):
            critic(x)
        return critic.loss(to_unit(self.held_out))


@dataclass(frozen=True)
class Null(Run):
    """Pictures that are measured as samples are, by the name of their model: see `rivals.null_pictures`."""

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return the config of an untrained G, and what its measures depend on."""
        return {"config": lab.config(self.data).to_dict(), "measures": lab.measures(self.data)}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Draw the pictures and measure them."""
        config = lab.config(self.data, seed=self.seed)
        some = null_pictures(self.model, lab.pictures(self.data)[0], config, lab.count)
        return Made([rounded(self.row(part="null", final=Judge(self, lab)(some)))], {})


def plan(lab: Lab) -> Plan:
    """Grow all trunks and their forks, and measure what can't draw."""
    seeds, steps = range(FRESH, FRESH + lab.seeds), lab.steps
    jobs: list[Job] = [
        Fork("fork", "photographs", "BEGAN", TRUNK, seed, steps or 800, GAMMAS, steps or 400) for seed in seeds
    ]
    yield jobs + [Null("null", "photographs", kind, {}, seed, 0) for kind in NULLS for seed in seeds]


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact: carry out all runs in `work`, and write their numbers to `out`; no picture is kept.

    `options.photographs` is a folder of pictures of the reader's own; without it what is in `out` stays.
    """
    runner.make(Lab(), plan, out, work, device, options)


# What the runs say


def load(part: str, **known: Any) -> list[Row]:
    """Return the committed rows of a part, by seed: trunk, there, back or null."""
    return sorted(runner.committed_rows("forks", part=part, **known), key=lambda row: row["seed"])


def trade(there: Sequence[Row], name: str, sign: int = 1) -> BesideNull:
    """Return the rank correlation of gamma with a measure over the forks of a trunk.

    The null hands gammas out at random. With sign -1 a measure that falls as gamma rises counts as positive.
    """
    by_seed: dict[int, list[tuple[float, float]]] = {}
    for row in there:
        by_seed.setdefault(row["seed"], []).append((row["gamma"], sign * row["final"][name]))
    ranks = [rank_correlation(*np.array(pairs).T) for pairs in by_seed.values()]
    values = np.arange(len(next(iter(by_seed.values()))))
    chance = [rank_correlation(values, np.array(order)) for order in itertools.permutations(values)]
    means = np.random.default_rng(0).choice(chance, (10_000, len(ranks))).mean(1)
    mean, low, high = interval(ranks)
    below, above = np.quantile(means, (0.025, 0.975))
    return BesideNull(
        mean, max(low, -1.0), min(high, 1.0), float(np.mean(chance)), float(below), float(above), len(ranks)
    )


class Return(NamedTuple):
    """A measure after a fork came back over the trunk's, by the gamma where it had been: mean and 95 % interval."""

    gamma: float
    mean: float
    low: float
    high: float
    seeds: int


def returns(trunk: Sequence[Row], back: Sequence[Row], name: str) -> list[Return]:
    """Return what is left of a change of gamma once it is undone, the lowest gamma first."""
    before = {row["seed"]: row["final"][name] for row in trunk}
    shares: dict[float, list[float]] = {}
    for row in sorted(back, key=lambda row: row["from"]):
        shares.setdefault(row["from"], []).append(row["final"][name] / before[row["seed"]])
    return [Return(gamma, *interval(some), len(some)) for gamma, some in shares.items()]
