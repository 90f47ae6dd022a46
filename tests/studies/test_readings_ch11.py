"""What all chapters found: formulas, sentences that fit their verdicts, lines that a phone can show."""

from studies.claims import STATED, Claim, Entry
from studies.readings import ch11


def entry(name: str, verdict: str, low: float = 0.5, data: str = "faces") -> Entry:
    return Entry(4, Claim(name, "k_t holds", 1.0, low, 1.0, "share", 5, data, verdict, "here"))  # pyright: ignore


ENTRIES = [entry("B2", "open"), entry("B2", "reproduced", data="photographs"), entry("C1", "not reproduced", 1.0)]


def test_a_table_of_lines_has_no_bar_within_a_cell(monkeypatch):
    monkeypatch.setattr(ch11, "heading", lambda chapter, section: section)
    monkeypatch.setattr(Entry, "link", "04_x.ipynb#here")
    table = ch11.line_by_line(ENTRIES, ["B2"])
    assert table.startswith('<details id="claim-b2"><summary>B2, line by line: 2</summary>\n\n')
    rows = [row for row in table.splitlines() if row.startswith("|")]
    assert len(rows) == 4
    assert {row.count("|") for row in rows} == {4}
    assert "[4, here](04_x.ipynb#here)" in rows[2]


def test_sentences_stand_for_all_claims_and_go_stale_with_their_verdict():
    assert list(ch11.SAID) == list(STATED)
    assert "B2" not in ch11.stale(ENTRIES)
    assert "B2" in ch11.stale([*ENTRIES, entry("B2", "not reproduced")])


def test_verdicts_are_counted_and_change_with_the_data():
    assert ch11.verdict_on("a: reproduced", "a: not reproduced") == "differs"
    assert ch11.verdict_on("so: and so: open", "b: reproduced") == "open"
    columns = ch11.summary(ENTRIES, "B")
    assert columns["verdict"][1] == "**reproduced** (1 open, 1 reproduced)"
    assert ch11.changed(ENTRIES, "photographs")["claim"] == ["B2"]
    assert ch11.counts(ENTRIES)["claims"] == [14, 1, 1]


def test_claims_that_say_little_are_those_with_open_lines_or_no_width():
    columns = ch11.undecided(ENTRIES)
    assert columns == {"claim": ["B2", "C1"], "lines": [2, 1], "open": [1, 0], "of no width": [0, 1]}
