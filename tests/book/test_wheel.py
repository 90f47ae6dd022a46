"""The package as somebody gets it who wants to train and not to read: a wheel, and no library of the book's."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTRA = ("ot", "scipy", "sklearn", "matplotlib", "IPython", "ipywidgets", "jupyter_core", "nbformat")
BARE = f"""
import sys
from importlib.machinery import PathFinder

class Others(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {EXTRA} else super().find_spec(name, path, target)

sys.meta_path[:] = [Others if finder is PathFinder else finder for finder in sys.meta_path]
"""  # an environment with the wheel's own dependencies alone


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the working tree, built from a copy, so that nothing is left behind."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git repository")
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in listed.stdout.splitlines():
        if name.endswith((".py", ".toml", ".md", "LICENSE")) and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", out, tree]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = out.glob("began-*.whl")
    return found


def test_a_wheel_holds_every_module(wheel: Path):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    wanted = {
        path.relative_to(folder).as_posix()
        for folder, package in ((ROOT, "began"), (ROOT / "book", "studies"))
        for path in (folder / package).rglob("*.py")
    }
    assert inside == wanted


@pytest.mark.slow
def test_a_wheel_without_the_books_libraries_trains_and_draws(wheel: Path, tmp_path: Path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "site/sitecustomize.py").write_text(BARE)

    def began(*arguments: str) -> str:
        command = [sys.executable, "-c", "from began.cli import main; main()", *arguments]
        environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "", "HOME": str(tmp_path)}
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    began("train", "--steps=20", "--size=16", "--n=8", "--count=64", "--device=cpu", "--out=run")
    assert (tmp_path / "run/samples.png").is_file()
    began("sample", "--run=run", "--out=grid.png")
    began("invert", "--run=run", "--image=grid.png", "--iterations=2", "--device=cpu", "--out=found.png")
    assert (tmp_path / "grid.png").read_bytes()[:4] == b"\x89PNG"
