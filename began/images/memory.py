"""The memory that this process may still take: what the host has, within the limits of the containers around it."""

import re
from collections.abc import Iterator
from pathlib import Path

ASSUMED = 8 * 2**30  # where a host does not say what is free, as macOS does not
CGROUPS = (  # of version 2 and 1: where they are, their name in /proc/self/cgroup, limit, use, and cache within the use
    ("sys/fs/cgroup", "", "memory.max", "memory.current", "inactive_file"),
    ("sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def free_memory(root: Path = Path("/")) -> int:
    """Return the memory of the host, below whose `root` the system's files are, that is left to this process: bytes."""
    free = _number(r"^MemAvailable:\s+(\d+) kB", root / "proc/meminfo")
    return max(0, min([ASSUMED if free is None else 1024 * free, *_left(root)]))


def _left(root: Path) -> Iterator[int]:
    """Yield what each limit leaves: of this process's cgroup, and of those that it is nested in."""
    groups = [line.split(":", 2)[1:] for line in _text(root / "proc/self/cgroup").splitlines()]
    for mount, controller, limit, use, cache in CGROUPS:
        top = root / mount
        # in a container that sees only its own, at the top, the path may be the host's: what is not there is passed by
        paths = [path.strip("/") for names, path in groups if controller in names.split(",")]
        for folder in {top, *(above for path in paths for above in (top / path, *(top / path).parents))}:
            if not folder.is_relative_to(top) or ".." in folder.parts:
                continue
            allowed, used = _number(r"^(\d+)$", folder / limit), _number(r"^(\d+)$", folder / use)
            if allowed is not None:
                yield allowed - (used or 0) + (_number(rf"^{cache} (\d+)$", folder / "memory.stat") or 0)


def _number(pattern: str, path: Path) -> int | None:
    found = re.search(pattern, _text(path), re.MULTILINE)
    return int(found[1]) if found else None


def _text(path: Path) -> str:
    """Return a file's text; nothing where it can't be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
