"""Training in one line, and what a run leaves in its folder."""

import copy
import datetime
import hashlib
import json
import os
import platform
import subprocess
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from began.checkpoints import CHECKPOINT
from began.config import TrainConfig
from began.devices.acceleration import best_device, keep_memory
from began.errors import BeganError
from began.files import atomic_write
from began.images.folder import shown, some
from began.images.pixels import pixel_std, to_unit
from began.runs.results import Run, generate, summary, windows
from began.step import Record
from began.training import Trainer

RUN_FILES = ("samples.png", "run.json", "history.jsonl", "generator.safetensors", "discriminator.safetensors")


def finished(trainer: Trainer) -> Run:
    """Return the run as it is now, on the CPU, with its metrics and where it comes from."""
    config, history, images = trainer.config, trainer.history, trainer.batches.images
    z = trainer.model.noise(256, torch.Generator(trainer.device).manual_seed(config.seed + 2))
    first = torch.stack([to_unit(images[i]) for i in range(min(len(images), 256))])
    record = {
        "config": config.to_dict(),
        "seed": config.seed,
        "steps": trainer.step,
        "pictures": len(images),
        "fingerprint": hashlib.sha256(trainer.listing.encode()).hexdigest()[:16] if trainer.listing else None,
        "seconds": round(trainer.seconds, 1),
        "how": trainer.update.how,
        "rollbacks": trainer.rescue.rollbacks,
        "metrics": {
            **summary(history),
            "sample_std": pixel_std(generate(trainer.sampler, z)),
            "picture_std": pixel_std(first) if len(first) > 1 else None,
        },
        **provenance(trainer.device),
    }
    G = copy.deepcopy(trainer.sampler).cpu().eval()
    D = copy.deepcopy(trainer.model.discriminator).cpu().eval()
    return Run(config, G, D, *windows(history, config.log_every), record)


def save_run(trainer: Trainer, folder: Path, *, half: bool = False) -> dict[str, Any]:
    """Write `RUN_FILES`, the weights in float16 if `half`, and return the record; each is written atomically."""
    run = finished(trainer)
    for name, network in (("generator", run.generator), ("discriminator", run.discriminator)):
        dtype = torch.float16 if half else torch.float32
        weights = {key: value.to(dtype).contiguous() for key, value in network.state_dict().items()}
        with atomic_write(folder / f"{name}.safetensors") as temporary:
            temporary.write_bytes(save(weights))  # `save_file` would leave a temporary of its own at a kill
    rows = zip(run.step.tolist(), *(column.tolist() for column in run.history), strict=True)
    names = ("step", *Record._fields)
    with atomic_write(folder / "history.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    with atomic_write(folder / "run.json") as temporary:
        temporary.write_text(json.dumps(run.record, indent=1) + "\n")
    return run.record


def check_free(out: Path) -> None:
    """Raise BeganError where a new run in a folder would write over what is there."""
    if (out / CHECKPOINT).exists():
        raise BeganError(f"{shown(out)} holds a run already: go on with it (resume), or choose another folder (out)")
    there = [name for name in RUN_FILES if os.path.lexists(out / name)]
    if not (out / ".lock").exists():  # else the grids may be of a run that was killed before its first checkpoint
        there += [f"samples/{path.name}" for path in (out / "samples").glob("[0-9]*.png")]
    if there:
        raise BeganError(f"{shown(out)} holds {some(there)}, which a run would replace: choose another folder (out)")


def train(
    preset: str = "began",
    *,
    data: str = "faces",
    out: str | Path | None = None,
    device: str | None = None,
    resume: bool = False,
    progress: bool = True,
    **fields: Any,
) -> Run:
    """Train a model, "began" or "began_cs", on pictures (see `open_images`), and return the run.

    >>> run = train("began_cs", size=16, n=4, count=32, batch=8, steps=4, progress=False)
    >>> run.sample(2).shape
    torch.Size([2, 3, 16, 16])

    `fields` are those of TrainConfig. With `out` the run is written there; Ctrl-C saves it, and the same call with
    `resume` goes on. `device` is by default the best there is. Raises BeganError for what `Trainer` refuses, and where
    `out` holds a run already.
    """
    keep_memory()
    config, device = TrainConfig.preset(preset, data=data, **fields), device or best_device()
    folder = None if out is None else Path(out).expanduser()
    if folder and resume and (folder / CHECKPOINT).exists():
        trainer = Trainer.resume(folder / CHECKPOINT, config=config, device=device, out=folder)
    else:
        if folder:
            check_free(folder)
        trainer = Trainer(config, device=device, out=folder)
    trainer.fit(progress=progress)
    if folder:
        save_run(trainer, folder)
        trainer.save_samples(folder / "samples.png")
    return finished(trainer)


def provenance(device: torch.device) -> dict[str, Any]:
    """Return when, where and with what something was computed: date, commit, versions, device."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    # a checkout runs without being installed
    found = {name: next((part.version for part in distributions(name=name)), "") for name in ("torch", "began")}
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **found},
        "device": where,
        "threads": torch.get_num_threads(),
    }


def _commit() -> str:
    def git(*command: str) -> str:
        return subprocess.run(
            ["git", *command], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # installed from a package, or without git
