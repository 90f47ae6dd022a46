"""A run as it is loaded: networks, history, and what is told of it; by its folder, or by the name of an artifact."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from began.checkpoints import CHECKPOINT, instead, load_checkpoint
from began.config import TrainConfig
from began.errors import BeganError
from began.files import readable
from began.networks import Autoencoder, Decoder
from began.passes import Began
from began.runs.artifacts import artifact_names, artifacts_folder
from began.step import Record


@dataclass(frozen=True)
class Run:
    """A run, loaded: `generator` maps `(B, N_z)` to images, `discriminator` images to reconstructions.

    >>> load("faces32-began").sample(4).shape
    torch.Size([4, 3, 32, 32])

    `history` holds the means over windows of `config.log_every` steps, a column each, `step` the last step of each
    window; `record` is the whole of run.json, metrics and provenance included, or what the checkpoint of a stopped run
    tells.
    """

    config: TrainConfig
    generator: Decoder
    discriminator: Autoencoder
    step: Tensor
    history: Record
    record: dict[str, Any]

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """Return `count` samples G(z), `(count, C, H, W)` about [-1, 1], of z drawn from `seed`."""
        z = torch.rand(count, self.config.n_z, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        return generate(self.generator, z.to(next(self.generator.parameters())))

    def to(self, device: torch.device) -> "Run":
        """Return the run with its networks on a device."""
        return replace(self, generator=self.generator.to(device), discriminator=self.discriminator.to(device))


@torch.no_grad()
def generate(generator: nn.Module, z: Tensor) -> Tensor:
    """Return G(z), `(B, C, H, W)`, a few at a time, so that any number of z `(B, N_z)` fits into memory."""
    return torch.cat([generator(part) for part in z.split(16)])


def windows(history: Record, every: int) -> tuple[Tensor, Record]:
    """Return the means of each column over successive windows of `every` steps, and the last step of each window."""
    count = len(history.k) // every
    means = Record(*(column[: count * every].view(count, every).mean(1) for column in history))
    return torch.arange(1, count + 1) * every, means


def summary(history: Record) -> dict[str, float]:
    """Return k at the end, and the means of L(x), L(G(z)), their ratio and M over the last tenth of the steps."""
    last = Record(*(column[-max(len(column) // 10, 1) :].mean() for column in history))
    values = {
        "loss_real": last.loss_real,
        "loss_fake": last.loss_fake,
        "ratio": last.loss_fake / last.loss_real,
        "k": history.k[-1],
        "M": last.M,
    }
    return {name: value.item() for name, value in values.items()}


def run_folder(place: str | Path) -> Path:
    """Return where a run lies, whose folder or name as an artifact is given; it need not be there."""
    return Path(place) if Path(place).is_dir() else artifacts_folder() / place


def load(place: str | Path) -> Run:
    """Load a run's folder, or a committed artifact by its name. No code in the files is run.

    >>> load("faces32-began").config.size
    32

    A run that was stopped before its end is loaded from its checkpoint.
    Raises FileNotFoundError where neither is there, ValueError, naming the file, where one is damaged or does not fit
    the config.
    """
    folder = run_folder(place)
    if not (folder / "run.json").is_file():
        if (folder / CHECKPOINT).is_file():
            return _stopped_run(folder / CHECKPOINT)
        known = ", ".join(artifact_names()) or "none yet"
        missing = f"no finished run at {place}, no {CHECKPOINT} of a stopped one"
        raise FileNotFoundError(f"{missing}, nor an artifact of that name (there are: {known})")
    with readable(folder / "run.json"):
        record = json.loads((folder / "run.json").read_text())
        config = TrainConfig.from_record(record["config"])
    model = Began(config)
    for name in ("generator", "discriminator"):
        load_weights(getattr(model, name), folder / f"{name}.safetensors")
    with readable(folder / "history.jsonl"):
        lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        history = Record(*(torch.tensor([line[name] for line in lines]) for name in Record._fields))
        step = torch.tensor([line["step"] for line in lines])
    return Run(config, model.generator.eval(), model.discriminator.eval(), step, history, record)


def _stopped_run(path: Path) -> Run:
    state = load_checkpoint(path)
    config, history = TrainConfig.from_record(state["config"]), Record(*state["history"])
    model = Began(config)
    try:
        model.load_state_dict(state["model"])
        model.generator.load_state_dict(state["average"] or model.generator.state_dict())
    except RuntimeError as error:
        raise BeganError(f"{path} does not hold the weights of its own config{instead(path)}") from error
    told = {
        "finished": False,
        "steps": state["step"],
        **{name: state[name] for name in ("config", "seconds", "device")},
    }
    told |= {"rollbacks": state["rollbacks"], "metrics": summary(history) if state["step"] else {}}
    return Run(config, model.generator.eval(), model.discriminator.eval(), *windows(history, config.log_every), told)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a network's weights from a safetensors file, which holds no code; ValueError where they are not its own."""
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        wrong = f"{path} does not hold the weights of the config beside it ({reason})"
        raise BeganError(f"{wrong}; make or fetch it again") from error
