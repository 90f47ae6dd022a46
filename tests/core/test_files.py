"""Files are whole or not there."""

from pathlib import Path

import pytest

from began import files
from began.files import atomic_write, link


def test_a_block_that_ends_replaces_the_file(tmp_path: Path):
    path = tmp_path / "new folder/file.txt"
    for text in ("one", "two"):
        with atomic_write(path) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("linked", [True, False])
def test_a_second_name_keeps_what_the_first_had(linked: bool, tmp_path: Path, monkeypatch):
    def no_links(*_):
        raise OSError("no hard links here")

    if not linked:
        monkeypatch.setattr(files.os, "link", no_links)
    path, other = tmp_path / "file.txt", tmp_path / "kept/file.txt"
    for text in ("one", "two"):
        with atomic_write(path) as temporary:
            temporary.write_text(text)
        link(path, other)
        assert other.read_text() == text
        assert other.samefile(path) == linked
    with atomic_write(path) as temporary:
        temporary.write_text("three")
    assert other.read_text() == "two"
    assert list(other.parent.iterdir()) == [other]
