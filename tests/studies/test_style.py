"""The book's style, and the figures that several chapters share."""

import matplotlib.pyplot as plt
import pytest
import torch

from studies import style


def test_a_model_keeps_one_colour_and_no_two_share_one():
    assert len(set(style.COLOURS.values())) == len(style.COLOURS)


def test_a_variant_is_dashed_in_the_colour_of_its_model():
    assert style.line_of("GAN, minimax")["color"] == style.COLOURS["GAN"]
    assert style.line_of("GAN, minimax")["linestyle"] == "--"
    assert style.line_of("GAN")["linestyle"] == "-"


def test_images_keep_their_colours_and_order(check_figure):
    images = torch.stack([torch.full((3, 4, 4), value) for value in (-1.0, 1.0, 0.0)])
    style.show_images(images, columns=3, title="grey")
    (panel,) = check_figure(plt.gcf(), ["grey"])
    row = panel.axes.images[0].get_array()[2]
    assert [row[2][0], row[7][0], row[12][0]] == [0, 255, 128]


@pytest.mark.parametrize("rows", [{"real": -1.0, "BEGAN-CS": 1.0}, {"one": 1.0}])
def test_rows_of_images_stand_beside_their_names(check_figure, rows: dict[str, float]):
    images = {name: torch.full((2 * len(rows), 3, 8, 8), value) for name, value in rows.items()}
    panels = check_figure(style.show_rows(images, columns=2))
    shown = {panel.axes.texts[0].get_text(): panel.axes.images[0].get_array()[4, 4, 0] for panel in panels}
    assert shown == {name: 127.5 + 127.5 * value for name, value in rows.items()}


def test_remedies_show_every_seed_and_the_median_in_the_row_of_their_method(check_figure):
    columns = {name: {"GAN": torch.rand(3), "GAN, minimax": torch.rand(1)} for name in ("unison", "spreading")}
    panels = check_figure(style.show_remedies(columns, dict.fromkeys(columns, (0, 1))))
    assert panels[0].rows == ["GAN", "GAN, minimax"]
    for panel, (measure, methods) in zip(panels, columns.items(), strict=True):
        assert panel.axes.get_xlabel() == measure
        for row, values in enumerate(methods.values()):
            assert panel.has(values, row, dy=0.3)
            assert panel.upright(values.median(), row)


@pytest.mark.parametrize("seeds", [1, 3])
def test_orders_show_every_run_and_the_median_of_each_way(check_figure, seeds: int):
    curves = {name: (range(5), {way: torch.rand(seeds, 5) for way in "abc"}) for name in ("k", "M")}
    for panel, (name, (steps, runs)) in zip(check_figure(style.show_orders(curves)), curves.items(), strict=True):
        assert panel.title == name
        assert all(panel.runs(steps, values) == {way} for way, values in runs.items())
