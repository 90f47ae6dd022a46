"""The way to Colab: one address for all that leads there, and a chapter run as it runs there.

The second part makes an environment with Colab's versions of what a notebook runs on, without installing torch again,
and opens a chapter alone in an empty folder. `git clone` of the address gets this working tree.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import nbformat
import pytest
import torch
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = "book/01_first_faces.ipynb"
ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
PINS = {"ipywidgets": "7.7.1", "IPython": "7.34.0", "matplotlib": "3.10.0", "ipykernel": "6.17.1"}
THERE = ("pip", "torch", "torchvision", "scikit-learn", "jupyterlab", "ipywidgets", "matplotlib")  # on Colab, too
LIST = """
import json
from importlib.metadata import distributions
found = {}
for one in distributions():
    found.setdefault(one.name.lower(), one.version)
print(json.dumps(found))
"""
PROBE = """
import json, began, torch, %s
print(json.dumps({m.__name__: [m.__version__, m.__file__] for m in (torch, %s)} | {"began": began.__file__}))
""" % ((", ".join(PINS),) * 2)  # fmt: skip


def code_cells(chapter: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in chapter.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a commit of the working tree would hold."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    result = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip("not a git repository")
    folder = tmp_path_factory.mktemp("tree")
    for name in filter(None, result.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def contents(tree: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in tree.rglob("*") if path.is_file() and ".git" not in path.parts}


def change_address(tree: Path, *addresses: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, "book/address.py", *addresses]
    return subprocess.run(script, cwd=tree, capture_output=True, text=True, check=False)


def test_chapters_begin_with_the_same_cell_which_clones_the_address(tree: Path):
    chapters = [nbformat.read(path, as_version=4) for path in tree.glob("book/[0-9]*.ipynb")]
    (cell,) = {code_cells(chapter)[0].source for chapter in chapters}
    assert re.findall(r"git clone.*(https\S+)", cell) == [ADDRESS]


def test_every_link_to_the_repository_or_to_colab_agrees(tree: Path):
    links = re.compile(
        rb"(?:git clone.* https://github\.com/|colab\.research\.google\.com/github/|repository-code: https://github\.com/)([\w.-]+/[\w.-]+)"
    )
    found = {path: set(links.findall(content)) for path, content in contents(tree).items()}
    wanted = ADDRESS.removeprefix("https://github.com/").encode()
    assert {tree / "CITATION.cff", *tree.glob("book/[0-9]*.ipynb")} <= {path for path in found if found[path]}
    assert set().union(*found.values()) == {wanted}


def test_one_command_changes_the_address_everywhere_and_back(tree: Path):
    before = contents(tree)
    result = change_address(tree, "https://github.com/somebody/a.fork-2.git")
    assert result.returncode == 0, result.stderr
    after = contents(tree)
    name = ADDRESS.removeprefix("https://github.com/").encode()
    assert [path for path, content in after.items() if name in content] == []
    assert yaml.safe_load(after[tree / "_config.yml"])["repository"]["url"] == "https://github.com/somebody/a.fork-2"
    changed = {str(path.relative_to(tree)) for path in before if before[path] != after[path]}
    assert changed == set(result.stdout.split())
    assert change_address(tree, ADDRESS).returncode == 0
    assert contents(tree) == before


@pytest.mark.parametrize("address", ["", "https://gitlab.com/a/b", "https://github.com/a", "https://github.com/a/b/c"])
def test_an_address_that_colab_could_not_open_is_refused(tree: Path, address: str):
    before = contents(tree)
    result = change_address(tree, address)
    assert result.returncode == 1
    assert f"must be https://github.com/OWNER/REPO, got {address!r}" in result.stderr
    assert contents(tree) == before


def link_installed(folder: Path) -> None:
    """Links what `THERE` needs, as this environment has it: torch alone would take minutes to install again.

    What Colab pins is left out, and so is all that only `began` asks for.
    """
    todo, done = [Requirement(name) for name in THERE], set()
    while todo:
        wanted = todo.pop()
        if str(wanted) in done:
            continue
        done.add(str(wanted))
        try:
            package = distribution(wanted.name)
        except PackageNotFoundError:
            continue  # an optional one
        for needed in map(Requirement, package.requires or []):
            extras = wanted.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(needed)
        if package.name.lower() in map(str.lower, PINS):
            continue
        for top in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(package.locate_file(top))))


class Colab:
    """An environment with Colab's versions in which `git clone` of the book's address clones this working tree."""

    def __init__(self, folder: Path, origin: Path) -> None:
        venv.create(folder / "env")
        self.python = folder / "env/bin/python"
        (folder / "there").mkdir()
        link_installed(folder / "there")
        site = next(folder.glob("env/lib/python*/site-packages"))
        (site / "there.pth").write_text(str(folder / "there"))
        pins = [f"{name}=={version}" for name, version in PINS.items()]
        result = self.run("-m", "pip", "install", "-q", "--retries", "0", "--timeout", "20", *pins)
        if result.returncode:
            pytest.skip(f"pip cannot fetch Colab's versions, is there a network? {result.stderr.splitlines()[-1]}")

        git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
        for command in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "The working tree"]):
            subprocess.run([*git, *command], cwd=origin, check=True)
        kernel = folder / "jupyter/kernels/python3/kernel.json"  # found before the kernel of this environment
        kernel.parent.mkdir(parents=True)
        argv = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        kernel.write_text(json.dumps({"argv": argv, "display_name": "Colab", "language": "python"}))
        self.env = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "JUPYTER_PATH": str(folder / "jupyter"),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{origin.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": ADDRESS,
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, *arguments], capture_output=True, text=True, cwd=self.python.parent, check=False
        )

    def packages(self) -> dict[str, str]:
        return json.loads(self.run("-c", LIST).stdout)

    def execute(self, notebook: NotebookNode, path: Path) -> NotebookNode:
        nbformat.write(notebook, path)
        command = [sys.executable, "book/execute.py", path]
        result = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return nbformat.read(path, as_version=4)


def printed(cell: NotebookNode) -> str:
    return "".join(output.text for output in cell.get("outputs", []) if output.get("name") == "stdout")


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Colab:
    return Colab(tmp_path_factory.mktemp("colab"), origin=tree)


@pytest.fixture(scope="module")
def visit(colab: Colab, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[NotebookNode, Path, dict, dict]:
    """The chapter as it ran, the folder it ran in, and the packages before and after."""
    folder = tmp_path_factory.mktemp("content")
    chapter = nbformat.read(tree / CHAPTER, as_version=4)
    chapter.cells.append(new_code_cell(PROBE))
    before = colab.packages()
    chapter = colab.execute(chapter, folder / Path(CHAPTER).name)
    return chapter, folder, before, colab.packages()


def test_chapter_prints_there_what_it_prints_here(visit, tree: Path):
    stored = code_cells(nbformat.read(tree / CHAPTER, as_version=4))
    assert any(map(printed, stored))
    for here, there in zip(stored[1:], code_cells(visit[0])[1:-1], strict=True):
        assert printed(there) == printed(here)


def test_kernel_has_the_versions_of_colab_and_the_torch_that_was_there(visit):
    chapter, folder, *_ = visit
    seen = json.loads(printed(chapter.cells[-1]))
    assert {name: seen[name][0] for name in PINS} == PINS
    assert seen["torch"][0] == torch.__version__
    assert Path(seen["torch"][1]).resolve() == Path(torch.__file__).resolve()
    assert Path(seen["began"]).is_relative_to(folder)


def test_installing_changes_no_package_that_was_there(visit):
    _, _, before, after = visit
    assert "began" not in before
    assert "began" in after
    assert before.items() <= after.items()


def test_after_a_restart_the_first_cell_does_nothing_and_the_artifacts_are_there(colab: Colab, visit):
    chapter, folder, *_ = visit
    look = "import studies.style\nfrom began.runs.artifacts import artifact_names\nprint(len(artifact_names()) > 0)"
    again = new_notebook(cells=[new_code_cell(source) for source in (code_cells(chapter)[0].source, look)])
    again = colab.execute(again, folder / "again.ipynb")
    assert printed(again.cells[0]) == ""
    assert printed(again.cells[1]) == "True\n"
