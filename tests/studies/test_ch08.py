"""The figures of codes: errors, attributes kept and moves of the committed inversions are drawn as they are."""

import numpy as np
import pytest
import torch

from began.images.pixels import to_pixels
from studies.figures.ch08 import (
    ONE_SHOT,
    STARTS,
    show_effects,
    show_errors,
    show_kept,
    show_moves,
    show_pairs,
    show_plane,
)
from studies.inversions import load_inversions, load_left
from studies.statistics import interval


@pytest.mark.parametrize("sets", [1, 2, 3])
def test_errors_fall_along_the_curves_and_the_one_shot_stands_at_its_time(check_figure, sets: int):
    rows = load_inversions("faces", "BEGAN-CS")[: 1 if sets == 1 else None]
    panels = dict.fromkeys("abc"[:sets], rows)
    shown = check_figure(show_errors(panels), panels)[0]
    seconds = [row["errors"]["seconds"] for row in rows]
    shot, step = (torch.tensor([one[key] for one in seconds]).median() for key in ("one_shot", "iteration"))
    for way, style in STARTS.items():
        time = shot + step * torch.tensor(rows[0]["errors"][way]["iterations"])
        errors = torch.tensor([row["errors"][way]["error"] for row in rows])
        assert shown.runs(time, errors) == {style["label"]}
    at_once = [row["errors"]["one_shot"] for row in rows]
    assert shown.curve([shot] * len(rows), at_once).name == ONE_SHOT["label"]
    for key, name in (("mean", "the mean picture"), ("autoencoder", "$D(x)$")):
        assert shown.level(np.mean([row["errors"][key] for row in rows])).name == name


def test_kept_has_a_row_an_attribute_and_never_leaves_its_axis(check_figure):
    rows, ways = load_inversions("faces", "BEGAN"), {"one shot": "one shot", "D(x)": "the copy"}
    for panels in ({"BEGAN": rows, "again": rows}, {"BEGAN": rows[:1]}):
        panel, *_ = check_figure(show_kept(panels, ways), panels)
        names = [name.replace(" ", "_") for name in panel.rows]
        assert sorted(names) == sorted(rows[0]["kept"]["the picture"])
        for way, label in ways.items():
            for y, name in enumerate(names):
                found = interval([row["kept"][way][name] for row in panels["BEGAN"]])
                assert panel.has(np.maximum(found, -1), y, dy=0.4), "the mean and both ends"
                assert panel.at(max(found[0], -1), y, dy=0.4).name == label


def test_effects_are_ordered_by_what_moves_most(check_figure):
    row = load_inversions("faces", "BEGAN-CS")[0]
    effects, columns = load_left("effects", row)[:, -1], row["sweeps"]["columns"]
    for count in (2, 1):
        panel = check_figure(show_effects(effects[:count], columns, ("axes", "turned")[:count]))[0]
        drawn = torch.tensor(panel.axes.images[0].get_array().tolist())
        assert (drawn.argmax(1).diff() >= 0).all()
        torch.testing.assert_close(drawn.sort(0).values, effects[0].abs().sort(0).values)
        assert panel.ticks == [name.replace("_", " ") for name in columns]


def test_pairs_are_joined_under_the_name_of_their_model(check_figure):
    pairs = {"a measure": {"BEGAN": ([1.0, 2.0], [3.0, 4.0]), "BEGAN-CS": ([0.5], [0.25])}}
    for panels in ({**pairs, "another": pairs["a measure"]}, pairs):
        panel, *_ = check_figure(show_pairs(panels, ("axes", "turned")))
        ends = [(series.points[:, 1].tolist(), series.name) for series in panel.series]
        assert ends == [([1, 3], "BEGAN"), ([2, 4], "BEGAN"), ([0.5, 0.25], "BEGAN-CS")]
        assert panel.ticks == ["axes", "turned"] * 2


def test_a_plane_has_its_values_beside_its_pictures(check_figure):
    values = [-1.0, 0.0, 2.0]
    images = torch.linspace(-1, 1, 9).view(9, 1, 1, 1).expand(9, 3, 4, 4)
    panel = check_figure(show_plane(images, values, ("down", "right")))[0]
    drawn = np.asarray(panel.axes.images[0].get_array())[..., 0]
    places = [round(place) for place in panel.axes.get_xticks()]
    assert drawn[np.ix_(places, places)].ravel().tolist() == to_pixels(images)[:, 0, 0, 0].tolist()
    assert panel.ticks == ["-1", "0", "2"]
    assert (panel.axes.get_ylabel(), panel.axes.get_xlabel()) == ("down", "right")


def test_moves_have_a_mark_for_each_attribute_and_seed(check_figure):
    rows = {model: load_inversions("faces", model) for model in ("BEGAN", "BEGAN-CS")}
    for panels in (rows, {"BEGAN": rows["BEGAN"][:1]}):
        for panel, of in zip(check_figure(show_moves(panels), panels), panels.values(), strict=True):
            for way in ("slope", "others held", "one axis"):
                points = [moves[way] for row in of for moves in row["directions"]["moves"].values()]
                assert panel.curve(*([one[name] for one in points] for name in ("reached", "others"))).name == way
            assert panel.upright(1)
