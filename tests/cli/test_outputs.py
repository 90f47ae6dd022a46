"""What commands write, over what they never do, what they say, and how they end."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from began.checkpoints import CHECKPOINT, load_checkpoint
from began.cli import COMMANDS, main
from began.codes.edits import load_codes, save_codes
from began.errors import BeganError
from began.images.folder import shown
from began.runs.results import load
from began.state import open_data
from began.step import Update
from began.training import Trainer

SMALL = ["--size=16", "--n=4", "--n-z=8", "--batch=4", "--log-every=5", "--device=cpu", "--steps=5", "--sample-every=5"]
ALL = [*COMMANDS, "sweep"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def began(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def the_line(result: Result, code: int) -> str:
    """Return the error's one line."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert result.output.rstrip().endswith(line)
    return line


def photographs(folder: Path, count: int = 8) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (count, 20, 20, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with a run of five steps on photographs, and a picture beside it."""
    place = tmp_path_factory.mktemp("finished")
    photographs(place / "photographs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        result = began("train", "--data=folder:photographs", "--out=run", *SMALL)
    assert result.exit_code == 0, result.output
    shutil.copy(place / "photographs/0.png", place / "me.png")
    save_codes(place / "codes.safetensors", torch.zeros(1, 8), ["me.png"])
    return place


@pytest.fixture
def place(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the current folder."""
    copy = Path(shutil.copytree(finished, tmp_path / "place"))
    monkeypatch.chdir(copy)
    return copy


def invert(*more: object) -> Result:
    return began("invert", "--run=run", "--image=me.png", "--iterations=1", "--device=cpu", *more)


def edit(*more: object) -> Result:
    return began("edit", "--run=run", "--codes=codes.safetensors", "--dimension=1=2", "--device=cpu", *more)


def sample(*more: object) -> Result:
    return began("sample", "--run=run", "--count=4", *more)


def resume(*more: object) -> Result:
    return began("train", "--resume", "--out=run", "--device=cpu", *more)


WRITING = {"invert": invert, "edit": edit, "sample": sample}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


# Over what a command does not write


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("other", ["me.png", "./me.png", "link.png", "hard.png", "run/../me.png"])
def test_a_picture_that_is_read_is_never_written_over(other: str, force: list[str], place: Path):
    (place / "link.png").symlink_to("me.png")
    os.link("me.png", "hard.png")
    before = files(place)
    line = the_line(invert("--out", other, *force), 2)
    assert line == f"Error: {Path(other)} is read by this command: choose another --out"
    assert files(place) == before


def test_codes_beside_the_picture_are_not_written_over_either(place: Path):
    before = files(place)
    assert "codes.safetensors is there already: --force replaces it" in the_line(invert("--out=codes.png"), 2)
    line = the_line(invert("--out=run/generator.png", "--force"), 2)
    assert "run/generator.safetensors is read by this command" in line
    assert files(place) == before
    assert invert("--out=codes.png", "--force").exit_code == 0
    assert load_codes("codes.safetensors", 8).names == ["me.png"]


@pytest.mark.parametrize("command", WRITING)
def test_what_is_there_is_replaced_only_when_forced_and_before_any_work(command: str, place: Path, monkeypatch):
    (place / "out.png").write_text("a drawing")
    (place / "dangling.png").symlink_to("nowhere.png")
    with monkeypatch.context() as patch:
        for module in ("codes", "look"):
            patch.setattr(f"began.cli.{module}.load", lambda *_: pytest.fail("work was done"))
        for name in ("out.png", "dangling.png"):
            line = the_line(WRITING[command]("--out", name), 2)
            assert line == f"Error: {name} is there already: --force replaces it, another --out does not"
    assert (place / "out.png").read_text() == "a drawing"
    result = WRITING[command]("--out=out.png", "--force")
    assert result.exit_code == 0, result.output
    with Image.open("out.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize("command", WRITING)
def test_the_default_output_is_not_written_over_twice(command: str, place: Path):
    assert WRITING[command]().exit_code == 0
    assert "is there already" in the_line(WRITING[command](), 2)


@pytest.mark.parametrize("command", WRITING)
def test_a_pipe_or_a_folder_is_not_replaced_by_a_picture(command: str, place: Path):
    os.mkfifo("pipe.png")
    (place / "folder.png").mkdir()
    line = the_line(WRITING[command]("--out=pipe.png", "--force"), 2)
    assert "'--out': pipe.png is a pipe or a device" in line
    assert "folder.png' is a directory" in the_line(WRITING[command]("--out=folder.png", "--force"), 2)
    assert Path("pipe.png").is_fifo()


def test_a_search_whose_result_can_not_be_kept_is_not_begun(place: Path, monkeypatch):
    monkeypatch.setattr("began.cli.codes.load", lambda *_: pytest.fail("work was done"))
    for folder in ("/proc/self", "me.png"):
        assert folder in the_line(invert("--out", f"{folder}/a.png"), 1)


@pytest.mark.parametrize("there", ["run.json", "samples.png", "generator.safetensors", "samples/000500.png"])
def test_a_new_run_writes_over_nothing(there: str, place: Path, monkeypatch):
    monkeypatch.setattr(Update, "__call__", lambda *_: pytest.fail("work was done"))
    path = place / "new" / there
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    line = the_line(began("train", "--out=new", *SMALL), 2)
    assert line == f"Error: new holds {there}, which a run would replace: choose another folder (out)"
    assert path.read_text() == "mine"
    assert [found for found in (place / "new").rglob("*") if found.is_file()] == [path]


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(place: Path):
    (place / "new/samples").mkdir(parents=True)
    (place / "new/.lock").touch()
    (place / "new/samples/000005.png").touch()
    assert began("train", "--count=8", "--out=new", *SMALL).exit_code == 0


@pytest.mark.parametrize("content", ["my notes\n", "my notes, without an end", '{"step": 1}\n', "[1]\n", b"\xff\xfe"])
def test_a_sweep_adds_to_no_file_but_its_own(content: str | bytes, tmp_path: Path):
    out = tmp_path / "rows.jsonl"
    before = content if isinstance(content, bytes) else content.encode()
    out.write_bytes(before)
    command = ["sweep", "toy", "--out", out, "--device=cpu", "--steps=2", "--width=8", "--seeds=1"]
    assert f"{out} does not hold what it should" in the_line(began(*command), 1)
    assert out.read_bytes() == before
    assert began(*command, "--force").exit_code == 0
    assert json.loads(out.read_text())["seed"] == 0


# Formats and numbers


@pytest.mark.parametrize(
    ("name", "kind"), [("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP"), ("a.png", "PNG")]
)
@pytest.mark.parametrize("command", WRITING)
def test_a_name_tells_the_format(command: str, name: str, kind: str, place: Path):
    result = WRITING[command]("--out", name)
    assert result.exit_code == 0, result.output
    with Image.open(name) as picture:
        assert picture.format == kind


@pytest.mark.parametrize("name", ["grid", "grid.gif", "grid.pdf", "grid.safetensors", "", "-", ".png"])
@pytest.mark.parametrize("command", WRITING)
def test_a_name_that_tells_no_format_is_refused(command: str, name: str, place: Path, monkeypatch):
    for module in ("codes", "look"):
        monkeypatch.setattr(f"began.cli.{module}.load", lambda *_: pytest.fail("work was done"))
    line = the_line(WRITING[command]("--out", name), 2)
    told = f"{name} must end in .png, .jpg, .jpeg, .webp: that tells the format" if name else "its name is empty"
    assert told in line


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "1e39", "1e7"])
def test_numbers_that_no_code_holds_are_refused(value: str, place: Path):
    ends = ["--toward=codes.safetensors", "--away=codes.safetensors"]
    for result in (
        edit(f"--dimension=2={value}"),
        edit(f"--attribute=yaw={value}"),
        edit(*ends, f"--amount={value}"),
        invert(f"--bound={value}"),
    ):
        line = the_line(result, 2)
        assert "a number from -1e+06 to 1e+06 is needed" in line or "is not in the range" in line
    assert not (place / "edited.png").exists()


def test_codes_of_which_g_has_no_picture_are_refused(place: Path):
    save_codes(place / "codes.safetensors", torch.full((1, 8), 3e38), ["me.png"])
    assert "are too far out: G has no picture for them" in the_line(edit(), 1)
    assert not (place / "edited.png").exists()


@pytest.mark.parametrize("seed", ["-1", str(2**64)])
def test_a_seed_out_of_range_is_refused(seed: str, place: Path):
    assert f"{seed} is not in the range" in the_line(sample(f"--seed={seed}"), 2)
    assert sample(f"--seed={2**64 - 1}").exit_code == 0


def test_a_set_of_one_picture_leaves_json(place: Path, monkeypatch, caplog):
    monkeypatch.setattr("began.training.EVERY", 1)
    photographs(place / "single", 1)
    options = [option for option in SMALL if "batch" not in option and "steps" not in option]
    result = began("train", "--data=folder:single", "--out=new", "--batch=1", "--steps=12", *options)
    assert result.exit_code == 0, result.output
    metrics = json.loads((place / "new/run.json").read_text(), parse_constant=pytest.fail)["metrics"]
    assert metrics["picture_std"] is None
    assert metrics["sample_std"] > 0
    assert "collapse" not in caplog.text


# A picture or a name that is out of the ordinary


def test_a_picture_too_large_is_refused_with_what_to_do(place: Path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    line = the_line(invert(), 1)
    assert line == (
        "Error: cannot read me.png (Image size (400 pixels) exceeds limit of 300 pixels: a smaller copy of it will do)"
    )


NAMES = [
    b"\xff\xfe.png",
    b"a\nb.png",
    "写真\u3000二.png".encode(),
    b"-x.png",
    b" .png",
    b"a b.png",
    b"n" * 250 + b".png",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:12])
def test_names_of_any_kind_keep_their_codes(name: bytes, place: Path):
    shutil.copy("me.png", name)
    result = invert("--image", os.fsdecode(name), "--out=found.png")
    assert result.exit_code == 0, result.output
    assert load_codes("found.safetensors", 8).names == ["me.png", os.fsdecode(name)]
    assert f"\n{shown(os.fsdecode(name))}: error" in result.output


@pytest.mark.parametrize("name", [b"\xff\xfe.png", "写真.png".encode(), b"-x.png"])
def test_paths_are_printed_as_they_are(name: bytes, place: Path):
    command = [sys.executable, "-m", "began.cli", "sample", "--quiet", "--run=run", b"--out=" + name]
    result = subprocess.run(command, capture_output=True, env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stdout, result.stderr) == (0, name + b"\n", b"")
    assert Path(os.fsdecode(name)).is_file()


# The same pictures, again


def test_a_run_does_not_train_on_its_own_grids(place: Path, monkeypatch):
    monkeypatch.chdir(place / "photographs")
    start = ["--data=folder:.", *SMALL, "--sample-every=1"]
    for out in ("runs/mine", "."):
        assert began("train", *start, "--out", out).exit_code == 0
        result = began("train", "--resume", "--out", out, "--steps=7", "--device=cpu")
        assert result.exit_code == 0, result.output
        assert load(out).record["pictures"] == 8
    whole = began("train", *start, "--out", place / "whole", "--steps=7")
    assert whole.exit_code == 0, whole.output
    histories = [load_checkpoint(Path(out) / CHECKPOINT)["history"] for out in ("runs/mine", ".", place / "whole")]
    assert torch.equal(histories[0], histories[2])
    assert torch.equal(histories[1], histories[2])


def test_a_set_that_changed_is_named_and_refused_or_gone_on_with(place: Path):
    data = place / "photographs"
    assert load("run").record["fingerprint"]
    shutil.copy(data / "0.png", data / "new\n.png")
    (data / "1.png").unlink()
    (data / "2.png").write_bytes((data / "2.png").read_bytes() + b" ")
    line = the_line(resume("--steps=7"), 1)
    told = r"1 added (new\n.png), 1 removed (1.png), 1 of another size (2.png); put them back, start anew, or go on"
    assert told in line
    assert "not those of the run any more" in line
    result = resume("--steps=7", "--changed-data")
    assert result.exit_code == 0, result.output
    assert resume("--steps=8").exit_code == 0


@pytest.mark.parametrize("way", ["absolute", "relative", "home", "moved"])
def test_the_same_set_by_another_name_goes_on(way: str, place: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(place))
    if way == "moved":
        (place / "photographs").rename(place / "elsewhere")
    new = {"absolute": f"{place}/photographs", "relative": "photographs", "home": "~/photographs", "moved": "elsewhere"}
    result = resume("--steps=7", f"--data=folder:{new[way]}", "--on-collapse=rollback")
    assert result.exit_code == 0, result.output
    assert load("run").config.data == f"folder:{new[way]}"


def test_pictures_that_moved_are_asked_for(place: Path):
    (place / "photographs").rename(place / "elsewhere")
    line = the_line(resume("--steps=7"), 1)
    assert line == "Error: there is no folder photographs; where its pictures have moved: --data folder:DIR"


def test_another_kind_of_data_is_refused(place: Path):
    assert "data must stay 'folder:" in the_line(resume("--steps=7", "--data=faces"), 1)
    assert "data must stay 'folder:" in the_line(resume("--steps=7", f"--data=celeba:{place}/photographs"), 1)


def test_a_checkpoint_from_before_fingerprints_goes_on_with_its_folder_only(place: Path):
    state = load_checkpoint(place / "run" / CHECKPOINT)
    del state["pictures"]
    torch.save(state, place / "run" / CHECKPOINT)
    shutil.copytree("photographs", "copy")
    assert "data must stay" in the_line(resume("--steps=7", "--data=folder:copy"), 1)
    result = resume("--steps=7", "--data=folder:photographs")
    assert result.exit_code == 0, result.output


# What is said


def test_every_command_has_an_example_and_can_be_quiet():
    for command in ALL:
        text = began(command, "--help").output
        assert f"Example:\n    began {command}" in text
        assert "--quiet" in text
    text = began("--help").output
    for line in ("0         done", "1         an error", "130, 143  stopped by Ctrl-C, SIGTERM"):
        assert line in text


def test_quiet_prints_the_paths_alone(place: Path):
    def lines(*command: object) -> list[str]:
        result = began(*command, "--quiet")
        assert result.exit_code == 0, result.output
        return result.output.splitlines()

    written = [f"new/{name}" for name in ("samples.png", "run.json", "history.jsonl")]
    written += ["new/generator.safetensors", "new/discriminator.safetensors", "new/checkpoint.pt"]
    (place / "photographs/notes.txt").touch()
    assert lines("train", "--data=folder:photographs", "--out=new", *SMALL) == written
    assert lines("sample", "--run=run") == ["samples.png"]
    found = lines("invert", "--run=run", "--image=me.png", "--iterations=3", "--device=cpu")
    assert found == ["inverted.png", "inverted.safetensors"]
    assert lines("edit", "--run=run", "--codes=codes.safetensors", "--dimension=1=2", "--device=cpu") == ["edited.png"]
    assert lines("info", "run") == ["run"]
    rows = ["--out=rows.jsonl", "--device=cpu", "--steps=2", "--width=8", "--seeds=1"]
    assert lines("sweep", "toy", *rows) == ["rows.jsonl"]
    assert all(Path(path).exists() for path in [*written, *found, "samples.png", "edited.png", "rows.jsonl"])


def test_quiet_still_prints_errors(place: Path):
    result = began("train", "--data=folder:nowhere", "--out=new", "--quiet", *SMALL)
    assert result.output == "Error: there is no folder nowhere\n"
    assert "is there already" in the_line(sample("--quiet", "--out=me.png"), 2)


def test_commands_tell_the_paths_that_they_wrote(place: Path):
    for command, paths in ((sample, ["samples.png"]), (edit, ["edited.png"]), (invert, ["inverted.png"])):
        assert set(paths) <= set(command().output.splitlines())
    assert "inverted.safetensors" in invert("--force").output.splitlines()


# Whose fault an error is


def test_only_what_a_user_can_mend_is_one_line(place: Path, monkeypatch):
    def mendable(*_: object) -> None:
        raise BeganError("mend this")

    def system(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "disk")

    def bug(*_: object) -> None:
        torch.ones(2) @ torch.ones(3)

    def shapes(*_: object) -> None:
        raise ValueError("operands could not be broadcast together")

    for fault, known in ((mendable, True), (system, True), (bug, False), (shapes, False)):
        monkeypatch.setattr("began.cli.look.load", fault)
        result = sample()
        assert result.exit_code == 1
        assert ("Traceback" in result.output) is not known
        last = result.output.splitlines()[-1]
        report = "Error: this is a fault of began: please report it, with the lines above and those of: began info"
        assert (last == report) is not known
        told = began("--traceback", "sample", "--run=run")
        assert told.exit_code == 1
        assert f"in {fault.__name__}\n" in told.output
        assert told.output.splitlines()[-1] == last


def test_a_usage_error_has_its_traceback_when_asked_for(place: Path):
    assert "Traceback" not in sample("--count=0").output
    assert "Traceback" in began("--traceback", "sample", "--run=run", "--count=0").output
    assert began("--traceback", "sample", "--help").exit_code == 0


# How a command ends


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("command", WRITING)
def test_ctrl_c_ends_any_command_with_its_code(command: str, place: Path, monkeypatch):
    for module in ("codes", "look"):
        monkeypatch.setattr(f"began.cli.{module}.load", interrupted)
    result = WRITING[command]()
    assert result.exit_code == 128 + signal.SIGINT
    assert "Traceback" not in result.output


def test_a_reader_that_closes_early_is_no_error(place: Path):
    command = f"{sys.executable} -m began.cli info run | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT)
    assert result.stderr == ""


def test_a_notebook_is_told_of_a_changed_set_as_well(place: Path):
    (place / "photographs/0.png").unlink()
    images = open_data(load("run").config)
    with pytest.raises(BeganError, match=r"1 removed \(0\.png\).*changed_data"):
        Trainer.resume(place / "run" / CHECKPOINT, images)
    assert Trainer.resume(place / "run" / CHECKPOINT, images, changed_data=True).step == 5
