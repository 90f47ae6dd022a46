"""Tables as cells show them: Markdown that reads as text too."""

import pytest

from studies import tables
from studies.tables import show_table, within


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    bundles: list[dict] = []
    monkeypatch.setattr(tables, "display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def test_numbers_stand_on_the_right_and_words_on_the_left(shown: list[dict]):
    show_table({"$k$": [0.125, 12.0], "method": ["GAN", "BEGAN-CS"], "share": [0.5, None]}, ".2f", "", ".0%")
    (bundle,) = shown
    assert bundle["text/plain"] == bundle["text/markdown"]
    assert bundle["text/markdown"].splitlines() == [
        "|   $k$ | method   | share |",
        "| ----: | -------- | ----: |",
        "|  0.12 | GAN      |   50% |",
        "| 12.00 | BEGAN-CS |       |",
    ]


def test_columns_that_do_not_fit_each_other_are_refused(shown: list[dict]):
    with pytest.raises(ValueError, match=r"equally long, got \{'a': 2, 'b': 1\}"):
        show_table({"a": [1, 2], "b": [1]})
    with pytest.raises(ValueError, match="one a column, 2, got 1"):
        show_table({"a": [1], "b": [1]}, "d")
    assert shown == []


def test_an_interval_stands_behind_its_number():
    assert within(0.951, 0.9, 1.0).split("\u00a0") == ["0.95", "[0.90,", "1.00]"], "a line that does not break"
    assert within(0.05, 0, 0.1, ".0%") == "5%\u00a0[0%,\u00a010%]"
