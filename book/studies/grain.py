"""Why BEGAN takes off or not: white grain on the real pictures, gamma, and what D finds easy, as one artifact.

Part of L(x) no autoencoder can model: L(x) = s + t, s of structure and t of texture. G's pictures need no texture, so
samples as rich as the data have L(G(z)) near s, and the controller leaves room for them only where gamma is at least
s / (s + t). Grain on the real pictures adds to t. `took_off` says which runs used the room.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import relu

from began.config import TrainConfig
from began.images.batches import Batches
from began.images.faces import ATTRIBUTES, sample_attributes
from began.images.pixels import pixel_std, to_pixels, to_unit
from began.losses import Losses, reconstruction_loss
from began.measure.distances import attribute_diversity, curve_metrics, sharpness
from began.measure.reader import Reader
from began.measure.structure import NOISE, Critic, spoilt
from began.passes import K_MIN, Began, Halfway
from began.runs.artifacts import Options
from began.runs.results import generate, summary
from began.step import Record, Update
from studies import runner
from studies.gammas import losses_of
from studies.runner import Advance, Job, Made, Plan, Run, choice, rounded
from studies.statistics import rank_correlation
from studies.toy.autoencoders import BEGAN
from studies.toy.ensemble import Ensemble
from studies.toy.mixtures import PROBLEMS, score

GRAINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
MAP: dict[float, tuple[float, ...]] = {  # gamma, and the grains tried with it: none, and those about the critical one
    0.5: (0.0, 0.1, 0.15, 0.2, 0.3),
    0.65: (0.05, 0.1, 0.15),
    0.8: (0.0, 0.05, 0.1, 0.15),
    0.9: (0.0, 0.05),
    1.0: (0.0, 0.15),
}
FRESH = 20  # the first of the seeds that are reported; settings were tried on others
TOOK_OFF = 0.6  # of the data's spread, from which on a run has taken off, where it is also nearer to the data than
NEAR = 0.41  # the least of ten untrained G, which have the spread: in what a reader reads off their grey noise
BINS = 5  # of a continuous attribute
STOPS = (50, 100, 200, 300, 400, 500, 600, 800, 1000, 1250, 1500)  # where a run is read off on its way
PICTURED = ((0.0, 0.5), (0.0, 0.8), (0.0, 1.0), (0.15, 0.5), (0.15, 0.8), (0.3, 0.5))  # whose samples are kept


@dataclass(frozen=True, kw_only=True)
class Lab(runner.Lab):
    """The scale of the study: `count` samples are measured at the end of a run, `few` on its way."""

    count: int = 1000
    few: int = 500
    shown: int = 16  # samples kept for the eye
    data: tuple[str, ...] = choice(("faces", "photographs", "digits", "grid"))


# Rules of our own


def margin_pass(model: Began, x: Tensor, z: Tensor, margin: float) -> Halfway:
    """Get gradients with a margin that follows the data in place of k: no controller holds anything.

    `L_D = L(x) + E max(0, m L(x) - L(v))`, in the margin without its gradient; `L_G = L(v)`, v = G(z), as BEGAN's.
    Shapes and returns: as `passes.fast_pass`.
    """
    G, D = model.generator, model.discriminator
    fake = G(z)
    v = fake.detach().requires_grad_()
    L_x, L_v = reconstruction_loss(x, D(x), model.norm).mean(), reconstruction_loss(v, D(v), model.norm)

    def backward() -> None:
        L_D = L_x + relu(margin * L_x.detach() - L_v).mean()
        L_D.backward(inputs=list(D.parameters()), retain_graph=True)
        (dv,) = torch.autograd.grad(L_v.mean(), v)
        fake.backward(dv)

    return Losses(L_x.detach(), L_v.mean().detach(), torch.zeros_like(L_x)), backward


def both_pass(model: Began, x: Tensor, z: Tensor, grain: float, rng: torch.Generator) -> Halfway:
    """Get gradients with grain on the samples too, as instance noise has it (x has its own from the update).

    Shapes and returns: as `passes.fast_pass`.
    """
    G, D = model.generator, model.discriminator
    fake = G(z)
    v = spoilt(fake.detach(), grain, rng).requires_grad_()
    L_x, L_v = (reconstruction_loss(one, D(one), model.norm).mean() for one in (x, v))
    k = model.equilibrium.k.clamp(min=K_MIN)

    def backward() -> None:
        (L_x - k * L_v).backward()
        assert v.grad is not None
        fake.backward(v.grad / -k)

    return Losses(L_x.detach(), L_v.detach(), torch.zeros_like(L_x)), backward


# Runs of G and D


@dataclass(frozen=True)
class Trial(Run):
    """One run. Its setting changes fields of the config; gamma may exceed 1, and some names are ours.

    `l2` 1: the L2 norm. `margin`: `margin_pass` in place of k. `both` 1: grain on the samples too. `fall`: the step at
    which the grain, falling from the first step on, is 0.
    """

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return its config and what its measures depend on."""
        return {"config": config_of(self, lab).to_dict(), "measures": lab.measures(self.data), "stops": self.stops}

    @property
    def stops(self) -> list[int]:
        """The steps at which it is read off."""
        return sorted({*(step for step in STOPS if step < self.steps), self.steps})

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Train it, read it off on its way, and measure its end."""
        return train(self, lab, device, advance)


OURS = ("l2", "margin", "both", "fall")


def config_of(trial: Run, lab: Lab, **changes: Any) -> TrainConfig:
    """Return the config of a run, with what of its setting a config can hold."""
    setting = {**trial.setting, **changes}
    given = {name: value for name, value in setting.items() if name not in OURS}
    given["gamma"] = min(setting["gamma"], 1.0)
    if setting.get("l2"):
        given["norm"] = "l2"
    if setting.get("fall"):
        given["grain"] = 0.0
    return lab.config(trial.data, **given, log_every=lab.window, seed=trial.seed, steps=max(trial.steps, 1))


def begin(trial: Run, lab: Lab, device: torch.device, **changes: Any) -> Update:
    """Return the networks of a run, and the rule by which they move."""
    setting, rule = {**trial.setting, **changes}, None
    rng = torch.Generator(device).manual_seed(3 * 2**40 + trial.seed)
    if "margin" in setting:
        rule = partial(margin_pass, margin=setting["margin"])
    if setting.get("both"):
        rule = partial(both_pass, grain=setting["grain"], rng=rng)
    update = Update(config_of(trial, lab, **changes), device, rule=rule)
    update.model.equilibrium.gamma.fill_(setting["gamma"])  # a config's stays within the paper's range
    return update


def fork(update: Update, run: Run, lab: Lab, **changes: float) -> Update:
    """Return networks of their own that go on from where those of a run are, with some of its setting changed."""
    other = begin(run, lab, update.device, **changes)
    other.load_state_dict(copy.deepcopy(update.state_dict()))
    other.model.equilibrium.gamma.fill_({**run.setting, **changes}["gamma"])
    return other


def grain_of(setting: Mapping[str, float], step: int) -> float:
    """Return the grain that a run's training loop adds in a step, beside what its config does: where it falls."""
    return setting["grain"] * max(1 - step / setting["fall"], 0) if setting.get("fall") else 0.0


def train(trial: Trial, lab: Lab, device: torch.device, advance: Advance) -> Made:
    """Train a run and return its row, its curve among it, and samples of those that are pictured."""
    images = lab.pictures(trial.data)[0]
    update, look = begin(trial, lab, device), Look(trial, lab)
    rng = torch.Generator(device).manual_seed(2 * 2**40 + trial.seed)
    rows, readings = [], []
    for step, x in enumerate(Batches(images, lab.batch, device=device, seed=trial.seed).starting_at(0), 1):
        grain = grain_of(trial.setting, step - 1)
        update(spoilt(x, grain, rng) if grain else x)
        if step % lab.window == 0:
            rows.append(update.take_rows())
            advance(lab.window)
        if step in trial.stops:
            readings.append({"step": step, **look.reading(update)})
        if step == trial.steps:
            break
    history = Record(*torch.cat([*rows, update.take_rows()]).T)
    row = trial.row(steps=trial.steps, setting=dict(trial.setting), readings=runner.columns(readings))
    pictures = look.pictures(update)
    row["final"] = {**summary(history), **readings[-1], **look.losses(update, pictures)}
    row["final"] |= look.ends(pictures)
    tensors: dict[str, dict[str, Tensor]] = {}
    if look.reader and trial.group == "map":
        row["easy"] = look.easy(update, pictures)
        if (trial.setting["grain"], trial.setting["gamma"]) in PICTURED:
            tensors["samples"] = {trial.name: pictures[: lab.shown]}
    return Made([rounded(row)], tensors)


class Look:
    """What a run is read off with: held-out pictures, a reader where there is one, and z that stays."""

    def __init__(self, run: Run, lab: Lab):
        self.lab, self.run = lab, run
        self.held_out = lab.pictures(run.data)[1]
        self.reader: Reader | None = lab.reader(run.data)
        self.real_std = pixel_std(to_unit(self.held_out))
        self.real = self.reader.read(self.held_out).attributes if self.reader else None

    def pictures(self, update: Update, count: int | None = None) -> Tensor:
        """Return samples as uint8, of the moving average of G where there is one."""
        z = update.model.noise(self.lab.count, torch.Generator(update.device).manual_seed(2**40 + self.run.seed))
        return to_pixels(generate(update.average or update.model.generator, z[:count]))

    def reading(self, update: Update) -> dict[str, float]:
        """Return how diverse a few samples are: of pixels and, over the data's, of attributes; and k."""
        pictures = self.pictures(update, self.lab.few)
        found = {"k": update.model.equilibrium.k.item(), "std": pixel_std(to_unit(pictures)) / self.real_std}
        if self.reader and self.real is not None:
            attributes = self.reader.read(pictures).attributes
            found |= attribute_diversity(attributes, self.real[: len(pictures)], self.reader)
        return found

    def ends(self, pictures: Tensor) -> dict[str, float]:
        """Return how near samples are to held-out pictures, and how sharp; and how diverse all of them are."""
        sharp = sharpness(to_unit(pictures)) / sharpness(to_unit(self.held_out))
        found = {**curve_metrics(pictures, self.held_out, self.reader), "sharpness": sharp}
        if self.reader and self.real is not None:
            found |= attribute_diversity(self.reader.read(pictures).attributes, self.real, self.reader)
        return found

    def losses(self, update: Update, pictures: Tensor) -> dict[str, float]:
        """Return L of held-out pictures, clean and with the run's grain, and of samples; the share below the margin."""
        grain, x = self.run.setting["grain"], to_unit(self.held_out)
        grainy = spoilt(x, grain, torch.Generator().manual_seed(self.run.seed)) if grain else x
        clean, with_grain, fake = (losses_of(update.model, one) for one in (x, grainy, to_unit(pictures)))
        found = {"clean": clean.mean().item(), "grainy": with_grain.mean().item(), "fake": fake.mean().item()}
        if "margin" in self.run.setting:
            found["below"] = (fake < self.run.setting["margin"] * with_grain.mean()).float().mean().item()
        return found

    def easy(self, update: Update, pictures: Tensor) -> dict[str, Any]:
        """Return what D finds easy beside what G draws, by attribute, and the faces in order of their L(x)."""
        assert self.reader is not None
        assert self.real is not None
        loss, known = losses_of(update.model, to_unit(self.held_out)), sample_attributes(1, range(len(self.held_out)))
        drawn, columns = self.reader.read(pictures).attributes, self.reader.readable(list(range(len(ATTRIBUTES))))
        table = {ATTRIBUTES[column].name: by_value(column, loss, known, drawn, self.real) for column in columns}
        shuffled = loss[torch.randperm(len(loss), generator=torch.Generator().manual_seed(self.run.seed))]
        null = {ATTRIBUTES[column].name: by_value(column, shuffled, known, drawn, self.real) for column in columns}
        order, n = loss.argsort(), len(loss) // 2
        faces = {"easiest": order[:8], "middle": order[n - 4 : n + 4], "hardest": order[-8:]}
        return {
            "table": table,
            "correlation": affinity(table),
            "null": affinity(null),
            "faces": {name: indices.tolist() for name, indices in faces.items()},
        }


def by_value(column: int, loss: Tensor, known: Tensor, drawn: Tensor, real: Tensor) -> dict[str, list[float]]:
    """Return, by value of an attribute: the mean loss of faces that have it, and its share of samples and of faces.

    A continuous attribute has `BINS` values. The shares are as the reader sees both. Shapes: loss `(N,)`, attributes
    `(N, len(ATTRIBUTES))`, of any number of samples.
    """
    attribute = ATTRIBUTES[column]
    count = len(attribute.levels) or BINS

    def value(attributes: Tensor) -> Tensor:
        numbers = attributes[:, column]
        if attribute.levels:
            return numbers.long()
        return ((numbers - attribute.low) / (attribute.high - attribute.low) * BINS).long().clamp(0, BINS - 1)

    of_face = value(known)
    losses = [loss[of_face == one].mean().item() for one in range(count)]
    shares = [(value(one).bincount(minlength=count) / len(one)).tolist() for one in (drawn, real)]
    return {"loss": losses, "share": shares[0], "real": shares[1]}


def affinity(table: Mapping[str, Mapping[str, Sequence[float]]]) -> float:
    """Return the rank correlation, over all values of all attributes, of their mean L(x) with their share in samples.

    A loss counts relative to the mean of its attribute, a share relative to that of real faces: below 0, G draws what D
    finds easy.
    """
    losses, shares = [], []
    for one in table.values():
        mean = sum(one["loss"]) / len(one["loss"])
        losses += [loss / mean for loss in one["loss"]]
        shares += [(share + 0.001) / (real + 0.001) for share, real in zip(one["share"], one["real"], strict=True)]
    return rank_correlation(losses, shares)


@dataclass(frozen=True)
class Null(Run):
    """What a run's end is held against: samples of G untrained, or real pictures, none of them held out."""

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return what its measures depend on."""
        return {"measures": lab.measures(self.data)}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Measure them as the samples of a run."""
        look, images = Look(self, lab), lab.pictures(self.data)[0].pixels
        some = torch.randperm(len(images), generator=torch.Generator().manual_seed(self.seed))[: lab.count]
        pictures = images[some] if self.model == "real" else look.pictures(begin(self, lab, device))
        std = pixel_std(to_unit(pictures)) / look.real_std
        return Made([rounded(self.row(final={"std": std, **look.ends(pictures)}))], {})


# From a run that took off, and back


@dataclass(frozen=True)
class Tree(Run):
    """A run of `steps`, from whose end others fork with some of `changes`, and go back again after as many steps."""

    changes: tuple[Mapping[str, float], ...] = ()
    away: int = 400

    def work(self, lab: Any) -> int:
        """Return the steps in it."""
        return self.steps + 2 * self.away * len(self.changes)

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return its config and what its measures depend on."""
        return {"config": config_of(self, lab).to_dict(), "measures": lab.measures(self.data)}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Train the trunk, then each fork there and back."""
        images, look = lab.pictures(self.data)[0], Look(self, lab)

        def branch(update: Update, start: int, steps: int) -> list[dict[str, float]]:
            """Go on for some steps, and read off at every hundredth."""
            readings = []
            for step, x in enumerate(Batches(images, lab.batch, device=device, seed=self.seed).starting_at(start), 1):
                update(x)
                if step % lab.window == 0:
                    update.take_rows()
                    advance(lab.window)
                if step % 100 == 0 or step == steps:
                    readings.append({"step": start + step, **look.reading(update)})
                if step == steps:
                    return readings
            raise AssertionError("batches have no end")

        trunk = begin(self, lab, device)
        readings = [("trunk", branch(trunk, 0, self.steps))]
        rows = []
        for change in self.changes:
            there = fork(trunk, self, lab, **change)
            out = branch(there, self.steps, self.away)
            back = branch(fork(there, self, lab), self.steps + self.away, self.away)
            readings = [("trunk", readings[0][1]), ("there", out), ("back", back)]
            row = {name: getattr(self, name) for name in ("group", "data", "model", "seed", "steps", "away")}
            row |= {"setting": dict(self.setting), "change": dict(change)}
            row |= {part: runner.columns(some) for part, some in readings}
            rows.append(rounded(row))
        return Made(rows, {})


# D alone, which knows no G: what the theory needs


@dataclass(frozen=True)
class Alone(Run):
    """D that learns L(x) alone, no G near it; in the group `room` two, each from weights and noise of its own."""

    checkpoints: tuple[int, ...] = (250, 500, 1000)

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return its config and what its pictures are."""
        return {"config": config_of(self, lab).to_dict(), "measures": lab.measures(self.data)}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Train them; the loss of held-out pictures at each checkpoint, clean and grainy, and of their copies."""
        images, held_out = lab.pictures(self.data)
        config, x_clean = config_of(self, lab), to_unit(held_out)
        pair = [Critic(config, seed) for seed in (self.seed, 1000 + self.seed)[: 1 + (self.group == "room")]]
        grainy = spoilt(x_clean, config.grain, torch.Generator().manual_seed(self.seed))
        found = []
        for step, x in enumerate(Batches(images, lab.batch, device=device, seed=self.seed).starting_at(0), 1):
            for one in pair:
                one(x)
            if step % lab.window == 0:
                advance(lab.window)
            if step in self.checkpoints or step == self.steps:
                found.append({"step": step, **self.losses(pair, x_clean, grainy)})
            if step == self.steps:
                break
        row = self.row(steps=self.steps, setting=dict(self.setting), found=runner.columns(found))
        return Made([rounded(row)], {})

    def losses(self, pair: Sequence[Critic], clean: Tensor, grainy: Tensor) -> dict[str, float]:
        """Return mean losses: of pictures, clean and grainy, of what the other made of them, and of the residuals."""
        first, *others = pair
        copies = {
            f"copies_of_{name}": first.loss(other.copy(one))
            for other in others
            for name, one in (("clean", clean), ("grainy", grainy))
        }
        residual = clean - first.copy(grainy)
        return {
            "clean": first.loss(clean),
            "grainy": first.loss(grainy),
            **copies,
            "residual": residual.abs().mean().item(),
            "residual_square": residual.square().mean().item(),
            "folded": folded(residual, self.setting["grain"]).mean().item(),
        }


def folded(residual: Tensor, grain: float) -> Tensor:
    """Return E |m + sigma xi| of each residual m, the mean of a folded normal.

    `sigma sqrt(2 / pi) exp(-m^2 / (2 sigma^2)) + m (1 - 2 Phi(-m / sigma))`; |m| where sigma is 0.
    """
    if not grain:
        return residual.abs()
    ratio = residual / grain
    return grain * NOISE * (-ratio.square() / 2).exp() + residual * torch.erf(ratio / 2**0.5)


# The toy


@dataclass(frozen=True)
class ToyMap(Job):
    """BEGAN on the 25 Gaussians, all settings with all seeds as one program."""

    code: int
    grains: tuple[float, ...]
    gammas: tuple[float, ...]
    seeds: int
    steps: int
    data: str = "grid"

    @property
    def name(self) -> str:
        """Where its results lie among those of its study."""
        return f"toy/{self.code}"

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return what the toy's scores depend on."""
        return {"toy": runner.toy_depends(BEGAN), "setting": TOY}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Train all of them and score their ends."""
        settings = [
            {**TOY, "code": self.code, "grain": grain, "gamma": gamma}
            for grain in self.grains
            for gamma in self.gammas
            for _ in range(self.seeds)
        ]
        mixture = PROBLEMS[self.data]
        runs = Ensemble(BEGAN, mixture, settings, [i % self.seeds for i in range(len(settings))], self.steps, device)
        while left := min(self.steps - runs.done, 50):
            runs.run(left)
            advance(left)
        samples, rows = runs.samples(), []
        spread = samples.var(1).sum(1).sqrt() / (mixture.means.var(0, correction=0).sum() + 2 * mixture.std**2).sqrt()
        ends = {**runs.method.noted, **vars(score(samples, mixture)), "spread": spread}
        for i, setting in enumerate(settings):
            row = {"group": "toy", "data": self.data, "model": "BEGAN", "seed": i % self.seeds, "setting": setting}
            rows.append(rounded(row | {"final": {name: values[i].item() for name, values in ends.items()}}))
        return Made(rows, {})


TOY = {"lr_g": 1e-3, "lr_d": 1e-3}


# All of them


LADDER = (4, 8, 16, 32, 64)  # code lengths
FALLING = {"grain": 0.15, "gamma": 0.8}
BASES = ({"grain": 0.0, "gamma": 0.5}, {"grain": 0.0, "gamma": 1.0})
STARTS: tuple[dict[str, float], ...] = (
    {"k_0": 0.1},
    {"k_0": 0.5},
    {"lambda_k": 0.003},
    {"lambda_k": 0.3},
    {"lr": 2e-4},
    {"lr": 1e-3},
    {"l2": 1},
)
OTHERS: tuple[dict[str, float], ...] = (
    {"grain": 0.0, "gamma": 1.2},
    {"grain": 0.0, "gamma": 1.5},
    {"grain": 0.15, "gamma": 0.8, "both": 1},
    {"grain": 0.15, "gamma": 0.8, "fall": 400},
    {"grain": 0.0, "gamma": 1.0, "l2": 1, "alpha": 0.1},
    {"grain": 0.15, "gamma": 0.8, "l2": 1, "alpha": 0.1},
    {"grain": 0.15, "gamma": 0.8, "ema": 0.99},
)
FORKS: tuple[dict[str, float], ...] = tuple({"gamma": gamma} for gamma in (0.3, 0.5, 0.7, 1.3))
WITHOUT: tuple[dict[str, float], ...] = ({"gamma": 0.5}, {"grain": 0.0})


def jobs(lab: Lab) -> list[Job]:
    """List all jobs, the most important first."""
    seeds, steps = range(FRESH, FRESH + lab.seeds), lab.steps or 800

    def trials(group: str, settings: Iterable[Mapping[str, float]], steps: int) -> list[Job]:
        settings = list(settings)
        return [Trial(group, "faces", "BEGAN", setting, seed, steps) for seed in seeds for setting in settings]

    rooms = {"faces": GRAINS, "photographs": (0.0, 0.15), "digits": (0.0, 0.15)}
    ladders = {"faces": (0.0, 0.1), "photographs": (0.0,), "digits": (0.0,)}
    room = [
        Alone("room", data, "D", {"grain": grain, "gamma": 1.0}, seed, lab.steps or 1000)
        for data, grains in rooms.items()
        for seed in seeds
        for grain in grains
    ]
    ladder = [
        Alone("ladder", data, "D", {"grain": grain, "gamma": 1.0, "n_z": n_z}, seed, lab.steps or 600)
        for data, grains in ladders.items()
        for seed in seeds[:2]
        for grain in grains
        for n_z in LADDER
    ]
    margins = [{"grain": grain, "gamma": 1.0, "margin": m} for grain, m in ((0, 0.8), (0, 1.0), (0, 1.2), (0.15, 0.8))]
    starts = [{**base, **change} for base in BASES for change in STARTS]
    trees = [
        Tree("warm", "faces", "BEGAN", setting, seed, lab.steps or 800, changes, lab.steps or 400)
        for seed in seeds
        for setting, changes in (({"grain": 0.0, "gamma": 1.0}, FORKS), (FALLING, WITHOUT))
    ]
    toys = [ToyMap(code, (0.0, 0.05, 0.1, 0.2), (0.5, 0.8, 1.0), lab.seeds, lab.steps or 3000) for code in (1, 2)]
    nulls = [
        Null("null", "faces", model, {"grain": 0.0, "gamma": 1.0}, seed, 0)
        for model in ("real", "untrained")
        for seed in seeds
    ]
    return [
        *nulls,
        *(one for one in room if one.data != "digits" and not (one.data == "photographs" and one.setting["grain"])),
        *trials("map", ({"grain": grain, "gamma": gamma} for gamma, grains in MAP.items() for grain in grains), steps),
        *trials("margin", margins, steps),
        *trees,
        *(one for one in room if one.data == "digits" or (one.data == "photographs" and one.setting["grain"])),
        *ladder,
        *trials("other", OTHERS, steps),
        *toys,
        *trials("launch", starts, lab.steps or 400),
    ]


def plan(lab: Lab) -> Plan:
    """Carry out all jobs."""
    yield jobs(lab)


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact: carry out all jobs in `work`, and write what is kept of them to `out`.

    `options.photographs` is a folder of pictures of the reader's own, of which only numbers are kept. A stopped call
    goes on where it was.
    """
    runner.make(Lab(), plan, out, work, device, options)
