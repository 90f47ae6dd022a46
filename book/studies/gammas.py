"""Many small image runs, each watched while it trains: the measurements behind several chapters, as one artifact."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from began.config import TrainConfig
from began.equilibrium import Equilibrium
from began.files import atomic_write
from began.images.batches import Batches
from began.images.faces import rendered_faces
from began.images.pixels import to_pixels, to_unit
from began.images.sources import Pictures, open_images
from began.losses import reconstruction_loss
from began.measure.distances import curve_metrics, measure
from began.measure.reader import load_reader
from began.measure.wasserstein import loss_statistics
from began.passes import Began
from began.runs.artifacts import Options, artifacts_folder
from began.runs.results import generate, summary, windows
from began.runs.saving import provenance
from began.step import Record, Update
from studies.image_gans import EBGAN, WGANGP, AlternatingBEGAN, Turns
from studies.keys import fingerprint, measures
from studies.workers import Row, Workers

BASE: dict[str, Any] = {"size": 16, "n": 16, "batch": 16, "lr": 5e-4, "lambda_k": 0.03, "gamma": 0.9, "lr_patience": 0}
WINDOW = 20  # steps whose mean is one point of a curve
HELD_OUT = 2000  # pictures that no run trains on, at most
COUNT = 1000  # samples at a checkpoint; twice as many at the end
SHOWN = 64  # samples kept for the eye
SEEDS = range(5)


class Trial(NamedTuple):
    """One run: `setting` changes fields of `BASE`, or knobs of the model; it is read off at `checkpoints` places."""

    group: str
    data: str
    model: str
    setting: dict[str, float]
    seed: int
    steps: int
    checkpoints: int

    @property
    def work(self) -> int:
        """The steps in it."""
        return self.steps

    @property
    def stops(self) -> list[int]:
        """The steps at which it is read off, denser at the start."""
        return [round(self.steps * (i / self.checkpoints) ** 1.5) for i in range(1, self.checkpoints + 1)]

    @property
    def key(self) -> str:
        """The name of the run within its group."""
        setting = [f"{name}={value:g}" for name, value in sorted(self.setting.items())]
        return "-".join([self.data, self.model, *setting, str(self.seed)])


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
RIVALS: dict[str, type[Turns]] = {"EBGAN": EBGAN, "WGAN-GP": WGANGP}
SEARCHED = {  # knobs, and the values tried
    "EBGAN": (("margin", "pull"), ((0.05, 0.0), (0.1, 0.0), (0.2, 0.0), (0.1, 0.1), (0.2, 0.1))),
    "WGAN-GP": (("lr", "critic_steps"), ((5e-4, 5), (1e-3, 5), (2e-4, 1), (5e-4, 1), (1e-3, 1))),
}
SEARCH_SEED = 100  # none of those reported
# lambda_k is about BASE's times L(x) on rendered faces: the same speed there. The scale makes no difference (a test)
SCALE_FREE: dict[str, float] = {"lambda_k": 0.002, "loss_scale": 0.01, "scale_free": 1}
CHANNELS = {"faces": 3, "photographs": 3, "digits": 1}


def searches() -> list[Trial]:
    """List the trials among which the rivals' settings are chosen."""
    return [
        Trial("search", "faces", model, dict(zip(knobs, values, strict=True)), SEARCH_SEED, 1000, 1)
        for model, (knobs, choices) in SEARCHED.items()
        for values in choices
    ]


def trials(search: Iterable[Row]) -> list[Trial]:
    """List all other trials: a rival has the setting whose search ended nearest to the real faces."""
    gammas = [
        Trial("gamma", data, "BEGAN", {"gamma": gamma}, seed, 2000, 16)
        for data in ("faces", "photographs")
        for seed in SEEDS
        for gamma in GAMMAS[data]
    ]
    gains = [Trial("gain", "faces", "BEGAN", {"lambda_k": gain}, seed, 1000, 0) for seed in range(3) for gain in GAINS]
    orders = [
        Trial("order", "faces", "BEGAN", {"generator_first": first}, seed, 2000, 16)
        for seed in SEEDS
        for first in (0, 1)
    ]
    paper = {"lambda_k": BASE["lambda_k"]}
    rules = ({**paper, "loss_scale": 1.0}, {**paper, "loss_scale": 0.01}, SCALE_FREE)
    scales = [
        Trial("scale", data, "BEGAN", rule, seed, 400, 0) for data in CHANNELS for seed in SEEDS for rule in rules
    ]
    rows = sorted(search, key=lambda row: row["final"]["reader_frechet"], reverse=True)
    best = {row["model"]: row["setting"] for row in rows}  # the last of each model stays
    rivals = [
        Trial("rivals", data, model, best[model], seed, 2000, 16)
        for data in ("faces", "photographs")
        for seed in SEEDS
        for model in RIVALS
    ]
    # photographs last: whoever has none waits for nothing
    return sorted(gammas + gains + orders + rivals + scales, key=lambda trial: trial.data == "photographs")


@cache
def pictures(data: str, photographs: Path) -> tuple[Pictures, Tensor]:
    """Return the pictures to train on, and those held out, uint8 `(N, C, 16, 16)`: for photographs every tenth."""
    size = BASE["size"]
    if data == "faces":
        return Pictures(rendered_faces(8192, size, seed=0), data), rendered_faces(HELD_OUT, size, seed=1)
    source = f"folder:{photographs}" if data == "photographs" else data
    images = open_images(source, size=size, channels=CHANNELS[data])
    pixels = Batches(images, 1).images
    assert isinstance(pixels, Pictures)
    tenth = torch.arange(len(pixels)) % 10 == 9
    return Pictures(pixels.pixels[~tenth], data), pixels.pixels[tenth][:HELD_OUT]


def resolved(trial: Trial) -> tuple[TrainConfig, dict[str, float]]:
    """Return a trial's config, and the knobs of its model that its setting has."""
    setting = dict(trial.setting)
    knobs = {"loss_scale", *AlternatingBEGAN.knobs, *(name for kind in RIVALS.values() for name in kind.knobs)}
    given = {name: setting.pop(name) for name in knobs & setting.keys()}
    if "scale_free" in setting:
        setting["scale_free"] = bool(setting["scale_free"])
    changes = {**BASE, **setting, "channels": CHANNELS[trial.data], "log_every": WINDOW}
    return TrainConfig.from_dict({**changes, "seed": trial.seed, "steps": trial.steps}), given


def place(trial: Trial, folder: Path, photographs: Path) -> Path:
    """Return where a trial's results lie below a folder: what was made under other settings lies elsewhere."""
    config, _ = resolved(trial)
    depends = {
        "trial": trial,
        "config": config.to_dict(),
        "knobs": [kind.knobs for kind in (AlternatingBEGAN, *RIVALS.values())],
    }
    depends |= {"sizes": [WINDOW, HELD_OUT, COUNT], "measures": measures(trial.data, photographs)}
    return folder / trial.group / f"{trial.key}-{fingerprint(depends)}"


def game(trial: Trial, device: torch.device) -> Update | Turns:
    """Return a trial's networks and the rule by which they move."""
    config, given = resolved(trial)
    if trial.model in RIVALS:
        return RIVALS[trial.model](config, device, **given)
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


def train_trial(
    trial: Trial, place: Path, photographs: Path, device: torch.device, advance: Callable[[int], object]
) -> None:
    """Train one trial and leave in `place` its history, and of each checkpoint samples and per-image losses."""
    images, held_out = pictures(trial.data, photographs)
    play = game(trial, device)
    model = play.model
    z = model.noise(2 * COUNT, torch.Generator(device).manual_seed(2**40 + trial.seed))
    real = to_unit(held_out[:COUNT].to(device))
    rows, samples, losses = [], [], {"real": [], "fake": []}
    for step, x in enumerate(Batches(images, BASE["batch"], device=device, seed=trial.seed).starting_at(0), 1):
        play(x)
        if step % WINDOW == 0:
            rows.append(play.read())
            advance(WINDOW)
        if step in trial.stops:
            v = generate(model.generator, z[:COUNT])
            samples.append(to_pixels(v))
            losses["real"].append(losses_of(model, real))
            losses["fake"].append(losses_of(model, v))
        if step == trial.steps:
            break
    left = {
        "losses": {"history": torch.cat(rows).T, **{name: torch.stack(part) for name, part in losses.items() if part}},
        "samples": {"end": to_pixels(generate(model.generator, z))},
    }
    if samples:
        left["samples"]["curve"] = torch.stack(samples)
    for name, tensors in left.items():
        with atomic_write(place / f"{name}.safetensors") as temporary:
            save_file({key: tensor.cpu().contiguous() for key, tensor in tensors.items()}, temporary)
    record = {"key": trial.key, **trial._asdict(), **provenance(device)}
    with atomic_write(place / "trial.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def measured(trial: Trial, place: Path, photographs: Path) -> Row:
    """Return the row of a trial from what its training left: curve, readings at checkpoints, measures of the end."""
    record = json.loads((place / "trial.json").read_text())
    losses, samples = (load_file(place / f"{name}.safetensors") for name in ("losses", "samples"))
    reader = load_reader(BASE["size"]) if trial.data == "faces" else None
    held_out = pictures(trial.data, photographs)[1]
    history = Record(*losses["history"])
    step, means = windows(history, WINDOW)
    curve = {name: getattr(means, name).tolist() for name in ("loss_real", "loss_fake", "k", "M")}
    saturated = ((history.k <= 0) | (history.k >= 1))[-trial.steps // 10 :]
    row = {**record, "curve": {"step": step.tolist(), **curve}, "readings": {"step": trial.stops}}
    row["final"] = {**summary(history), "saturated": saturated.float().mean().item()}
    if trial.stops:
        at_stops = [curve_metrics(part, held_out[:COUNT], reader) for part in samples["curve"]]
        if trial.model == "BEGAN":
            statistics = map(loss_statistics, losses["real"], losses["fake"])
            at_stops = [{**one, **other} for one, other in zip(at_stops, statistics, strict=True)]
        row["readings"] |= {name: [reading[name] for reading in at_stops] for name in at_stops[0]}
        row["final"] |= measure(samples["end"], held_out, reader)
    return rounded(row)


def rounded(value: Any) -> Any:
    """Return nested lists and dictionaries with their floats cut to five significant digits."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def carried_out(
    trial: Trial, folder: Path, photographs: Path, device: torch.device, advance: Callable[[int], object]
) -> list[Row]:
    """Train and measure a trial, or do what an earlier call left undone; a worker's part of `make`."""
    here = place(trial, folder, photographs)
    if (here / "trial.json").exists():
        advance(trial.steps)
    else:
        train_trial(trial, here, photographs, device, advance)
    if not (here / "row.json").exists():
        row = measured(trial, here, photographs)
        with atomic_write(here / "row.json") as temporary:
            temporary.write_text(json.dumps(row) + "\n")
    return [json.loads((here / "row.json").read_text())]


def carry_out(todo: Iterable[Trial], folder: Path, photographs: Path, device: torch.device) -> list[Row]:
    """Carry out trials, on all cores of a CPU, and return their rows, in the trials' order."""
    todo = list(todo)
    with Workers(device) as workers:
        for trial in todo:
            workers.call(carried_out, trial, folder, photographs)
        rows = {(row["group"], row["key"]): row for found in workers.finished() for row in found}
    return [rows[trial.group, trial.key] for trial in todo]


def real_rows(photographs: Path) -> list[Row]:
    """Measure real pictures, none of them held out, as samples are measured: five draws of each data set."""
    rows = []
    for seed in SEEDS:
        for data in ("faces", "photographs"):
            if data == "photographs" and not photographs.is_dir():
                continue
            images, held_out = pictures(data, photographs)
            some = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[: 2 * COUNT]
            reader = load_reader(BASE["size"]) if data == "faces" else None
            final = measure(images.pixels[some], held_out, reader)
            rows.append(
                {
                    "group": "real",
                    "key": f"{data}-real-{seed}",
                    "data": data,
                    "model": "real",
                    "seed": seed,
                    "final": final,
                }
            )
    return rounded(rows)


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact: train and measure all trials in `work`, and write what chapters need of them to `out`.

    `options.photographs` is a folder of pictures of the reader's own; without it their rows stay as they are in `out`.
    Of them only numbers are kept. A stopped call goes on where it was.
    """
    photographs = options.photographs
    missing = not photographs.is_dir()

    def possible(todo: Sequence[Trial]) -> list[Trial]:
        return [trial for trial in todo if not (missing and trial.data == "photographs")]

    search = carry_out(searches(), work, photographs, device)
    todo = possible(trials(search))
    rows = search + carry_out(todo, work, photographs, device) + real_rows(photographs)
    if missing:
        rows += [row for row in _rows(out) if row["data"] == "photographs"]
    keep(rows, out, {(one.group, one.key): place(one, work, photographs) for one in searches() + todo})


def keep(rows: Sequence[Row], out: Path, places: Mapping[tuple[str, str], Path]) -> None:
    """Write the rows, all histories, and some samples of the runs on rendered faces that were watched all along.

    `places` has, by group and key, where the trials that are here left theirs.
    """
    with atomic_write(out / "rows.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    histories, samples = {}, {}
    for row in rows:
        here, name = places.get((row["group"], row["key"])), f"{row['group']}/{row['key']}"
        if here:
            history = Record(*load_file(here / "losses.safetensors")["history"])
            histories[name] = torch.stack([history.loss_real, history.loss_fake, history.k])
            if row["data"] == "faces" and len(row["readings"]["step"]) > 1:
                samples[name] = load_file(here / "samples.safetensors")["end"][:SHOWN]
        elif row["group"] != "real":  # photographs that are not here now
            histories[name] = load_file(out / "histories.safetensors")[name]
    for name, tensors in (("histories", histories), ("samples", samples)):
        with atomic_write(out / f"{name}.safetensors") as temporary:
            save_file(tensors, temporary)


def _rows(out: Path) -> list[Row]:
    path = out / "rows.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def load_trials(group: str) -> list[Row]:
    """Return the rows of a group of the committed trials: gamma, rivals, order, gain, scale, search or real."""
    return [row for row in _rows(artifacts_folder() / "trials") if row["group"] == group]


def load_histories(group: str) -> dict[str, Tensor]:
    """Return L(x), L(G(z)) and k at every step, `(3, steps)`, by the keys of a group's rows."""
    return _of_group("histories", group)


def load_samples(group: str) -> dict[str, Tensor]:
    """Return uint8 samples `(64, 3, 16, 16)` by the keys of a group's rows on rendered faces."""
    return _of_group("samples", group)


def _of_group(name: str, group: str) -> dict[str, Tensor]:
    tensors = load_file(artifacts_folder() / f"trials/{name}.safetensors")
    return {key.partition("/")[2]: value for key, value in tensors.items() if key.startswith(group + "/")}
