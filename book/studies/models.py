"""The models that chapters load: what each was trained with, and how it is made again."""

import shutil
from pathlib import Path
from typing import Any

import torch

from began.checkpoints import CHECKPOINT, load_checkpoint
from began.cli.train import finish, open_trainer
from began.config import TrainConfig
from began.errors import BeganError
from began.measure.reader import ReaderConfig, save_reader, train_reader
from began.runs.artifacts import Options

_FACES: dict[str, Any] = {
    "size": 32,
    "n": 24,
    "count": 20_000,
    "steps": 10_000,
    "lr": 5e-4,
    "ema": 0.999,
    "sample_every": 1000,
}
RECIPES = {
    # at BEGAN-CS's gamma and lambda, BEGAN draws one face only (LOG.md)
    "faces32-began": TrainConfig.preset("began", gamma=1.0, lambda_k=0.03, lr_patience=4000, **_FACES),
    "faces32-began-cs": TrainConfig.preset("began_cs", gamma=0.9, lambda_k=0.01, **_FACES),
}


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Train the model that `out` is named after, in `work`, and leave it in `out`; a stopped call goes on."""
    if options.scale:
        raise BeganError("a model of another scale is a run of its own: `began train` makes it")
    config = RECIPES[out.name]
    if not _can_go_on(work / CHECKPOINT, config):
        shutil.rmtree(work, ignore_errors=True)
    finish(open_trainer(config, device, work), out, f"began artifacts {out.name}", half=True)


def make_reader(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Train the reader of attributes."""
    save_reader(train_reader(options.applied(ReaderConfig())), out)


def _can_go_on(checkpoint: Path, config: TrainConfig) -> bool:
    """Whether a checkpoint is of this config, whatever precision the run settled on, and not at its end."""
    if not checkpoint.exists():
        return False
    state = load_checkpoint(checkpoint)
    run = TrainConfig.from_dict({**state["config"], "precision": config.precision})
    return run == config and state["step"] < config.steps
