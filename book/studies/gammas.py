"""Many small image runs, each watched while it trains: the measurements behind several chapters, as one artifact."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from began.config import TrainConfig
from began.equilibrium import Equilibrium
from began.images.batches import Batches
from began.images.pixels import to_pixels, to_unit
from began.losses import reconstruction_loss
from began.measure.distances import NEAREST, curve_metrics, measure
from began.measure.wasserstein import loss_statistics
from began.passes import Began
from began.runs.artifacts import Options
from began.runs.results import generate, summary, windows
from began.runs.saving import provenance
from began.step import Record, Update
from studies import runner
from studies.image_gans import AlternatingBEGAN
from studies.runner import BASE, CHANNELS, Advance, Made, Plan, Run, choice, rounded
from studies.workers import Row


@dataclass(frozen=True, kw_only=True)
class Lab(runner.Lab):
    """The scale of the trials: `count` samples are measured at a checkpoint and twice as many at the end."""

    count: int = 1000
    nearest: int = NEAREST  # samples whose nearest face is searched
    data: tuple[str, ...] = choice(tuple(CHANNELS))


@dataclass(frozen=True)
class Trial(Run):
    """One run, which is read off at `checkpoints` places."""

    checkpoints: int

    @property
    def stops(self) -> list[int]:
        """The steps at which it is read off, denser at the start."""
        return [round(self.steps * (i / self.checkpoints) ** 1.5) for i in range(1, self.checkpoints + 1)]

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return its config, its model's knobs, and what its measures depend on."""
        knobs = AlternatingBEGAN.knobs
        return {"config": resolve(self, lab)[0].to_dict(), "knobs": knobs, "measures": lab.measures(self.data)}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Train and measure it."""
        here = place / "run"
        if (here / "record.json").exists():
            advance(self.steps)
        else:
            train(self, lab, here, device, advance)
        row = measure_run(self, lab, here)
        left = load_file(here / "left.safetensors")
        history = Record(*left["history"])
        tensors = {"histories": {self.name: torch.stack([history.loss_real, history.loss_fake, history.k])}}
        return Made([row], tensors)


@dataclass(frozen=True)
class Real(Run):
    """Pictures, none of them held out, that are measured as samples are: what a perfect model would get."""

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return what its measures depend on."""
        return {"measures": lab.measures(self.data)}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Draw the pictures and measure them."""
        images, held_out = lab.pictures(self.data)
        rng = torch.Generator().manual_seed(self.seed)
        some = torch.randperm(len(images), generator=rng)[: 2 * lab.count]
        final = rounded(measure(images.pixels[some], held_out, lab.reader(self.data), nearest=lab.nearest))
        return Made([self.row(final=final)], {})


class Rescaled(Equilibrium):
    """The controller where losses are `scale` times as large; nothing else sees it: Adam's steps have no scale."""

    def __init__(self, config: TrainConfig, scale: float):
        super().__init__(config.gamma, config.lambda_k, config.k_0, scale_free=config.scale_free)
        self.scale = scale

    def update(self, loss_real: Tensor, loss_fake: Tensor) -> Tensor:
        """Move k by the scaled losses; M is in their units."""
        return super().update(self.scale * loss_real, self.scale * loss_fake)


GAMMAS = {"faces": (0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 1.0), "photographs": (0.3, 0.4, 0.5, 0.6, 0.7, 0.9)}
GAINS = (1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# lambda_k is about BASE's times L(x) on rendered faces: the same speed there. The scale makes no difference (a test)
SCALE_FREE: dict[str, float] = {"lambda_k": 0.002, "loss_scale": 0.01, "scale_free": 1}


def trials(lab: Lab) -> list[Trial]:
    """List all trials, those on photographs last: whoever has none waits for nothing."""
    seeds, long = range(lab.seeds), lab.steps or 2000
    gammas = [
        Trial("gamma", data, "BEGAN", {"gamma": gamma}, seed, long, 16)
        for data in ("faces", "photographs")
        for seed in seeds
        for gamma in GAMMAS[data]
    ]
    gains = [
        Trial("gain", "faces", "BEGAN", {"lambda_k": gain}, seed, lab.steps or 1000, 0)
        for seed in seeds[:3]
        for gain in GAINS
    ]
    orders = [
        Trial("order", "faces", "BEGAN", {"generator_first": first}, seed, long, 16)
        for seed in seeds
        for first in (0, 1)
    ]
    paper = {"lambda_k": BASE["lambda_k"]}
    rules = ({**paper, "loss_scale": 1.0}, {**paper, "loss_scale": 0.01}, SCALE_FREE)
    scales = [
        Trial("scale", data, "BEGAN", rule, seed, lab.steps or 400, 0)
        for data in CHANNELS
        for seed in seeds
        for rule in rules
    ]
    return sorted(gammas + gains + orders + scales, key=lambda trial: trial.data == "photographs")


def plan(lab: Lab) -> Plan:
    """Carry out all trials, and measure real pictures."""
    real = [Real("real", data, "real", {}, seed, 0) for seed in range(lab.seeds) for data in ("faces", "photographs")]
    yield [*trials(lab), *real]


def resolve(trial: Trial, lab: Lab) -> tuple[TrainConfig, dict[str, float]]:
    """Return a trial's config, and the knobs of its model that its setting has."""
    setting = dict(trial.setting)
    knobs = {"loss_scale", *AlternatingBEGAN.knobs}
    given = {name: setting.pop(name) for name in knobs & setting.keys()}
    if "scale_free" in setting:
        setting["scale_free"] = bool(setting["scale_free"])
    config = lab.config(trial.data, **setting, log_every=lab.window, seed=trial.seed, steps=trial.steps)
    return config, given


def begin(trial: Trial, lab: Lab, device: torch.device) -> Update | AlternatingBEGAN:
    """Return a trial's networks and the rule by which they move."""
    config, given = resolve(trial, lab)
    if "generator_first" in given:
        return AlternatingBEGAN(config, device, **given)
    update = Update(config, device)
    if "loss_scale" in given:
        update.model.equilibrium = Rescaled(config, given["loss_scale"]).to(device)
    return update


@torch.no_grad()
def losses_of(model: Began, images: Tensor) -> Tensor:
    """Return L of each image, `(B,)`."""
    return torch.cat([reconstruction_loss(v, model.discriminator(v), model.norm) for v in images.split(16)])


def train(trial: Trial, lab: Lab, place: Path, device: torch.device, advance: Advance) -> None:
    """Train one trial and leave in `place` its history, and of each checkpoint samples and per-image losses."""
    images, held_out = lab.pictures(trial.data)
    play = begin(trial, lab, device)
    model = play.model
    z = model.noise(2 * lab.count, torch.Generator(device).manual_seed(2**40 + trial.seed))
    real = to_unit(held_out[: lab.count].to(device))
    rows, stops = [], {"curve": [], "real": [], "fake": []}
    for step, x in enumerate(Batches(images, lab.batch, device=device, seed=trial.seed).starting_at(0), 1):
        play(x)
        if step % lab.window == 0:
            rows.append(play.take_rows())
            advance(lab.window)
        if step in trial.stops:
            v = generate(model.generator, z[: lab.count])
            stops["curve"].append(to_pixels(v))
            stops["real"].append(losses_of(model, real))
            stops["fake"].append(losses_of(model, v))
        if step == trial.steps:
            break
    left = {"history": torch.cat(rows).T, "end": to_pixels(generate(model.generator, z))}
    left |= {name: torch.stack(parts) for name, parts in stops.items() if parts}
    runner.save_tensors(place / "left.safetensors", left)
    record = {"key": trial.key, **vars(trial), **provenance(device)}
    runner.save_text(place / "record.json", json.dumps(record, indent=1) + "\n")


def measure_run(trial: Trial, lab: Lab, place: Path) -> Row:
    """Return the row of a trial from what its training left: curve, readings at checkpoints, measures of the end."""
    record = json.loads((place / "record.json").read_text())
    left = load_file(place / "left.safetensors")
    reader, held_out = lab.reader(trial.data), lab.pictures(trial.data)[1]
    history = Record(*left["history"])
    step, means = windows(history, lab.window)
    curve = {name: getattr(means, name).tolist() for name in ("loss_real", "loss_fake", "k", "M")}
    saturated = ((history.k <= 0) | (history.k >= 1))[-trial.steps // 10 :]
    row = {**record, "curve": {"step": step.tolist(), **curve}, "readings": {"step": trial.stops}}
    row["final"] = {**summary(history), "saturated": saturated.float().mean().item()}
    if trial.stops:
        at_stops = [curve_metrics(part, held_out[: lab.count], reader) for part in left["curve"]]
        statistics = map(loss_statistics, left["real"], left["fake"])
        at_stops = [{**one, **other} for one, other in zip(at_stops, statistics, strict=True)]
        row["readings"] |= runner.columns(at_stops)
        row["final"] |= measure(left["end"], held_out, reader, nearest=lab.nearest)
    return rounded(row)


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact: train and measure all trials in `work`, and write what chapters need of them to `out`.

    `options.photographs` is a folder of pictures of the reader's own; without it their rows stay as they are in `out`.
    Of them only numbers are kept. A stopped call goes on where it was.
    """
    lab = runner.prepare(Lab(), options, work)
    runner.keep(runner.carry_out([plan(lab)], lab, work, device), out, lab)


def load_trials(group: str) -> list[Row]:
    """Return the rows of a group of the committed trials: gamma, order, gain, scale or real."""
    return runner.committed_rows("trials", group=group)


def load_histories(group: str) -> dict[str, Tensor]:
    """Return L(x), L(G(z)) and k at every step, `(3, steps)`, by the keys of a group's rows."""
    tensors = runner.committed_tensors("trials", "histories")
    return {key.partition("/")[2]: value for key, value in tensors.items() if key.startswith(group + "/")}
