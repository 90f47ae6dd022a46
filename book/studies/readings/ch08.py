"""What chapter 8 reads off the inversions: tables of errors, times, walks, sweeps and moves, and its claims."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studies.claims import Claim, Verdict
from studies.inversions import load_inversions, load_left
from studies.statistics import interval
from studies.tables import told, within
from studies.workers import Row

Runs = Mapping[tuple[str, str], Sequence[Row]]  # by data and model, a row a seed
Columns = dict[str, list[Any]]
NAMES = {"faces": "rendered faces", "photographs": "photographs (UTKFace, 12 000 adults)"}
MODELS = ("BEGAN", "BEGAN-CS")
SIDES = [f"{model}, {data}" for data in NAMES for model in MODELS]
BOTH = [(data, model) for data in NAMES for model in MODELS]
WALKS = {
    "pixels": "pixels",
    "line, free": "anywhere, linear",
    "arc, free": "anywhere, spherical",
    "line, cube": "in the cube, linear",
    "arc, cube": "in the cube, spherical",
}
KINDS = ("axes", "turned")
NAMED = ("hair_style", "hair_colour", "skin_tone", "yaw", "pitch")  # by BEGAN-CS, of what it keeps better than ALI


def load_runs() -> Runs:
    """Return the committed rows of all models on both data sets."""
    return {(data, model): load_inversions(data, model) for data in NAMES for model in (*MODELS, "ALI")}


def each(rows: Sequence[Row], *path: str) -> list[Any]:
    """Return an entry of each row, by the names that lead to it."""
    found: list[Any] = list(rows)
    for name in path:
        found = [row[name] for row in found]
    return found


def apart(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return the differences, seed by seed."""
    return [a - b for a, b in zip(values, others, strict=True)]


def _table(names: Sequence[str], lines: Iterable[Sequence[Any]]) -> Columns:
    return {name: list(column) for name, column in zip(names, zip(*lines, strict=True), strict=True)}


def errors(runs: Runs) -> Columns:
    """Return how far each way back ends from the picture, beside the mean picture and D(x)."""
    ways = {"the mean picture": "mean", "one shot": "one_shot", "search": "random"}
    ways |= {"search, in the cube": "random, in the cube", "$D(x)$": "autoencoder"}

    def end(data: str, model: str, way: str) -> str:
        found = each(runs[data, model], "errors", way)
        return told([value if isinstance(value, float) else value["error"][-1] for value in found], ".3f")

    lines = [
        (data, label, *(end(data, model, way) for model in MODELS)) for data in NAMES for label, way in ways.items()
    ]
    return _table(("pictures", "redrawn by", *MODELS), lines)


def one_shots(rows: Sequence[Row]) -> list[float]:
    """Return in how many times that of a one shot 10 000 iterations are through."""
    return [10_000 * one["iteration"] / one["one_shot"] for one in each(rows, "errors", "seconds")]


def still_to_gain(rows: Sequence[Row]) -> list[float]:
    """Return the share of what a search gains that it gains after 1 000 iterations of 10 000."""
    paths = [dict(zip(way["iterations"], way["error"], strict=True)) for way in each(rows, "errors", "random")]
    return [(path[1000] - path[10_000]) / (path[0] - path[10_000]) for path in paths]


def restarts_gain(rows: Sequence[Row]) -> list[float]:
    """Return the share by which the best of four short searches is nearer than the first."""
    return [1 - found[-1] / found[0] for found in each(rows, "errors", "restarts")]


def ends_apart(rows: Sequence[Row]) -> list[float]:
    """Return how far apart searches in the cube end that began at a random code and at Enc(x)."""
    ways = ("random, in the cube", "encoded, in the cube")
    ends = ([found["error"][-1] for found in each(rows, "errors", way)] for way in ways)
    return [abs(gap) for gap in apart(*ends)]


def costs(runs: Runs) -> Columns:
    """Return what a search takes, and what is left to gain of it."""
    rows = [runs[key] for key in BOTH]
    measured = {
        "10\u00a0000\u00a0iterations, seconds": (lambda some: [10_000 * s for s in _seconds(some)], ".0f"),
        "in thousands of one shots": (lambda some: [shots / 1000 for shots in one_shots(some)], ".1f"),
        "gained after 1\u00a0000, %": (lambda some: [100 * share for share in still_to_gain(some)], ".1f"),
        "gained by three restarts, %": (lambda some: [100 * share for share in restarts_gain(some)], ".1f"),
        "largest $\\lvert z_i \\rvert$": (lambda some: each(some, "errors", "random", "largest"), ".0f"),
    }
    lines = [(name, *(told(found(some), spec) for some in rows)) for name, (found, spec) in measured.items()]
    return _table(("a search", *SIDES), lines)


def _seconds(rows: Sequence[Row]) -> list[float]:
    return each(rows, "errors", "seconds", "iteration")


def worth(way: Mapping[str, Sequence[float]], error: float) -> float:
    """Return the iterations after which a search is down at an error, between those that were kept."""
    return float(np.interp(-error, [-value for value in way["error"]], way["iterations"]))


def leads(runs: Runs) -> Columns:
    """Return what Enc(x) is worth, in iterations from a random code: as it is, and as the start of a search."""
    found = [each(runs[key], "errors") for key in BOTH]

    def ahead(rows: Sequence[Row], at: int) -> list[float]:
        ends = [dict(zip(row["encoded"]["iterations"], row["encoded"]["error"], strict=True))[at] for row in rows]
        return [worth(row["random"], end) for row, end in zip(rows, ends, strict=True)]

    nearer = [f"{sum(row['one_shot'] < row['mean'] for row in rows)} of {len(rows)}" for rows in found]
    lines = [
        ("networks nearer than the mean picture", *nearer),
        ("worth of the one shot", *(told(each(rows, "overtaken"), ".1f") for rows in found)),
        *(
            (f"worth of {at} from $\\mathrm{{Enc}}(x)$", *(told(ahead(rows, at), ".0f") for rows in found))
            for at in (10, 100)
        ),
    ]
    return _table(("iterations", *SIDES), lines)


def halves_kept(rows: Sequence[Row], way: str) -> list[int]:
    """Return how many attributes are kept by half or more."""
    return [sum(value >= 0.5 for value in kept.values()) for kept in each(rows, "kept", way)]


def walked(runs: Runs, data: str, walk: str, name: str) -> list[float]:
    """Return a measure of a walk of `WALKS`, of all seeds of both models."""
    return [value for model in MODELS for value in each(runs[data, model], "paths", WALKS[walk], name)]


def evenness(runs: Runs) -> Columns:
    """Return the steps of walks, and what sharpness they keep half-way."""
    measured = [(name, data) for data in NAMES for name in ("step", "sharpness")]
    lines = [(walk, *(told(walked(runs, data, walk, name), ".2f") for name, data in measured)) for walk in WALKS]
    return _table(("walk", *(f"{name}, {data}" for name, data in measured)), lines)


def nearness(runs: Runs) -> Columns:
    """Return how far walks are from the nearest face that can be drawn, on rendered faces."""
    names = ("nearest_middle", "nearest_ends")
    lines = [(walk, *(told(walked(runs, "faces", walk, name), ".3f") for name in names)) for walk in WALKS]
    return _table(("walk", "nearest face, half-way", "nearest face, ends"), lines)


def by_attribute(effects: Tensor, columns: Sequence[str]) -> tuple[Tensor, list[str]]:
    """Return the largest |effect| among the columns of each attribute, `(..., attributes)`, and their names."""
    owners = [name.partition(":")[0] for name in columns]
    names = list(dict.fromkeys(owners))
    groups = [[i for i, owner in enumerate(owners) if owner == name] for name in names]
    return torch.stack([effects[..., group].abs().amax(-1) for group in groups], -1), names


def effects_of(row: Row) -> tuple[Tensor, list[str]]:
    """Return what sweeps from -5 to 5 move: `(2, N_z, attributes)`, axes before random directions, and the names."""
    return by_attribute(load_left("effects", row)[:, -1], row["sweeps"]["columns"])


def moved_most(rows: Sequence[Row], first: int = 8) -> Columns:
    """Return how many directions move an attribute more than any other: over seeds the mean, least and most."""
    names = effects_of(rows[0])[1]
    most = torch.stack([effects_of(row)[0].argmax(-1) for row in rows])
    counts = torch.stack([(most == place).sum(-1) for place in range(len(names))]).double()  # names, seeds, kinds

    def spread(values: Tensor) -> str:
        return within(values.mean().item(), values.min().item(), values.max().item(), ".0f")

    order = counts[..., 0].mean(1).argsort(descending=True)[:first].tolist()
    lines = [(names[place].replace("_", " "), *map(spread, counts[place].unbind(1))) for place in order]
    return _table(("moved most", "of 64 dimensions", "of 64 random directions"), lines)


def focus(row: Row, kind: str) -> float:
    """Return the share of the largest effect in the sum of all attributes', on average over directions."""
    effects = effects_of(row)[0][KINDS.index(kind)]
    return (effects.amax(1) / effects.sum(1)).mean().item()


def scores(runs: Runs) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """Return focus and the scores of disentanglement by model: of single dimensions and of random directions."""

    def found(title: str, model: str, kind: str) -> list[float]:
        rows = runs["faces", model]
        return [focus(row, kind) for row in rows] if title == "focus" else each(rows, *path, kind, title)

    path = ("directions", "scores")
    titles = ("focus", "disentanglement", "completeness")
    return {t: {model: (found(t, model, "axes"), found(t, model, "turned")) for model in MODELS} for t in titles}


def score_table(runs: Runs) -> Columns:
    """Return the scores of single dimensions, and by how much they are above those of random directions."""
    pairs = [(title, model, pair) for title, models in scores(runs).items() for model, pair in models.items()]
    lines = [(title, model, told(pair[0], ".3f"), told(apart(*pair), ".3f")) for title, model, pair in pairs]
    return _table(("score", "model", "single dimensions", "more than random directions"), lines)


def sweeps(runs: Runs) -> Columns:
    """Return how far codes agree on what a direction does, and how far from a face its end is."""
    names = {"agreement of codes, dimensions": ("axes, 5", "agreement")}
    names |= {"agreement, random directions": ("turned, 5", "agreement")}
    names |= {f"nearest face, one number at {v}": (f"nearest, {v}",) for v in (1, 3, 5)}
    names |= {"nearest face, as drawn": ("nearest, 0",)}
    found = [each(runs["faces", model], "sweeps") for model in MODELS]
    lines = [(name, *(told(each(one, *path), ".3f") for one in found)) for name, path in names.items()]
    return _table(("sweeps", *MODELS), lines)


def added(runs: Runs) -> Columns:
    """Return how much of the change of two dimensions is not the sum of their changes."""
    table: Columns = {"pictures": [data for data, _ in BOTH], "model": [model for _, model in BOTH]}
    return table | {f"at {v}": [told(each(runs[key], "additivity", v), ".2f") for key in BOTH] for v in "15"}


def moves(runs: Runs) -> Columns:
    """Return medians and quartiles, over attributes and seeds, of what moves reach and of how long they are."""
    lines = []
    for model in MODELS:
        moved = [one for run in each(runs["faces", model], "directions", "moves") for one in run.values()]
        for way in ("slope", "others held", "one axis"):
            found = (np.quantile(each(moved, way, name), (0.5, 0.25, 0.75)) for name in ("reached", "others", "length"))
            lines.append((model, way, *(within(*values) for values in found)))
    return _table(("model", "way", "reached", "others", "length"), lines)


def against_ali(runs: Runs) -> Columns:
    """Return the error of one shot on 1 000 pictures, and how much samples differ."""
    return {
        "pictures": [data for data, _ in runs],
        "model": [model for _, model in runs],
        "error of one shot": [told(each(rows, "errors", "one_shot_many"), ".3f") for rows in runs.values()],
        "of the mean picture": [each(rows, "errors", "mean")[0] for rows in runs.values()],  # whatever the seed
        "samples' pixel std": [told(each(rows, "sample_std"), ".2f") for rows in runs.values()],
    }


def claims(runs: Runs) -> list[Claim]:
    """Return the claims of the chapter: 'reproduced' needs the whole interval on the paper's side of a line."""
    found: list[Claim] = []
    cs = runs["faces", "BEGAN-CS"]
    for data in NAMES:
        found += [one for model in MODELS for one in _walk_claims(runs[data, model], data, model)]
    section = "Five seeds"
    for data in NAMES:
        gain, none = (
            [1 - one["one_shot"] / one["mean"] for one in each(runs[data, model], "errors")]
            for model in ("BEGAN-CS", "BEGAN")
        )
        unit = "share by which its error is below the mean picture's,"
        faster, times = "one shot is faster than 10 000 iterations", one_shots(runs[data, "BEGAN-CS"])
        found += [
            _tested("C6", "G(Enc(x)) resembles x", gain, f"{unit} above 0", data, 0, section),
            _tested("C6", "in BEGAN it does not", none, f"{unit} below 0", data, 0, section, below=True),
            _tested("C6", faster, times, "time of these over one shot's, above 1000", data, 1000, section),
        ]
    for data in NAMES:
        unit, left = "share of its gain to come after 1 000, above 0.05", still_to_gain(runs[data, "BEGAN-CS"])
        found.append(_tested("C6", "a search needs 10 000 iterations", left, unit, data, 0.05, section))
    of = len(cs[0]["kept"]["the picture"])
    kept = [count / of for count in halves_kept(cs, "one shot")]
    unit = "share of attributes kept by half or more, above 0.5"
    found.append(_tested("C6", "the one shot keeps the person", kept, unit, "faces", 0.5, "What is kept of the person"))
    section = "One dimension at a time"
    for title in ("focus", "disentanglement"):
        axes, unit = scores(runs)[title]["BEGAN-CS"][0], f"{title} of single dimensions, above 0.5"
        found.append(_tested("C7", "single dimensions change one attribute", axes, unit, "faces", 0.5, section))
    agreement, unit = each(cs, "sweeps", "axes, 5", "agreement"), "|mean change| over mean |change|, above 0.9"
    found.append(_tested("C7", "for any z", agreement, unit, "faces", 0.9, section, top=1))
    for at in "15":
        paper, unit = f"two dimensions add up, at {at}", "share of the change that does not, below 0.1"
        found.append(_tested("C7", paper, each(cs, "additivity", at), unit, "faces", 0.1, section, below=True))
    return found + _ali_claims(runs)


def _walk_claims(rows: Sequence[Row], data: str, model: str) -> list[Claim]:
    walk, section = WALKS["line, cube"], "From one picture to another"
    steps, paths = each(rows, "paths", walk, "step"), each(rows, "paths")
    sharper = [path[walk]["sharpness"] / path["pixels"]["sharpness"] for path in paths]
    smooth, less = f"smooth interpolation through z* ({model})", f"less sharpness is lost than in a blend ({model})"
    unit = "sharpness half-way over the ends', over a blend's, above 1"
    return [
        _tested("B6", smooth, steps, "largest step over the mean step, below 2", data, 2, section, below=True),
        _tested("B6", less, sharper, unit, data, 1, section),
    ]


def _ali_claims(runs: Runs) -> list[Claim]:
    found, section = [], "Against ALI"
    for data in NAMES:
        ali, ours = (each(runs[data, model], "errors", "one_shot_many") for model in ("ALI", "BEGAN-CS"))
        unit = "one-shot error: ALI's minus ours, above 0"
        found.append(_tested("C9", "reconstructs better than ALI", apart(ali, ours), unit, data, 0, section))
    for name in NAMED:
        ours, ali = (each(runs["faces", model], "kept", "one shot, many", name) for model in ("BEGAN-CS", "ALI"))
        paper, unit = f"keeps {name.replace('_', ' ')} better", f"{name} kept: ours minus ALI's, above 0"
        found.append(_tested("C9", paper, apart(ours, ali), unit, "faces", 0, section))
    return found


def _tested(
    claim: str,
    paper: str,
    values: Sequence[float],
    unit: str,
    data: str,
    line: float,
    section: str,
    *,
    below: bool = False,
    top: float = float("inf"),
) -> Claim:
    """Return a claim that holds above a line, or below it; `top` is the most that the measure can be."""
    mean, low, high = interval(values)
    high = min(high, top)
    above, under = low > line, high < line
    verdict: Verdict = "open"
    if above or under:
        verdict = "reproduced" if below == under else "not reproduced"
    return Claim(claim, paper, mean, low, high, unit, len(values), NAMES[data], verdict, section)
