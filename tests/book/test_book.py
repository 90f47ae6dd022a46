"""The chapters as files: executed, short of cell, and with figures that are described."""

import ast
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from studies.claims import STATED, load_claims, verdicts

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "book").glob("[0-9]*.ipynb"))


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request: pytest.FixtureRequest) -> NotebookNode:
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def execute(*chapters: str | Path) -> subprocess.CompletedProcess[str]:
    return run("book/execute.py", *chapters)


def nbval(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Compares a notebook under the repository's own configuration of pytest."""
    return run("-m", "pytest", "-c", "pyproject.toml", "-p", "no:cacheprovider", "--nbval", *options, path)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An executed notebook with an output of each kind that chapters have."""
    cells = [
        new_markdown_cell("# Small"),
        new_code_cell("import random\nrandom.seed(0)"),
        new_code_cell("for i in range(3):\n    print(i, round(random.random(), 3), flush=True)"),
        new_code_cell("{'gamma': 0.5}"),
        new_code_cell(
            "from matplotlib import pyplot as plt\n"
            "from studies.sliders import show_slider\n"
            "show_slider({'width': [1, 2]}, lambda width: plt.figure(figsize=(width, 1)), 'a box')"
        ),
    ]
    notebook = new_notebook(cells=cells)
    for cell in notebook.cells:
        del cell["id"]  # as an editor older than nbformat 4.5 leaves it
    notebook.nbformat_minor = 4
    path = tmp_path / "00_small.ipynb"
    nbformat.write(notebook, path)
    result = execute(path)
    assert result.returncode == 0, result.stderr
    return path


def test_execution_leaves_the_same_bytes_twice(small: Path):
    once = small.read_bytes()
    assert execute(small).returncode == 0
    assert small.read_bytes() == once


def test_execution_stores_a_slider_as_its_page_alone(small: Path):
    (output,) = nbformat.read(small, as_version=4).cells[-1].outputs
    assert output.data.keys() == {"text/plain", "text/html"}
    assert "began-slider" in output.data["text/html"]


def test_a_wrong_stored_output_fails_and_the_right_one_passes(small: Path):
    right = nbval(small)
    assert right.returncode == 0, right.stdout
    text = small.read_text()
    assert "0.844" in text  # the first number of Python's generator after seed(0)
    small.write_text(text.replace("0.844", "0.845"))
    wrong = nbval(small)
    assert wrong.returncode == 1
    assert "1 failed" in wrong.stdout


def alter_a_number(notebook: NotebookNode) -> int:
    """Changes the first decimal that a cell prints or has in a table, and returns the position of the cell."""
    for position, cell in enumerate(code_cells(notebook)):
        for output in cell.outputs:
            place, name = (output, "text") if "text" in output else (output.data, "text/plain")
            text = place[name]
            if output.output_type == "stream" or text.startswith("|"):
                place[name] = re.sub(r"(\d\.)(\d)", lambda m: f"{m[1]}{(int(m[2]) + 1) % 10}", text, count=1)
            if place[name] != text:
                return position
    raise AssertionError("no cell shows a number")


@pytest.mark.slow
def test_an_altered_number_fails_in_every_chapter(chapter: NotebookNode, tmp_path: Path):
    position = alter_a_number(chapter)
    path = tmp_path / "00_altered.ipynb"
    nbformat.write(chapter, path)
    shutil.copy(ROOT / "book/conftest.py", tmp_path)
    result = nbval(path, "-x")
    assert result.returncode == 1
    passed = f", {position} passed" if position else ""
    assert f" 1 failed{passed} in " in result.stdout


def test_execution_names_the_cell_that_fails_and_keeps_the_file(small: Path):
    broken = nbformat.read(small, as_version=4)
    broken.cells[2].source = "1 / 0"
    nbformat.write(broken, small)
    before = small.read_bytes()
    result = execute(small)
    assert result.returncode == 1
    assert "00_small.ipynb, cell 2 (id cell-02)" in result.stderr
    assert "ZeroDivisionError" in result.stderr
    assert small.read_bytes() == before


def test_execution_of_an_unknown_chapter_lists_the_known():
    result = execute("no_such_chapter")
    assert result.returncode == 1
    assert CHAPTERS[0].stem in result.stderr


def test_contents_list_every_chapter_once_and_in_order():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    assert [file for file in files if (ROOT / f"{file}.ipynb").exists()] == [f"book/{path.stem}" for path in CHAPTERS]


@pytest.mark.parametrize("page", ["README.md", "book/intro.md"])
def test_pages_that_count_verdicts_are_not_stale(page: str):
    counts = Counter(verdicts(load_claims()).values())
    kinds = ("differs", "not reproduced", "open")
    said = [f"reproduced {counts['reproduced']} of {len(STATED)}", *(f"{kind} {counts[kind]}" for kind in kinds)]
    assert ", ".join(said) in " ".join((ROOT / page).read_text().replace("*", "").split())


def test_cells_ran_in_order_without_errors_or_warnings(chapter: NotebookNode):
    cells = [cell for cell in code_cells(chapter) if cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run `make execute`"
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    for cell in cells:
        assert not re.search(r"filterwarnings|simplefilter|PYTHONWARNINGS", cell.source), cell.id


def test_stored_cells_do_not_change_by_themselves(chapter: NotebookNode):
    ids = [cell.get("id") for cell in chapter.cells]
    assert None not in ids
    assert len(set(ids)) == len(ids)
    assert not [cell.id for cell in chapter.cells if "execution" in cell.metadata], "run `make execute`"


def test_cells_are_short(chapter: NotebookNode):
    """A statement that the formatter breaks into more lines stands alone."""
    sources = [cell.source for cell in code_cells(chapter)]
    assert len(sources[0].splitlines()) <= 8
    assert not [source for source in sources[1:] if len(source.splitlines()) > 15 and len(ast.parse(source).body) > 1]
    assert max(len(source.splitlines()) for source in sources) <= 40


def test_prose_outweighs_code(chapter: NotebookNode):
    words = sum(len(cell.source.split()) for cell in chapter.cells if cell.cell_type == "markdown")
    assert words >= 5 * sum(len(cell.source.splitlines()) for cell in code_cells(chapter))


def test_figures_are_described(chapter: NotebookNode):
    """The text stands in the cell's metadata: {"mystnb": {"image": {"alt": "..."}}}."""
    for cell in code_cells(chapter):
        data = [output.data for output in cell.outputs if "data" in output]
        if any(mime.startswith("image/") for bundle in data for mime in bundle):
            assert cell.metadata.get("mystnb", {}).get("image", {}).get("alt"), f"cell {cell.id} has no alt text"
        for picture in re.findall(r"<img[^>]*>", "".join(bundle.get("text/html", "") for bundle in data)):
            assert re.search(r'\balt="[^"]+"', picture), f"cell {cell.id} has no alt text"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_file_is_small(path: Path):
    assert path.stat().st_size <= 3 * 2**20
