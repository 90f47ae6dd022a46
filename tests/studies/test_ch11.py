"""The figure of all claims: a mark says what its line says."""

from studies.claims import STATED, Claim, Entry
from studies.figures.ch11 import MARKS, show_claims


def entry(name: str, verdict: str, paper: str = "so") -> Entry:
    return Entry(4, Claim(name, paper, 1.0, 0.5, 2.0, "unit", 5, "data", verdict, "here"))  # pyright: ignore


def test_each_claim_has_its_verdict_and_those_of_its_lines(check_figure):
    given = [("B2", "reproduced"), ("C1", "not reproduced"), ("C1", "open"), ("C1", "reproduced", "else")]
    unstated = [("C1", "reproduced", "something (ours)"), ("K1", "reproduced")]
    entries = [entry(*line) for line in given + unstated]
    labels = {name: f"in words {name}" for name in STATED}
    figure = show_claims(entries, labels)
    (panel,) = check_figure(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(MARKS)
    names = [label.split()[-1] for label in panel.rows]
    assert names == list(STATED)
    marks = {name: [] for name in names}
    for series in panel.series:
        ((x, y),) = series.points
        marks[names[int(y)]].append((x, series.name))
    assert marks.pop("B2") == [(0, "reproduced"), (2, "reproduced")]
    assert marks.pop("C1") == [(0, "differs"), (2, "not reproduced"), (3, "open"), (4, "reproduced")]
    assert all(own == [(0, "open")] for own in marks.values())
    check_figure(show_claims([], labels))
