"""The figures of diversity against quality: what is drawn is what the rows say."""

import numpy as np
import pytest
import torch

from studies import takeoff
from studies.figures import ch05
from studies.figures.ch05 import TradeOff, show_courses, show_gamma, show_measures, show_trade_offs
from studies.rivals import Best
from studies.statistics import by_gamma


def row(gamma: float, seed: int, x: float, y: float) -> dict:
    readings = {"step": [10, 20, 30], "x": [x, 2 * x, 3 / x]}
    return {"setting": {"gamma": gamma}, "seed": seed, "final": {"x": x, "y": y}, "readings": readings}


ROWS = [row(0.9, 1, 5.0, 1.0), row(0.5, 0, 1.0, 0.2), row(0.9, 0, 4.0, 3.0), row(0.5, 1, 2.0, 0.4), row(0.9, 2, 9, 2)]
REAL = [row(1, 0, 6.0, 0.0), row(1, 1, 8.0, 0.0)]
PANEL = TradeOff("faces", ROWS, REAL, ("x", "diversity"), ("y", "distance"), down=True)


def test_rows_are_grouped_by_gamma_and_sorted_by_seed():
    groups = by_gamma(ROWS)
    assert list(groups) == [0.5, 0.9]
    assert [one["seed"] for one in groups[0.9]] == [0, 1, 2]


def test_a_trade_off_has_a_point_a_run_and_a_line_through_medians(check_figure):
    least = PANEL._replace(rows=ROWS[:1], real=REAL[:1], down=False)
    left, right = check_figure(show_trade_offs([PANEL, least]))
    for one in ROWS:
        assert left.at(one["final"]["x"], one["final"]["y"]).name == f"{one['setting']['gamma']:g}"
    assert left.curve([1.5, 5], [0.3, 2])
    assert left.at(7, 0), "real pictures"
    assert right.has([5, 6], [1, 0])
    assert (left.axes.yaxis_inverted(), right.axes.yaxis_inverted()) == (True, False)
    assert (left.axes.get_xlabel(), left.axes.get_ylabel(), left.title) == ("diversity", "distance", "faces")


def test_one_gamma_is_named_beside_the_samples_of_all_seeds(check_figure):
    blocks = [torch.full((4, 3, 16, 16), value) for value in (-1.0, 1.0)]
    pictures, curve = check_figure(show_gamma(0.5, blocks, PANEL, columns=3))
    grid = np.asarray(pictures.axes.images[0].get_array())
    assert grid.shape[:2] == (2 * 17 + 1, 3 * 17 + 1)
    assert (grid[5, 5, 0], grid[25, 5, 0]) == (0, 255)
    assert "0.5" in pictures.title
    (note,) = curve.axes.texts
    assert (note.get_text(), note.xy) == ("0.5", pytest.approx((1.5, 0.3)))
    assert curve.has(*np.array([[one["final"]["x"], one["final"]["y"]] for one in ROWS]).T)


def test_measures_are_drawn_for_the_data_that_have_them(check_figure):
    some = [one for one in ROWS if one["seed"] < 2]
    lacking = [{**one, "final": {"x": 2 * one["final"]["x"]}} for one in some]
    data = {"faces": (some, REAL), "photographs": (lacking, [row(1, 0, 20, 0)])}
    first, second = check_figure(show_measures({"x": "the x", "y": "the y"}, data))
    assert (first.title, second.title) == ("the x", "the y")
    assert first.has([0.5, 0.5, 0.9, 0.9], [1, 2, 4, 5])
    assert first.curve([0.5, 0.9], [1.5, 4.5]).name == "faces"
    assert first.curve([0.5, 0.9], [3, 9]).name == "photographs"
    assert first.level(7), "real faces"
    assert first.level(20), "real photographs"
    assert second.curve([0.5, 0.9], [0.3, 2]).name == "faces"
    assert not any(series.name == "photographs" for series in second.series)
    check_figure(show_measures({"x": "the x"}, {"faces": (ROWS[:1], [])}))


def test_courses_end_at_the_step_asked_for(check_figure):
    some = [one for one in ROWS if one["seed"] < 2]
    (panel,) = check_figure(show_courses(some, {"x": "the x"}, 20))
    for gamma, values in (("0.5", (1, 2, 1.5)), ("0.9", (5, 4, 4.5))):
        assert {panel.curve([10, 20], [x, 2 * x]).name for x in values} == {gamma}
    assert max(series.points[:, 0].max() for series in panel.series) == 20
    check_figure(show_courses(ROWS[:1], {"x": "the x"}, 10))


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
    rows = [{"easy": {"table": table, "correlation": -0.5, "null": value}} for value in (0.1, -0.1)]
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
