"""The figures of diversity against quality: what is drawn is what the rows say."""

import numpy as np
import torch

from studies import takeoff
from studies.figures import ch05
from studies.rivals import Best
from studies.statistics import by_gamma


def row(gamma: float, seed: int, x: float, y: float) -> dict:
    readings = {"step": [10, 20, 30], "x": [x, 2 * x, 3 / x]}
    return {"setting": {"gamma": gamma}, "seed": seed, "final": {"x": x, "y": y}, "readings": readings}


ROWS = [row(0.9, 1, 5.0, 1.0), row(0.5, 0, 1.0, 0.2), row(0.9, 0, 4.0, 3.0), row(0.5, 1, 2.0, 0.4), row(0.9, 2, 9, 2)]


def test_rows_are_grouped_by_gamma_and_sorted_by_seed():
    groups = by_gamma(ROWS)
    assert list(groups) == [0.5, 0.9]
    assert [one["seed"] for one in groups[0.9]] == [0, 1, 2]


def test_the_map_has_a_mark_a_cell_and_a_line_a_prediction(check_figure, monkeypatch):
    def run(gamma: float, grain: float, spread: float) -> dict:
        return {
            "setting": {"gamma": gamma, "grain": grain},
            "seed": 0,
            "final": {"spread": spread, "reader_frechet": 0.1},
        }

    lines = {"additive": lambda grain: 0.9 - grain, "copies": lambda grain: 0.6 - grain}
    monkeypatch.setattr(takeoff, "load", lambda group, **_: [group])
    monkeypatch.setattr(takeoff, "predictions", lambda room: lines if room == ["room"] else {})
    rows = [run(0.5, 0.0, 0.1), run(0.5, 0.2, 0.9), run(0.5, 0.2, 0.2), run(0.8, 0.2, 0.9)]
    (panel,) = check_figure(ch05.show_map(rows))
    fine = np.linspace(0, 0.2, 61)
    assert panel.curve(fine, 0.9 - fine).name == "additive"
    assert panel.curve(fine, 0.6 - fine).name == "copies"
    assert panel.has([0.0, 0.2, 0.2], [0.5, 0.5, 0.8])
    notes = {text.xy: text.get_text() for text in panel.axes.texts}
    assert notes == {(0.0, 0.5): "0/1", (0.2, 0.5): "1/2", (0.2, 0.8): "1/1"}


def test_faces_are_shown_by_what_they_cost(check_figure):
    blocks = {name: torch.full((3, 3, 16, 16), value) for name, value in (("easiest", -1.0), ("samples", 1.0))}
    easy, samples = check_figure(ch05.show_easy_faces(blocks))
    values = [np.asarray(panel.axes.images[0].get_array())[5, 5, 0] for panel in (easy, samples)]
    assert values == [0, 255]


def test_shares_are_drawn_over_what_values_cost(check_figure):
    table = {"a": {"loss": [1.0, 3.0], "share": [0.6, 0.2], "real": [0.4, 0.4]}}
    ends = [{"table": table, "correlation": -0.5, "null": value} for value in (0.1, -0.1)]
    rows = [{"seed": seed, "easy": easy} for seed, easy in enumerate(ends)]
    (panel,) = check_figure(ch05.show_shares({"no grain": rows}))
    assert panel.has([0.5, 1.5], [1.5, 0.5])
    assert panel.level(1.0)
    assert panel.title == "no grain\n-0.50, shuffled 0.00"


def test_forks_are_drawn_there_and_back(check_figure):
    def tree(change: dict, seed: int) -> dict:
        parts = {"trunk": ([1, 2], [0.1, 0.5 + seed]), "there": ([3], [0.2 + seed]), "back": ([4], [0.4 + seed])}
        readings = {part: {"step": step, "spread": values} for part, (step, values) in parts.items()}
        return {"setting": {"gamma": 1}, "change": change, "seed": seed, "steps": 2, "away": 1, **readings}

    rows = [tree(change, seed) for change in ({"gamma": 0.3}, {"grain": 0.0}) for seed in (0, 1)]
    first, second = check_figure(ch05.show_warm(rows, "spread", "spread"))
    assert (first.title, second.title) == ("$\\gamma$ 1:\n$\\gamma$ 0.3", "$\\gamma$ 1:\ngrain 0")
    for panel in (first, second):
        assert panel.curve([1, 2], [0.1, 0.5])
        assert panel.curve([1, 2], [0.1, 1.0]), "the median"
        assert panel.has([3, 4], [1.2, 1.4])
        assert panel.upright(2)
        assert panel.upright(3)


def test_margins_are_drawn_beside_k(check_figure):
    def rows(*values: float) -> list[dict]:
        return [{"final": {"spread": value, "std": 2 * value}} for value in values]

    groups = {"with k": rows(0.2, 0.4), "margin 1": rows(0.5, 0.9)}
    first, second = check_figure(ch05.show_margins(groups, {"spread": "of attributes", "std": "of pixels"}))
    assert (first.axes.get_xlabel(), second.axes.get_xlabel()) == ("of attributes", "of pixels")
    assert first.has([0.2, 0.4, 0.5, 0.9], [0, 0, 1, 1])
    assert second.has([0.4, 0.8, 1.0, 1.8], [0, 0, 1, 1])


def test_a_search_is_drawn_with_its_band(check_figure):
    found = {"BEGAN": [Best(1, 0.6, 0.2, 0.9), Best(2, 0.4, 0.2, 0.8)], "EBGAN": [Best(1, 0.5, 0.3, 0.6)]}
    (panel,) = check_figure(ch05.show_search(found, 0.01))
    assert panel.curve([1, 2], [0.6, 0.4]).name == "BEGAN"
    assert panel.has([1, 2, 1, 2], [0.2, 0.2, 0.9, 0.8])
    assert panel.at(1, 0.5).name == "EBGAN"
    assert panel.level(0.01).name == "real"
    assert panel.axes.get_yscale() == "log"


def test_standings_have_nulls_below_a_line_and_distances_in_powers_of_ten(check_figure):
    def rows(*values: float) -> list[dict]:
        return [{"final": {"d": value, "s": 0.5 + value}} for value in values]

    groups = {"BEGAN": rows(0.1, 0.2), "EBGAN": rows(0.15, 0.3), "real": rows(0.01, 0.01)}
    far, near = check_figure(ch05.show_standings(groups, {"d": "distance"}, {"s": "sharpness"}, 1))
    assert (far.axes.get_xscale(), near.axes.get_xscale()) == ("log", "linear")
    assert (far.axes.get_xlabel(), near.axes.get_xlabel()) == ("distance", "sharpness")
    assert far.rows == list(groups)
    for panel in (far, near):
        assert panel.level(1.5), "below it what can't draw"
    assert far.has([0.1, 0.2, 0.15, 0.3, 0.01], [0, 0, 1, 1, 2])
    left, right = far.axes.get_xlim()
    assert left < 0.01 < 0.3 < right


def test_forks_on_photographs_are_drawn_at_the_gamma_they_went_to(check_figure):
    def rows(where: str, scale: float) -> list[dict]:
        return [{where: gamma, "final": {"d": scale * gamma + n}} for gamma in (0.3, 0.9) for n in (0, 1, 5)]

    there, back = rows("gamma", 1), rows("from", 2)
    levels = [{"final": {"d": value}} for value in (7.0, 8.0, 9.0)]
    (panel,) = check_figure(ch05.show_forks(levels, there, back, levels[1:], {"d": "a distance"}))
    assert panel.curve([0.3, 0.9], [1.3, 1.9]).name == "there"
    assert panel.curve([0.3, 0.9], [1.6, 2.8]).name == "back again"
    assert panel.has([0.3, 0.9], [0.3, 6.8])
    assert panel.level(8.0).name == "before"
    assert panel.level(8.5).name == "real"
