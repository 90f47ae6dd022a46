"""The slider's two faces: its page, read as a browser's parser reads it, and its widgets, moved as a front end does.

test_browser.py moves the page in a browser.
"""

import base64
import io
import itertools
import json
import re
from html.parser import HTMLParser

import ipywidgets
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from studies import sliders

COLOURS = {"t = 0": "#ff0000", "t = 1": "#00ff00", "t = 2": "#0000ff"}
# ipywidgets 7 reaches ipykernel's old class of comms by itself
pytestmark = pytest.mark.filterwarnings("ignore:The `ipykernel.comm.Comm` class:DeprecationWarning")


class Page(HTMLParser):
    """Keeps elements by tag, and the text within each."""

    def __init__(self, page: str):
        super().__init__()
        self.elements: dict[str, list[dict[str, str | None]]] = {}
        self.text: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.setdefault(tag, []).append(dict(attrs))
        if tag not in ("br", "input", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in self.open:
            self.text[tag] = self.text.get(tag, "") + data

    @property
    def frames(self) -> tuple[list[str], list[list[str]]]:
        """The pictures and labels that the script holds."""
        found = re.search(r"frames = (\[.*\]), labels = (\[.*\]), box", self.text["script"])
        return json.loads(found[1]), json.loads(found[2])


class Shown:
    """What was displayed last."""

    def __init__(self):
        self.bundles: list[dict] = []
        self.boxes: dict[str, ipywidgets.VBox] = {}

    def display(self, bundle, raw):
        assert raw
        self.bundles.append(bundle)

    def box(self, children, **options):
        box = ipywidgets.VBox(children, **options)
        self.boxes[box.model_id] = box
        return box

    @property
    def html(self) -> str:
        return self.bundles[-1]["text/html"]

    @property
    def page(self) -> Page:
        return Page(self.html)

    @property
    def widgets(self) -> tuple[list[ipywidgets.SelectionSlider], ipywidgets.Image]:
        """The sliders and the picture of the box that the bundle names."""
        view = self.bundles[-1]["application/vnd.jupyter.widget-view+json"]
        assert (view["version_major"], view["version_minor"]) == (2, 0)
        *knobs, picture = self.boxes[view["model_id"]].children
        return knobs, picture


@pytest.fixture
def shown(monkeypatch) -> Shown:
    shown = Shown()
    monkeypatch.setattr(sliders, "display", shown.display)
    monkeypatch.setattr(sliders, "VBox", shown.box)
    return shown


def figure(red: int, green: int = 0, blue: int = 0) -> Figure:
    return plt.figure(figsize=(0.4, 0.3), facecolor=(red / 255, green / 255, blue / 255))


def flags() -> list[Figure]:
    return [plt.figure(figsize=(0.4, 0.3), facecolor=colour) for colour in COLOURS.values()]


def pixel(picture: bytes) -> tuple[int, ...]:
    return Image.open(io.BytesIO(picture)).convert("RGB").getpixel((5, 5))


def colour(address: str) -> tuple[int, ...]:
    kind, _, data = address.partition("base64,")
    assert kind == "data:image/png;"
    return pixel(base64.b64decode(data))


def test_the_page_holds_one_labelled_slider_and_a_frame_a_figure(shown):
    sliders.show_slider({"step": list(COLOURS)}, flags(), alt="a flag", at={"step": "t = 1"})
    page = shown.page
    (slider,), (label,) = (page.elements[tag] for tag in ("input", "label"))
    assert (slider["type"], slider["max"], slider["value"]) == ("range", "2", "1")
    assert slider.get("min", "0") == "0"
    assert slider.get("step", "1") == "1"
    assert label["for"] == slider["id"]
    assert slider["aria-valuetext"] == page.text["output"] == "t = 1"
    assert page.text["label"].strip() == "step: t = 1"
    (image,) = page.elements["img"]
    assert image["alt"] == "a flag"
    pictures, labels = page.frames
    assert labels == [list(COLOURS)]
    assert [colour(picture) for picture in pictures] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert image["src"] == pictures[1]
    box = page.elements["div"][0]
    assert box["class"] == "began-slider"
    assert f'getElementById("{box["id"]}")' in page.text["script"]
    assert page.open == [], "every element is closed"
    assert shown.bundles[0]["text/plain"] == "a flag"


def test_the_page_holds_every_combination_of_several_knobs(shown):
    knobs = {"red": [0, 250], "green": [10, 20, 30], "blue": np.array([1.0, 200.0])}
    sliders.show_slider(knobs, lambda *rgb: figure(*rgb), alt="a flag", at={"green": 30})
    page = shown.page
    inputs = page.elements["input"]
    assert [(slider["max"], slider["value"]) for slider in inputs] == [
        ("1", "0"),
        ("2", "2"),
        ("1", "0"),
    ]
    assert len({slider["id"] for slider in inputs}) == 3
    assert [label["for"] for label in page.elements["label"]] == [slider["id"] for slider in inputs]
    pictures, labels = page.frames
    assert labels == [["0", "250"], ["10", "20", "30"], ["1", "200"]]
    wanted = list(itertools.product(*knobs.values()))
    assert [colour(picture) for picture in pictures] == wanted, "the last knob changes fastest, as the script counts"
    assert page.elements["img"][0]["src"] == pictures[4]


def test_a_page_of_many_combinations_holds_evenly_spaced_ones_and_the_start(shown):
    knobs = {"red": range(21), "green": range(5), "blue": ["0", "9"]}
    at = {"red": 7, "green": 3, "blue": "9"}
    sliders.show_slider(knobs, lambda r, g, b: figure(r, g, int(b)), alt="a flag", at=at)
    pictures, (reds, greens, blues) = shown.page.frames
    assert len(pictures) == len(reds) * len(greens) * len(blues) <= 48
    assert (greens, blues) == ([str(i) for i in range(5)], ["0", "9"]), "the longest knob is thinned first"
    assert len(reds) == 4, "five would be too many"
    assert {"0", "7", "20"} <= set(reds)
    gaps = np.diff([int(red) for red in reds])
    assert 5 <= gaps.min() <= gaps.max() <= 8
    (red, green, blue) = shown.page.elements["input"]
    assert (reds[int(red["value"])], greens[int(green["value"])], blues[int(blue["value"])]) == ("7", "3", "9")
    assert colour(shown.page.elements["img"][0]["src"]) == (7, 3, 9)


def test_the_widgets_reach_every_value_and_draw_it_once(shown):
    drawn = []

    def draw(red: int, blue: int) -> Figure:
        drawn.append((red, blue))
        return figure(red, 0, blue)

    sliders.show_slider({"red": range(0, 200, 2), "blue": [0, 50]}, draw, alt="a flag", at={"red": 198})
    (red, blue), picture = shown.widgets
    assert (red.description, blue.description) == ("red", "blue")
    assert [label for label, _ in red.options] == [str(value) for value in range(0, 200, 2)]
    assert pixel(picture.value) == (198, 0, 0)
    before = len(drawn)
    assert before == 48, "the pictures of the page"
    red.value = red.options[0][1]
    blue.value = blue.options[1][1]
    assert pixel(picture.value) == (0, 0, 50)
    assert len(drawn) == before, "the page has these"
    for place in (1, 2, 1):
        red.value = red.options[place][1]
        assert pixel(picture.value) == (2 * place, 0, 50)
    assert drawn[before:] == [(2, 50), (4, 50)], "what was drawn is kept"
    assert plt.get_fignums() == []


def test_the_widgets_show_given_figures(shown):
    sliders.show_slider({"step": list(COLOURS)}, flags(), alt="a flag")
    (knob,), picture = shown.widgets
    assert pixel(picture.value) == (255, 0, 0)
    knob.value = knob.options[2][1]
    assert pixel(picture.value) == (0, 0, 255)


def test_a_player_is_there_where_it_was_asked_for(shown):
    sliders.show_slider({"step": list(COLOURS)}, flags(), alt="a flag")
    assert "button" not in shown.page.elements
    assert [type(knob) for knob in shown.widgets[0]] == [ipywidgets.SelectionSlider]
    sliders.show_slider({"step": list(COLOURS)}, flags(), alt="a flag", play=True)
    assert shown.page.text["button"] == "Play"
    (player, slider), _ = shown.widgets
    assert isinstance(player, ipywidgets.Play)
    assert (player.min, player.max) == (0, 2)
    links = [widget for widget in known_widgets() if isinstance(widget, ipywidgets.widgets.widget_link.Link)]
    assert [(link.source, link.target) for link in links if link.source[0] is player] == [
        ((player, "value"), (slider, "index"))
    ]


def known_widgets() -> list[ipywidgets.Widget]:
    """Return all widgets alive; ipywidgets 8 keeps them elsewhere than 7 does."""
    if hasattr(ipywidgets.widgets.widget, "_instances"):
        return list(ipywidgets.widgets.widget._instances.values())
    return list(ipywidgets.Widget.widgets.values())


def test_the_page_is_the_same_each_time_and_another_for_other_figures(shown):
    for name in ("step", "step", "gamma"):
        sliders.show_slider({name: list(COLOURS)}, flags(), alt="a flag")
    first, again, other = (bundle["text/html"] for bundle in shown.bundles)
    assert first == again != other
    assert Page(first).elements["div"][0]["id"] != Page(other).elements["div"][0]["id"], "two of a page don't mix"


def test_text_is_escaped(shown):
    awkward = "<b>\"a\" & 'b'</b> {x}"
    labels = ["</script><i>é</i>", awkward]
    sliders.show_slider({awkward: labels}, flags()[:2], alt=awkward)
    page = shown.page
    assert page.elements.keys() == {"div", "label", "output", "br", "input", "img", "script"}
    assert page.text["label"] == f"{awkward}: </script><i>é</i>"
    assert page.elements["img"][0]["alt"] == awkward
    assert page.elements["input"][0]["aria-valuetext"] == "</script><i>é</i>"
    assert page.frames[1] == [labels]


def test_pictures_are_small_and_look_as_drawn(shown):
    drawn, axes = plt.subplots(figsize=(6.5, 3))
    axes.plot(np.linspace(0, 1, 50), np.random.default_rng(0).random((50, 7)))
    with io.BytesIO() as buffer:
        drawn.savefig(buffer, format="png", dpi=100)
        full, whole = buffer.tell(), np.asarray(Image.open(buffer).convert("RGB"), dtype=int)
    sliders.show_slider({"step": [0]}, [drawn], alt="lines")
    small = base64.b64decode(shown.page.elements["img"][0]["src"].partition(",")[2])
    assert len(small) < 0.5 * full
    seen = np.asarray(Image.open(io.BytesIO(small)).convert("RGB"), dtype=int)
    assert (seen[0, 0] >= 253).all(), "white"
    assert abs(seen - whole).mean() < 2
    assert abs(seen - whole).max() < 70


@pytest.mark.parametrize(
    ("knobs", "draw", "at", "message"),
    [
        ({}, [], None, "knobs must be at least one"),
        ({"step": []}, [], None, "each with at least one value"),
        ({"step": [1, 2]}, [None], None, "a figure for each value of one knob, got 1"),
        ({"step": [1], "gamma": [1]}, [None], None, "a figure for each value of one knob, got 1"),
        ({"step": [1, 2]}, figure, {"step": 3}, "at must name values of .*, got 'step': 3"),
        ({"step": [1, 2]}, figure, {"gamma": 1}, "at must name values of .*, got 'gamma': 1"),
    ],
)
def test_bad_input_is_refused(shown, knobs, draw, at, message):
    with pytest.raises(ValueError, match=message):
        sliders.show_slider(knobs, draw, "a flag", at)
    assert shown.bundles == []
