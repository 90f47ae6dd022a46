"""Sliders over figures that redraw live in a notebook, and move in the built pages, where no kernel runs."""

import base64
import hashlib
import html
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from IPython.display import display
from ipywidgets import Image, Play, SelectionSlider, VBox, Widget, jslink
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from studies.style import png

FRAMES = 48  # pictures in a page at most
PACE = 500  # milliseconds a picture stays when they are played
WIDGET = "application/vnd.jupyter.widget-view+json"

_PAGE = """<div class="began-slider" id="{id}" style="max-width: 100%">
{sliders}{button}
<div><img src="{picture}" alt="{alt}" style="max-width: 100%"></div>
<script>
(() => {{
  const frames = {frames}, labels = {labels}, box = document.getElementById("{id}");
  const sliders = [...box.querySelectorAll("input")], outputs = box.querySelectorAll("output");
  sliders.forEach((slider, i) => slider.addEventListener("input", () => {{
    outputs[i].textContent = labels[i][slider.value];
    slider.setAttribute("aria-valuetext", labels[i][slider.value]);
    box.querySelector("img").src = frames[sliders.reduce((at, one) => at * (+one.max + 1) + +one.value, 0)];
  }}));
  const button = box.querySelector("button");
  let timer;
  button?.addEventListener("click", () => {{
    timer = timer ? void clearInterval(timer) : setInterval(() => {{
      sliders[0].value = (+sliders[0].value + 1) % (+sliders[0].max + 1);
      sliders[0].dispatchEvent(new Event("input"));
    }}, {pace});
    button.textContent = timer ? "Pause" : "Play";
  }});
}})();
</script>
</div>"""
_BUTTON = '\n<button type="button">Play</button>'
_SLIDER = """<div><label for="{id}">{name}: <output>{label}</output></label><br><input type="range" id="{id}" \
max="{last}" value="{at}" aria-valuetext="{label}" style="width: min(100%, 24rem)"></div>"""


class _Knob(NamedTuple):
    name: str
    values: list[Any]
    start: int

    @property
    def labels(self) -> list[str]:
        return [f"{value:.3g}" if isinstance(value, float) else str(value) for value in self.values]


def show_slider(
    knobs: Mapping[str, Sequence[Any]],
    draw: Callable[..., Figure] | Sequence[Figure],
    alt: str,
    at: Mapping[str, Any] | None = None,
    *,
    play: bool = False,
) -> None:
    """Show the figure `draw(value, ...)` below a slider for each knob: a name, and all values that it may take.

    `draw` takes a value of each knob, in their order; or it is a list of figures, one for each value of the only knob.
    `at` has the values at which to start, the first of a knob that it does not name. With a kernel the sliders are
    widgets, which reach every value and draw its figure once. Without one they are plain HTML over pictures made
    now: of every value, or of evenly spaced ones where there are more than `FRAMES` combinations. `alt` describes the
    pictures. With `play` a button moves the first slider by itself, round and round. Figures are closed. Raises
    ValueError for no knobs, a knob without values, a start that is not among a knob's values, and figures that are not
    one for each value.
    """
    if not knobs or not all(map(len, knobs.values())):
        raise ValueError(f"knobs must be at least one, each with at least one value, got {dict(knobs)}")
    if not callable(draw) and [len(draw)] != [len(values) for values in knobs.values()]:
        raise ValueError(f"draw must hold a figure for each value of one knob, got {len(draw)} for {dict(knobs)}")
    starts = {name: values[0] for name, values in knobs.items()} | dict(at or {})
    for name, value in starts.items():
        if value not in knobs.get(name, ()):
            raise ValueError(f"at must name values of {dict(knobs)}, got {name!r}: {value!r}")
    chosen = [_Knob(name, list(values), list(values).index(starts[name])) for name, values in knobs.items()]

    @cache
    def frame(*position: int) -> bytes:
        values = (knob.values[i] for knob, i in zip(chosen, position, strict=True))
        figure = draw(*values) if callable(draw) else draw[position[0]]
        picture = png(figure, 100)
        plt.close(figure)
        return picture

    page, box = _page(chosen, frame, alt, play), _widgets(chosen, frame, play)
    live = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    display({"text/plain": alt, "text/html": page, WIDGET: live}, raw=True)  # front ends with widgets prefer the last


def _page(knobs: Sequence[_Knob], frame: Callable[..., bytes], alt: str, play: bool) -> str:
    shown = _coarse(knobs)
    coarse = [
        knob._replace(values=[knob.values[i] for i in indices], start=indices.index(knob.start))
        for knob, indices in zip(knobs, shown, strict=True)
    ]
    frames = {
        position: "data:image/png;base64," + base64.b64encode(frame(*position)).decode()
        for position in itertools.product(*shown)
    }
    labels = [knob.labels for knob in coarse]
    page_id = "slider-" + hashlib.sha256(f"{[knob.name for knob in coarse]}{labels}{alt}".encode()).hexdigest()[:8]
    sliders = [
        _SLIDER.format(
            id=f"{page_id}-{i}",
            name=html.escape(knob.name),
            label=html.escape(knob.labels[knob.start]),
            last=len(knob.values) - 1,
            at=knob.start,
        )
        for i, knob in enumerate(coarse)
    ]
    return _PAGE.format(
        id=page_id,
        sliders="\n".join(sliders),
        button=_BUTTON if play else "",
        pace=PACE,
        picture=frames[tuple(knob.start for knob in knobs)],
        alt=html.escape(alt),
        frames=json.dumps(list(frames.values())),
        labels=json.dumps(labels).replace("</", "<\\/"),
    )


def _coarse(knobs: Sequence[_Knob]) -> list[list[int]]:
    """Return evenly spaced indices of each knob's values, its start among them, `FRAMES` combinations at most."""
    counts = [len(knob.values) for knob in knobs]
    while math.prod(counts) > FRAMES:
        counts[counts.index(max(counts))] -= 1
    shown = []
    for knob, count in zip(knobs, counts, strict=True):
        indices = [round(i * (len(knob.values) - 1) / max(count - 1, 1)) for i in range(count)]
        nearest = min(range(count), key=lambda i: abs(indices[i] - knob.start))
        indices[nearest] = knob.start
        shown.append(indices)
    return shown


def _widgets(knobs: Sequence[_Knob], frame: Callable[..., bytes], play: bool) -> Widget:
    sliders = [
        SelectionSlider(
            options=[(label, i) for i, label in enumerate(knob.labels)],
            value=knob.start,
            description=knob.name,
            style={"description_width": "initial"},
            layout={"width": "min(100%, 32rem)"},
        )
        for knob in knobs
    ]
    picture = Image(value=frame(*(knob.start for knob in knobs)), format="png", layout={"max_width": "100%"})

    def redraw(_: Any) -> None:  # no queue builds up: a front end holds changes back until the last one was answered
        picture.value = frame(*(slider.value for slider in sliders))

    for slider in sliders:
        slider.observe(redraw, "value")
    player = [Play(max=len(knobs[0].values) - 1, interval=PACE)] if play else []
    for one in player:
        jslink((one, "value"), (sliders[0], "index"))
    return VBox([*player, *sliders, picture], layout={"align_items": "flex-start"})  # else the picture is stretched
