"""What chapter 6 reads off runs that collapse, and what it makes of claim C3."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from began import collapse
from studies.claims import Claim, Verdict
from studies.detectors import DETECTORS, EARLY, LOST, Detector, Score, collapsed_at, coverage, evaluate, lost_at
from studies.runner import columns
from studies.statistics import rank_correlation
from studies.survival import load_left
from studies.tables import within
from studies.workers import Row

Columns = dict[str, list[Any]]  # a table: values by the name of their column
PAPER = {1: (4.21, 0.60), 11: (85.05, 68.64), 21: (153.42, 123.86), 31: (214.25, 134.32), 41: (268.11, 159.71)}
MEASURED = (  # of fates
    "runs that collapsed",
    "from step",
    "cells, at best",
    "cells, at the end",
    "$k$ at the end below its highest, by",
    "$M$ at the end over the start",
    "$M$ at the end, median",
)
SAYS = {
    "k alone": "a drop of k shows the collapse",
    "M alone": "M does not show the collapse",
    "monitor": "(ours) k, spread and their growth show it",
}


def of_model(rows: Sequence[Row], model: str = "BEGAN") -> list[Row]:
    """Return the rows of a model."""
    return [row for row in rows if row["model"] == model]


def span(values: Sequence[float], spec: str = ".2f") -> str:
    """Return the least and the greatest of some numbers, or the one that all are."""
    low, high = format(min(values), spec), format(max(values), spec)
    return low if low == high else f"{low} to {high}"


def fates(groups: Mapping[str, Sequence[Row]]) -> Columns:
    """Return how runs of each group went, a column a group: what they covered, and what k and M did."""
    columns: Columns = {"": [*MEASURED]}
    for name, rows in groups.items():
        at = [step for row in rows if (step := collapsed_at(row))]
        k, M = ([np.array(row["curve"][of]) for row in rows] for of in ("k", "M"))
        columns[name] = [
            f"{len(at)} of {len(rows)}",
            span(at, "d") if at else "",
            span([max(coverage(row)) for row in rows]),
            span([coverage(row)[-1] for row in rows]),
            span([1 - one[-1] / one.max() for one in k], ".0%"),
            span([one[-1] / one[0] for one in M]),
            f"{np.median([one[-1] for one in M]):.3f}",
        ]
    return columns


def frames(rows: Sequence[Row]) -> dict[int, tuple[Tensor, dict[str, float]]]:
    """Return the codes that the run with seed 0 left, `(2, 400, 2)` each, and their variances, by step."""
    row = next(row for row in rows if row["seed"] == 0)
    codes, of = load_left("frames", row), row["frames"]
    return {step: (codes[i], {name: of[name][i] for name in of}) for i, step in enumerate(of["step"])}


def variances(groups: Mapping[str, Sequence[Row]]) -> Columns:
    """Return total variances of codes, published ones first, with the part that lies in the plane in brackets."""
    lines = [
        {"run": f"paper, epoch {epoch}", "Var(real)": f"{real:.4g}", "Var(gen)": f"{gen:.4g}", "gen / real": gen / real}
        for epoch, (real, gen) in PAPER.items()
    ]
    for name, rows in groups.items():
        for step, (_, of) in list(frames(rows).items())[::3]:
            both = {f"Var({key})": f"{of[f'var_{key}']:.4g} [{of[f'plane_{key}']:.2g}]" for key in ("real", "gen")}
            lines.append({"run": f"{name}, step {step}", **both, "gen / real": of["var_gen"] / of["var_real"]})
    return columns(lines)


def ends(pairs: Mapping[str, Sequence[np.ndarray]], bounds: Mapping[str, tuple[Any, Any]]) -> Columns:
    """Return where runs end: `pairs` are coverage and k over a run, `(T, 2)`, `bounds` what each coverage allows."""
    lines = []
    for name, runs in pairs.items():
        last = np.array([run[-1] for run in runs])
        allowed = np.interp(last[:, 0], *bounds[name])
        fell = sum(run[-1, 1] < collapse.DROP * run[:, 1].max() for run in runs)
        lines.append(
            {
                "runs": name,
                "number": len(runs),
                "$k$ at or below its bound": int((last[:, 1] <= allowed).sum()),
                "bound over $k$, median": float(np.median(allowed / last[:, 1])),
                "$k$ has fallen": int(fell),
                "coverage below a tenth": int((last[:, 0] < LOST).sum()),
            }
        )
    return columns(lines)


def falls_at(row: Row) -> float:
    """Return the first reading at which k is well below its highest so far, or infinity."""
    k = np.array(row["readings"]["k"])
    low = k < collapse.DROP * np.maximum.accumulate(k)
    return row["readings"]["step"][low.argmax()] if low.any() else np.inf


def collapses(rows: Sequence[Row]) -> tuple[Columns, float]:
    """Return what k and M did in runs that collapsed, and by how much M ever rose over its lowest so far."""
    M = [np.array(row["curve"]["M"]).reshape(-1, 2).mean(1) for row in rows]  # over a hundred steps
    rises = [(one / np.minimum.accumulate(one)).max() for one in M]
    parts = [row["curve"]["loss_real"][-1] / row["curve"]["M"][-1] for row in rows]
    at_stops = [np.interp(row["stops"]["step"], row["curve"]["step"], row["curve"]["M"]) for row in rows]
    ranks = [rank_correlation(coverage(row), one) for row, one in zip(rows, at_stops, strict=True)]
    ahead = np.array([(collapsed_at(row) or np.nan) - falls_at(row) for row in rows])
    found = {
        "$M$ over its lowest so far, at most": f"{max(rises):.3f}",
        "share of $\\mathcal{L}(x)$ in $M$ at the end": span(parts, ".0%"),
        "rank correlation of $M$ and cells within a run, median": f"{np.median(ranks):.2f}",
        f"runs whose $k$ is below {collapse.DROP:g} of its highest before the collapse": f"{(ahead > 0).sum()}",
        "... with it or later": f"{((ahead <= 0) & np.isfinite(ahead)).sum()}",
        "... never": f"{np.isinf(ahead).sum()}",
    }
    return {f"in {len(rows)} runs that collapsed": list(found), "": list(found.values())}, max(rises)


def blown_at(row: Row) -> int | None:
    """Return the first reading of samples that are no pictures any more."""
    pairs = zip(row["readings"]["step"], row["readings"]["spread"], strict=True)
    return next((step for step, spread in pairs if spread > collapse.BLOWN), None)


def first_alarm(row: Row, name: str = "monitor", since: int = 0) -> int | None:
    """Return the first reading, from a step on, at which a detector's alarm is on."""
    pairs = zip(row["readings"]["step"], DETECTORS[name](row), strict=True)
    return next((step for step, on in pairs if on and step >= since), None)


def losses(groups: Mapping[str, Sequence[Row]]) -> Columns:
    """Return how many runs on photographs were ever well, were lost and blew up."""
    return columns(
        [
            {
                "runs": f"{name}, {model}",
                "number": len(rows),
                "distance ever below 0.5": sum(min(row["stops"]["pixel_frechet"]) < 0.5 for row in rows),
                "lost": sum(lost_at(row) is not None for row in rows),
                "blown up": sum(blown_at(row) is not None for row in rows),
            }
            for name, both in groups.items()
            for model in ("BEGAN", "BEGAN-CS")
            for rows in [of_model(both, model)]
        ]
    )


def blow_ups(rows: Sequence[Row]) -> Columns:
    """Return the blow-ups: three readings before and after, and how much later each alarm came, in steps."""
    lines = []
    for row in rows:
        if (at := blown_at(row)) is None:
            continue
        i, k, wide = row["readings"]["step"].index(at), row["readings"]["k"], row["readings"]["var_real"]
        alarms = {name: first_alarm(row, name, at - 500) for name in DETECTORS}
        lines.append(
            {
                "blown up at step": at,
                "Var(real) before": wide[i - 3],
                "at most": max(wide[i:]),
                "$k$ before": k[i - 3],
                "at the end": k[-1],
                **{f"{name}, steps later": None if step is None else step - at for name, step in alarms.items()},
            }
        )
    return columns(lines)


def ringing(rows: Sequence[Row], detector: Detector) -> float:
    """Return the share of judged readings before a collapse, or without one, at which an alarm is on."""
    on = []
    for row in rows:
        end = collapsed_at(row) or row["steps"] + 1
        pairs = list(zip(row["readings"]["step"], detector(row), strict=True))
        on += [raised for step, raised in pairs[collapse.QUIET :] if step < end]
    return float(np.mean(on))


def judge(sets: Mapping[str, Sequence[Row]]) -> dict[tuple[str, str], tuple[Score, float]]:
    """Return how each detector does on each set of runs, and the share of healthy readings it rings at."""
    return {
        (data, name): (evaluate(rows, detector), ringing(rows, detector))
        for data, rows in sets.items()
        for name, detector in DETECTORS.items()
    }


def detected(scores: Mapping[tuple[str, str], tuple[Score, float]]) -> Columns:
    """Return a line for each detector on each set of runs."""
    return columns(
        [
            {
                "runs": data,
                "detector": name,
                "found of all collapses": f"{score.found} of {score.collapsed}, " + within(*score.rate),
                "median lag, steps": score.lag if score.lags else None,
                "on in healthy readings": on,
                "false alarms": score.false_alarms,
            }
            for (data, name), (score, on) in scores.items()
        ]
    )


def mistakes(groups: Mapping[str, Sequence[Row]]) -> Columns:
    """Return the runs in which the monitor misses a collapse, or raises an alarm that is meant for none."""
    lines = []
    for name, rows in groups.items():
        for row in rows:
            at, alarm, cells = collapsed_at(row), first_alarm(row), coverage(row)
            if (at is None) != (alarm is None) or (at and alarm and at - alarm > EARLY):
                lines.append(
                    {
                        "run": f"{name}, {row['model']}, seed {row['seed']}",
                        "first alarm": alarm,
                        "collapse": at,
                        "cells in the first 1 000 steps, at most": max(cells[:4]),
                        "at least": min(cells),
                        "at the end": cells[-1],
                    }
                )
    return columns(lines)


def saved(row: Row) -> bool:
    """Whether a run goes through to a good end: more than a tenth of the cells, or a distance below a half."""
    on_faces = row["data"] == "faces"
    well = coverage(row)[-1] > LOST if on_faces else row["stops"]["pixel_frechet"][-1] < 0.5
    return well and not row["ended"]


def distance(row: Row) -> float:
    """Return the Frechet distance at a run's end: of the reader's features on faces, of pixels on photographs."""
    return row["stops"]["reader_frechet" if row["data"] == "faces" else "pixel_frechet"][-1]


def rescues(kinds: Mapping[str, tuple[Sequence[Row], Sequence[Row]]]) -> Columns:
    """Return how runs with rollback did beside those without, by kind; of the distances all."""
    return columns(
        [
            {
                "runs": name,
                "saved without": f"{sum(map(saved, without))} of {len(without)}",
                "with rollback": f"{sum(map(saved, rows))} of {len(rows)}",
                "returns": span([len(row["rollbacks"]) for row in rows], "d"),
                "given up": sum(bool(row["ended"]) for row in rows),
                "cells at the end": span([coverage(row)[-1] for row in rows]) if rows[0]["data"] == "faces" else "",
                "Fréchet distance": ", ".join(f"{one:.2f}" for one in sorted(map(distance, rows))),
            }
            for name, (rows, without) in kinds.items()
        ]
    )


def verdict(rate: tuple[float, float, float], on: float, sees: bool) -> Verdict:
    """Return whether a detector finds collapses, or (not `sees`) misses them, and rings in healthy readings (`on`)."""
    _, low, high = rate
    if on > 0.25:
        return "differs"
    right, wrong = (low > 0.5, high < 0.5) if sees else (high < 0.5, low > 0.5)
    return "reproduced" if right else "not reproduced" if wrong else "open"


def claims(scores: Mapping[tuple[str, str], tuple[Score, float]]) -> list[Claim]:
    """Return what was found of C3: the share of collapses that each detector finds."""
    found = []
    for data in dict.fromkeys(data for data, _ in scores):
        for name, words in SAYS.items():
            score, on = scores[data, name]
            judged = verdict(score.rate, on, name != "M alone")
            unit = "share of collapses found"
            found.append(Claim("C3", words, *score.rate, unit, score.collapsed, data, judged, "A monitor"))
    return found
