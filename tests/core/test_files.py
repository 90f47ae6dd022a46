"""Files are whole or not there."""

import errno
import logging
import os
from pathlib import Path

import pytest

from began import files
from began.files import atomic_write, link, locked


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


def no_locks(monkeypatch, error: BaseException) -> None:
    def refused(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("filelock.UnixFileLock._acquire", refused)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS])
def test_where_the_disk_has_no_locks_work_goes_on_with_a_warning(code: int, tmp_path: Path, monkeypatch, caplog):
    no_locks(monkeypatch, OSError(code, os.strerror(code)))
    with locked(tmp_path / "run"):
        (tmp_path / "run/file").touch()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    reason = f"[Errno {code}] {os.strerror(code)}"
    line = f"the disk of {tmp_path / 'run'} has no locks ({reason}): see to it that no other run writes there"
    assert record.getMessage() == line


def test_what_an_older_filelock_says_of_a_disk_without_locks_is_understood(tmp_path: Path, monkeypatch, caplog):
    no_locks(monkeypatch, NotImplementedError("FileSystem does not appear to support flock; use SoftFileLock instead"))
    with locked(tmp_path):
        assert "has no locks" in caplog.text


def test_flock_itself_may_say_that_there_are_no_locks(tmp_path: Path, monkeypatch, caplog):
    fcntl = pytest.importorskip("fcntl")

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    with locked(tmp_path):
        assert "has no locks" in caplog.text


def test_other_refusals_of_a_lock_stay_errors(tmp_path: Path, monkeypatch):
    no_locks(monkeypatch, OSError(errno.EIO, os.strerror(errno.EIO)))
    with pytest.raises(OSError, match="Input/output error"), locked(tmp_path):
        pass
