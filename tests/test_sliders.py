"""The slider's page, read as a browser's parser reads it; test_browser.py moves it."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from began import sliders

COLOURS = {"t = 0": "#ff0000", "t = 1": "#00ff00", "t = 2": "#0000ff"}


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
    def frames(self) -> tuple[list[str], list[str]]:
        """The pictures and labels that the script holds."""
        found = re.search(r"frames = (\[.*\]), labels = (\[.*\]), slider", self.text["script"])
        return json.loads(found[1]), json.loads(found[2])


@pytest.fixture
def shown(monkeypatch) -> list[str]:
    """Pages that were displayed."""
    pages = []
    monkeypatch.setattr(sliders, "display", lambda page: pages.append(page.data))
    return pages


def figures(labels: dict[str, str] = COLOURS) -> dict[str, Figure]:
    return {label: plt.figure(figsize=(0.4, 0.3), facecolor=colour) for label, colour in labels.items()}


def colour(picture: str) -> tuple[int, ...]:
    kind, _, data = picture.partition("base64,")
    assert kind == "data:image/png;"
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").getpixel((5, 5))


def test_the_page_holds_one_labelled_slider_and_a_frame_a_figure(shown):
    sliders.show_slider("step", figures(), alt="a flag", at=1)
    page = Page(shown[0])
    (slider,), (label,), (output,) = (page.elements[tag] for tag in ("input", "label", "output"))
    assert (slider["type"], slider["max"], slider["value"]) == ("range", "2", "1")
    assert slider.get("min", "0") == "0"
    assert slider.get("step", "1") == "1"
    assert label["for"] == slider["id"]
    assert slider["aria-valuetext"] == page.text["output"] == "t = 1"
    assert page.text["label"].strip() == "step: t = 1"
    (image,) = page.elements["img"]
    assert image["alt"] == "a flag"
    pictures, labels = page.frames
    assert labels == list(COLOURS)
    assert [colour(picture) for picture in pictures] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert image["src"] == pictures[1]
    for element in (slider, image, output):
        assert f'getElementById("{element["id"]}")' in page.text["script"]
    assert page.open == [], "every element is closed"


def test_the_page_is_the_same_each_time_and_another_for_other_figures(shown):
    for name in ("step", "step", "gamma"):
        sliders.show_slider(name, figures(), alt="a flag")
    assert shown[0] == shown[1] != shown[2]
    ids = [Page(page).elements["input"][0]["id"] for page in shown]
    assert ids[0] != ids[2], "two sliders of one page move their own pictures"


def test_text_is_escaped(shown):
    awkward = "<b>\"a\" & 'b'</b> {x}"
    sliders.show_slider(awkward, figures({"</script><i>é</i>": "#ff0000", awkward: "#00ff00"}), alt=awkward)
    page = Page(shown[0])
    assert page.elements.keys() == {"div", "label", "output", "br", "input", "img", "script"}
    assert page.text["label"] == f"{awkward}: </script><i>é</i>"
    assert page.elements["img"][0]["alt"] == awkward
    assert page.elements["input"][0]["aria-valuetext"] == "</script><i>é</i>"
    assert page.frames[1] == ["</script><i>é</i>", awkward]


def test_figures_are_closed(shown):
    given = figures()
    sliders.show_slider("step", given, alt="a flag")
    assert not any(plt.fignum_exists(figure.number) for figure in given.values())
    assert len(shown) == 1


def test_no_figures_are_refused(shown):
    with pytest.raises(ValueError, match="at least one figure, got none"):
        sliders.show_slider("step", {}, alt="a flag")
    assert shown == []
