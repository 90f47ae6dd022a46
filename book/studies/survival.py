"""Runs followed until they collapse, or do not: the measurements behind chapters 6 and 7, as one artifact."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from sklearn.decomposition import PCA
from torch import Tensor

from began.collapse import EVERY, CollapseError, Reading, take_reading, total_variance
from began.config import PRESETS, TrainConfig
from began.images.pixels import to_pixels, to_unit
from began.images.sources import Pictures
from began.losses import Losses, discriminator_loss, latent_constraint, reconstruction_loss
from began.measure.distances import attribute_diversity, curve_metrics
from began.measure.reader import Reader
from began.passes import Began, Halfway
from began.runs.artifacts import Options
from began.runs.results import generate, windows
from began.runs.saving import provenance
from began.state import DivergenceError
from began.training import Trainer
from studies import runner
from studies.runner import Advance, Job, Made, Plan, Run, choice, named, rounded, toy_depends
from studies.toy.autoencoders import BEGAN
from studies.toy.ensemble import Ensemble
from studies.toy.methods import METHODS
from studies.toy.mixtures import PROBLEMS, score
from studies.workers import Row


@dataclass(frozen=True, kw_only=True)
class Lab(runner.Lab):
    """The scale of the study: every `stop` steps, `count` samples are measured against as many held-out pictures.

    Every other time a frame is taken of the `codes` of pictures and of samples, as many as BEGAN-CS, fig. 2 has, of
    which it keeps `drawn`; `shown` samples are kept of each measurement in the groups that are `pictured`.
    """

    window: int = 50
    stop: int = 250
    count: int = 500
    codes: int = 6400
    drawn: int = 400
    shown: int = 8
    pictured: tuple[str, ...] = ("full", "few", "rate")
    data: tuple[str, ...] = choice(("faces", "photographs", "grid"))


@dataclass(frozen=True)
class WatchedRun(Run):
    """One run; with a `remedy` the trainer goes back after a collapse."""

    remedy: str | None = None

    @property
    def key(self) -> str:
        """The name of the run within its group."""
        remedy = [self.remedy] if self.remedy else []
        return "-".join([self.model.replace(" ", "_"), *named(self.setting), *remedy, str(self.seed)])

    @property
    def name(self) -> str:
        """Where its results lie among those of its study, and the name of what is kept of them."""
        return f"{self.data}/{super().name}"

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return its config, how often the monitor reads, and what its measures depend on."""
        return {"config": config_of(self, lab).to_dict(), "every": EVERY, "measures": lab.measures(self.data)}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Follow the run to its end."""
        return watch(self, lab, place / "run", device, advance)


@dataclass(frozen=True)
class ToyRuns(Job):
    """Runs of BEGAN on the 25 Gaussians, side by side: all settings with all seeds."""

    label: str
    settings: tuple[dict[str, float], ...]
    seeds: int
    steps: int
    data: str = "grid"

    @property
    def name(self) -> str:
        """Where its results lie among those of its study."""
        return f"toy/{self.label}"

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return what the toy's scores depend on, and how often the monitor reads."""
        return {"toy": toy_depends(BEGAN), "every": EVERY}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Follow all of them to their end."""
        return Made(rounded(watch_toys(self, lab, device, advance)), {})


def leaking_pass(model: Began, x: Tensor, z: Tensor, in_D: bool = True) -> Halfway:
    """Get gradients with L_c in G's loss too, or (not `in_D`) there alone: an ablation of `passes.fast_pass`.

    `L_G = L(G(z)) + alpha L_c` over theta_G. Shapes and returns: as there.
    """
    G, D = model.generator, model.discriminator
    fake = G(z)
    v = fake.detach().requires_grad_()
    h_v = D.encode(v)
    losses = Losses(
        reconstruction_loss(x, D(x), model.norm).mean(),
        reconstruction_loss(v, D.decode(h_v), model.norm).mean(),
        latent_constraint(z, h_v, model.norm).mean(),
    )

    def backward() -> None:
        L_D = discriminator_loss(losses, model.equilibrium.k, model.alpha if in_D else 0.0)
        L_D.backward(inputs=list(D.parameters()), retain_graph=True)
        (dv,) = torch.autograd.grad(losses.fake + model.alpha * losses.constraint, v)
        fake.backward(dv)

    return Losses(*(loss.detach() for loss in losses)), backward


RULES = {"L_c in both": leaking_pass, "L_c in G": partial(leaking_pass, in_D=False)}
MODELS = {"BEGAN": 0.0, "BEGAN-CS": PRESETS["began_cs"]["alpha"]}  # and their alpha
ALPHAS = (0.0, 0.03, 0.1, 0.3, 1.0)
TWO_LAYERS = tuple({"lr_g": g, "lr_d": d} for g, d in ((1e-3, 1e-3), (3e-4, 1e-3), (1e-4, 1e-3), (1e-3, 3e-4)))
THREE_LAYERS = tuple(
    {"lr_g": 7.5e-4, "lr_d": 1.5e-3, "beta_1": 0.0, "layers": 3, "gamma": gamma} for gamma in (0.7, 1.0, 1.2, 1.5)
)
TOYS = {2: TWO_LAYERS, 3: THREE_LAYERS}


def runs(lab: Lab) -> list[WatchedRun]:
    """List the runs on pictures; photographs last: whoever has none waits for nothing."""
    slow = {"lr": 2 * lab.lr}
    photographs = {"lr": 6 * lab.lr, "gamma": 0.7}
    fast, few, low = {"lr": 6 * lab.lr}, {**slow, "count": 100}, {"gamma": 0.7}  # each makes BEGAN collapse

    def each(
        group: str, data: str, models: Iterable[str], setting: Mapping[str, Any], steps: int, remedy: str | None = None
    ) -> list[WatchedRun]:
        steps = lab.steps or steps
        return [
            WatchedRun(group, data, model, dict(setting), seed, steps, remedy)
            for seed in range(lab.seeds)
            for model in models
        ]

    return [
        *each("rate", "faces", MODELS, fast, 1500),
        *each("few", "faces", MODELS, few, 2000),
        *each("rescue", "faces", ["BEGAN"], fast, 2000, "lr"),
        *each("rescue", "faces", ["BEGAN"], fast, 2000, "alpha"),
        *each("rescue", "faces", ["BEGAN"], few, 2000, "lr"),
        *(run for alpha in ALPHAS for run in each("alpha", "faces", ["BEGAN-CS"], {**low, "alpha": alpha}, 1000)),
        *each("full", "faces", MODELS, slow, 3000),
        *each("leak", "faces", RULES, slow, 1500),
        *each("tenth", "faces", MODELS, {**slow, "count": lab.rendered // 10}, 3000),
        *each("full", "photographs", MODELS, photographs, 5000),
        *each("tenth", "photographs", MODELS, {**photographs, "count": 1080}, 3500),
        *each("rescue", "photographs", ["BEGAN"], photographs, 5000, "lr"),
    ]


def toys(lab: Lab) -> list[ToyRuns]:
    """List the runs on the toy, by the layers of their networks."""
    return [ToyRuns(str(layers), settings, lab.seeds, lab.steps or 8000) for layers, settings in TOYS.items()]


def config_of(run: WatchedRun, lab: Lab) -> TrainConfig:
    """Return a run's config: both models with the norm of BEGAN-CS, so that alpha is all that differs."""
    alpha = MODELS.get(run.model, MODELS["BEGAN-CS"])
    changes = {"norm": "l2", "alpha": alpha, **run.setting, "seed": run.seed, "steps": run.steps}
    changes |= {"log_every": lab.window, "sample_every": run.steps, "checkpoint_every": lab.stop}
    if run.remedy:
        changes |= {"on_collapse": "rollback", "remedy": run.remedy}
    return lab.config(run.data, **{name: value for name, value in changes.items() if name != "count"})


def trainer_of(run: WatchedRun, lab: Lab, device: torch.device, out: Path) -> Trainer:
    """Return what trains a run, on the pictures that its setting counts."""
    images, _ = lab.pictures(run.data)
    some = Pictures(images.pixels[: run.setting.get("count")], images.name)
    rule = RULES.get(run.model)
    return Trainer(config_of(run, lab), some, device=device, out=out if run.remedy else None, rule=rule)


@torch.no_grad()
def measure_model(model: Began, z: Tensor, held_out: Tensor, reader: Reader | None) -> tuple[dict[str, float], Tensor]:
    """Return what can be said of a model now, and its samples, uint8.

    `distances.curve_metrics`, with a reader `distances.attribute_diversity`, and total variances of the codes.
    """
    v = generate(model.generator, z)
    samples = to_pixels(v)
    codes = [torch.cat([model.discriminator.encode(p) for p in part.split(16)]) for part in (to_unit(held_out), v)]
    values = curve_metrics(samples, held_out, reader)
    if reader is not None:
        values |= attribute_diversity(reader.read(samples).attributes, reader.read(held_out).attributes, reader)
    var_real, var_gen = (total_variance(part).item() for part in codes)
    return {**values, "var_real": var_real, "var_gen": var_gen}, samples


@torch.no_grad()
def frame(model: Began, images: Tensor, z: Tensor, drawn: int = Lab.drawn) -> tuple[Tensor, dict[str, float]]:
    """Project codes of pictures and of samples on the two leading components of the pictures' (BEGAN-CS, fig. 2).

    Returns the first `drawn` of each, float16 `(2, drawn, 2)`, and the variances in that plane and in all.
    """
    encode = model.discriminator.encode
    real = torch.cat([encode(to_unit(part)) for part in images.split(64)])
    fake = torch.cat([encode(model.generator(part)) for part in z.split(64)])
    pca = PCA(2).fit(real.double().numpy())
    flat = [torch.from_numpy(pca.transform(codes.double().numpy())) for codes in (real, fake)]
    variances = {
        "var_real": total_variance(real),
        "var_gen": total_variance(fake),
        "plane_real": total_variance(flat[0]),
        "plane_gen": total_variance(flat[1]),
    }
    return torch.stack([part[:drawn] for part in flat]).half(), {key: value.item() for key, value in variances.items()}


def watch(run: WatchedRun, lab: Lab, folder: Path, device: torch.device, advance: Advance) -> Made:
    """Train one run and measure it every `lab.stop` steps; the trainer's checkpoints lie in `folder` meanwhile."""
    images, held_out = lab.pictures(run.data)
    held_out, reader = held_out[: lab.count], lab.reader(run.data)
    shutil.rmtree(folder, ignore_errors=True)
    trainer = trainer_of(run, lab, device, folder)
    z = trainer.model.noise(lab.codes, torch.Generator(device).manual_seed(2**40 + run.seed))
    drawn = run.seed == 0 and run.group != "rescue"
    stops, frames, kept, variances, ended = [], [], [], [], None
    stop = min(lab.stop, run.steps)
    for step in range(stop, run.steps + 1, stop):
        try:
            trainer.fit(step, progress=False)
        except (CollapseError, DivergenceError) as error:
            ended = str(error)
            break
        advance(stop)
        values, samples = measure_model(trainer.model, z[: lab.count], held_out, reader)
        stops.append({"step": step, **values})
        kept.append(samples[: lab.shown])
        if drawn and step % (2 * stop) == 0:
            points, values = frame(trainer.model, images.pixels[: lab.codes], z, lab.drawn)
            frames.append(points)
            variances.append({"step": step, **values})
    shutil.rmtree(folder, ignore_errors=True)
    left = {}
    if kept and run.data == "faces" and run.group in lab.pictured:  # of photographs only numbers
        left[f"samples/{run.name}"] = torch.stack(kept)
    if frames:
        left[f"frames/{run.name}"] = torch.stack(frames)
    at, means = windows(trainer.history, lab.window)
    curve = {name: getattr(means, name).tolist() for name in ("loss_real", "loss_fake", "constraint", "k", "M")}
    row = {
        **vars(run),
        "key": run.key,
        "alpha": trainer.config.alpha,
        "curve": {"step": at.tolist(), **curve},
        "readings": {"step": [EVERY * i for i in range(1, len(trainer.readings) + 1)], **columns(trainer.readings)},
        "stops": {name: [stop[name] for stop in stops] for name in stops[0]},
        "frames": {name: [values[name] for values in variances] for name in variances[0]} if variances else {},
        "rollbacks": trainer.rescue.rollbacks,
        "ended": ended,
        "seconds": trainer.seconds,
        **provenance(device),
    }
    return Made([rounded(row)], {"left": left})


def columns(readings: Iterable[Reading]) -> dict[str, list[float]]:
    """Return readings by name."""
    return {name: list(column) for name, column in zip(Reading._fields, zip(*readings, strict=True), strict=True)}


def watch_toys(toys: ToyRuns, lab: Lab, device: torch.device, advance: Advance) -> list[Row]:
    """Train runs on the toy, read what the monitor reads and count modes, and return their rows."""
    mixture = PROBLEMS[toys.data]
    runs = [(setting, seed) for setting in toys.settings for seed in range(toys.seeds)]
    given, seeds = zip(*runs, strict=True)
    ensemble = Ensemble(METHODS["began"], mixture, given, seeds, toys.steps, device)
    method = ensemble.method
    assert isinstance(method, BEGAN)
    x = torch.stack([mixture.sample(lab.count, seed=1)] * len(runs)).to(device) / mixture.scale
    readings, modes, qualities, M = [], [], [], []
    for _ in range(toys.steps // EVERY):
        losses = []
        for _ in range(10):  # M of a step is noisy
            ensemble.run(EVERY // 10)
            losses.append(method.noted["M"].cpu().clone())
        v = ensemble.samples(lab.count, seed=1)
        scores = score(v, mixture)
        modes.append(scores.modes)
        qualities.append(scores.high_quality)
        M.append(torch.stack(losses).mean(0))
        with torch.no_grad():
            v = v / mixture.scale
            codes = [method.net("Enc", part) for part in (x, v.to(device))]
            readings.append(take_reading(method.equilibrium.k, x, v.to(device), *codes).cpu())
        advance(EVERY)
    step = [EVERY * i for i in range(1, len(modes) + 1)]
    by_run = zip(*(torch.stack(part).unbind(1) for part in (readings, modes, qualities, M)), strict=True)
    return [
        {
            "group": "toy",
            "data": mixture.name,
            "model": "BEGAN",
            "setting": setting,
            "seed": seed,
            "steps": toys.steps,
            "key": "-".join([*named(setting), str(seed)]),
            "curve": {"step": step, "M": losses.tolist(), "k": seen[:, 0].tolist()},
            "readings": {"step": step, **columns(Reading(*row) for row in seen.tolist())},
            "stops": {"step": step, "modes": found.tolist(), "high_quality": quality.tolist()},
            **provenance(device),
        }
        for (setting, seed), (seen, found, quality, losses) in zip(runs, by_run, strict=True)
    ]


def plan(lab: Lab) -> Plan:
    """Follow all runs."""
    yield [*toys(lab), *runs(lab)]


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact: follow all runs in `work`, and write what chapters need of them to `out`.

    `options.photographs` is a folder of pictures of the reader's own; without it their rows stay as they are in `out`.
    Of them only numbers are kept. A stopped call goes on where it was.
    """
    lab = runner.prepare(Lab(), options, work)
    made = runner.carry_out([plan(lab)], lab, work, device)
    made.rows.sort(key=lambda row: (row["data"], row["group"], row["key"]))
    runner.keep(made, out, lab)


def load_runs(group: str, data: str | None = None) -> list[Row]:
    """Return the committed rows of a group: full, tenth, few, rate, alpha, leak, rescue or toy; of all data if None."""
    return [row for row in runner.committed_rows("survival", group=group) if data in (None, row["data"])]


def load_left(kind: str, row: Row) -> Tensor:
    """Return the samples `(stops, 8, 3, 16, 16)` or the frames `(stops / 2, 2, 400, 2)` that a row's run left.

    There are samples of rendered faces in the groups that are `pictured`, and frames of the runs with seed 0.
    """
    left = runner.committed_tensors("survival", "left")
    return left[f"{kind}/{row['data']}/{row['group']}/{row['key']}"]


class Course(NamedTuple):
    """A measure of several runs over training: `(T,)` steps and `(E, T)` values, nan after a run's end."""

    step: Sequence[int]
    values: Tensor


def course(rows: Sequence[Row], name: str, part: str = "stops") -> Course:
    """Return how a measure ran in rows: `part` is "stops", "readings", "curve" or "frames", `name` one of its columns.

    Raises KeyError where a row has no such column.
    """
    step = max((row[part]["step"] for row in rows), key=len)
    values = torch.full((len(rows), len(step)), torch.nan)
    for line, row in zip(values, rows, strict=True):
        line[: len(row[part][name])] = torch.tensor(row[part][name], dtype=torch.float64)
    return Course(step, values)
