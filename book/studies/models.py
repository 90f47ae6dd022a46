"""The models that chapters load: what each was trained with, how far it came, and how it is made again."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from began.checkpoints import CHECKPOINT, load_checkpoint
from began.cli.train import finish, open_trainer
from began.config import TrainConfig
from began.errors import BeganError
from began.files import atomic_write
from began.images.faces import rendered_faces
from began.images.pixels import to_pixels, to_unit
from began.measure.distances import attribute_diversity, scaled_frechet, sharpness
from began.measure.reader import ReaderConfig, Seen, load_reader, save_reader, train_reader
from began.networks import Decoder
from began.passes import Began
from began.runs.artifacts import Options, artifacts_folder
from began.runs.results import generate
from began.step import streams
from began.training import Trainer

SEEN = 2000  # samples that are read, and held-out faces beside them
FILM = "film.safetensors"
STEPS = (0, 50, 100, 200, 400, 700, 1000, 1500, 2000, 2500, 3000, 4000)  # at which G is kept

_FACES: dict[str, Any] = {"count": 20_000, "lr": 5e-4, "ema": 0.999, "sample_every": 1000}
_FIRST: dict[str, Any] = {**_FACES, "size": 32, "n": 24, "steps": 10_000, "grain": 0.0, "lr_drop": 0}
# wider networks draw sharper faces and lose more of them (LOG.md)
_GRAINY: dict[str, Any] = {**_FACES, "size": 32, "n": 16, "steps": 4000, "ema": 0.995, "precision": "bfloat16"}
RECIPES = {
    # at BEGAN-CS's gamma and lambda, BEGAN draws one face only (LOG.md)
    "faces32-began": TrainConfig.preset("began", gamma=1.0, lambda_k=0.03, lr_patience=4000, **_FIRST),
    "faces32-began-cs": TrainConfig.preset("began_cs", gamma=0.9, lambda_k=0.01, **_FIRST),
    "grainy32-began": TrainConfig.preset("began", **_GRAINY),
    # the authors' alpha of 0.1 is 0.002 to 0.007 with our losses
    "grainy32-began-cs": TrainConfig.preset("began_cs", **{**_GRAINY, "grain": 0.15, "alpha": 0.01}),
}
READERS = {16: ReaderConfig(), 32: ReaderConfig(size=32), 64: ReaderConfig(size=64, n=12, batch=64, steps=3000)}


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Train the model that `out` is named after, in `work`, and leave it in `out`; a stopped call goes on."""
    if options.scale:
        raise BeganError("a model of another scale is a run of its own: `began train` makes it")
    config = RECIPES[out.name]
    if not _can_go_on(work / CHECKPOINT, config):
        shutil.rmtree(work, ignore_errors=True)
    trainer = open_trainer(config, device, work)
    for step in [step for step in STEPS if trainer.step <= step <= config.steps]:
        trainer.fit(step)
        _keep(trainer, work / "film" / f"{step:06d}.safetensors")
    finish(trainer, out, f"began artifacts {out.name}", half=True)
    frames = {path.stem: load_file(path) for path in sorted((work / "film").glob("*"))}
    with atomic_write(out / FILM) as temporary:
        save_file({f"{step}.{key}": value for step, one in frames.items() for key, value in one.items()}, temporary)
    record = json.loads((out / "run.json").read_text())
    record["metrics"] |= coverage(trainer.sampler, config)
    record["untrained"] = coverage(untrained(config), config)
    with atomic_write(out / "run.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    shutil.rmtree(work)


def _keep(trainer: Trainer, path: Path) -> None:
    """Write G as it is, in float16; it may be that of a call which was killed before it could."""
    weights = trainer.model.generator.state_dict()
    with atomic_write(path) as temporary:
        save_file({key: value.half().contiguous() for key, value in weights.items()}, temporary)


def untrained(config: TrainConfig) -> Decoder:
    """Return the G that a run begins with."""
    return Began(config, torch.Generator().manual_seed(streams(config.seed)[0])).generator


def coverage(generator: nn.Module, config: TrainConfig) -> dict[str, float]:
    """Measure `SEEN` samples of a model of rendered faces against as many held-out faces, by the reader of their size.

    cells, entropy and spread as `attribute_diversity`; frechet on the reader's features; sharpness over the faces'.
    """
    z = torch.rand(SEEN, config.n_z, generator=torch.Generator().manual_seed(config.seed + 2)) * 2 - 1
    samples, reader = to_pixels(generate(generator, z)), load_reader(config.size)
    fake, (real, sharp) = reader.read(samples), _held_out(config.size, SEEN)
    return {
        **attribute_diversity(fake.attributes, real.attributes, reader),
        "frechet": scaled_frechet(fake.features, real.features),
        "sharpness": sharpness(to_unit(samples)) / sharp,
    }


@cache
def _held_out(size: int, count: int) -> tuple[Seen, float]:
    """Return what the reader sees in faces that no model was trained on, and how sharp they are."""
    faces = rendered_faces(count, size, seed=1)
    return load_reader(size).read(faces), sharpness(to_unit(faces))


def film(name: str) -> dict[int, Decoder]:
    """Return the generators that a run of `RECIPES` left on its way, by their step."""
    frames: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(artifacts_folder() / name / FILM).items():
        step, _, rest = key.partition(".")
        frames.setdefault(int(step), {})[rest] = value.float()
    generators = {}
    for step, weights in sorted(frames.items()):
        generators[step] = Began(RECIPES[name]).generator.eval()
        generators[step].load_state_dict(weights)
    return generators


def make_reader(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Train the readers of attributes, of pictures of each size that the book has, or of another scale."""
    for config in READERS.values() if not options.scale else [options.applied(ReaderConfig())]:
        save_reader(train_reader(config), out)


def _can_go_on(checkpoint: Path, config: TrainConfig) -> bool:
    """Whether a checkpoint is of this config, whatever its precision and length, and not past its end."""
    if not checkpoint.exists():
        return False
    state = load_checkpoint(checkpoint)
    run = replace(TrainConfig.from_record(state["config"]), precision=config.precision, steps=config.steps)
    return run == config and state["step"] <= config.steps
