"""Chapters as people meet them in Jupyter, on Colab and on GitHub: plain Markdown, numbered, with nothing cut off."""

import ast
import json
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from markdown_it import MarkdownIt
from nbformat import NotebookNode
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "book").glob("[0-9]*.ipynb"))
NOTATION = (ROOT / "book/notation.md").read_text()
FIGURE = re.compile(r"\*\*Figure (\d+\.\d+)\.\*\* ")


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def chapter(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def prose(chapter: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in chapter.cells if cell.cell_type == "markdown")


def code(chapter: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in chapter.cells if cell.cell_type == "code"]


def texts(chapter: NotebookNode, kind: str) -> list[str]:
    """What cells show of a kind."""
    bundles = [output.get("data", {}) for cell in code(chapter) for output in cell.outputs]
    return [bundle[kind] for bundle in bundles if kind in bundle]


def captions(chapter: NotebookNode) -> list[str]:
    return [text for text in texts(chapter, "text/markdown") if FIGURE.match(text)]


def test_nothing_of_the_markup_of_pages_shows(chapter: NotebookNode):
    text = "\n\n".join([prose(chapter), *texts(chapter, "text/markdown")])
    raw = re.findall(r"\{[\w:-]+\}`.*?`|^:::.*|^```\{.*|^\([\w-]+\)=$|\$\$ *\([\w-]+\)", text, re.MULTILINE)
    assert raw == []
    for token in MarkdownIt("commonmark").parse(text):
        inside = token.children or []
        for before, after in pairwise(inside):
            assert (before.type, after.type) != ("link_open", "link_close"), f"a link without text: {before.attrs}"


def test_the_first_screen_is_a_question_and_its_figure(chapter: NotebookNode):
    first, *rest = chapter.cells
    title, *opening = first.source.split("\n\n")
    assert title.startswith("# ")
    assert len(opening) == 1, "a sentence and the question"
    assert len(opening[0].split()) <= 60
    assert re.search(r"\*\*[^*]+\?\*\*", opening[0]), "the question is in bold"
    tags = [cell.metadata.get("tags", []) for cell in rest]
    hero = next(at for at, one in enumerate(tags) if "hero" in one)
    assert all("set-up" in one for one in tags[:hero])
    assert any("Figure" in output.get("data", {}).get("text/markdown", "") for output in rest[hero].outputs)


def test_figures_have_numbers_in_order_and_captions_and_are_spoken_of(path: Path, chapter: NotebookNode):
    numbers = [FIGURE.match(text)[1] for text in captions(chapter)]  # pyright: ignore[reportOptionalSubscript]
    assert numbers == [f"{int(path.stem[:2])}.{at}" for at in range(1, len(numbers) + 1)]
    shown = len(texts(chapter, "image/png")) + len(texts(chapter, "text/html"))
    assert len(numbers) == shown, "studies.style.show captions a figure, show_caption a slider"
    for number in numbers:
        assert re.search(rf"Figure {re.escape(number)}\b", prose(chapter)), f"no sentence leads to figure {number}"


def test_equations_have_numbers_in_order_and_those_named_are_there(path: Path, chapter: NotebookNode):
    text, number = prose(chapter), int(path.stem[:2])
    tags = re.findall(r"\\tag\{([^}]+)\}", text)
    assert tags == [f"{number}.{at}" for at in range(1, len(tags) + 1)]
    known = {*tags, *re.findall(r"\\tag\{([^}]+)\}", NOTATION)}
    assert [
        one
        for one in re.findall(r"\(([N\d]+\.\d+)\)", text)
        if one.startswith((f"{number}.", "N.")) and one not in known
    ] == []


def test_citations_read_as_the_bibliography_has_them(chapter: NotebookNode):
    works = parse_file(str(ROOT / "book/references.bib")).entries
    for shown, key in re.findall(r"\[([^\]]+)\]\(references\.bib#([\w-]+)\)", prose(chapter)):
        names = [
            "".join(part for part in " ".join(person.last_names) if part not in "{}")
            for person in works[key].persons["author"]
        ]
        who = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
        year = works[key].fields["year"]
        if "\\" not in who:
            assert shown in (f"{who}, {year}", f"{who} ({year})")


def test_code_and_what_it_prints_fit_a_page(chapter: NotebookNode):
    for cell in code(chapter):
        lines = [line for line in cell.source.splitlines() if "!git clone" not in line]  # an address has no end
        assert [line for line in lines if len(line) > 72] == []
        for output in cell.outputs:
            assert [line for line in output.get("text", "").splitlines() if len(line) > 80] == []


def test_no_output_says_what_was_known_before_the_run():
    verdicts = []
    for path in CHAPTERS:
        for cell in code(nbformat.read(path, as_version=4)):
            verdicts += [
                (path.stem, line)
                for output in cell.outputs
                for line in output.get("text", "").splitlines()
                if "True" in line
            ]
    assert len(verdicts) <= 5, verdicts


def test_questions_have_one_right_answer_and_a_reason_for_each(chapter: NotebookNode):
    """A question is a paragraph that opens with **Why**; each answer opens and says what is right or wrong with it."""
    questions = re.findall(
        r"^\*\*Why.*\n(?:.+\n)*\n((?:<details>(?:.|\n)*?</details>\n*)+)", prose(chapter) + "\n", re.MULTILINE
    )
    assert len(questions) >= 2
    for answers in questions:
        reasons = re.findall(r"<details><summary>.+?</summary>\n\n(.+(?:\n.+)*)\n\n</details>", answers)
        assert len(reasons) == answers.count("<details>") >= 3
        assert sum(reason.startswith("Right") for reason in reasons) == 1


def test_exercises_can_be_checked_by_oneself(chapter: NotebookNode):
    fields = re.findall(r"<!-- check: (\S+) (\S+) -->", prose(chapter))
    assert fields
    assert all(float(within) > 0 for _, within in fields)


def test_bookkeeping_is_one_folded_call(chapter: NotebookNode):
    for cell in code(chapter):
        tree = ast.parse(re.sub(r"^( *)[!%].*", r"\1pass", cell.source, flags=re.MULTILINE))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert "Claim" not in names, "claims are made in studies.readings"
        if "keep" in names or "save_claims" in names:
            assert {"hide-input", "hide-cell"} & set(cell.metadata.get("tags", []))


def test_notebooks_are_plain_json(path: Path):
    text = path.read_text()
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
