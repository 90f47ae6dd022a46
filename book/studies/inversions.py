"""Codes found and moved in networks of five seeds each: the measurements behind chapter 8, as one artifact."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from began.codes.search import Found, disentanglement, importances, interpolate, move, regress, search, sweep
from began.config import PRESETS, TrainConfig
from began.files import atomic_write
from began.images.batches import Batches
from began.images.faces import ATTRIBUTES, sample_attributes
from began.images.pixels import pixel_std, to_pixels, to_unit
from began.losses import distance
from began.measure.distances import sharpness
from began.measure.reader import CATEGORICAL, CONTINUOUS, Reader, load_reader, nearest_face
from began.passes import Began
from began.runs.artifacts import Options, artifacts_folder
from began.runs.results import generate
from began.runs.saving import provenance
from began.step import Update
from studies.gammas import BASE, SEEDS, pictures, rounded
from studies.image_gans import ALI, Turns
from studies.keys import fingerprint, measures
from studies.workers import Row, Workers

STEPS = 3000
LONG = 10_000  # iterations of a search, as many as BEGAN-CS 4.5 has
SHORT = 2000
RESTARTS, RESTARTED = 4, 500
IMAGES = 48  # searched for
MANY = 1000  # encoded in one shot
FRAMES = 11  # of a walk from one image to the next
SHOWN, WALKS = 8, 2  # images and walks kept for the eye
BASES = 32  # codes that are swept
SAMPLES = 3000  # on which attributes are regressed
RANGES = (1.0, 3.0, 5.0)  # of sweeps: the cube that z is drawn from, and up to 5 as in BEGAN-CS 4.7
WAYS = ("random", "encoded", "random, in the cube", "encoded, in the cube")  # a search's start, and where it may go
MODELS: dict[str, dict[str, Any]] = {  # with the norm of BEGAN-CS, so that alpha is all that differs
    "BEGAN": {"alpha": 0.0},
    "BEGAN-CS": {"alpha": PRESETS["began_cs"]["alpha"]},
    "ALI": {},  # with what its search finds
}
ALI_TRIED = [{"lr": lr, "tanh": tanh} for tanh in (0, 1) for lr in (2e-4, 5e-4, 1e-3)]
SEARCH_SEED = 100  # none of those reported
SETTINGS = {"faces": {"lr": 1e-3, "gamma": 0.9}, "photographs": {"lr": 1e-3, "gamma": 0.7}}


class Inversion(NamedTuple):
    """A pair of networks to train, and then to search: `setting` changes fields of `BASE`, or knobs of the model."""

    group: str
    data: str
    model: str
    setting: dict[str, float]
    seed: int
    steps: int

    @property
    def work(self) -> int:
        """The steps in it, those of searches at a third."""
        searched = LONG + 3 * SHORT + RESTARTED if self.group == "report" and self.model != "ALI" else 0
        return self.steps + searched // 3

    @property
    def name(self) -> str:
        """Its folder among all."""
        setting = [f"{name}={value:g}" for name, value in sorted(self.setting.items())]
        return "/".join([self.group, "-".join([self.data, self.model, *setting, str(self.seed)])])


def resolved(job: Inversion) -> tuple[TrainConfig, dict[str, float]]:
    """Return a job's config, and the knobs of ALI that its setting has."""
    setting = {**BASE, "norm": "l2", **SETTINGS[job.data], **job.setting, "seed": job.seed, "steps": job.steps}
    knobs = {name: setting.pop(name) for name in ALI.knobs if name in setting}
    return TrainConfig.from_dict({**setting, "log_every": 50}), knobs


def place_of(job: Inversion, folder: Path, photographs: Path) -> Path:
    """Return where a job's results lie below a folder: what was made under other settings lies elsewhere."""
    config, _ = resolved(job)
    sizes = [LONG, SHORT, RESTARTS, RESTARTED, IMAGES, MANY, FRAMES, SHOWN, WALKS, BASES, SAMPLES, RANGES, WAYS]
    depends = {"job": job, "config": config.to_dict(), "knobs": ALI.knobs, "sizes": sizes}
    return folder / f"{job.name}-{fingerprint(depends | {'measures': measures(job.data, photographs)})}"


def trained(job: Inversion, place: Path, photographs: Path, device: torch.device, advance: Callable) -> Began:
    """Return the networks of a job, from `place` if they were trained before."""
    config, knobs = resolved(job)
    game: Update | Turns = ALI(config, device, **knobs) if job.model == "ALI" else Update(config, device)
    weights = place / "model.safetensors"
    if weights.exists():
        game.model.load_state_dict(load_file(weights))
        advance(job.steps)
        return game.model
    images, _ = pictures(job.data, photographs)
    for step, x in enumerate(Batches(images, config.batch, device=device, seed=job.seed).starting_at(0), 1):
        game(x)
        if step % config.log_every == 0:
            game.read()
            advance(config.log_every)
        if step == job.steps:
            break
    with atomic_write(weights) as temporary:
        save_file({key: value.contiguous() for key, value in game.model.state_dict().items()}, temporary)
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


def kept(read: Tensor, true: Tensor, reader: Reader) -> dict[str, float]:
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
def encoded(model: Began, x: Tensor) -> Tensor:
    """Return Enc(x), a few images at a time."""
    return torch.cat([model.discriminator.encode(part) for part in x.split(64)])


def error_of(images: Tensor, x: Tensor) -> float:
    """Return the mean |difference| of pixels in [-1, 1]."""
    return distance(images, x, "l1").mean().item()


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Return the least time that a call took."""

    def once() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return min(once() for _ in range(repeats))


def instants(last: int) -> list[int]:
    """Return 0 and iterations at even ratios up to the last: eight in every factor of ten."""
    return sorted({0, last, *(round(10 ** (i / 8)) for i in range(40) if 10 ** (i / 8) < last)})


def searched(model: Began, x: Tensor, h: Tensor, rng: torch.Generator, advance: Callable) -> dict[str, Found]:
    """Search the codes of images from random codes and from theirs, where they like and in the cube of z."""
    G, found = model.generator, {}
    starts = {"random": model.noise(len(x), rng), "encoded": h}
    for way in WAYS:
        start, _, cube = way.partition(", ")
        iterations = LONG if way == "random" else SHORT
        found[way] = search(G, x, starts[start], iterations=iterations, bound=1.0 if cube else None)
        advance(iterations // 3)
    more = model.noise(RESTARTS * len(x), rng).view(RESTARTS, len(x), -1)
    found["restarts"] = search(G, x, more, iterations=RESTARTED)
    advance(RESTARTED // 3)
    return found


@torch.no_grad()
def errors(model: Began, held_out: Tensor, train: Tensor, found: dict[str, Found], h: Tensor) -> Row:
    """Return pixel errors and times of all ways back to an image, and what they are to be held against."""
    G, D = model.generator, model.discriminator
    x = to_unit(held_out[: len(h)])
    many = to_unit(held_out[:MANY])
    row: Row = {
        "one_shot": error_of(generate(G, h), x),
        "one_shot_many": error_of(generate(G, encoded(model, many)), many),
        "autoencoder": error_of(D(x), x),
        "mean": error_of(to_unit(train).mean(0).expand_as(x), x),
    }
    if not found:
        return row
    for way in WAYS:
        trace = found[way].trace.mean(1)
        at = instants(len(trace) - 1)
        row[way] = {"iterations": at, "error": trace[at].tolist(), "largest": found[way].z.abs().amax(1).mean().item()}
    restarts = found["restarts"].error
    row["restarts"] = [restarts[:count].amin(0).mean().item() for count in range(1, RESTARTS + 1)]
    row["seconds"] = {"one_shot": seconds(lambda: generate(G, D.encode(x)))}
    with torch.enable_grad():
        row["seconds"]["iteration"] = seconds(lambda: search(G, x, h, iterations=50)) / 50
    # iterations after which the search has come as low as the one shot
    random = found["random"].trace.mean(1)
    row["overtaken"] = int((random > row["one_shot"]).sum())
    return row


@torch.no_grad()
def paths(model: Began, x: Tensor, codes: dict[str, Tensor], reader: Reader | None) -> tuple[Row, Tensor]:
    """Interpolate between images, pixel by pixel and through their codes, and measure the way; return frames too.

    step: the largest of the steps over their mean, 1 where the way is even; length: their sum over the distance of the
    ends; sharpness: of the frame half-way, over that of the ends; for rendered faces the distance to the nearest face,
    half-way and at the ends. Frames: uint8 `(ways, WALKS, FRAMES, C, H, W)`.
    """
    row, frames = {}, []
    ways = {"pixels": interpolate(x[0::2], x[1::2], FRAMES)}
    for name, z in codes.items():
        for spherical in (False, True):
            way = interpolate(z[0::2], z[1::2], FRAMES, spherical=spherical)
            images = generate(model.generator, way.flatten(0, 1)).unflatten(0, way.shape[:2])
            ways[f"{name}, {'spherical' if spherical else 'linear'}"] = images
    for name, way in ways.items():
        way = to_unit(to_pixels(way.flatten(0, 1))).unflatten(0, way.shape[:2])
        steps = (way[1:] - way[:-1]).abs().flatten(2).mean(2)
        whole = (way[-1] - way[0]).abs().flatten(1).mean(1)
        ends, middle = way[[0, -1]].flatten(0, 1), way[FRAMES // 2]
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
        frames.append(to_pixels(way[:, :WALKS].transpose(0, 1).flatten(0, 1)).unflatten(0, (WALKS, FRAMES)))
    return row, torch.stack(frames)


@torch.no_grad()
def sweeps(model: Began, reader: Reader, columns: Columns, rng: torch.Generator) -> tuple[Row, Tensor]:
    """Sweep single dimensions and random directions, and return what moves, with all effects.

    An effect is the change of a column of `Columns` over a sweep. agreement: over codes, the size of the mean effect
    over the mean of its size, of the column that a direction moves most, on average over directions. Effects:
    `(2, ranges, N_z, columns)`, axes before random directions, means over codes.
    """
    z = model.noise(BASES, rng)
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
def additivity(model: Began, rng: torch.Generator) -> Row:
    """Set two numbers of z, one, the other and both, and return how far the changes of the picture add up.

    `|both - first - second| / |both|` over pixels, on average over 64 pairs of dimensions and `BASES` codes, for each
    of `RANGES`.
    """
    z, row = model.noise(BASES, rng), {}
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
def directions(model: Began, reader: Reader, columns: Columns, rng: torch.Generator) -> Row:
    """Regress attributes on codes, and compare three ways to move one: along its slope, with the others held, one axis.

    Of each continuous column that codes tell more than a tenth of: the change reached, where one of one standard
    deviation of the samples was asked, and the root mean square of the other columns' changes, in their standard
    deviations. Also scores of disentanglement, of the axes and of axes turned at random.
    """

    def seen(z: Tensor) -> Tensor:
        return columns(reader.read(to_pixels(generate(model.generator, z))).attributes)

    z = model.noise(SAMPLES, rng)
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


def measured(
    job: Inversion, place: Path, photographs: Path, device: torch.device, advance: Callable[[int], object]
) -> tuple[Row, dict[str, Tensor]]:
    """Train or load the networks of a job, and return its row and the tensors that it leaves."""
    model = trained(job, place, photographs, device, advance).cpu().requires_grad_(False)
    images, held_out = pictures(job.data, photographs)
    x = to_unit(held_out[:IMAGES])
    rng = torch.Generator().manual_seed(2**40 + job.seed)
    h = model.discriminator.encode(x)
    reader = load_reader(BASE["size"]) if job.data == "faces" else None
    found = searched(model, x, h, rng, advance) if job.group == "report" and job.model != "ALI" else {}
    samples = generate(model.generator, model.noise(1000, rng))
    row: Row = {**job._asdict(), "errors": errors(model, held_out, images.pixels, found, h)}
    row["sample_std"] = pixel_std(samples)
    left: dict[str, Tensor] = {}
    back = {"one shot": generate(model.generator, h), "D(x)": model.discriminator(x)}
    back |= {way: generate(model.generator, found[way].z) for way in WAYS if found}
    if reader is not None:
        true = sample_attributes(1, range(IMAGES))
        row["kept"] = {name: kept(reader.read(to_pixels(v)).attributes, true, reader) for name, v in back.items()}
        row["kept"]["the picture"] = kept(reader.read(held_out[:IMAGES]).attributes, true, reader)
        many, true = held_out[:MANY], sample_attributes(1, range(MANY))
        one_shot = generate(model.generator, encoded(model, to_unit(many)))
        row["kept"]["one shot, many"] = kept(reader.read(to_pixels(one_shot)).attributes, true, reader)
        left["back"] = torch.stack([to_pixels(v[:SHOWN]) for v in back.values()])
    if found:
        codes = {"anywhere": found["random"].z, "in the cube": found["random, in the cube"].z}
        row["paths"], frames = paths(model, x, codes, reader)
        row["additivity"] = additivity(model, rng)
        if reader is not None:
            left["frames"] = frames
            columns = Columns(reader, sample_attributes(2, range(4000)))
            row["sweeps"], left["effects"] = sweeps(model, reader, columns, rng)
            row["directions"] = directions(model, reader, columns, rng)
    return rounded({**row, "name": job.name, **provenance(device)}), left


def carried_out(
    job: Inversion, folder: Path, photographs: Path, device: torch.device, advance: Callable[[int], object]
) -> list[Row]:
    """Do a job, unless an earlier call did; a worker's part of `make`."""
    place = place_of(job, folder, photographs)
    if (place / "row.json").exists():
        advance(job.work)
    else:
        row, left = measured(job, place, photographs, device, advance)
        with atomic_write(place / "left.safetensors") as temporary:
            save_file({key: value.cpu().contiguous() for key, value in left.items()}, temporary)
        with atomic_write(place / "row.json") as temporary:
            temporary.write_text(json.dumps(row) + "\n")
    return [json.loads((place / "row.json").read_text())]


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact: train, search and sweep in `work`, and write what chapter 8 needs to `out`.

    ALI has the setting that lost least in one shot, of those tried on rendered faces. `options.photographs` is a folder
    of pictures of the reader's own; without it their rows stay as they are in `out`. Of them only numbers are kept. A
    stopped call goes on where it was.
    """
    photographs = options.photographs
    there = [data for data in SETTINGS if data == "faces" or photographs.is_dir()]
    tried = [Inversion("search", "faces", "ALI", setting, SEARCH_SEED, STEPS) for setting in ALI_TRIED]
    rows = sorted(_done(tried, work, photographs, device), key=lambda row: row["name"])
    best = min(rows, key=lambda row: row["errors"]["one_shot_many"])["setting"]
    todo = [
        Inversion("report", data, model, best if model == "ALI" else setting, seed, STEPS)
        for data in there
        for seed in SEEDS
        for model, setting in MODELS.items()
    ]
    rows += sorted(_done(todo, work, photographs, device), key=lambda row: row["name"])
    rows += [row for row in _rows(out) if row["data"] not in there]
    places = {job.name: place_of(job, work, photographs) for job in todo}
    left = {
        f"{kind}/{row['name']}": part
        for row in rows
        if row["data"] == "faces" and row["group"] == "report"
        for kind, part in load_file(places[row["name"]] / "left.safetensors").items()
    }
    with atomic_write(out / "rows.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with atomic_write(out / "left.safetensors") as temporary:
        save_file(left, temporary)


def _done(jobs: Iterable[Inversion], folder: Path, photographs: Path, device: torch.device) -> Iterator[Row]:
    with Workers(device) as workers:
        for job in jobs:
            workers.call(carried_out, job, folder, photographs)
        for rows in workers.finished():
            yield from rows


def _rows(out: Path) -> list[Row]:
    path = out / "rows.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def load_inversions(data: str, model: str, group: str = "report") -> list[Row]:
    """Return the committed rows of a model on "faces" or "photographs", a seed each."""
    rows = _rows(artifacts_folder() / "inversions")
    return [row for row in rows if (row["group"], row["data"], row["model"]) == (group, data, model)]


def load_left(kind: str, row: Row) -> Tensor:
    """Return what a row on rendered faces left: back, frames (see `paths`) or effects (see `sweeps`).

    back: uint8 `(ways, SHOWN, 3, 16, 16)`, the first images in one shot, as D(x), then as found in each of `WAYS`.
    """
    return load_file(artifacts_folder() / "inversions/left.safetensors")[f"{kind}/{row['name']}"]
