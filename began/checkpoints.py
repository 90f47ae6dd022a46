"""The file that a run goes on from: what is in it, and what becomes of one that can't be read."""

import warnings
from pathlib import Path

import torch

from began.config import TrainConfig
from began.devices.acceleration import out_of_memory
from began.errors import BeganError
from began.files import readable

CHECKPOINT = "checkpoint.pt"
PARTS = {"config", "device", "step", "seconds", "plateau", "model", "optimizer", "scaler", "average", "rng"}
PARTS |= {"history", "readings", "rollbacks", "good", "returns"}
GOOD = "good"  # the folder of checkpoints to go back to


def load_checkpoint(path: Path) -> dict:
    """Read what `Trainer.save` wrote, onto the CPU, without running code from the file.

    Raises FileNotFoundError, or ValueError where the file is no whole checkpoint.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with warnings.catch_warnings(action="ignore"):  # of how a file was made that is refused anyway
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no class of its own for files that it can't read
        if out_of_memory(error):
            raise
        reason = str(error) if isinstance(error, OSError) else "cut off, damaged, or of another kind; nothing in it ran"
        raise BeganError(f"{path} is not a checkpoint that can be read ({reason}){instead(path)}") from error
    if not isinstance(state, dict) or not state.keys() >= PARTS:
        raise BeganError(f"{path} is not a checkpoint of a training run{instead(path)}")
    with readable(path):
        TrainConfig.from_record(state["config"])
    return state


def good_files(folder: Path) -> list[Path]:
    """List the good checkpoints of the run in a folder, by step."""
    found = (folder / GOOD).glob("*.pt")
    return sorted((path for path in found if path.stem.isdecimal()), key=lambda path: int(path.stem))


def instead(path: Path) -> str:
    """Say what to do about a checkpoint that is of no use."""
    *_, last = [None, *good_files(path.parent)]
    return f"; copy {last} over it, or start anew" if last else "; start anew, in another folder or without this file"
