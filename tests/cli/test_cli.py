"""The command line as a person uses it."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from began.checkpoints import CHECKPOINT, load_checkpoint
from began.cli import main
from began.config import TrainConfig
from began.runs.artifacts import Options, artifacts_folder, makers
from began.runs.results import load
from began.state import open_data
from began.step import Update
from began.training import Trainer
from studies import models

PHOTOGRAPHS = Path(__file__).resolve().parents[3] / "shared/faces/faces64.zip"
SMALL = ["--size=16", "--n=4", "--n-z=8", "--count=32", "--batch=4", "--log-every=5", "--device=cpu"]


def began(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def train(out: Path, *arguments: str | Path) -> Result:
    return began("train", "--out", out, *SMALL, *arguments)


def test_train_sample_info(tmp_path: Path):
    run, grid = tmp_path / "run", tmp_path / "grid.png"
    result = train(run, "--preset", "began_cs", "--steps", 10, "--sample-every", 5)
    assert result.exit_code == 0, result.output
    assert "training in float32 on cpu\n" in result.output
    assert "ratio" in result.output
    left = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert left == {
        ".lock",
        "checkpoint.pt",
        "run.json",
        "history.jsonl",
        "generator.safetensors",
        "discriminator.safetensors",
        "samples.png",
        "samples/000005.png",
        "samples/000010.png",
    }
    assert load(run).config.alpha == 0.1

    assert began("sample", "--run", run, "--count", 6, "--out", grid).exit_code == 0
    assert np.asarray(Image.open(grid)).shape[1::-1] == (2 * 18 + 2, 3 * 18 + 2)
    shown = began("info", run)
    assert json.loads(shown.output)["steps"] == 10
    assert json.loads(shown.output)["how"] == "float32 on cpu"
    assert "torch" in began("info").output


def test_a_run_whose_precision_fails_here_says_so_where_it_ends_and_in_its_record(tmp_path: Path, monkeypatch):
    forward = Update._forward

    def lacking(self: Update, x, z):
        if self.config.precision == "bfloat16":
            raise NotImplementedError("no such kernel")
        return forward(self, x, z)

    monkeypatch.setattr(Update, "_forward", lacking)
    result = train(tmp_path / "run", "--steps", 2, "--precision", "bfloat16")
    how = "float32 on cpu; without bfloat16 (no such kernel)"
    assert "training in bfloat16 on cpu\n" in result.output
    assert f"trained in {how}\n" in result.output
    assert json.loads(began("info", tmp_path / "run").output)["how"] == how


def test_a_dry_run_says_what_a_run_takes_and_writes_nothing(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = []
    call = Update.__call__

    def slow(self: Update, x):
        time.sleep(0.02)
        steps.append(self)
        call(self, x)

    monkeypatch.setattr(Update, "__call__", slow)
    options = [*SMALL, "--steps=7200", "--sample-every=3600", "--checkpoint-every=3000", "--on-collapse=rollback"]
    result = began("train", "--dry-run", *options)
    assert result.exit_code == 0, result.output
    assert len(steps) == 20
    assert list(tmp_path.rglob("*")) == []
    lines = dict(line.split(": ", 1) for line in result.output.splitlines()[1:])
    assert result.output.startswith("20 steps in float32 on cpu; nothing was written\n")
    speed = float(lines["speed"].split()[0])
    assert 0 < speed < 200  # 4 images in 20 ms and a step
    minutes, seconds = (int(part) for part in lines["time"].replace(" for 7200 steps", "").split()[::2])
    assert 60 * minutes + seconds == pytest.approx(7200 * 4 / speed, rel=0.02)
    assert float(lines["memory"].split()[0]) > 0
    checkpoint = steps[0].nbytes + 5 * 4 * 7200
    assert f"checkpoints 4 x {checkpoint / 1e6:.3g} MB, 3 sample grids" in lines["disk"]


def test_a_dry_run_knows_the_size_of_a_checkpoint(tmp_path: Path):
    train(tmp_path / "run", "--steps", 10)
    said = began("train", "--dry-run", *SMALL, "--steps=10").output
    real = (tmp_path / "run" / CHECKPOINT).stat().st_size / 1e6
    assert float(said.split("checkpoints 1 x ")[1].split()[0]) == pytest.approx(real, rel=0.3)


def test_options_that_are_switches_and_choices_reach_the_run(tmp_path: Path):
    result = train(tmp_path / "run", "--steps", 1, "--flip", "--precision", "bfloat16")
    assert "training in bfloat16 on cpu\n" in result.output
    assert load(tmp_path / "run").config.flip
    assert load(tmp_path / "run").config.precision == "bfloat16"


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path):
    assert train(tmp_path / "whole", "--steps", 14).exit_code == 0
    assert train(tmp_path / "parts", "--steps", 7).exit_code == 0
    result = began("train", "--resume", "--out", tmp_path / "parts", "--steps", 14, "--device", "cpu")
    assert result.exit_code == 0, result.output
    whole, parts = (load_checkpoint(tmp_path / name / CHECKPOINT) for name in ("whole", "parts"))
    assert torch.equal(whole["history"], parts["history"])
    for key, value in whole["model"].items():
        assert torch.equal(value, parts["model"][key])


def test_a_run_is_neither_overwritten_nor_changed(tmp_path: Path):
    assert train(tmp_path, "--steps", 2, "--gamma", 0.3).exit_code == 0
    result = train(tmp_path, "--steps", 2)
    assert result.exit_code == 2
    assert "holds a run already" in result.output
    result = began("train", "--resume", "--out", tmp_path, "--gamma", 0.9)
    assert result.exit_code == 2
    assert "keeps gamma = 0.3" in result.output
    result = began("train", "--resume", "--out", tmp_path, "--steps", 1)
    assert result.exit_code == 2
    assert "--steps must be at least 2" in result.output


def test_artifacts_train_again_and_go_on_only_where_they_stopped(tmp_path: Path, monkeypatch):
    shutil.copytree(artifacts_folder() / "attributes", tmp_path / "data/artifacts/attributes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "STEPS", (0, 3, 5))
    monkeypatch.setattr(models, "SEEN", 100)
    name = "faces32-began"
    config = TrainConfig(size=16, n=4, n_z=8, count=32, batch=4, log_every=5, steps=6)
    work = tmp_path / "runs/artifacts" / name
    for gamma in (1.0, 1.0, 0.3):  # no call goes on from a finished one
        recipe = dataclasses.replace(config, gamma=gamma)
        monkeypatch.setitem(models.RECIPES, name, recipe)
        result = began("artifacts", name, "--device", "cpu")
        assert result.exit_code == 0, result.output
        run, film = load(name), models.film(name)
        assert run.config == dataclasses.replace(recipe, precision="float32")
        assert list(film) == [0, 3, 5]
        assert not work.exists()
    z = torch.rand(2, 8) * 2 - 1
    torch.testing.assert_close(film[0](z), models.untrained(run.config)(z), rtol=0, atol=2e-3)
    again = models.coverage(run.generator, run.config)  # of weights in float16
    assert {key: run.record["metrics"][key] for key in again} == pytest.approx(again, rel=0.1)
    assert run.record["untrained"]["frechet"] > 0

    other = dataclasses.replace(config, lr=1e-3)  # of another run
    Trainer(other, open_data(other), out=work).fit(4)
    longer = dataclasses.replace(config, gamma=0.3, steps=9)
    monkeypatch.setitem(models.RECIPES, name, longer)
    assert began("artifacts", name, "--device", "cpu").exit_code == 0
    assert list(models.film(name)) == [0, 3, 5]

    Trainer(recipe, open_data(recipe), out=work).fit(4)  # of the same, but shorter
    assert began("artifacts", name, "--device", "cpu").exit_code == 0
    assert load(name).record["steps"] == 9
    assert list(models.film(name)) == [5]  # the others were there when it was stopped


@pytest.mark.parametrize("name", ["toy", "survival", "trials", "controller", "inversions", "attributes"])
def test_artifacts_are_made_by_their_entry_point_where_the_book_looks(name: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/artifacts").mkdir(parents=True)
    calls = []
    monkeypatch.setattr(makers()[name].value.replace(":", "."), lambda *given: calls.append(given))
    result = began("artifacts", name, "--device", "cpu", "--photographs", "mine")
    assert result.exit_code == 0, result.output
    folders = tmp_path / "data/artifacts" / name, Path("runs/artifacts") / name
    assert calls == [(*folders, torch.device("cpu"), Options(Path("mine")))]


def test_another_scale_than_the_books_goes_to_a_folder_of_its_own(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/artifacts").mkdir(parents=True)
    calls = []
    monkeypatch.setattr(makers()["trials"].value.replace(":", "."), lambda *given: calls.append(given))
    scale = {"size": 64, "n": 64, "steps": 20000, "seeds": 5}
    result = began(
        "artifacts", "trials", "--device=cpu", *(f"--{key}={value}" for key, value in scale.items()), "--data=faces"
    )
    assert result.exit_code == 0, result.output
    out = Path("runs/artifacts/trials-data=faces-size=64-n=64-steps=20000-seeds=5")
    assert calls == [(out, Path("runs/artifacts/trials"), torch.device("cpu"), Options(data=("faces",), **scale))]
    assert f"another scale than the book's: trials goes to {out}\n" in result.output
    assert not (tmp_path / "data/artifacts/trials").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the artifacts that are to have another scale"),
        (["faces32-began"], "a model of another scale is a run of its own"),
        (["toy"], "--size can't be chosen here"),
        (["trials"], "size must be"),
    ],
)
def test_a_scale_that_can_not_be_is_refused(arguments: list[str], message: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = began("artifacts", *arguments, "--device=cpu", "--size=17")
    assert result.exit_code in (1, 2)
    assert message in result.output


def test_a_command_that_lacks_a_library_of_the_book_says_how_to_get_it(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    result = began("train", "--data", "digits", "--channels", "1", "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "pip install 'began[book]'" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--gamma", "2"], "gamma must be at least 0 and at most 1, got 2.0"),
        (["train", "--size", "20"], "size must be one of"),
        (["train", "--data", "folder:/nowhere"], "/nowhere"),
        (["train", "--data", "cats"], "cats"),
        (["train", "--preset", "dcgan"], "began_cs"),
        (["train", "--resume", "--out", "nowhere"], "no checkpoint at nowhere"),
        (["sample", "--run", "nowhere"], "no finished run at nowhere"),
        (["sample", "--run", "x", "--count", "0"], "--count"),
        (["info", "nowhere"], "no finished run at nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gives_one_clear_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = began(*arguments)
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert "Traceback" not in result.output
    assert list(tmp_path.rglob("*.pt")) == []


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path):
    command = [sys.executable, "-m", "began.cli", "train", "--out", str(tmp_path), *SMALL, "--steps", "1000000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    assert process.stderr is not None
    for line in iter(lambda: process.stderr.read(64), ""):  # the bar shows k once the loop runs
        if "images/s" in line or time.monotonic() > deadline:
            break
    os.kill(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "go on with: began train --resume" in output
    assert "Traceback" not in errors
    assert load_checkpoint(tmp_path / CHECKPOINT)["step"] > 0


@pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason="needs the photographs beside the repository")
def test_a_run_that_collapses_is_saved_by_going_back(tmp_path: Path, caplog):
    """At sixty times the usual learning rate samples are all alike or leave the pictures; half of it is survived."""
    options = [
        "--count=512",
        "--n-z=64",
        "--batch=8",
        "--lr=0.03",
        "--lr-patience=0",
        "--lr-drop=0",
        "--grain=0",
        "--ema=0",
        "--steps=1500",
        "--log-every=100",
    ]
    records = []
    for out, more in ((tmp_path / "lost", []), (tmp_path / "saved", ["--on-collapse=rollback"])):
        caplog.clear()
        result = train(out, *options, *more)
        assert result.exit_code == 0, result.output
        assert "a mode collapse is suspected at step" in caplog.text
        records.append(load(out).record)
    lost, saved = (record["metrics"]["sample_std"] / record["metrics"]["picture_std"] for record in records)
    assert lost < 0.05 or lost > 2
    assert 0.1 < saved < 1.5
    assert not records[0]["rollbacks"]
    assert records[1]["rollbacks"][0]["lr"] == pytest.approx(0.015)
    assert records[0]["config"] == {**records[1]["config"], "on_collapse": "warn"}
    assert load_checkpoint(tmp_path / "saved" / CHECKPOINT)["step"] == 1500


def test_a_collapse_can_stop_a_run_that_then_goes_on_with_rollbacks(tmp_path: Path, monkeypatch):
    found = iter(["made up", "made up", None])
    monkeypatch.setattr("began.training.EVERY", 5)
    monkeypatch.setattr("began.training.suspicion", lambda _: next(found))
    result = train(tmp_path, "--steps=15", "--on-collapse=stop")
    assert result.exit_code == 1
    assert "a mode collapse is suspected at step 5: made up" in result.output
    result = began("train", "--resume", "--out", tmp_path, "--device=cpu", "--on-collapse=rollback", "--steps=14")
    assert result.exit_code == 0, result.output
    assert [(one["step"], one["to"]) for one in load(tmp_path).record["rollbacks"]] == [(10, 5)]


def test_photographs_train(tmp_path: Path):
    """On real photographs, by the defaults, D learns, G follows at the ratio gamma, and samples differ."""
    with zipfile.ZipFile(PHOTOGRAPHS) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.endswith("0.jpg")])
    run, grid = tmp_path / "run", tmp_path / "grid.png"
    result = began("train", "--data", f"folder:{tmp_path / 'faces64'}", "--out", run, *PHOTOGRAPH_RUN)
    assert result.exit_code == 0, result.output
    metrics, history = load(run).record["metrics"], load_checkpoint(run / CHECKPOINT)["history"]
    assert metrics["loss_real"] < history[0, 0] / 2
    assert abs(metrics["ratio"] - 1) < 0.15
    assert metrics["sample_std"] > metrics["picture_std"] / 2
    assert began("sample", "--run", run, "--out", grid).exit_code == 0
    assert np.asarray(Image.open(grid)).std() > 10


PHOTOGRAPH_RUN = ["--size=16", "--n=16", "--steps=1500", "--device=cpu"]


def test_sweep_prints_each_setting_and_goes_on_where_it_stopped(tmp_path: Path):
    out = tmp_path / "rows.jsonl"
    command = ["sweep", "toy", "--method=began_cs", "--seeds=2", "--steps=3", "--width=8", "--out", out, "--device=cpu"]
    result = began(*command, "--gamma=0.5")
    assert result.exit_code == 0, result.output
    first = out.read_text()
    rows = [json.loads(line) for line in first.splitlines()]
    assert sorted(row["seed"] for row in rows) == [0, 1]
    assert all(row["setting"] == {"width": 8.0, "gamma": 0.5} for row in rows)
    result = began(*command, "--gamma=0.5,0.7")
    assert result.exit_code == 0, result.output
    assert out.read_text().startswith(first)
    assert len(out.read_text().splitlines()) == 4
    header, *table = [cells for line in result.stdout.splitlines() if len(cells := line.split()) == 6]
    assert header[2:] == ["modes", "high_quality", "reverse_kl", "w1"]
    settings = [dict(zip(header[:2], cells[:2], strict=True)) for cells in table]
    assert sorted(settings, key=str) == [{"gamma": "0.5", "width": "8"}, {"gamma": "0.7", "width": "8"}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gamma=high"], "'high' is not a number or several with commas between"),
        (["--method=gan", "--gamma=1"], "there is no knob gamma; there are lr_g"),
        (["--k-0=2"], "k_0 must lie in [0, 1], got 2"),
        (["--seeds=0"], "--seeds"),
    ],
)
def test_sweep_refuses_what_it_cannot_run(tmp_path: Path, arguments: list[str], message: str):
    result = began("sweep", "toy", "--out", tmp_path / "rows.jsonl", "--device=cpu", "--steps=2", *arguments)
    assert result.exit_code != 0
    assert message in result.output
    assert not (tmp_path / "rows.jsonl").exists()
