"""Which files below a folder are pictures to train on, and how a set is known again."""

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from began.errors import BeganError
from began.images.batches import Batches
from began.images.sources import open_images


def save(path: Path, level: int = 9, side: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side, 3), level, np.uint8)).save(path)
    return path


def names(folder: Path) -> list[str]:
    images = open_images(f"folder:{folder}", size=16)
    return [Path(path).relative_to(folder).as_posix() for path in images.paths]


HIDDEN = [".ipynb_checkpoints", ".thumbnails/normal", ".Trash-0/files", "__MACOSX", "@eaDir/1.png", "a/.cache"]


@pytest.mark.parametrize("inside", HIDDEN)
def test_folders_of_tools_are_not_trained_on(inside: str, tmp_path: Path, caplog):
    save(tmp_path / "a/1.png")
    save(tmp_path / inside / "2.png")
    assert names(tmp_path) == ["a/1.png"]
    tool = next(part for part in Path(inside).parts if part != "a")
    assert caplog.messages == [f"left out of {tmp_path}: hidden or tools' folders: 1 ({tool})"]


def test_a_hidden_folder_that_is_asked_for_is_taken(tmp_path: Path):
    save(tmp_path / ".mine/1.png")
    assert names(tmp_path / ".mine") == ["1.png"]


@pytest.mark.parametrize("end", ["ppm", "pgm", "jfif", "jp2", "tga", "JPE", "dib", "avif"])
def test_formats_that_pillow_reads_are_taken(end: str, tmp_path: Path):
    if f".{end}" not in Image.registered_extensions() and end == "avif":
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / f"1.{end}"
    Image.new("L" if end == "pgm" else "RGB", (40, 40), 90 if end == "pgm" else (90, 90, 90)).save(path)
    (picture,) = open_images(f"folder:{tmp_path}", size=16)
    assert (picture.int() - 90).abs().max() <= 4


def test_what_is_left_out_is_counted_with_the_reason(tmp_path: Path, caplog):
    save(tmp_path / "kept/1.png")
    save(tmp_path / "elsewhere/run/samples.png")
    (tmp_path / "elsewhere/run/run.json").touch()
    save(tmp_path / "._1.png")
    for name in ("1.heic", "2.heic", "notes.txt", "film.mpg", "drawing.eps", "README", ".DS_Store"):
        (tmp_path / name).touch()
    (tmp_path / "best").symlink_to(tmp_path / "kept")
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket.png"))
        assert names(tmp_path) == ["kept/1.png"]
    (line,) = caplog.messages
    assert line.startswith(f"left out of {tmp_path}: ")
    told = set(line.removeprefix(f"left out of {tmp_path}: ").split("; "))
    assert "files of other formats: 6 (2 .heic, " in line
    assert {"linked folders: 1 (best)", "folders of runs: 1 (run)", "hidden files: 1 (._1.png)"} < told
    assert "pipes or devices: 2 (" in line


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists(), reason="root may read everything")
def test_a_folder_that_can_not_be_read_is_named(tmp_path: Path):
    save(tmp_path / "kept/1.png")
    (tmp_path / "locked").mkdir(mode=0)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    look = "import sys, pathlib, logging; logging.basicConfig(); sys.path[:0] = sys.argv[2].split(':')\n"
    look += "from began.images.folder import pictures_below; print(pictures_below(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", look, str(tmp_path), ":".join(sys.path)]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=12345", "--clear-groups", *command]
    result = subprocess.run(command, capture_output=True, text=True, cwd="/")
    if "Permission denied" in result.stderr and "locked: " not in result.stderr:
        pytest.skip("another user can't even start Python here")
    assert "unreadable folders: 1 (locked: Permission denied)" in result.stderr
    assert "kept/1.png" in result.stdout


def test_nothing_left_is_an_error_that_says_what_there_was(tmp_path: Path):
    (tmp_path / "1.heic").touch()
    with pytest.raises(
        FileNotFoundError, match=r"no pictures in or below .*; left out: files of other formats: 1 \(.heic"
    ):
        names(tmp_path)


@pytest.mark.parametrize("mark", ["run.json", "checkpoint.pt", ".lock"])
def test_a_run_in_the_folder_itself_has_its_grids_left_out(mark: str, tmp_path: Path, caplog):
    for name in ("1.png", "samples.png", "samples/000500.png", "samples/mine.png", "b/samples.png"):
        save(tmp_path / name)
    (tmp_path / mark).touch()
    assert names(tmp_path) == ["1.png", "b/samples.png", "samples/mine.png"]
    assert (
        "grids of a run: 2 (000500.png, samples.png)" in caplog.text or "grids of a run: 2 (samples.png" in caplog.text
    )


def test_broken_links_are_broken_pictures(tmp_path: Path):
    (tmp_path / "1.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(BeganError, match=r"cannot read .*1\.png \(FileNotFoundError"):
        Batches(open_images(f"folder:{tmp_path}", size=16), 1)


def test_a_name_that_would_break_the_line_is_escaped(tmp_path: Path, caplog):
    save(tmp_path / "fine.png")
    (tmp_path / "a\nb.png").write_text("no picture")
    (tmp_path / os.fsdecode(b"\xff.png")).write_text("no picture")
    (tmp_path / "c\nd.txt\ne").touch()
    with caplog.at_level(logging.WARNING):
        assert len(Batches(open_images(f"folder:{tmp_path}", size=16, broken="skip"), 1).images) == 1
    assert len(caplog.messages) == 4
    assert not [message for message in caplog.messages if not message.isprintable()]
    assert "a\\nb.png" in caplog.text
    assert "\\udcff.png" in caplog.text


def test_no_home_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(Path, "expanduser", lambda _: (_ for _ in ()).throw(RuntimeError("no home directory.")))
    with pytest.raises(BeganError, match=r"~/x: there is no home that ~ could stand for; write the folder out"):
        open_images("folder:~/x", size=16)
    assert len(open_images("digits", size=16, count=1)) == 1


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path: Path):
    folder = tmp_path / os.fsdecode(b"\xff")
    save(folder / "1.png")
    with pytest.raises(BeganError, match=r"no name in UTF-8: rename the folder, or make a link to it"):
        open_images(f"folder:{folder}", size=16)


@pytest.mark.parametrize(("high", "seen"), [(200, 200), (200 * 257, 200)])
def test_grey_of_32_bits_is_read_by_its_range(high: int, seen: int, tmp_path: Path):
    Image.fromarray(np.full((40, 40), high, np.int32)).save(tmp_path / "1.tif")
    (picture,) = open_images(f"folder:{tmp_path}", size=16, channels=1)
    assert (picture == seen).all()


@pytest.mark.parametrize("levels", [(0, 65536), (-1, 200)])
def test_grey_of_no_agreed_range_is_refused(levels: tuple[int, int], tmp_path: Path):
    Image.fromarray(np.array([levels] * 2, np.int32)).save(tmp_path / "1.tif")
    with pytest.raises(BeganError, match=rf"grey levels from {levels[0]} to {levels[1]} have no agreed range: save it"):
        open_images(f"folder:{tmp_path}", size=16)[0]


def test_a_dark_16_bit_png_stays_dark(tmp_path: Path):
    Image.fromarray(np.full((40, 40), 255, np.uint16)).save(tmp_path / "1.png")
    assert open_images(f"folder:{tmp_path}", size=16)[0].max() == 1


IN_LITTLE_SHARED_MEMORY = """
import itertools, sys, torch
from began.images.batches import Batches
from began.images.sources import open_images
images = open_images(f"folder:{sys.argv[1]}", size=64)
ways = Batches(images, 10, resident_bytes=0, workers=2), Batches(images, 10)
for streamed, kept in itertools.islice(zip(*(way.starting_at(1) for way in ways)), 8):
    assert torch.equal(streamed, kept)
print("the same")
"""


def test_too_little_shared_memory_is_said_and_done_without(tmp_path: Path):
    for i in range(30):
        save(tmp_path / f"{i:02}.png", i, 64)
    mount = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount += ['mount -t tmpfs -o size=300k tmpfs /dev/shm && echo mounted && exec "$@"', "-"]
    child = [sys.executable, "-W", "ignore", "-c", IN_LITTLE_SHARED_MEMORY, str(tmp_path)]
    try:
        result = subprocess.run([*mount, *child], capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        pytest.skip("needs Linux's unshare")
    if not result.stdout.startswith("mounted"):
        pytest.skip(f"no disk can be mounted here: {result.stderr}")
    assert result.stdout == "mounted\nthe same\n", result.stderr
    assert (
        "too little shared memory (/dev/shm, docker's --shm-size) for processes that decode: decoding in"
        in result.stderr
    )
    assert "Traceback" not in result.stderr


def test_another_error_of_a_decoding_process_is_not_taken_for_a_lack_of_memory(tmp_path: Path, monkeypatch):
    class Failing:
        def __init__(self, *_: object, **__: object):
            raise RuntimeError("a bug")

    save(tmp_path / "1.png")
    batches = Batches(open_images(f"folder:{tmp_path}", size=16), 1, resident_bytes=0)
    monkeypatch.setattr("began.images.batches.DataLoader", Failing)
    with pytest.raises(RuntimeError, match="a bug"):
        next(batches.starting_at(0))


# The same set, again


def test_a_listing_does_not_depend_on_where_the_folder_lies(tmp_path: Path, monkeypatch):
    save(tmp_path / "one/a/1.png")
    save(tmp_path / "two/a/1.png")
    monkeypatch.chdir(tmp_path)
    listings = {open_images(f"folder:{place}", size=16).listing for place in ("one", tmp_path / "one", "./two/../two")}
    assert listings == {open_images(f"folder:{tmp_path}/two", size=16).listing}
    assert torch.is_tensor(open_images("faces", size=16, count=1).pixels)
