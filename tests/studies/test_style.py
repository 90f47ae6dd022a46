"""Figures: what is drawn, in which colours, and that a figure saves."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

from began.step import Record
from studies import style
from studies.figures import ch01, ch09, ch10
from studies.toy.mixtures import PROBLEMS, grid

pytestmark = pytest.mark.usefixtures("figures")


def history(steps: int, ratio: float) -> Record:
    loss = torch.linspace(1, 0.5, steps)
    return Record(loss, ratio * loss, loss, loss / 10, 2 * loss)


def test_images_keep_their_colours_and_order():
    images = torch.stack([torch.full((3, 4, 4), value) for value in (-1.0, 1.0, 0.0)])
    style.show_images(images, columns=3, title="grey")
    (drawn,) = plt.gca().images
    row = drawn.get_array()[2]
    assert [row[2][0], row[7][0], row[12][0]] == [0, 255, 128]
    assert plt.gca().get_title() == "grey"


def test_rows_carry_the_names_in_the_models_colours():
    rows = {"real": torch.zeros(4, 1, 8, 8), "BEGAN-CS": torch.zeros(4, 1, 8, 8)}
    figure = style.show_rows(rows, columns=2)
    labels = {text.get_text(): text.get_color() for axes in figure.axes for text in axes.texts}
    assert labels == {"real": "#000000", "BEGAN-CS": "#D55E00"}


def test_histories_show_the_target_dashed(tmp_path: Path):
    figure = ch01.show_histories({"BEGAN": (torch.arange(1, 51), history(50, 0.6), 0.7)})
    ratio = figure.axes[1]
    target = [line for line in ratio.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in target] == [0.7]
    torch.testing.assert_close(torch.as_tensor(ratio.lines[0].get_ydata()), torch.full((50,), 0.6))
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_gammas_show_every_seed_and_the_median():
    runs = {0.3: [history(100, r) for r in (0.2, 0.3, 0.5)], 0.9: [history(100, r) for r in (0.8, 0.9, 1.0)]}
    figure = ch01.show_gammas(runs, {0.3: [0.1, 0.2, 0.6], 0.9: [0.3, 0.4, 0.5]})
    ratio, spread = figure.axes
    thick = [line for line in ratio.lines if line.get_linewidth() == 2]
    assert [round(float(line.get_ydata()[-1]), 6) for line in thick] == [0.3, 0.9]
    assert len(ratio.lines) == 2 * (3 + 1 + 1)
    bars = [float(line.get_ydata()[0]) for line in spread.lines if line.get_marker() != "o"]
    assert bars == pytest.approx([0.2, 0.4])


def test_a_model_keeps_one_colour_and_no_two_share_one():
    assert len(set(style.COLOURS.values())) == len(style.COLOURS)
    style.use_style()
    assert plt.rcParams["axes.grid"]


def test_speeds_show_a_panel_for_each_shape_and_a_bar_for_each_model():
    rows = [
        {
            "model": model,
            "mode": mode,
            "size": size,
            "n": 8,
            "batch": 4,
            "ratio": r,
            "ratio_low": r - 1,
            "ratio_high": 9,
        }
        for size in (32, 64)
        for model in ("BEGAN", "BEGAN-CS")
        for mode, r in (("ports", 1.0), ("began", size / 16), ("other", 7.0))
    ]
    rows.append({"model": "BEGAN", "mode": "began", "size": 128, "n": 8, "batch": 4, "error": "out of memory"})
    figure = ch10.show_speeds(rows, {"ports": "the ports", "began": "ours"})
    left, right = figure.axes
    assert [axes.get_title() for axes in (left, right)] == ["32x32, n = 8, batch 4", "64x64, n = 8, batch 4"]
    assert [bar.get_width() for bar in right.patches] == [1, 4, 1, 4]
    assert [label.get_text() for label in left.get_yticklabels()] == ["the ports", "ours"]
    ours, theirs = right.patches[1], right.patches[3]
    assert ours.get_y() < theirs.get_y() < 1.5


def test_agreement_joins_the_runs_of_a_seed_and_marks_medians():
    rows = [
        {"model": model, "way": way, "seed": seed, "M": seed + (way == "float32"), "ratio": 0.5, "sample_std": 0.1}
        for model in ("BEGAN", "BEGAN-CS")
        for seed in range(3)
        for way in ("reference", "float32")
    ]
    figure = ch10.show_agreement(rows)
    M = figure.axes[0]
    assert [line.get_ydata().tolist() for line in M.lines[:3]] == [[0, 1], [1, 2], [2, 3]]
    assert [line.get_ydata()[0] for line in M.lines[3:]] == [1, 2]
    assert figure.axes[3].get_title() == "M, BEGAN-CS"


def line(method: str, search: str = "search") -> dict[str, float | str]:
    values = {"modes": 20.0, "modes_low": 18.0, "modes_high": 22.0}
    return {
        "method": method,
        "search": search,
        **values,
        **{key.replace("modes", "high_quality"): 0.1 for key in values},
    }


def test_samples_are_drawn_over_the_means_of_their_mixture():
    figure = ch09.show_mixtures(PROBLEMS.values(), count=50)
    assert [axes.get_title() for axes in figure.axes] == list(PROBLEMS)
    figure = ch09.show_samples({"GAN": torch.zeros(2, 30, 2), "BEGAN": torch.zeros(2, 30, 2)}, grid(), count=20)
    assert [axes.get_ylabel() for axes in figure.axes] == ["GAN", "", "BEGAN", ""]
    means, points = figure.axes[2].lines
    assert (len(means.get_xdata()), len(points.get_xdata())) == (25, 20)
    assert points.get_color() == style.COLOURS["BEGAN"]


def test_a_comparison_has_intervals_and_published_figures():
    lines = [line("gan"), line("began_cs"), line("began_cs", "wide")]
    modes, quality = ch09.show_comparison(lines, {"gan": (3.3, 0.005)}).axes
    assert [label.get_text() for label in modes.get_yticklabels()] == ["GAN", "BEGAN-CS", "BEGAN-CS, longer search"]
    bar, dot, published, *others = modes.lines
    assert (list(bar.get_xdata()), list(dot.get_xdata()), list(published.get_xdata())) == ([18, 22], [20], [3.3])
    assert len(others) == 4, "no published figure for the others"
    assert quality.lines[1].get_xdata()[0] == 10, "per cent"


def test_every_setting_tried_is_a_tick():
    axes = ch09.show_searches({"GAN": [0.1, 0.2, 0.3], "BEGAN": [0.0]}, {"GAN": 0.25, "BEGAN": 0.1}).axes[0]
    assert [len(drawn.get_xdata()) for drawn in axes.lines] == [3, 1, 1, 1]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["GAN", "BEGAN"]


def test_k_is_drawn_beside_its_bound():
    bound, k = ch09.show_coverage([0.2, 0.4], [0.1, 0.3], [0.2, 0.4]).axes[0].lines
    assert (list(bound.get_ydata()), list(k.get_ydata())) == ([0.2, 0.4], [0.1, 0.3])
    points, bound = ch09.show_meter({"BEGAN": ([0.5], [0.1])}).axes[0].lines
    assert (list(points.get_xdata()), list(points.get_ydata())) == ([0.5], [0.1])
    assert list(bound.get_xdata()) == list(bound.get_ydata())
