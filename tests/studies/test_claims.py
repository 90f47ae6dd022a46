"""The file that a chapter leaves of its claims, and what is read from all of them."""

import dataclasses
import json
from pathlib import Path

import pytest

from studies import tables
from studies.claims import (
    STATED,
    Claim,
    Entry,
    anchor,
    formulas,
    gaps,
    heading,
    keep,
    load_claims,
    notebook,
    overall,
    plain,
    save_claims,
    shown,
)

FOUND = {
    "claim": "C8",
    "paper": "does best",
    "ours": 1 / 3,
    "low": 0.25,
    "high": 0.5,
    "unit": "share",
    "seeds": 10,
    "data": "grid",
    "verdict": "differs",
    "section": "here",
}
EVERY = [Entry(4, Claim(**{**FOUND, "claim": name})) for name in STATED]


def verdict(*lines: str) -> str:
    """The verdict on a claim of such lines, each "wording: verdict"."""
    return overall(
        Claim(**{**FOUND, "paper": words, "verdict": said}) for words, said in (x.split(": ") for x in lines)
    )


def there(chapter: int, section: str) -> str | None:
    return section if (chapter, section) == (4, "here") else None


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """A repository with a book of one chapter, and the current folder in it."""
    (tmp_path / "data/artifacts").mkdir(parents=True)
    (tmp_path / "book").mkdir()
    sources = {
        "markdown": ["# Chapter\n", "## Here, $k_t$ and `k`: how?\n", "\n", "### Below\n", "###### Deep"],
        "code": ["## Here we compute"],
    }
    cells = [{"cell_type": kind, "source": source} for kind, source in sources.items()]
    (tmp_path / "book/04_name.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_claims_are_saved_for_their_chapter(place: Path):
    path = save_claims(9, [Claim(**FOUND)])
    assert path == place / "data/claims/09.json"
    assert json.loads(path.read_text()) == [{**FOUND, "ours": 0.3333}]


def cells_of(table: str, line: int) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[line].split("|")[1:-1]]


def test_claims_are_kept_and_shown_beside_what_was_published(place: Path, monkeypatch):
    shown = []
    monkeypatch.setattr(tables, "display", lambda bundle, raw: shown.append(bundle["text/markdown"]))
    line = ["does best (C8)", STATED["C8"].published, "**0.333** [0.25, 0.5] share; grid, 10 seeds", "differs"]
    keep(9, [Claim(**FOUND)])
    assert cells_of(shown[0], 2) == line
    null = {"null": 0.1, "null_low": 0.0, "null_high": 0.2}
    keep(9, [Claim(**FOUND), Claim(**{**FOUND, "claim": "T1", **null})])
    assert cells_of(shown[1], 2) == [*line[:3], "", line[3]]
    assert cells_of(shown[1], 3)[1:4:2] == ["", "**0.1** [0, 0.2]"]
    assert [claim.null for _, claim in load_claims()] == [None, 0.1]


@pytest.mark.parametrize("folder", ["/proc/self/claims", "a file"])
def test_claims_that_can_not_be_kept_are_said_and_do_not_stop_a_chapter(place: Path, folder: str, monkeypatch, caplog):
    (place / "a file").touch()
    monkeypatch.setattr("studies.claims.claims_folder", lambda: place / folder)
    path = save_claims(9, [Claim(**FOUND)])
    (line,) = caplog.messages
    assert line.startswith("the claims of chapter 9 are not kept: ")
    assert str(place / folder) in line
    assert not path.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "proved"}, "verdict must be one of reproduced, differs, not reproduced, open, got 'proved'"),
        ({"low": 0.4}, r"ours must lie in \[low, high\] = \[0.4, 0.5\], got 0.33"),
        ({"ours": float("nan")}, "got nan"),
        ({"null": 0.5, "null_low": 0.6, "null_high": 0.7}, r"null must lie in \[low, high\] = \[0.6, 0.7\], got 0.5"),
        ({"high": float("inf")}, "0.25, inf"),
    ],
)
def test_a_claim_that_says_nothing_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Claim(**{**FOUND, **change})


def test_what_was_saved_is_read_in_the_order_of_the_chapters(place: Path):
    save_claims(10, [Claim(**{**FOUND, "claim": "W1"})])
    save_claims(4, [Claim(**FOUND), Claim(**{**FOUND, "ours": 0.5})])
    entries = load_claims()
    assert [entry.chapter for entry in entries] == [4, 4, 10]
    known = {name: value for name, value in dataclasses.asdict(entries[0].claim).items() if value is not None}
    assert known == {**FOUND, "ours": 0.3333}
    assert load_claims(place / "book") == []


@pytest.mark.parametrize("change", [{"ours": None}, {"verdict": "fine"}, {"seed": 3}])
def test_a_line_that_is_no_claim_is_named(place: Path, change):
    path = save_claims(7, [Claim(**FOUND)] * 2)
    lines = json.loads(path.read_text())
    path.write_text(json.dumps([lines[0], {**lines[1], **change}]))
    with pytest.raises(ValueError, match=r"07\.json, line 2 is no claim"):
        load_claims()


def test_nothing_is_missing_where_each_claim_has_a_line_in_a_section():
    assert list(STATED) == [f"B{i}" for i in range(1, 8)] + [f"C{i}" for i in range(1, 10)]
    assert gaps(EVERY, there) == []


@pytest.mark.parametrize("name", STATED)
def test_a_claim_without_a_line_is_missed(name):
    rest = [entry for entry in EVERY if entry.claim.claim != name]
    assert gaps(rest, there) == [f"{name}: no number"]
    ours = Claim(**{**FOUND, "claim": name, "paper": "something else (ours)"})
    assert gaps([*rest, Entry(4, ours)], there) == [f"{name}: no number"]


def test_a_section_that_is_not_in_its_chapter_is_missed():
    lost = Claim(**{**FOUND, "section": "nowhere"})
    assert gaps([*EVERY, Entry(4, lost)], there) == ["C8: chapter 04 has no section 'nowhere'"]
    assert gaps([*EVERY, Entry(5, EVERY[0].claim)], there) == ["B1: chapter 05 has no section 'here'"]


def test_sections_are_found_by_the_beginning_of_their_heading(place: Path):
    assert notebook(4) == place / "book/04_name.ipynb"
    assert heading(4, "Here") == "Here, $k_t$ and `k`: how?"
    assert heading(4, "Below") == "Below"
    for section in ("Here we", "Chapter", "There", ""):
        assert heading(4, section) is None
    with pytest.raises(FileNotFoundError, match="0 chapters 05"):
        notebook(5)


def test_anchors_are_those_of_the_book():
    """Those of MyST: https://myst-parser.readthedocs.io/en/latest/syntax/optional.html#auto-generated-header-anchors."""
    assert anchor("Here, $k_t$ and `k`: how?") == "here--and-k-how"
    assert anchor("The Fréchet distance over training") == "the-fréchet-distance-over-training"
    assert anchor("Anti-windup, $a$ or $b$") == "anti-windup--or-"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "open"),
        (["a: reproduced"], "reproduced"),
        (["a: open", "a: open"], "open"),
        (["a: reproduced", "a: open"], "reproduced"),  # one wording on two data: the open one decides nothing
        (["a: reproduced", "b: open"], "open"),  # a part of it is open
        (["a: not reproduced", "b: open"], "not reproduced"),
        (["a: differs", "b: open"], "differs"),
        (["a: reproduced", "a: not reproduced"], "differs"),
        (["a: reproduced", "b: not reproduced", "c: open"], "differs"),
        (["a: differs", "b: not reproduced"], "differs"),
        (["a: not reproduced", "b: not reproduced"], "not reproduced"),
        (["a: reproduced", "b (ours): not reproduced"], "reproduced"),
        (["b (ours): reproduced"], "open"),
    ],
)
def test_the_verdict_on_a_claim_follows_from_its_lines(lines, expected):
    assert verdict(*lines) == expected
    assert verdict(*reversed(lines)) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("|m_1 - m_2| tracks W_1", r"$\vert m_1 - m_2 \vert$ tracks $W_1$"),
        ("k_t holds L(G(z)) / L(x) at gamma", r"$k_t$ holds $\mathcal{L}(G(z)) / \mathcal{L}(x)$ at $\gamma$"),
        ("M falls at 16x16, a_b * 2", r"$M$ falls at 16x16, a\_b \* 2"),
        ("across gammas, 'Make' or |mean|", r"across gammas, 'Make' or \|mean\|"),
        ("z* of x; k <= p / p_g", r"$z^*$ of $x$; $k \leq p / p_g$"),
    ],
)
def test_formulas_are_mathematics_and_the_rest_stands_as_it_is(text: str, shown: str):
    assert formulas(text) == shown


def test_numbers_and_text_are_readable():
    assert [shown(x) for x in (0.5, 0.98765, -2375.2, 123.4, 9.5e-06)] == ["0.5", "0.988", "-2375", "123", "9.5e-06"]
    assert plain("a_b [c] $d") == r"a\_b \[c\] \$d"


def test_the_book_lacks_no_number():
    assert gaps(load_claims()) == []
