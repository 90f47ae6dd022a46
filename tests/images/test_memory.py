"""What memory is left to a process: limits of containers, as Linux writes them down."""

from pathlib import Path

import pytest

from began.images.memory import ASSUMED, free_memory

MIB = 2**20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with 20 GiB to spare."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: 32000000 kB\nMemAvailable:   {20 * 2**20} kB\n")
    return tmp_path


def limited(folder: Path, limit: object, used: int, cache: int = 0, *, version: int = 2) -> None:
    """Give a cgroup its files."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    prefix = "" if version == 2 else "total_"
    (folder / "memory.stat").write_text(f"anon 1\n{prefix}active_file 5\n{prefix}inactive_file {cache}\n")


def belongs(root: Path, *lines: str) -> None:
    """Say what cgroups the process is in."""
    (root / "proc/self").mkdir()
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in lines))


def test_without_limits_it_is_what_the_host_has(root: Path):
    assert free_memory(root) == 20 * 2**30
    belongs(root, "0::/")
    limited(root / "sys/fs/cgroup", "max", 5 * MIB)
    assert free_memory(root) == 20 * 2**30


def test_where_the_host_does_not_say_some_is_assumed(tmp_path: Path):
    assert free_memory(tmp_path) == ASSUMED
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 100 kB\n")  # as kernels before 3.14 and some sandboxes have it
    assert free_memory(tmp_path) == ASSUMED
    limited(tmp_path / "sys/fs/cgroup", 900 * MIB, 100 * MIB)
    assert free_memory(tmp_path) == 800 * MIB


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_that_sees_only_its_own_cgroup(root: Path, version: int):
    """The path of a container without a namespace of its own is the host's, and is not there."""
    belongs(root, *(["0::/docker/abc"] if version == 2 else ["5:cpu,memory:/docker/abc", "1:name=systemd:/docker/abc"]))
    top = root / ("sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory")
    limited(top, 900 * MIB, 300 * MIB, 100 * MIB, version=version)
    assert free_memory(root) == 700 * MIB, "what is only cached can be had"


@pytest.mark.parametrize("version", [1, 2])
def test_the_least_of_nested_limits_counts(root: Path, version: int):
    belongs(root, "0::/a/b/c" if version == 2 else "7:memory:/a/b/c")
    top = root / ("sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory")
    no_limit = "max" if version == 2 else 2**63 - 4096
    limited(top, no_limit, 10**9, version=version)
    limited(top / "a", 2000 * MIB, 1500 * MIB, version=version)  # its other children take most of it
    limited(top / "a/b", 900 * MIB, 100 * MIB, version=version)
    limited(top / "a/b/c", no_limit, 50 * MIB, version=version)
    limited(top / "a/other", 1 * MIB, 0, version=version)
    assert free_memory(root) == 500 * MIB
    limited(top / "a/b/c", 10 * MIB, 50 * MIB, version=version)
    assert free_memory(root) == 0


def test_a_cgroup_outside_of_what_is_seen(root: Path):
    belongs(root, "0::/../../elsewhere")
    limited(root / "sys/fs/elsewhere", 1, 0)
    limited(root / "sys/fs/cgroup", 900 * MIB, 0)
    assert free_memory(root) == 900 * MIB


def test_of_both_versions_at_once_each_counts(root: Path):
    belongs(root, "4:memory:/job", "0::/")
    limited(root / "sys/fs/cgroup/memory/job", 700 * MIB, 0, version=1)
    assert free_memory(root) == 700 * MIB


def test_what_can_not_be_made_sense_of_is_passed_by(root: Path):
    belongs(root, "0::/job")
    folder = root / "sys/fs/cgroup/job"
    folder.mkdir(parents=True)
    (folder / "memory.max").write_bytes(b"\xff\xfe")
    (folder / "memory.current").mkdir()
    assert free_memory(root) == 20 * 2**30
