"""The figure of all claims: a mark says what its line says."""

from collections import Counter

import pytest

from studies.claims import STATED, Claim, Entry
from studies.figures.ch11 import MARKS, show_claims

pytestmark = pytest.mark.usefixtures("figures")


def entry(name: str, verdict: str, paper: str = "so") -> Entry:
    return Entry(4, Claim(name, paper, 1.0, 0.5, 2.0, "unit", 5, "data", verdict, "here"))  # pyright: ignore


def look(line) -> tuple:
    return line.get_marker(), line.get_fillstyle()


def test_each_claim_has_a_large_mark_and_a_small_one_a_line():
    entries = [
        entry("B2", "reproduced"),
        entry("C1", "not reproduced"),
        entry("C1", "open"),
        entry("C1", "reproduced", "else"),
        entry("C1", "reproduced", "something (ours)"),
        entry("K1", "reproduced"),
    ]
    figure = show_claims(entries)
    (axes,) = figure.axes
    names = [label.get_text().split()[-1] for label in axes.get_yticklabels()]
    assert names == list(STATED)
    marks = {}
    for line in axes.lines:
        ((x, y),) = line.get_xydata()
        marks.setdefault(names[int(y)], []).append((x, look(line), line.get_markersize()))
    known = {verdict: (mark["marker"], mark.get("fillstyle", "full")) for verdict, mark in MARKS.items()}
    assert len(set(known.values())) == len(MARKS), "each verdict has a shape of its own"
    assert marks["B2"] == [(0, known["reproduced"], 10), (2, known["reproduced"], 5)]
    assert marks["C1"][0] == (0, known["differs"], 10)
    assert [mark for _, mark, _ in marks["C1"][1:]] == [known[v] for v in ("not reproduced", "open", "reproduced")]
    assert marks["B1"] == [(0, known["open"], 10)]
    assert Counter(map(len, marks.values())) == {1: 14, 2: 1, 4: 1}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(MARKS)
