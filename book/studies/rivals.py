"""Which game draws best at equal search: BEGAN, EBGAN and WGAN-GP on the same networks and pictures, as one artifact.

Each method gets the same number of settings, drawn at random from ranges of its own, each with the same two seeds; the
one nearest to rendered faces by the reader's Frechet distance is trained again, longer and from fresh seeds, beside
what cannot draw. Equal are the real pictures that a run sees, a batch a step, since pictures are what somebody who
trains has so many of. Unequal, and kept with each run, is what the step costs: G's updates and seconds of a processor.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from began.config import TrainConfig
from began.images.batches import Batches
from began.images.pixels import to_pixels, to_unit
from began.images.sources import Pictures
from began.measure.distances import curve_metrics, measure
from began.passes import Began
from began.runs.artifacts import Options
from began.runs.results import generate, summary
from began.step import Record, Update, streams
from studies import grain, runner
from studies.image_gans import EBGAN, WGANGP, Turns
from studies.runner import Advance, Made, Plan, Run, choice, rounded
from studies.statistics import BesideNull, paired
from studies.workers import Row


@dataclass(frozen=True, kw_only=True)
class Lab(grain.Lab):
    """The scale of the study: `count` samples are measured, of which `nearest` have their nearest face searched."""

    nearest: int = 32
    draws: int = choice(8)  # settings of each method
    data: tuple[str, ...] = choice(("faces", "photographs"))


# What is searched

TYPICAL = {"faces": 0.07, "photographs": 0.12}  # L(x) of a BEGAN after 2 000 steps: the unit of EBGAN's margin
RIVALS: dict[str, type[Turns]] = {"EBGAN": EBGAN, "WGAN-GP": WGANGP}


def _rate(rng: Random) -> float:
    """Draw a learning rate, log-uniform; the range is the same for all methods."""
    return 2e-4 * 15 ** rng.random()


def _began(rng: Random) -> dict[str, float]:
    """Draw gamma, the rate, and grain or none."""
    gamma, lr, some = 0.3 + 1.4 * (1 - rng.random()), _rate(rng), rng.uniform(0.05, 0.3)
    return {"gamma": gamma, "lr": lr, "grain": rng.choice((0.0, some))}


def _ebgan(rng: Random) -> dict[str, float]:
    """Draw the margin as a multiple of the typical L(x), log-uniform about 1.6; the rate; pulling away or not."""
    return {"multiple": 0.5 * 10 ** rng.random(), "lr": _rate(rng), "pull": rng.choice((0.0, 0.1))}


def _wgan_gp(rng: Random) -> dict[str, float]:
    """Draw the rate, how often the critic moves for one move of G, and Adam's beta_1."""
    return {"lr": _rate(rng), "critic_steps": rng.choice((1, 5)), "beta1": rng.choice((0.0, 0.5))}


SPACES: dict[str, Callable[[Random], dict[str, float]]] = {"BEGAN": _began, "EBGAN": _ebgan, "WGAN-GP": _wgan_gp}
SEARCH_SEEDS = (100, 101)
FRESH = 40  # the first of the seeds that are reported
FIRST: dict[str, float] = {"gamma": 1.0, "lr": 5e-4, "grain": 0.0}  # what this book's BEGAN had before it was searched
ABOVE = (1.2, 1.5, 1.7)  # gammas without grain, at EBGAN's rate: there k holds the ratio that a margin holds in EBGAN


def draws(model: str, count: int) -> list[dict[str, float]]:
    """Draw settings of a method, to three digits; the first few of many are the same as few."""
    rng = Random(f"settings of {model}")
    return [{name: float(f"{value:.3g}") for name, value in SPACES[model](rng).items()} for _ in range(count)]


# One run


@dataclass(frozen=True)
class Contest(Run):
    """One run of a method. It is read off at `looks` places, the same number of steps apart, the last at its end."""

    looks: int

    @property
    def stops(self) -> list[int]:
        """The steps at which it is read off."""
        return [self.steps * i // self.looks for i in range(1, self.looks + 1)]

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return its config, its model's knobs, and what its measures depend on."""
        config, knobs = resolve(self, lab)
        defaults = [kind.knobs for kind in RIVALS.values()]
        return {"config": config.to_dict(), "knobs": [knobs, *defaults], "measures": lab.measures(self.data)}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Train it, read it off, and measure its end; what is kept for the eye are rendered faces."""
        images, held_out = lab.pictures(self.data)
        play, reader = begin(self, lab, device), lab.reader(self.data)
        z = play.model.noise(lab.count, torch.Generator(device).manual_seed(2**40 + self.seed))
        pictures, rows, readings, seconds = held_out, [], [], 0.0
        for step, x in enumerate(Batches(images, lab.batch, device=device, seed=self.seed).starting_at(0), 1):
            start = time.process_time()
            play(x)
            seconds += time.process_time() - start
            if step % lab.window == 0:
                rows.append(play.take_rows())
                advance(lab.window)
            if step in self.stops:
                pictures = to_pixels(generate(play.model.generator, z))
                readings.append({"step": step, **curve_metrics(pictures, held_out, reader)})
            if step == self.steps:
                break
        cost = {"updates": self.steps // int(self.setting.get("critic_steps", 1)), "seconds": seconds}
        final = {**readings[-1], **cost}
        history = Record(*torch.cat(rows).T)
        if self.model == "EBGAN":  # which has no k; a critic that is no autoencoder has no ratio either
            final |= {name: summary(history)[name] for name in ("loss_real", "loss_fake", "ratio")}
        if self.model == "BEGAN":
            last = history.k[-max(self.steps // 10, 1) :]
            final |= {**summary(history), "saturated": ((last <= 0) | (last >= 1)).float().mean().item()}
        tensors = {}
        if self.group != "search":
            final |= measure(pictures, held_out, reader, nearest=lab.nearest)
            if self.data == "faces":
                tensors["samples"] = {self.name: pictures[: lab.shown]}
        row = self.row(steps=self.steps, setting=dict(self.setting), final=final)
        row["readings"] = runner.columns(readings)
        return Made([rounded(row)], tensors)


def resolve(run: Run, lab: Lab) -> tuple[TrainConfig, dict[str, float]]:
    """Return a run's config, and the knobs of its model that its setting has, EBGAN's margin as it is."""
    setting = dict(run.setting)
    if run.model == "BEGAN":
        return grain.config_of(run, lab), {"gamma": setting["gamma"]}  # a config's gamma ends at 1
    if "multiple" in setting:
        setting["margin"] = setting.pop("multiple") * TYPICAL[run.data]
    knobs = {name: setting.pop(name) for name in RIVALS[run.model].knobs if name in setting}
    return lab.config(run.data, **setting, log_every=lab.window, seed=run.seed, steps=run.steps), knobs


def begin(run: Run, lab: Lab, device: torch.device) -> Update | Turns:
    """Return a run's networks and the rule by which they move."""
    if run.model == "BEGAN":
        return grain.begin(run, lab, device)
    config, knobs = resolve(run, lab)
    return RIVALS[run.model](config, device, **knobs)


# What can't draw, and what draws perfectly

NULLS = ("untrained", "one", "blurred", "real")


@dataclass(frozen=True)
class Null(Run):
    """Pictures that are measured as samples are, by the name of their model: see `null_pictures`."""

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return the config of an untrained G, and what its measures depend on."""
        return {"config": lab.config(self.data).to_dict(), "measures": lab.measures(self.data)}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Draw the pictures and measure them."""
        images, held_out = lab.pictures(self.data)
        some = null_pictures(self.model, images, lab.config(self.data, seed=self.seed), lab.count)
        final = measure(some, held_out, lab.reader(self.data), nearest=lab.nearest)
        return Made([rounded(self.row(final=final))], {})


def null_pictures(kind: str, images: Pictures, config: TrainConfig, count: int) -> Tensor:
    """Return uint8 pictures `(count, C, S, S)`.

    untrained: what a G with random weights draws; one, ten: as many real pictures, again and again; blurred: real
    pictures at half their resolution; noise: a quarter of real ones are noise instead; real: others than those held
    out, what a perfect G would draw.
    """
    weights, noise, order = (torch.Generator().manual_seed(seed) for seed in streams(config.seed))
    if kind == "untrained":
        model = Began(config, weights)
        return to_pixels(generate(model.generator, model.noise(count, noise)))
    some = images.pixels[torch.randperm(len(images), generator=order)[:count]]
    if kind in ("one", "ten"):
        return some[torch.arange(len(some)) % {"one": 1, "ten": 10}[kind]]
    if kind == "noise":
        quarter = torch.arange(len(some)).view(-1, 1, 1, 1) % 4 == 0
        return torch.where(quarter, torch.randint(256, some.shape, generator=noise, dtype=torch.uint8), some)
    if kind == "blurred":
        return to_pixels(interpolate(avg_pool2d(to_unit(some), 2), scale_factor=2, mode="bilinear"))
    return some


# All of them


def searches(lab: Lab) -> list[Contest]:
    """List the runs among which settings are chosen, a setting of each method after the other."""
    return [
        Contest("search", "faces", model, setting, seed, lab.steps or 800, 1)
        for of_each in zip(*(draws(model, lab.draws) for model in SPACES), strict=True)
        for model, setting in zip(SPACES, of_each, strict=True)
        for seed in SEARCH_SEEDS
    ]


class Tried(NamedTuple):
    """A setting that was tried, and its distance: the mean over the seeds of the search."""

    distance: float
    setting: dict[str, float]


def tried(search: Iterable[Row]) -> dict[str, list[Tried]]:
    """Return what was tried of each method, the nearest first."""
    by_setting: dict[tuple[str, str], list[Row]] = {}
    for row in search:
        by_setting.setdefault((row["model"], str(row["setting"])), []).append(row)
    found: dict[str, list[Tried]] = {}
    for (model, _), rows in by_setting.items():
        distance = float(np.mean([row["final"]["reader_frechet"] for row in rows]))
        found.setdefault(model, []).append(Tried(distance, rows[0]["setting"]))
    return {model: sorted(of, key=lambda one: one.distance) for model, of in found.items()}


def contests(found: Mapping[str, Sequence[Tried]], lab: Lab) -> list[Run]:
    """List all other runs, given what a search found; those on photographs last.

    best: the best setting of each method; first: BEGAN as it was before it was searched. On faces alone, within: the
    best of BEGAN among the papers' gammas; and, so that they differ in what holds the ratio and in nothing else, above:
    BEGAN without grain at EBGAN's rate; alone: EBGAN without its pulling-away term. The settings are those found on
    faces; on photographs EBGAN's margin is larger by as much as the typical L(x) is.
    """
    seeds, steps = range(FRESH, FRESH + lab.seeds), lab.steps or 1000
    runs: list[Run] = []
    for data in ("faces", "photographs"):
        groups = {"best": [(model, of[0].setting) for model, of in found.items()], "first": [("BEGAN", FIRST)]}
        if found and data == "faces":
            rival = found["EBGAN"][0].setting
            groups["within"] = [("BEGAN", one.setting) for one in found["BEGAN"] if one.setting["gamma"] <= 1][:1]
            groups["alone"] = [("EBGAN", {**rival, "pull": 0.0})]
            groups["above"] = [("BEGAN", {"gamma": gamma, "lr": rival["lr"], "grain": 0.0}) for gamma in ABOVE]
        runs += [Null("null", data, kind, {}, seed, 0) for seed in seeds for kind in NULLS]
        for group, of in groups.items():
            runs += [Contest(group, data, model, setting, seed, steps, 5) for seed in seeds for model, setting in of]
    return runs


def plan(lab: Lab) -> Plan:
    """Search settings, then carry out all other runs with the best of each method."""
    search = yield searches(lab)
    yield contests(tried(search), lab)


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact: carry out all runs in `work`, and write what is kept of them to `out`.

    `options.photographs` is a folder of pictures of the reader's own, of which only numbers are kept. A stopped call
    goes on where it was.
    """
    runner.make(Lab(), plan, out, work, device, options)


# What the runs say


def load(group: str, **known: Any) -> list[Row]:
    """Return the committed rows of a group: search, best, first, within, alone, above or null."""
    return runner.committed_rows("rivals", group=group, **known)


def load_samples() -> dict[str, Tensor]:
    """Return uint8 samples `(16, 3, 16, 16)` on rendered faces, by 'group/key' of their rows."""
    return runner.committed_tensors("rivals", "samples")


class Best(NamedTuple):
    """How near the nearest of n settings is, drawn from those that were tried: expected, and 5 to 95 % of the draws."""

    n: int
    expected: float
    low: float
    high: float


def expected_best(distances: Sequence[float]) -> list[Best]:
    """Return the expected best of n settings, n from 1 to as many as were tried (Dodge et al. 2019, for a minimum).

    Draws are with replacement from the N that were tried: `P(best of n > v_(i)) = (1 - i / N)^n`. At n = N it is
    therefore above the nearest of all, for every method by the same rule. Shape: (N,), in any order.
    """
    ordered = np.sort(np.asarray(distances, float))
    beyond = 1 - np.arange(len(ordered) + 1) / len(ordered)
    found = []
    for n in range(1, len(ordered) + 1):
        chance = -np.diff(beyond**n)
        reached = np.cumsum(chance)
        low, high = (float(ordered[np.searchsorted(reached, share - 1e-12)]) for share in (0.05, 0.95))
        found.append(Best(n, float(chance @ ordered), low, high))
    return found


def gain(ours: Iterable[Row], theirs: Iterable[Row], name: str) -> BesideNull:
    """Return how much farther others' ends are than ours, above 0 where we are nearer.

    Raises ValueError where they don't share all seeds.
    """
    distances = [{row["seed"]: row["final"][name] for row in rows} for rows in (ours, theirs)]
    if distances[0].keys() != distances[1].keys():
        raise ValueError(f"the seeds must be the same, got {sorted(distances[0])} and {sorted(distances[1])}")
    return paired([distances[1][seed] - distances[0][seed] for seed in sorted(distances[0])])


def standings(data: str) -> dict[str, list[Row]]:
    """Return the committed ends on some data by name, each by seed: the best of each method first, the nulls last."""
    found: dict[str, list[Row]] = {}
    names = {"first": "{}, at first", "within": "{}, gamma to 1", "alone": "{}, no pull", "above": "{}, gamma {:g}"}
    for group in ("best", *names, "null"):
        for row in sorted(load(group, data=data), key=lambda row: row["seed"]):
            name = names.get(group, "{}").format(row["model"], row.get("setting", {}).get("gamma"))
            found.setdefault(name, []).append(row)
    return found
