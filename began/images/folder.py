"""The pictures below a folder: which files they are, what is left out and why, and whether they are still the same."""

import json
import logging
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from PIL import Image

NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}  # known to Pillow, which needs help to read them
TOOLS = {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information"}  # thumbnails and wastebaskets
RUN = {"run.json", "checkpoint.pt", ".lock"}  # any of them tells a run's folder
GRID = re.compile(r"samples(/\d+)?\.png")  # what looks like a picture in there
logger = logging.getLogger(__name__)


@cache
def endings() -> frozenset[str]:
    """Return how the names of pictures end, in small letters: of all formats that Pillow reads by itself."""
    formats = Image.registered_extensions()
    return frozenset(end for end, kind in formats.items() if kind in Image.OPEN and kind not in NO_PICTURES)


def pictures_below(folder: Path) -> list[str]:
    """List the pictures below a folder, sorted by path; a line in the log says how many of what are left out, and why.

    Left out are hidden files; folders that are hidden, a tool's, linked, unreadable, or hold a run (of `folder` itself
    only a run's grids); formats that Pillow does not read; pipes and devices. Raises FileNotFoundError where there is
    no folder, or no picture below it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {shown(folder)}")
    found: list[Path] = []
    left: defaultdict[str, list[str]] = defaultdict(list)
    holds_run = not RUN.isdisjoint(os.listdir(folder))

    def unreadable(error: OSError) -> None:
        left["unreadable folders"].append(f"{Path(error.filename).name}: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=unreadable):
        here = Path(place)
        if here != folder and not RUN.isdisjoint(names):
            left["folders of runs"].append(here.name)
            folders.clear()
            continue
        for name in tuple(folders):
            hidden = name.startswith(".") or name in TOOLS
            if hidden or os.path.islink(here / name):
                left["hidden or tools' folders" if hidden else "linked folders"].append(name)
                folders.remove(name)
        for path in (here / name for name in names):
            end = path.suffix.lower()
            if path.name.startswith("."):  # a zip made on macOS has a '._x.jpg' beside each 'x.jpg'
                left["hidden files"] += [path.name] if end in endings() else []
            elif end not in endings():
                left["files of other formats"].append(end or "without an ending")
            elif holds_run and GRID.fullmatch(path.relative_to(folder).as_posix()):
                left["grids of a run"].append(path.name)
            elif not _may_be_opened(path):
                left["pipes or devices"].append(path.name)
            else:
                found.append(path)
    told = "; ".join(f"{what}: {len(names)} ({some(names)})" for what, names in left.items() if names)
    if not found:
        raise FileNotFoundError(f"there are no pictures in or below {shown(folder)}{told and f'; left out: {told}'}")
    if told:
        logger.warning("left out of %s: %s", shown(folder), told)
    return [str(path) for path in sorted(found)]


def _may_be_opened(path: Path) -> bool:
    """Whether opening a file ends, as a pipe's may not; that of a broken link does, as of other broken pictures."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def listing(paths: Iterable[str], folder: str) -> str:
    """Return what a set of files is known by, wherever its folder lies: names below it and sizes, as ASCII JSON."""
    sizes = {}
    for path in paths:
        try:
            size = os.path.getsize(path)
        except OSError:
            size = None
        sizes[os.path.relpath(path, folder).replace(os.sep, "/")] = size
    return json.dumps(sizes)


def changes(was: str, now: str) -> str:
    """Say what became of a set between two listings, a few files by name; "" where they are the same."""
    before, after = json.loads(was), json.loads(now)
    kinds = {
        "added": after.keys() - before.keys(),
        "removed": before.keys() - after.keys(),
        "of another size": {name for name in before.keys() & after.keys() if before[name] != after[name]},
    }
    return ", ".join(f"{len(names)} {what} ({some(sorted(names))})" for what, names in kinds.items() if names)


def some(names: Iterable[str]) -> str:
    """Return a few of some names, the most frequent first, for a message."""
    counts = Counter(names)
    told = [f"{count} {shown(name)}" if count > 1 else shown(name) for name, count in counts.most_common(3)]
    return ", ".join(told + ["..."] * (len(counts) > 3))


def shown(name: str | Path) -> str:
    """Return a name as a message may hold it: what would break the line or can't be printed is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(name))
