"""What a finished run leaves, and what comes back from it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from began.checkpoints import CHECKPOINT, load_checkpoint
from began.config import TrainConfig
from began.images.pixels import pixel_std
from began.images.sources import Pictures
from began.runs.artifacts import artifacts_folder
from began.runs.results import load, summary, windows
from began.runs.saving import save_run
from began.step import Record
from began.training import Trainer
from studies.benchmarks import benchmark_results
from studies.models import RECIPES

CONFIG = TrainConfig(size=16, n=4, n_z=8, batch=4, log_every=5, steps=12, ema=0.5, carry_steps=3, precision="float32")
FINISHED = sorted(path.parent.name for path in artifacts_folder().glob("*/generator.safetensors"))


def trained() -> Trainer:
    pixels = torch.randint(0, 256, (8, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    trainer = Trainer(CONFIG, Pictures(pixels, "noise"))
    trainer.fit()
    return trainer


def test_a_run_comes_back_as_it_was_saved(tmp_path: Path):
    trainer = trained()
    record = save_run(trainer, tmp_path)
    run = load(tmp_path)
    assert run.config == CONFIG
    assert run.record == record == json.loads((tmp_path / "run.json").read_text())
    z = trainer.update.sample_z[:3]
    with torch.no_grad():
        torch.testing.assert_close(run.generator(z), trainer.sample(z))
        torch.testing.assert_close(run.discriminator(run.generator(z)), trainer.model.discriminator(trainer.sample(z)))
    assert run.step.tolist() == [5, 10]
    torch.testing.assert_close(run.history.M[1], trainer.history.M[5:10].mean())
    assert {"seed", "steps", "seconds", "date", "commit", "versions", "device", "metrics"} <= record.keys()
    assert torch.equal(run.sample(4, seed=1), run.sample(4, seed=1))
    assert not torch.equal(run.sample(4, seed=1), run.sample(4, seed=2))


def test_the_largest_seed_gives_a_finished_run_and_a_larger_one_none(tmp_path: Path):
    options = replace(CONFIG, seed=2**64 - 3, steps=2)
    trainer = Trainer(options, trained().batches.images)
    trainer.fit(progress=False)
    assert save_run(trainer, tmp_path)["seed"] == 2**64 - 3
    with pytest.raises(ValueError, match=f"seed must be at least 0 and at most {2**64 - 3}, got {2**64 - 2}"):
        replace(CONFIG, seed=2**64 - 2)


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_a_stopped_run_comes_back_from_its_checkpoint(ema: float, tmp_path: Path):
    whole = trained()
    trainer = Trainer(replace(CONFIG, ema=ema), whole.batches.images, out=tmp_path)
    trainer.fit(11, progress=False)
    run = load(tmp_path)
    assert run.config == trainer.config
    z = trainer.update.sample_z[:3]
    with torch.no_grad():
        torch.testing.assert_close(run.generator(z), trainer.sample(z))
        torch.testing.assert_close(run.discriminator(run.generator(z)), trainer.model.discriminator(trainer.sample(z)))
    assert run.step.tolist() == [5, 10]
    torch.testing.assert_close(run.history.M[1], trainer.history.M[5:10].mean())
    assert (run.record["finished"], run.record["steps"], run.record["device"]) == (False, 11, "cpu")
    assert run.record["config"] == trainer.config.to_dict()
    assert run.record["metrics"] == summary(trainer.history)
    json.dumps(run.record)
    trainer.fit()
    save_run(trainer, tmp_path)
    assert load(tmp_path).record["steps"] == 12


def test_a_run_that_has_not_begun_comes_back(tmp_path: Path):
    trainer = Trainer(CONFIG, trained().batches.images, out=tmp_path)
    trainer.fit(0)
    assert load(tmp_path).record["metrics"] == {}
    assert len(load(tmp_path).step) == 0


def test_a_checkpoint_without_its_own_weights_is_named(tmp_path: Path):
    Trainer(CONFIG, trained().batches.images, out=tmp_path).fit(1)
    state = load_checkpoint(tmp_path / CHECKPOINT)
    torch.save({**state, "config": {**state["config"], "n": 8}}, tmp_path / CHECKPOINT)
    with pytest.raises(ValueError, match=r"checkpoint\.pt does not hold the weights of its own config; start anew"):
        load(tmp_path)


def test_half_precision_halves_the_weights_and_keeps_the_pictures(tmp_path: Path):
    trainer = trained()
    save_run(trainer, tmp_path / "whole")
    save_run(trainer, tmp_path / "half", half=True)
    sizes = [(tmp_path / name / "discriminator.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    torch.testing.assert_close(load(tmp_path / "half").sample(4), load(tmp_path / "whole").sample(4), rtol=0, atol=0.01)


def test_a_run_that_is_not_there_is_named():
    with pytest.raises(
        FileNotFoundError,
        match=r"no finished run at nowhere, no checkpoint\.pt of a stopped one, nor an artifact of that name",
    ):
        load("nowhere")


def test_the_statistics_by_hand():
    column = torch.arange(20.0)
    history = Record(column + 1, column / 2, column, column / 100, column)
    step, means = windows(history, 8)
    assert step.tolist() == [8, 16]
    assert means.M.tolist() == [3.5, 11.5]
    assert summary(history) == pytest.approx(
        {"loss_real": 19.5, "loss_fake": 9.25, "ratio": 9.25 / 19.5, "k": 0.19, "M": 18.5}
    )
    images = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert pixel_std(images) == pytest.approx(2**0.5)


@pytest.mark.parametrize("name", FINISHED)
def test_each_committed_artifact_loads_and_is_what_its_recipe_says(name: str):
    run = load(name)
    assert run.config == RECIPES[name]
    assert run.record["steps"] == run.config.steps
    assert pixel_std(run.sample(64)) == pytest.approx(run.record["metrics"]["sample_std"], rel=0.15)
    assert abs(run.sample(4)).max() < 2
    M = run.history.M[-max(len(run.step) // 10, 1) :].mean()
    torch.testing.assert_close(M.item(), run.record["metrics"]["M"], rtol=0.02, atol=0)


def test_the_committed_artifacts_stay_small():
    total = sum(path.stat().st_size for path in artifacts_folder().rglob("*") if path.is_file())
    assert total < 40e6


def test_benchmark_results_come_oldest_first(tmp_path: Path, monkeypatch):
    (tmp_path / "data/artifacts").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert benchmark_results("step") == []
    results = tmp_path / "benchmarks/results"
    results.mkdir(parents=True)
    for date, benchmark in (("2026-03-01", "step"), ("2026-02-01", "data"), ("2026-01-01", "step")):
        (results / f"machine-{date}.json").write_text(json.dumps({"date": date, "benchmark": benchmark}))
    assert [result["date"] for result in benchmark_results("step")] == ["2026-01-01", "2026-03-01"]
    assert len(benchmark_results("data")) == 1
