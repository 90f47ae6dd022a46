"""Codes found and moved in networks of five seeds each: the measurements behind chapter 8, as one artifact."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from began.codes.search import Found, disentanglement, importances, interpolate, move, regress, search, sweep
from began.config import PRESETS, TrainConfig
from began.images.batches import Batches
from began.images.faces import ATTRIBUTES, sample_attributes
from began.images.pixels import pixel_std, to_pixels, to_unit
from began.losses import distance
from began.measure.distances import sharpness
from began.measure.reader import CATEGORICAL, CONTINUOUS, Reader, nearest_face
from began.passes import Began
from began.runs.artifacts import Options
from began.runs.results import generate
from began.runs.saving import provenance
from began.step import Update
from studies import runner
from studies.image_gans import ALI, Turns
from studies.runner import Advance, Made, Plan, Run, rounded
from studies.workers import Row

RANGES = (1.0, 3.0, 5.0)  # of sweeps: the cube that z is drawn from, and up to 5 as in BEGAN-CS 4.7
WAYS = ("random", "encoded", "random, in the cube", "encoded, in the cube")  # a search's start, and where it may go
MODELS: dict[str, dict[str, Any]] = {  # with the norm of BEGAN-CS, so that alpha is all that differs
    "BEGAN": {"alpha": 0.0},
    "BEGAN-CS": {"alpha": PRESETS["began_cs"]["alpha"]},
    "ALI": {},  # with what its search finds
}
ALI_TRIED = [{"lr": lr, "tanh": tanh} for tanh in (0, 1) for lr in (2e-4, 5e-4, 1e-3)]
SEARCH_SEED = 100  # none of those reported
GAMMA = {"faces": 0.9, "photographs": 0.7}


@dataclass(frozen=True, kw_only=True)
class Lab(runner.Lab):
    """The scale of the study: how long is searched for how many images, and on how many codes the rest is measured."""

    lr: float = 1e-3
    window: int = 50
    long: int = 10_000  # iterations of a search, as many as BEGAN-CS 4.5 has
    short: int = 2000
    restarts: int = 4
    restarted: int = 500  # iterations of each
    images: int = 48  # searched for
    many: int = 1000  # encoded in one shot
    frames: int = 11  # of a walk from one image to the next
    shown: int = 8  # images kept for the eye
    walks: int = 2  # and walks
    bases: int = 32  # codes that are swept
    samples: int = 3000  # on which attributes are regressed


@dataclass(frozen=True)
class Inversion(Run):
    """A pair of networks to train, and then to search."""

    @property
    def searched(self) -> bool:
        """Whether codes are searched for in it."""
        return self.group == "report" and self.model != "ALI"

    def work(self, lab: Lab) -> int:
        """Return the steps in it, those of searches at a third."""
        return self.steps + self.searched * (lab.long + 3 * lab.short + lab.restarted) // 3

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return its config, ALI's knobs, and what its measures depend on."""
        config, _ = resolve(self, lab)
        depends = {"config": config.to_dict(), "knobs": ALI.knobs, "ways": [RANGES, WAYS]}
        return depends | {"measures": lab.measures(self.data)}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Train the networks unless an earlier call did, and measure them; tensors are kept of rendered faces alone."""
        model = train(self, lab, place / "run", device, advance).cpu().requires_grad_(False)
        row, left = measure_run(self, model, lab, advance)
        kept = left if self.group == "report" else {}
        return Made(
            [rounded({**row, "name": self.name, **provenance(device)})],
            {"left": {f"{kind}/{self.name}": part for kind, part in kept.items()}},
        )


def resolve(job: Inversion, lab: Lab) -> tuple[TrainConfig, dict[str, float]]:
    """Return a job's config, and the knobs of ALI that its setting has."""
    setting = {"norm": "l2", "gamma": GAMMA[job.data], **job.setting, "seed": job.seed, "steps": job.steps}
    knobs = {name: setting.pop(name) for name in ALI.knobs if name in setting}
    return lab.config(job.data, **setting, log_every=lab.window), knobs


def train(job: Inversion, lab: Lab, folder: Path, device: torch.device, advance: Advance) -> Began:
    """Return the networks of a job, from `folder` if they were trained before."""
    config, knobs = resolve(job, lab)
    game: Update | Turns = ALI(config, device, **knobs) if job.model == "ALI" else Update(config, device)
    weights = folder / "model.safetensors"
    if weights.exists():
        game.model.load_state_dict(load_file(weights))
        advance(job.steps)
        return game.model
    images, _ = lab.pictures(job.data)
    for step, x in enumerate(Batches(images, config.batch, device=device, seed=job.seed).starting_at(0), 1):
        game(x)
        if step % config.log_every == 0:
            game.take_rows()
            advance(config.log_every)
        if step == job.steps:
            break
    runner.save_tensors(weights, game.model.state_dict())
    return game.model


class Columns:
    """Attributes as numbers that can be added and compared: those that a reader reads, in standard deviations of faces.

    A continuous attribute is one column, a categorical one a column for each level, 1 where it is that level, before
    scaling. `names` has the columns, "beard: full" for a level.
    """

    def __init__(self, reader: Reader, real: Tensor):
        self.numbers, self.choices = reader.readable(CONTINUOUS), reader.readable(CATEGORICAL)
        levels = [f"{ATTRIBUTES[c].name}: {level}" for c in self.choices for level in ATTRIBUTES[c].levels]
        self.names = [ATTRIBUTES[c].name for c in self.numbers] + levels
        self.std = self._raw(real).std(0)

    def _raw(self, attributes: Tensor) -> Tensor:
        chosen = [attributes[:, [c]] == torch.arange(len(ATTRIBUTES[c].levels)) for c in self.choices]
        return torch.cat([attributes[:, self.numbers], *(levels.float() for levels in chosen)], 1)

    def __call__(self, attributes: Tensor) -> Tensor:
        """Return the columns of attributes `(B, len(ATTRIBUTES))`: `(B, len(names))`."""
        return self._raw(attributes) / self.std


def fidelity(read: Tensor, true: Tensor, reader: Reader) -> dict[str, float]:
    """Return how much of each readable attribute is kept: 1 all, 0 no more than the best constant guess has.

    R^2 of a continuous attribute, (accuracy - base rate) / (1 - base rate) of a categorical one; below 0 is worse than
    a guess. Shapes: `(B, len(ATTRIBUTES))` twice.
    """
    values = {}
    for column in reader.readable([*CONTINUOUS, *CATEGORICAL]):
        guess, truth = read[:, column], true[:, column]
        if column in CATEGORICAL:
            base = truth.long().bincount().max() / len(truth)
            value = ((guess == truth).float().mean() - base) / (1 - base)
        else:
            value = 1 - (guess - truth).square().mean() / truth.var(correction=0)
        values[ATTRIBUTES[column].name] = value.item()
    return values


@torch.no_grad()
def encode(model: Began, x: Tensor) -> Tensor:
    """Return Enc(x), a few images at a time."""
    return torch.cat([model.discriminator.encode(part) for part in x.split(64)])


def error_of(images: Tensor, x: Tensor) -> float:
    """Return the mean |difference| of pixels in [-1, 1]."""
    return distance(images, x, "l1").mean().item()


def least_seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Return the least time that a call took."""

    def once() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return min(once() for _ in range(repeats))


def instants(last: int) -> list[int]:
    """Return 0 and iterations at even ratios up to the last: eight in every factor of ten."""
    return sorted({0, last, *(round(10 ** (i / 8)) for i in range(40) if 10 ** (i / 8) < last)})


def search_codes(
    model: Began, x: Tensor, h: Tensor, lab: Lab, rng: torch.Generator, advance: Advance
) -> dict[str, Found]:
    """Search the codes of images from random codes and from theirs, where they like and in the cube of z."""
    G, found = model.generator, {}
    starts = {"random": model.noise(len(x), rng), "encoded": h}
    for way in WAYS:
        start, _, cube = way.partition(", ")
        iterations = lab.long if way == "random" else lab.short
        found[way] = search(G, x, starts[start], iterations=iterations, bound=1.0 if cube else None)
        advance(iterations // 3)
    more = model.noise(lab.restarts * len(x), rng).view(lab.restarts, len(x), -1)
    found["restarts"] = search(G, x, more, iterations=lab.restarted)
    advance(lab.restarted // 3)
    return found


@torch.no_grad()
def measure_errors(
    model: Began, held_out: Tensor, trained_on: Tensor, found: dict[str, Found], h: Tensor, many: int
) -> Row:
    """Return pixel errors and times of all ways back to an image, and what they are to be held against."""
    G, D = model.generator, model.discriminator
    x = to_unit(held_out[: len(h)])
    several = to_unit(held_out[:many])
    row: Row = {
        "one_shot": error_of(generate(G, h), x),
        "one_shot_many": error_of(generate(G, encode(model, several)), several),
        "autoencoder": error_of(D(x), x),
        "mean": error_of(to_unit(trained_on).mean(0).expand_as(x), x),
    }
    if not found:
        return row
    for way in WAYS:
        trace = found[way].trace.mean(1)
        at = instants(len(trace) - 1)
        row[way] = {"iterations": at, "error": trace[at].tolist(), "largest": found[way].z.abs().amax(1).mean().item()}
    restarts = found["restarts"].error
    row["restarts"] = [restarts[:count].amin(0).mean().item() for count in range(1, len(restarts) + 1)]
    row["seconds"] = {"one_shot": least_seconds(lambda: generate(G, D.encode(x)))}
    with torch.enable_grad():
        row["seconds"]["iteration"] = least_seconds(lambda: search(G, x, h, iterations=50)) / 50
    # iterations after which the search has come as low as the one shot
    random = found["random"].trace.mean(1)
    row["overtaken"] = int((random > row["one_shot"]).sum())
    return row


@torch.no_grad()
def measure_paths(
    model: Began, x: Tensor, codes: dict[str, Tensor], reader: Reader | None, lab: Lab
) -> tuple[Row, Tensor]:
    """Interpolate between images, pixel by pixel and through their codes, and measure the way; return frames too.

    step: the largest of the steps over their mean, 1 where the way is even; length: their sum over the distance of the
    ends; sharpness: of the frame half-way, over that of the ends; for rendered faces the distance to the nearest face,
    half-way and at the ends. Frames: uint8 `(ways, walks, frames, C, H, W)`.
    """
    row, frames = {}, []
    ways = {"pixels": interpolate(x[0::2], x[1::2], lab.frames)}
    for name, z in codes.items():
        for spherical in (False, True):
            way = interpolate(z[0::2], z[1::2], lab.frames, spherical=spherical)
            images = generate(model.generator, way.flatten(0, 1)).unflatten(0, way.shape[:2])
            ways[f"{name}, {'spherical' if spherical else 'linear'}"] = images
    for name, way in ways.items():
        way = to_unit(to_pixels(way.flatten(0, 1))).unflatten(0, way.shape[:2])
        steps = (way[1:] - way[:-1]).abs().flatten(2).mean(2)
        whole = (way[-1] - way[0]).abs().flatten(1).mean(1)
        ends, middle = way[[0, -1]].flatten(0, 1), way[lab.frames // 2]
        row[name] = {
            "step": (steps.amax(0) / steps.mean(0)).mean().item(),
            "length": (steps.sum(0) / whole).mean().item(),
            "sharpness": sharpness(middle) / sharpness(ends),
        }
        if reader is not None:
            with torch.enable_grad():
                row[name] |= {
                    "nearest_middle": nearest_face(to_pixels(middle), reader).distance.mean().item(),
                    "nearest_ends": nearest_face(to_pixels(ends), reader).distance.mean().item(),
                }
        frames.append(to_pixels(way[:, : lab.walks].transpose(0, 1)))
    return row, torch.stack(frames)


@torch.no_grad()
def measure_sweeps(
    model: Began, reader: Reader, columns: Columns, bases: int, rng: torch.Generator
) -> tuple[Row, Tensor]:
    """Sweep single dimensions and random directions, and return what moves, with all effects.

    An effect is the change of a column of `Columns` over a sweep. agreement: over codes, the size of the mean effect
    over the mean of its size, of the column that a direction moves most, on average over directions. Effects:
    `(2, ranges, N_z, columns)`, axes before random directions, means over codes.
    """
    z = model.noise(bases, rng)
    axes = torch.eye(model.n_z)
    turned = torch.linalg.qr(torch.randn(model.n_z, model.n_z, generator=rng)).Q
    row: Row = {"columns": columns.names}
    effects = []
    for kind, directions in (("axes", axes), ("turned", turned)):
        parts = []
        for reach in RANGES:
            swept = torch.stack([sweep(z, d, torch.tensor([-reach, reach])) for d in directions])
            seen = columns(reader.read(to_pixels(generate(model.generator, swept.flatten(0, 2)))).attributes)
            low, high = seen.unflatten(0, swept.shape[:3]).unbind(1)
            change = high - low
            mean = change.mean(1)
            most = mean.abs().argmax(1)
            each = change.abs().mean(1)
            along = torch.arange(len(directions))
            agreement = mean.abs()[along, most] / each[along, most].clamp(min=1e-12)
            row[f"{kind}, {reach:g}"] = {"agreement": agreement.mean().item()}
            parts.append(mean)
        effects.append(torch.stack(parts))
    for reach in (0.0, *RANGES):  # what is left of a face at the end of a sweep, of another dimension for each code
        swept = z.clone()
        if reach:
            swept.diagonal().fill_(reach)
        with torch.enable_grad():
            faces = to_pixels(generate(model.generator, swept))
            row[f"nearest, {reach:g}"] = nearest_face(faces, reader).distance.mean().item()
    return row, torch.stack(effects)


@torch.no_grad()
def additivity(model: Began, bases: int, rng: torch.Generator) -> Row:
    """Set two numbers of z, one, the other and both, and return how far the changes of the picture add up.

    `|both - first - second| / |both|` over pixels, on average over 64 pairs of dimensions and `bases` codes, for each
    of `RANGES`.
    """
    z, row = model.noise(bases, rng), {}
    pairs = torch.rand(64, model.n_z, generator=rng).argsort(1)[:, :2]
    start = generate(model.generator, z)
    for reach in RANGES:
        both, missing = [], []
        for i, j in pairs.tolist():
            codes = [z.clone() for _ in range(3)]
            codes[0][:, i] = codes[2][:, i] = reach
            codes[1][:, j] = codes[2][:, j] = reach
            first, second, together = (generate(model.generator, code) - start for code in codes)
            both.append(together.flatten(1).norm(dim=1))
            missing.append((together - first - second).flatten(1).norm(dim=1))
        row[f"{reach:g}"] = (torch.stack(missing).mean() / torch.stack(both).mean()).item()
    return row


@torch.no_grad()
def measure_directions(model: Began, reader: Reader, columns: Columns, samples: int, rng: torch.Generator) -> Row:
    """Regress attributes on codes, and compare three ways to move one: along its slope, with the others held, one axis.

    Of each continuous column that codes tell more than a tenth of: the change reached, where one of one standard
    deviation of the samples was asked, and the root mean square of the other columns' changes, in their standard
    deviations. Also scores of disentanglement, of the axes and of axes turned at random.
    """

    def seen(z: Tensor) -> Tensor:
        return columns(reader.read(to_pixels(generate(model.generator, z))).attributes)

    z = model.noise(samples, rng)
    values = seen(z)
    some = values.std(0) > 0.05  # a level that never comes up can't be read off a code
    names = [name for name, there in zip(columns.names, some.tolist(), strict=True) if there]
    values = values[:, some]
    slopes, r2 = regress(z, values)
    std = values.std(0)
    turned = torch.linalg.qr(torch.randn(model.n_z, model.n_z, generator=rng)).Q
    scores = {
        name: disentanglement(importances(codes, values))._asdict()
        for name, codes in (("axes", z), ("turned", z @ turned))
    }
    row: Row = {"r2": dict(zip(names, r2.tolist(), strict=True)), "scores": scores, "moves": {}}
    new = model.noise(256, rng)
    before = seen(new)[:, some]
    for i, name in enumerate(names):
        if ":" in name or r2[i] < 0.1:
            continue
        asked = torch.zeros(len(names))
        asked[i] = std[i]
        axis = torch.zeros(model.n_z)
        best = slopes[i].abs().argmax()
        axis[best] = std[i] / slopes[i, best]
        steps = {"slope": move(slopes[[i]], asked[[i]]), "others held": move(slopes, asked), "one axis": axis}
        row["moves"][name] = {}
        for way, step in steps.items():
            change = (seen(new + step)[:, some] - before).mean(0) / std
            others = torch.cat([change[:i], change[i + 1 :]])
            row["moves"][name][way] = {
                "reached": change[i].item(),
                "others": others.square().mean().sqrt().item(),
                "length": step.norm().item(),
            }
    return row


def measure_run(job: Inversion, model: Began, lab: Lab, advance: Advance) -> tuple[Row, dict[str, Tensor]]:
    """Search and sweep the networks of a job, and return its row and the tensors that it leaves."""
    images, held_out = lab.pictures(job.data)
    x = to_unit(held_out[: lab.images])
    rng = torch.Generator().manual_seed(2**40 + job.seed)
    h = model.discriminator.encode(x)
    reader = lab.reader(job.data)
    found = search_codes(model, x, h, lab, rng, advance) if job.searched else {}
    samples = generate(model.generator, model.noise(1000, rng))
    row: Row = {**vars(job), "errors": measure_errors(model, held_out, images.pixels, found, h, lab.many)}
    row["sample_std"] = pixel_std(samples)
    left: dict[str, Tensor] = {}
    back = {"one shot": generate(model.generator, h), "D(x)": model.discriminator(x)}
    back |= {way: generate(model.generator, found[way].z) for way in WAYS if found}
    if reader is not None:
        true = sample_attributes(1, range(lab.images))
        row["kept"] = {name: fidelity(reader.read(to_pixels(v)).attributes, true, reader) for name, v in back.items()}
        row["kept"]["the picture"] = fidelity(reader.read(held_out[: lab.images]).attributes, true, reader)
        many, true = held_out[: lab.many], sample_attributes(1, range(lab.many))
        one_shot = generate(model.generator, encode(model, to_unit(many)))
        row["kept"]["one shot, many"] = fidelity(reader.read(to_pixels(one_shot)).attributes, true, reader)
        left["back"] = torch.stack([to_pixels(v[: lab.shown]) for v in back.values()])
    if found:
        codes = {"anywhere": found["random"].z, "in the cube": found["random, in the cube"].z}
        row["paths"], frames = measure_paths(model, x, codes, reader, lab)
        row["additivity"] = additivity(model, lab.bases, rng)
        if reader is not None:
            left["frames"] = frames
            columns = Columns(reader, sample_attributes(2, range(4000)))
            row["sweeps"], left["effects"] = measure_sweeps(model, reader, columns, lab.bases, rng)
            row["directions"] = measure_directions(model, reader, columns, lab.samples, rng)
    return row, left


def plan(lab: Lab) -> Plan:
    """Search ALI's setting, then train and search all models."""

    def in_order(jobs: Sequence[Inversion]) -> list[Inversion]:
        return sorted(jobs, key=lambda job: job.name)

    steps = lab.steps or 3000
    rows = yield in_order([Inversion("search", "faces", "ALI", tried, SEARCH_SEED, steps) for tried in ALI_TRIED])
    best = min(rows, key=lambda row: row["errors"]["one_shot_many"], default=None)  # none without faces
    yield in_order(
        [
            Inversion("report", data, model, best["setting"] if best and model == "ALI" else setting, seed, steps)
            for data in GAMMA
            for seed in range(lab.seeds)
            for model, setting in MODELS.items()
            if best or model != "ALI"
        ]
    )


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact: train, search and sweep in `work`, and write what chapter 8 needs to `out`.

    ALI has the setting that lost least in one shot, of those tried on rendered faces. `options.photographs` is a folder
    of pictures of the reader's own; without it their rows stay as they are in `out`. Of them only numbers are kept. A
    stopped call goes on where it was.
    """
    lab = runner.prepare(Lab(), options, work)
    runner.keep(runner.carry_out([plan(lab)], lab, work, device), out, lab)


def load_inversions(data: str, model: str, group: str = "report") -> list[Row]:
    """Return the committed rows of a model on "faces" or "photographs", a seed each."""
    return runner.committed_rows("inversions", group=group, data=data, model=model)


def load_left(kind: str, row: Row) -> Tensor:
    """Return what a row on rendered faces left: back, frames (`measure_paths`) or effects (`measure_sweeps`).

    back: uint8 `(ways, 8, 3, 16, 16)`, the first images in one shot, as D(x), then as found in each of `WAYS`.
    """
    return runner.committed_tensors("inversions", "left")[f"{kind}/{row['name']}"]
