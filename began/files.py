"""Files that are either whole or not there, and folders that one run at a time writes to."""

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from torch import Tensor

from began.errors import BeganError

logger = logging.getLogger(__name__)
UNFINISHED = ".unfinished"  # how the names of files end that are still being written
FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}  # of pictures that are written
REFUSALS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the system allows no file as large",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "there is no permission",
    errno.EPERM: "there is no permission",
    errno.EEXIST: "a file is in the way",
    errno.ENOTDIR: "a file is in the way",
    errno.ENOENT: "there is no such place",
    errno.ENAMETOOLONG: "the name is too long",
}
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # what a disk without locks answers


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a refusal of the system in the block into an OSError that says which path can't be written, and why.

    The refusal may be anywhere behind the block's error: torch and safetensors have errors of their own for it.
    """
    try:
        yield
    except Exception as error:
        behind: BaseException | None = error
        while behind:
            for code, reason in REFUSALS.items():
                if os.strerror(code) in str(behind):
                    raise OSError(f"{path} can't be written: {reason} ({os.strerror(code)})") from error
            behind = behind.__cause__ or behind.__context__
        raise


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise ValueError, naming a file that is read in the block, where it does not hold what is looked for."""
    try:
        yield
    except (ValueError, LookupError, TypeError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise BeganError(f"{path} does not hold what it should ({reason}); make or fetch it again") from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends without an error, it replaces `path` in one step.

    An error, a full disk or a kill in the block leaves the old file as it was. Missing parent folders are made. Raises
    OSError, naming `path`, where it can't be written (`explained`).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())  # on the disk before the name points at it
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink()


def remove_unfinished(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder and those in it; nobody else may be writing there."""
    for path in folder.rglob(f".*{UNFINISHED}"):
        path.unlink()


@contextmanager
def locked(folder: Path, name: str = ".lock") -> Iterator[None]:
    """Keep other processes from the block while it runs for the same folder and name; the system frees it at a kill.

    The folder is made if need be. Raises OSError where it can't be written, BlockingIOError, at once, where another
    process or thread is in the block. A thread that is in it already may enter again. Where the disk has no locks a
    warning is logged, and nobody is kept out.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            held = FileLock(folder / name, is_singleton=True).acquire(blocking=False)
        except Timeout as error:
            reason = f"another run is writing to {folder} (it holds {name}): wait for it, or choose another place"
            raise BlockingIOError(reason) from error
        except (OSError, NotImplementedError) as error:  # the latter is what filelock made of ENOSYS up to 3.20
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise
            logger.warning("the disk of %s has no locks (%s): see to it that no other run writes there", folder, error)
            held = nullcontext()
    with held:
        yield


def link(path: Path, other: Path) -> None:
    """Give a file a second name that outlives the first's replacement; a copy where the disk has no hard links."""
    other.parent.mkdir(parents=True, exist_ok=True)
    other.unlink(missing_ok=True)
    try:
        os.link(path, other)
    except OSError:
        with atomic_write(other) as temporary:
            shutil.copyfile(path, temporary)


def picture_format(path: Path) -> str:
    """Return the format that a picture's name asks for; BeganError where it is none of `FORMATS`."""
    if path.suffix.lower() not in FORMATS:
        raise BeganError(f"{path} must end in {', '.join(FORMATS)}: that tells the format")
    return FORMATS[path.suffix.lower()]


def save_grid(images: Tensor, path: Path, columns: int) -> None:
    """Write a grid of images, `(B, C, H, W)` about [-1, 1], row by row, in the format of its name, atomically."""
    from torchvision.utils import save_image  # only now: it takes as long to import as torch

    with atomic_write(path) as temporary:
        save_image(images, temporary, nrow=columns, normalize=True, value_range=(-1, 1), format=picture_format(path))
