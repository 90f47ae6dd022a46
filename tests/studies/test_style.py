"""The book's style, and the figures that several chapters share."""

import base64
from io import BytesIO

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image

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


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    bundles: list[dict] = []
    monkeypatch.setattr(style, "display", lambda bundle, metadata=None, raw=False: bundles.append(bundle))
    return bundles


def test_lines_are_shown_as_a_drawing_and_a_picture_above_their_number_and_caption(shown: list[dict]):
    plt.plot([0, 1])
    style.show("4.2", "A line for $k$.")
    figure, caption = shown
    assert figure.keys() == {"image/png", "image/svg+xml", "text/plain"}
    assert figure["image/svg+xml"].startswith("<?xml")
    assert figure["text/plain"] == "<Figure 4.2>"
    assert caption["text/markdown"] == caption["text/plain"] == "**Figure 4.2.** A line for $k$."
    assert plt.get_fignums() == []


def test_the_same_lines_are_the_same_text(shown: list[dict]):
    for _ in range(2):
        with plt.rc_context(style.STYLE):
            plt.plot([0, 1])
            style.show("1.1", "A line.")
    assert shown[0] == shown[2]


def test_pictures_and_what_is_too_large_for_a_drawing_have_twice_the_pixels(shown: list[dict], monkeypatch):
    style.show_images(torch.zeros(8, 3, 4, 4))
    style.show("1.1", "Faces.")
    plt.plot([0, 1])
    monkeypatch.setattr(style, "LARGEST", 100)
    style.show("1.2", "A line.")
    for bundle in shown[::2]:
        assert bundle.keys() == {"image/png", "text/plain"}
        with Image.open(BytesIO(base64.b64decode(bundle["image/png"]))) as picture:
            assert picture.width >= 2 * 400


def test_a_figure_of_ones_own_is_shown_instead_of_the_current_one(shown: list[dict]):
    own, _ = plt.subplots(figsize=(1, 1))
    other, _ = plt.subplots()
    style.show("1.1", "Small.", own)
    assert plt.get_fignums() == [other.number]
    plt.close(other)


def test_colours_stand_out_from_white():
    def luminance(colour: str) -> float:
        parts = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour))
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))

    used = [*style.COLOURS.values(), *style.gamma_colours([0.3, 0.5, 0.7, 0.9, 1.0]).values()]
    assert min(1.05 / (luminance(colour) + 0.05) for colour in used) >= 3
