import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from studies.figures.ch08 import show_effects, show_errors, show_kept, show_moves, show_pairs
from studies.inversions import load_inversions, load_left
from studies.style import COLOURS

MODELS = ("BEGAN", "BEGAN-CS")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_errors_fall_along_the_curves_and_the_cross_is_the_one_shot():
    rows = load_inversions("faces", "BEGAN-CS")
    figure = show_errors({"one": rows, "two": rows})
    axes = figure.axes[0]
    thick = [line for line in axes.lines if line.get_linewidth() == 2]
    assert len(thick) == 2
    ends = torch.tensor([row["errors"]["random"]["error"][-1] for row in rows]).median()
    assert thick[0].get_ydata()[-1] == pytest.approx(float(ends))
    cross = next(line for line in axes.lines if line.get_marker() == "X")
    assert list(cross.get_ydata()) == [row["errors"]["one_shot"] for row in rows]


def test_kept_has_a_row_an_attribute_and_never_leaves_its_axis():
    rows = load_inversions("faces", "BEGAN")
    figure = show_kept({"BEGAN": rows, "again": rows}, {"one shot": "one shot", "D(x)": "D(x)"})
    axes = figure.axes[0]
    assert len(axes.get_yticklabels()) == len(rows[0]["kept"]["the picture"])
    points = torch.tensor(np.array([container.lines[0].get_xdata() for container in axes.containers], float))
    assert points.min() >= -1
    names = [label.get_text().replace(" ", "_") for label in axes.get_yticklabels()]
    light = [row["kept"]["D(x)"]["light"] for row in rows]
    assert points[1][names.index("light")] == pytest.approx(sum(light) / len(light), abs=1e-4)


def test_effects_are_ordered_by_what_moves_most():
    effects = load_left("effects", load_inversions("faces", "BEGAN-CS")[0])[:, -1]
    columns = load_inversions("faces", "BEGAN-CS")[0]["sweeps"]["columns"]
    figure = show_effects(effects, columns, ("axes", "turned"))
    drawn = torch.tensor(figure.axes[0].images[0].get_array().tolist())
    most = drawn.argmax(1)
    assert (most.diff() >= 0).all()
    assert float(drawn.sum()) == pytest.approx(float(effects[0].abs().sum()), rel=1e-4)


def test_pairs_are_joined_in_the_colour_of_their_model():
    pairs = {"a measure": {"BEGAN": ([1.0, 2.0], [3.0, 4.0]), "BEGAN-CS": ([0.5], [0.25])}}
    figure = show_pairs({**pairs, "another": pairs["a measure"]}, ("axes", "turned"))
    lines = figure.axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == [[1.0, 3.0], [2.0, 4.0], [0.5, 0.25]]
    assert to_hex(lines[-1].get_color()) == COLOURS["BEGAN-CS"].lower()


def test_moves_have_a_mark_for_each_attribute_and_seed():
    rows = {model: load_inversions("faces", model) for model in MODELS}
    figure = show_moves(rows)
    count = sum(len(row["directions"]["moves"]) for row in rows["BEGAN"])
    for line, way in zip(figure.axes[0].lines[:3], ("slope", "others held", "one axis"), strict=True):
        assert line.get_label() == way
        assert len(line.get_xdata()) == count
