"""Many small image runs, each watched while it trains: the measurements behind several chapters, as one artifact."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from began.artifacts import generate, provenance
from began.config import TrainConfig
from began.datasets import Batches, Pictures, open_images, to_pixels, to_unit
from began.equilibrium import Equilibrium
from began.faces import rendered_faces
from began.files import atomic_write
from began.losses import reconstruction_loss
from began.step import Began, Update
from began.sweeps import Row
from began.turns import EBGAN, WGANGP, AlternatingBEGAN, Turns
from began.workers import Workers

BASE: dict[str, Any] = {"size": 16, "n": 16, "batch": 16, "lr": 5e-4, "lambda_k": 0.03, "gamma": 0.9, "lr_patience": 0}
WINDOW = 20  # steps whose mean is one point of a curve
HELD_OUT = 2000  # pictures that no run trains on, at most
COUNT = 1000  # samples at a checkpoint; twice as many at the end
SHOWN = 64  # samples kept for the eye
PHOTOGRAPHS = Path("data/photographs")  # a folder of the reader's own; its trials are left out without it
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


GAMMAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 1.0)
GAINS = (1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
RIVALS: dict[str, type[Turns]] = {"EBGAN": EBGAN, "WGAN-GP": WGANGP}
SEARCHED = {  # as many settings each as there are gammas
    "EBGAN": [{"margin": margin, "pull": pull} for margin in (0.05, 0.1, 0.2, 0.4) for pull in (0.0, 0.1)][:7],
    "WGAN-GP": [{"lr": lr, "critic_steps": steps} for lr in (2e-4, 5e-4, 1e-3) for steps in (1, 5)]
    + [{"lr": 2e-3, "critic_steps": 5}],
}
CHOSEN: dict[str, dict[str, float]] = {}
SCALE_FREE_GAIN = 0.002  # about BASE's lambda_k times L(x) on rendered faces: the same speed there


def trials() -> list[Trial]:
    """List all trials, those that others wait for first."""
    faces, photographs = "faces", "photographs"
    gammas = [
        Trial("gamma", data, "BEGAN", {"gamma": gamma}, seed, 2000, 16)
        for data in (faces, photographs)
        for seed in SEEDS
        for gamma in GAMMAS
    ]
    gains = [Trial("gain", faces, "BEGAN", {"lambda_k": gain}, seed, 1000, 1) for seed in range(3) for gain in GAINS]
    orders = [
        Trial("order", faces, "BEGAN", {"generator_first": first}, seed, 2000, 16) for seed in SEEDS for first in (0, 1)
    ]
    rules = ({"lambda_k": 0.03}, {"lambda_k": SCALE_FREE_GAIN, "scale_free": 1})
    scales = [
        Trial("scale", data, "BEGAN", {**rule, "loss_scale": scale}, seed, 600, 1)
        for data in (faces, photographs, "digits")
        for seed in SEEDS
        for rule in rules
        for scale in (1.0, 0.01)
    ]
    searches = [Trial("search", faces, model, setting, 100, 1000, 1) for model in RIVALS for setting in SEARCHED[model]]
    rivals = [
        Trial("rivals", data, model, setting, seed, 2000, 16)
        for seed in SEEDS
        for data in (faces, photographs)
        for model, setting in CHOSEN.items()
    ]
    return gammas + gains + searches + orders + scales + rivals


@cache
def pictures(data: str, photographs: Path) -> tuple[Pictures, Tensor]:
    """Return the pictures to train on, and those held out, uint8 `(N, C, 16, 16)`: for photographs every tenth."""
    size = BASE["size"]
    if data == "faces":
        return Pictures(rendered_faces(8192, size, seed=0), data), rendered_faces(HELD_OUT, size, seed=1)
    source = f"folder:{photographs}" if data == "photographs" else data
    images = open_images(source, size=size, channels=1 if data == "digits" else 3)
    pixels = Batches(images, 1).images
    assert isinstance(pixels, Pictures)
    tenth = torch.arange(len(pixels)) % 10 == 9
    return Pictures(pixels.pixels[~tenth], data), pixels.pixels[tenth][:HELD_OUT]


def game(trial: Trial) -> Update | Turns:
    """Return a trial's networks and the rule by which they move."""
    setting = dict(trial.setting)
    knobs = {"loss_scale", *AlternatingBEGAN.knobs, *(name for kind in RIVALS.values() for name in kind.knobs)}
    given = {name: setting.pop(name) for name in knobs & setting.keys()}
    if "scale_free" in setting:
        setting["scale_free"] = bool(setting["scale_free"])
    changes = {**BASE, **setting, "channels": 1 if trial.data == "digits" else 3, "log_every": WINDOW}
    config = TrainConfig.from_dict({**changes, "seed": trial.seed, "steps": trial.steps})
    if trial.model in RIVALS:
        return RIVALS[trial.model](config, **given)
    if "generator_first" in given:
        return AlternatingBEGAN(config, **given)
    update = Update(config, torch.device("cpu"))
    if "loss_scale" in given:
        update.model.equilibrium = Rescaled(config, given["loss_scale"])
    return update


@torch.no_grad()
def losses_of(model: Began, images: Tensor) -> Tensor:
    """Return L of each image, `(B,)`."""
    return torch.cat([reconstruction_loss(v, model.discriminator(v), model.norm) for v in images.split(16)])


def train_trial(
    trial: Trial, folder: Path, photographs: Path, device: torch.device, advance: Callable[[int], object]
) -> list[Row]:
    """Train one trial and leave its history, and at each checkpoint samples and per-image losses, in `folder`.

    A trial that is there already is not trained again. Returns nothing: what is left is measured later.
    """
    place = folder / trial.group / trial.key
    if (place / "trial.json").exists():
        advance(trial.steps)
        return []
    images, held_out = pictures(trial.data, photographs)
    play = game(trial)
    generator: nn.Module = play.model.generator
    z = play.model.noise(2 * COUNT, torch.Generator().manual_seed(2**40 + trial.seed))
    real = to_unit(held_out[:COUNT])
    stops = [round(trial.steps * (i / trial.checkpoints) ** 1.5) for i in range(1, trial.checkpoints + 1)]
    rows, samples, real_losses, fake_losses = [], [], [], []
    for step, x in enumerate(Batches(images, BASE["batch"], seed=trial.seed).starting_at(0), 1):
        play(x)
        if step % WINDOW == 0:
            rows.append(play.read())
            advance(WINDOW)
        if step in stops:
            v = generate(generator, z[:COUNT])
            samples.append(to_pixels(v))
            real_losses.append(losses_of(play.model, real))
            fake_losses.append(losses_of(play.model, v))
        if step == trial.steps:
            break
    tensors = {"history": torch.cat(rows).T, "real": torch.stack(real_losses), "fake": torch.stack(fake_losses)}
    for name, content in (
        ("losses", tensors),
        ("samples", {"curve": torch.stack(samples), "end": to_pixels(generate(generator, z))}),
    ):
        with atomic_write(place / f"{name}.safetensors") as temporary:
            save_file({key: value.contiguous() for key, value in content.items()}, temporary)
    record = {"key": trial.key, **trial._asdict(), "stops": stops, **provenance(device)}
    with atomic_write(place / "trial.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    return []


def train_all(folder: Path, photographs: Path, device: torch.device) -> None:
    """Train what is missing of `trials()`, on all cores; those on photographs only where there are some."""
    todo = [trial for trial in trials() if trial.data != "photographs" or photographs.is_dir()]
    with Workers(device) as workers:
        for trial in todo:
            workers.call(train_trial, trial, folder, photographs)
        list(workers.finished())
