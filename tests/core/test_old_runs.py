"""A run that an older version made: it loads, draws the same pictures, and goes on.

`old_run` was made by commit 28d9977, that before the second edition, with

    began train --size 16 --n 1 --n-z 4 --count 16 --batch 4 --steps 4 --log-every 2 --device cpu

`expected.safetensors` holds two samples of it, drawn from seed 1, and the history of its first eight steps: that
commit resumed its own checkpoint.
"""

import gzip
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import began
from began.checkpoints import CHECKPOINT, load_checkpoint

OLD = Path(__file__).parent / "old_run"
EXPECTED = load_file(OLD / "expected.safetensors")
FIELDS = 32  # of a config, then


def same_fields(config: began.TrainConfig, old: dict) -> None:
    """Hold a config against the fields that it was written with, each under its name of then."""
    assert len(old) == FIELDS
    for name, value in old.items():
        assert getattr(config, name) == value, name


def test_a_finished_run_draws_the_pictures_that_it_drew():
    run = began.load(OLD)
    torch.testing.assert_close(run.sample(2, seed=1), EXPECTED["samples"])
    assert run.step.tolist() == [2, 4]
    same_fields(run.config, json.loads((OLD / "run.json").read_text())["config"])


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A folder with the checkpoint alone, as a run leaves it that was stopped."""
    (tmp_path / CHECKPOINT).write_bytes(gzip.decompress((OLD / f"{CHECKPOINT}.gz").read_bytes()))
    return tmp_path


def test_a_checkpoint_goes_on_as_it_went_on_then(stopped: Path):
    same_fields(began.load(stopped).config, load_checkpoint(stopped / CHECKPOINT)["config"])
    trainer = began.Trainer.resume(stopped / CHECKPOINT, out=stopped)
    assert trainer.step == 4
    history = trainer.fit(8, progress=False)
    torch.testing.assert_close(torch.stack(history), EXPECTED["history"], rtol=1e-4, atol=1e-6)
    assert load_checkpoint(stopped / CHECKPOINT)["step"] == 8


def test_a_stopped_run_is_loaded_from_its_checkpoint(stopped: Path):
    run = began.load(stopped)
    assert run.record["steps"] == 4
    torch.testing.assert_close(run.sample(2, seed=1), EXPECTED["samples"])
