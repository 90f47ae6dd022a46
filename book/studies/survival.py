"""Runs followed until they collapse, or do not: the measurements behind chapters 6 and 7, as one artifact."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from sklearn.decomposition import PCA
from torch import Tensor

from began.collapse import EVERY, CollapseError, Reading, read, total_variance
from began.config import PRESETS, TrainConfig
from began.files import atomic_write
from began.images.pixels import to_pixels, to_unit
from began.images.sources import Pictures
from began.losses import Losses, discriminator_loss, latent_constraint, reconstruction_loss
from began.measure.distances import attribute_diversity, curve_metrics
from began.measure.reader import Reader, load_reader
from began.passes import Began, Halfway
from began.runs.artifacts import Options, artifacts_folder
from began.runs.results import generate, windows
from began.runs.saving import provenance
from began.state import DivergenceError
from began.training import Trainer
from studies.gammas import BASE, SEEDS, pictures, rounded
from studies.keys import fingerprint, measures, toy
from studies.toy.autoencoders import BEGAN
from studies.toy.ensemble import Ensemble
from studies.toy.methods import METHODS
from studies.toy.mixtures import PROBLEMS, score
from studies.workers import Row, Workers

STOP = 250  # steps between two measurements of samples
WINDOW = 50  # steps whose mean is one point of a curve
COUNT = 500  # samples and held-out pictures in a measurement
CODES = 6400  # codes of pictures and of samples in a frame, as many as BEGAN-CS, fig. 2 has
DRAWN = 400  # codes of each that a frame keeps
SHOWN = 8  # samples kept of a measurement
PICTURED = ("full", "few", "rate")  # groups whose samples are worth their place in the artifact


class Vigil(NamedTuple):
    """One run: `setting` changes fields of `BASE`; with a `remedy` the trainer goes back after a collapse."""

    group: str
    data: str
    model: str
    setting: dict[str, Any]
    seed: int
    steps: int
    remedy: str | None = None

    @property
    def work(self) -> int:
        """The steps in it."""
        return self.steps

    @property
    def key(self) -> str:
        """The name of the run within its group."""
        setting = [f"{name}={value:g}" for name, value in sorted(self.setting.items())]
        remedy = [self.remedy] if self.remedy else []
        return "-".join([self.model.replace(" ", "_"), *setting, *remedy, str(self.seed)])

    @property
    def name(self) -> str:
        """The run's folder among all."""
        return f"{self.data}/{self.group}/{self.key}"


class ToyVigils(NamedTuple):
    """Runs of BEGAN on the 25 Gaussians that are trained side by side: a setting each, all seeds."""

    name: str
    settings: tuple[dict[str, float], ...]
    steps: int

    @property
    def work(self) -> int:
        """The steps in it."""
        return self.steps


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
FACES = {"lr": 1e-3}
PHOTOGRAPHS = {"lr": 3e-3, "gamma": 0.7}
ALPHAS = (0.0, 0.03, 0.1, 0.3, 1.0)
FAST, FEW, LOW = {"lr": 3e-3}, {"lr": 1e-3, "count": 100}, {"gamma": 0.7}  # each makes BEGAN collapse
TWO_LAYERS = tuple({"lr_g": g, "lr_d": d} for g, d in ((1e-3, 1e-3), (3e-4, 1e-3), (1e-4, 1e-3), (1e-3, 3e-4)))
THREE_LAYERS = tuple(
    {"lr_g": 7.5e-4, "lr_d": 1.5e-3, "beta_1": 0.0, "layers": 3, "gamma": gamma} for gamma in (0.7, 1.0, 1.2, 1.5)
)
TOYS = (ToyVigils("toy/2", TWO_LAYERS, 8000), ToyVigils("toy/3", THREE_LAYERS, 8000))


def vigils() -> list[Vigil]:
    """List the runs on pictures; photographs last: whoever has none waits for nothing."""

    def both(group: str, data: str, setting: Mapping[str, Any], steps: int) -> list[Vigil]:
        return [Vigil(group, data, model, {**setting}, seed, steps) for seed in SEEDS for model in MODELS]

    return [
        *both("rate", "faces", FAST, 1500),
        *both("few", "faces", FEW, 2000),
        *(
            Vigil("rescue", "faces", "BEGAN", {**setting}, seed, 2000, remedy)
            for setting, remedy in ((FAST, "lr"), (FAST, "alpha"), (FEW, "lr"))
            for seed in SEEDS
        ),
        *(
            Vigil("alpha", "faces", "BEGAN-CS", {**LOW, "alpha": alpha}, seed, 1000)
            for seed in SEEDS
            for alpha in ALPHAS
        ),
        *both("full", "faces", FACES, 3000),
        *(Vigil("leak", "faces", model, {**FACES}, seed, 1500) for seed in SEEDS for model in RULES),
        *both("tenth", "faces", {**FACES, "count": 819}, 3000),
        *both("full", "photographs", PHOTOGRAPHS, 5000),
        *both("tenth", "photographs", {**PHOTOGRAPHS, "count": 1080}, 3500),
        *(Vigil("rescue", "photographs", "BEGAN", {**PHOTOGRAPHS}, seed, 5000, "lr") for seed in SEEDS),
    ]


def config_of(vigil: Vigil) -> TrainConfig:
    """Return a vigil's config: both models with the norm of BEGAN-CS, so that alpha is all that differs."""
    setting = {name: value for name, value in vigil.setting.items() if name != "count"}
    alpha = MODELS.get(vigil.model, MODELS["BEGAN-CS"])
    return TrainConfig.from_dict(
        {
            **BASE,
            "norm": "l2",
            "alpha": alpha,
            **setting,
            "seed": vigil.seed,
            "steps": vigil.steps,
            "log_every": WINDOW,
            "sample_every": vigil.steps,
            "checkpoint_every": STOP,
            **({"on_collapse": "rollback", "remedy": vigil.remedy} if vigil.remedy else {}),
        }
    )


def place(job: Vigil | ToyVigils, folder: Path, photographs: Path) -> Path:
    """Return where a job's results lie below a folder: what was made under other settings lies elsewhere."""
    depends = {"job": job, "sizes": [WINDOW, STOP, EVERY, COUNT, CODES, DRAWN, SHOWN]}
    if isinstance(job, Vigil):
        depends |= {"config": config_of(job).to_dict(), "measures": measures(job.data, photographs)}
    else:
        depends |= {"seeds": list(SEEDS), "toy": toy(BEGAN)}
    return folder / f"{job.name}-{fingerprint(depends)}"


def trainer_of(vigil: Vigil, images: Pictures, device: torch.device, out: Path) -> Trainer:
    """Return the run of a vigil, on the pictures that its setting counts."""
    some = Pictures(images.pixels[: vigil.setting.get("count")], images.name)
    rule = RULES.get(vigil.model)
    return Trainer(config_of(vigil), some, device=device, out=out if vigil.remedy else None, rule=rule)


@torch.no_grad()
def measured(model: Began, z: Tensor, held_out: Tensor, reader: Reader | None) -> tuple[dict[str, float], Tensor]:
    """Return what can be said of a model now, and its samples, uint8.

    `metrics.curve_metrics`, with a reader `metrics.attribute_diversity`, and total variances of the codes.
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
def frame(model: Began, images: Tensor, z: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Project codes of pictures and of samples on the two leading components of the pictures' (BEGAN-CS, fig. 2).

    Returns the first `DRAWN` of each, float16 `(2, DRAWN, 2)`, and the variances in that plane and in all.
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
    return torch.stack([part[:DRAWN] for part in flat]).half(), {key: value.item() for key, value in variances.items()}


def follow(vigil: Vigil, place: Path, photographs: Path, device: torch.device, advance: Callable[[int], object]) -> Row:
    """Train one run, measure it every `STOP` steps, and leave samples and frames in `place`; return its row."""
    images, held_out = pictures(vigil.data, photographs)
    held_out = held_out[:COUNT]
    reader = load_reader(BASE["size"]) if vigil.data == "faces" else None
    shutil.rmtree(place / "run", ignore_errors=True)
    trainer = trainer_of(vigil, images, device, place / "run")
    z = trainer.model.noise(CODES, torch.Generator(device).manual_seed(2**40 + vigil.seed))
    drawn = vigil.seed == 0 and vigil.group != "rescue"
    stops, frames, kept, variances, ended = [], [], [], [], None
    for step in range(STOP, vigil.steps + 1, STOP):
        try:
            trainer.fit(step, progress=False)
        except (CollapseError, DivergenceError) as error:
            ended = str(error)
            break
        advance(STOP)
        values, samples = measured(trainer.model, z[:COUNT], held_out, reader)
        stops.append({"step": step, **values})
        kept.append(samples[:SHOWN].contiguous())
        if drawn and step % (2 * STOP) == 0:
            points, values = frame(trainer.model, images.pixels[:CODES], z)
            frames.append(points)
            variances.append({"step": step, **values})
    shutil.rmtree(place / "run", ignore_errors=True)
    left = {"samples": torch.stack(kept)} if vigil.data == "faces" and kept else {}
    if frames:
        left["frames"] = torch.stack(frames)
    with atomic_write(place / "left.safetensors") as temporary:
        save_file(left, temporary)
    at, means = windows(trainer.history, WINDOW)
    curve = {name: getattr(means, name).tolist() for name in ("loss_real", "loss_fake", "constraint", "k", "M")}
    return {
        **vigil._asdict(),
        "key": vigil.key,
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


def columns(readings: Iterable[Reading]) -> dict[str, list[float]]:
    """Return readings by name."""
    return {name: list(column) for name, column in zip(Reading._fields, zip(*readings, strict=True), strict=True)}


def follow_toys(toys: ToyVigils, device: torch.device, advance: Callable[[int], object]) -> list[Row]:
    """Train runs on the toy, read what the monitor reads and count modes, and return their rows."""
    mixture = PROBLEMS["grid"]
    runs = [(setting, seed) for setting in toys.settings for seed in SEEDS]
    given, seeds = zip(*runs, strict=True)
    ensemble = Ensemble(METHODS["began"], mixture, given, seeds, toys.steps, device)
    method = ensemble.method
    assert isinstance(method, BEGAN)
    x = torch.stack([mixture.sample(COUNT, seed=1)] * len(runs)).to(device) / mixture.scale
    readings, modes, qualities, M = [], [], [], []
    for _ in range(toys.steps // EVERY):
        losses = []
        for _ in range(10):  # M of a step is noisy
            ensemble.run(EVERY // 10)
            losses.append(method.readings["M"].cpu().clone())
        v = ensemble.samples(COUNT, seed=1)
        scores = score(v, mixture)
        modes.append(scores.modes)
        qualities.append(scores.high_quality)
        M.append(torch.stack(losses).mean(0))
        with torch.no_grad():
            v = v / mixture.scale
            codes = [method.net("Enc", part) for part in (x, v.to(device))]
            readings.append(read(method.equilibrium.k, x, v.to(device), *codes).cpu())
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
            "key": "-".join([*(f"{name}={value:g}" for name, value in sorted(setting.items())), str(seed)]),
            "curve": {"step": step, "M": losses.tolist(), "k": seen[:, 0].tolist()},
            "readings": {"step": step, **columns(Reading(*row) for row in seen.tolist())},
            "stops": {"step": step, "modes": found.tolist(), "high_quality": quality.tolist()},
            **provenance(device),
        }
        for (setting, seed), (seen, found, quality, losses) in zip(runs, by_run, strict=True)
    ]


def carried_out(
    job: Vigil | ToyVigils, folder: Path, photographs: Path, device: torch.device, advance: Callable[[int], object]
) -> list[Row]:
    """Follow a run, or the toys, unless an earlier call did; a worker's part of `make`."""
    here = place(job, folder, photographs)
    if (here / "rows.json").exists():
        advance(job.work)
    else:
        if isinstance(job, Vigil):
            rows = [follow(job, here, photographs, device, advance)]
        else:
            rows = follow_toys(job, device, advance)
        with atomic_write(here / "rows.json") as temporary:
            temporary.write_text(json.dumps(rounded(rows)) + "\n")
    return json.loads((here / "rows.json").read_text())


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact: follow all runs in `work`, and write what chapters need of them to `out`.

    `options.photographs` is a folder of pictures of the reader's own; without it their rows stay as they are in `out`.
    Of them only numbers are kept. A stopped call goes on where it was.
    """
    photographs = options.photographs
    missing = not photographs.is_dir()
    todo = [*TOYS, *(vigil for vigil in vigils() if not (missing and vigil.data == "photographs"))]
    with Workers(device) as workers:
        for job in todo:
            workers.call(carried_out, job, work, photographs)
        found = {(row["data"], row["group"], row["key"]): row for rows in workers.finished() for row in rows}
    rows = [found[key] for key in sorted(found)]
    if missing:
        rows += [row for row in _rows(out) if row["data"] == "photographs"]
    keep(rows, out, {job.name: place(job, work, photographs) for job in todo})


def keep(rows: Iterable[Row], out: Path, places: Mapping[str, Path]) -> None:
    """Write the rows, and what their runs left in `places`, where those that are here have it by name."""
    rows = list(rows)
    old = load_file(out / "left.safetensors") if (out / "left.safetensors").exists() else {}
    left = {}
    for row in rows:
        name = f"{row['data']}/{row['group']}/{row['key']}"
        here = places.get(name)
        if here:
            parts = {f"{kind}/{name}": part for kind, part in load_file(here / "left.safetensors").items()}
        else:  # photographs that are not here now
            parts = {key: part for key, part in old.items() if key.partition("/")[2] == name}
        left |= {key: part for key, part in parts.items() if row["group"] in PICTURED or key.startswith("frames")}
    with atomic_write(out / "rows.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with atomic_write(out / "left.safetensors") as temporary:
        save_file(left, temporary)


def _rows(out: Path) -> list[Row]:
    path = out / "rows.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def load_vigils(group: str, data: str | None = None) -> list[Row]:
    """Return the committed rows of a group: full, tenth, few, rate, alpha, leak, rescue or toy; of all data if None."""
    rows = _rows(artifacts_folder() / "survival")
    return [row for row in rows if row["group"] == group and data in (None, row["data"])]


def load_left(kind: str, row: Row) -> Tensor:
    """Return the samples `(stops, 8, 3, 16, 16)` or the frames `(stops / 2, 2, 400, 2)` that a row's run left.

    There are samples of rendered faces in the groups of `PICTURED`, and frames of the runs with seed 0.
    """
    left = load_file(artifacts_folder() / "survival/left.safetensors")
    return left[f"{kind}/{row['data']}/{row['group']}/{row['key']}"]
