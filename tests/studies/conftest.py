"""A figure as its reader has it, and studies without processes.

Of a figure: that it can be read, and which values are drawn under which name, in whatever look.
"""

import re
from collections.abc import Callable, Collection, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.cbook import STEP_LOOKUP_MAP
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from began.images.faces import rendered_faces
from studies import runner, style


class Series(NamedTuple):
    """What one artist draws: the points of a curve, the corners of an area, the middles of a bar's sides."""

    points: np.ndarray
    name: str | None  # as a legend has it

    def __bool__(self) -> bool:
        return len(self.points) > 0


NOTHING = Series(np.empty((0, 2)), "nothing of these values")


class Panel:
    """One axes of a figure. A question is answered by the first series that has the values, or `NOTHING`."""

    def __init__(self, axes: Axes, legend: dict[str, tuple]):
        self.axes, self.title = axes, axes.get_title()
        self.ticks, self.rows = _ticks(axes.xaxis), _ticks(axes.yaxis)
        self.series = [Series(points, _name(artist, legend)) for artist, points in _artists(axes)]

    def curve(self, x, y) -> Series:
        """The series of these points in this order, nan where it is broken."""
        points = _points(x, y)
        same = (one for one in self.series if one.points.shape == points.shape)
        return next((one for one in same if np.allclose(one.points, points, rtol=1e-4, equal_nan=True)), NOTHING)

    def runs(self, x, values: torch.Tensor) -> set[str | None]:
        """The names of the curves of all runs and of their median."""
        return {self.curve(x, run).name for run in (*values, values.double().nanquantile(0.5, dim=0))}

    def level(self, y: float, x: float | None = None) -> Series:
        """The series that stays at a height, from one side of a place to the other."""
        return self.upright(y, x, 1)

    def upright(self, x: float, y: float | None = None, i: int = 0) -> Series:
        still = (one for one in self.series if len(one.points) > 1 and np.allclose(one.points[:, i], x))
        spans = ((one, sorted(one.points[:, 1 - i])) for one in still)
        return next((one for one, (low, *_, high) in spans if low < high and (y is None or low < y < high)), NOTHING)

    def at(self, x: float, y: float, dx: float = 1e-4, dy: float = 1e-4) -> Series:
        """The series that has a point there, or no further away."""
        return next((one for one in self.series if (np.abs(one.points - (x, y)) <= (dx, dy)).all(1).any()), NOTHING)

    def has(self, x, y, dx: float = 1e-4, dy: float = 1e-4) -> bool:
        """Whether all these points are drawn, however they are joined."""
        return all(self.at(*point, dx, dy) for point in _points(x, y))


def _points(x, y) -> np.ndarray:
    return np.stack(np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float)), -1).reshape(-1, 2)


def _artists(axes: Axes) -> Iterator[tuple]:
    for line in axes.lines:
        yield line, _points(*STEP_LOOKUP_MAP[line.get_drawstyle()](*np.asarray(line.get_data(), float)))
    for some in axes.collections:
        dots = isinstance(some, PathCollection)
        for points in [some.get_offsets()] if dots else [path.vertices for path in some.get_paths()]:
            yield some, np.asarray(points, float)
    for bar in axes.patches:
        x0, y0, x1, y1 = bar.get_bbox().extents
        yield bar, _points([x0, x1, (x0 + x1) / 2, (x0 + x1) / 2], [(y0 + y1) / 2, (y0 + y1) / 2, y0, y1])


def _ticks(axis) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


def _look(artist) -> tuple:
    """Colour, marker or hatch, fill, dashes and strength: the most telling first."""
    if isinstance(artist, Line2D):
        fill = to_hex(artist.get_markerfacecolor(), keep_alpha=True), artist.get_fillstyle()
        return to_hex(artist.get_color()), artist.get_marker(), *fill, artist.get_linestyle(), artist.get_alpha()
    colours = [*np.reshape(artist.get_facecolor(), (-1, 4)), *np.reshape(artist.get_edgecolor(), (-1, 4))]
    return to_hex(colours[0]), artist.get_hatch(), artist.get_alpha()


def _name(artist, legend: dict[str, tuple]) -> str | None:
    """The artist's own name, if a legend has it, or that of the entry of its colour that looks most like it."""
    if artist.get_label() in legend:
        return artist.get_label()
    alike = {name: [a == b for a, b in zip(_look(artist), look, strict=False)] for name, look in legend.items()}
    best = max(alike, key=alike.__getitem__, default=None)
    return best if best and alike[best][0] else None


def _legend(figure: Figure) -> dict[str, tuple]:
    found = {}
    for legend in [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]:
        names, looks = [text.get_text() for text in legend.get_texts()], [*map(_look, legend.legend_handles)]
        assert len(set(looks)) == len(set(names)) == len(names), f"nothing tells some of {names} apart"
        found.update(zip(names, looks, strict=True))
    return found


def _check_words(axes: Axes, sets: Collection[str]) -> None:
    """Numbers along x need a label, those along y a label or a title; neighbours may share labels."""
    assert axes.has_data(), "an empty frame"
    shown, place = [one for one in axes.figure.axes if one.axison], axes.get_position(True).p0
    column, row = ([one for one in shown if np.isclose(one.get_position(True).p0[i], place[i])] for i in (0, 1))
    title, beside = axes.get_title(), row[0].get_ylabel()
    instead, said = {"y": title and (title.split("\n")[0] not in sets or beside)}, title + beside
    for name, group in (("x", axes.get_shared_x_axes()), ("y", axes.get_shared_y_axes())):
        labels = [getattr(one, f"get_{name}label")() for one in group.get_siblings(axes) if one.axison]
        numbers = " ".join(_ticks(getattr(axes, f"{name}axis")))
        words = re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", numbers)  # markup is none
        named = "".join([*labels, getattr(axes.figure, f"get_sup{name}label")(), *words])
        assert named or instead.get(name) or not numbers, f"{numbers} along {name} of what? Title: {title!r}"
        said += named
    assert said, "nothing says what is shown"
    assert any(any(_ticks(one.xaxis)) for one in column) or not len(axes.get_xticks()), f"no numbers below {title!r}"


@pytest.fixture
def check_figure(figures: None) -> Callable[..., list[Panel]]:
    """Checks that a figure saves whole and says what it shows; `sets` are its titles that name data and no measure."""
    style.use_style()
    torch.manual_seed(0)

    def check(figure: Figure, sets: Collection[str] = ()) -> list[Panel]:
        figure.savefig(BytesIO(), format="png")
        box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        outside = max(-box.x0, -box.y0, box.x1 - width, box.y1 - height)
        assert outside < 0.02, f"{outside:.2f} inches are cut off"
        figure.set_layout_engine("none")  # all is in its place, and looking for it takes most of the time
        figure.savefig(BytesIO(), format="svg")
        for axes in figure.axes:
            if axes.axison:
                _check_words(axes, sets)
        assert [title for axes in figure.axes if (title := axes.get_title().split("\n")[0]) in sets] == list(sets)
        legend = _legend(figure)
        return [Panel(axes, legend) for axes in figure.axes if axes.axison or axes.images]

    return check


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, every tenth of which is held out."""
    folder = tmp_path_factory.mktemp("photographs")
    for i, picture in enumerate(rendered_faces(240, 16, seed=2)):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{i:03}.png")
    return folder


class Here:
    """Workers without processes, which end their jobs in another order."""

    def __init__(self, device: torch.device):
        self.device, self.done = device, []

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def call(self, function: Callable, steps: int, *arguments: Any) -> None:
        told: list[int] = []
        self.done.append(function(*arguments, self.device, told.append))
        assert sum(told) == steps

    def finished(self) -> Iterator[list]:
        while self.done:
            yield self.done.pop()


@pytest.fixture(scope="module")
def here() -> Iterator[None]:
    """Jobs are done in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "Workers", Here)
        yield
