"""What chapter 7 reads off runs of BEGAN and of BEGAN-CS, and what it makes of claims C1, C2, C4 and C5."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from studies.claims import Claim, Verdict
from studies.detectors import collapsed_at, lost_at, survival
from studies.statistics import interval
from studies.survival import Course, course, load_runs
from studies.tables import within
from studies.workers import Row

Columns = dict[str, list[Any]]  # a table: values by the name of their column
Runs = Mapping[tuple[str, str], Sequence[Row]]  # of a group, by data and model
Found = tuple[float, float, float]  # a mean with its 95 % interval

MODELS = "BEGAN", "BEGAN-CS"
TITLES = {"faces": "rendered faces", "photographs": "photographs (UTKFace, 12 000 adults)"}
EVENT = {"faces": collapsed_at, "photographs": lost_at}
FRECHET = {"faces": "reader_frechet", "photographs": "pixel_frechet"}
DISTANCES = ("faces", "reader_frechet"), ("faces", "pixel_frechet"), ("photographs", "pixel_frechet")
C, RATIO = "$\\mathcal{L}_c$", "$\\mathcal{L}(G(z)) / \\mathcal{L}(x)$"
REACHED = {
    "attribute cells reached": "cells",
    "spread of attributes": "spread",
    "Fréchet distance, reader": "reader_frechet",
    "standard deviation of pixels": "pixel_std",
    "$k$": "k",
}
MIDDLE = 8  # stops up to step 2 000, before any blow-up
PUBLISHED = {  # BEGAN-CS, fig. 2: epochs, Var(real), Var(gen); what is printed as "(?).74" is nan
    "BEGAN": ([1, 11, 21, 31, 41], [4.21, 85.05, 153.42, 214.25, 268.11], [0.60, 68.64, 123.86, 134.32, 159.71]),
    "BEGAN-CS": ([1, 11, 21, 31, 101], [2.0, np.nan, 3.62, 3.56, 3.10], [1.40, 3.17, 2.90, 2.88, 2.50]),
}


def load(group: str) -> Runs:
    """Return the runs of a group by data and model, each by seed."""
    rows = sorted(load_runs(group), key=lambda row: row["seed"])
    keys = [(data, model) for data in TITLES for model in MODELS]
    return {key: [row for row in rows if (row["data"], row["model"]) == key] for key in keys}


def curves(runs: Runs, data: str) -> dict[str, stats.CensoredData]:
    """Return when the runs of each model were lost."""
    return {model: survival(runs[data, model], EVENT[data]) for model in MODELS}


def fates(groups: Mapping[str, tuple[Runs, str]]) -> Columns:
    """Return how many runs of each model were lost and when, with the p of a logrank test."""
    columns: Columns = {"runs": [], "steps": [], **{f"{model} lost": [] for model in MODELS}, "logrank $p$": []}
    for name, (runs, data) in groups.items():
        columns["runs"].append(name)
        columns["steps"].append(runs[data, "BEGAN"][0]["steps"])
        for model in MODELS:
            at = sorted(step for row in runs[data, model] if (step := EVENT[data](row)))
            when = f", {at[0]} to {at[-1]}, median {np.median(at):.0f}" if at else ""
            columns[f"{model} lost"].append(f"{len(at)} of {len(runs[data, model])}{when}")
        began, cs = curves(runs, data).values()
        some = any(" to " in columns[f"{model} lost"][-1] for model in MODELS)
        columns["logrank $p$"].append(float(stats.logrank(began, cs).pvalue) if some else None)
    return columns


def blown_at(row: Row) -> int | None:
    """Return the stop at which the variance of pictures' codes exceeds a hundred times its first value."""
    of = row["stops"]["var_real"]
    pairs = zip(row["stops"]["step"], of, strict=True)
    return next((step for step, value in pairs if not value < 100 * of[0]), None)


def blow_ups(groups: Mapping[str, Runs]) -> Columns:
    """Return the blow-ups of photographs, and how near samples were at step 2 500."""
    columns: Columns = {
        "runs": [],
        "Fréchet distance at step 2 500, median": [],
        "blown up": [],
        "first, last step": [],
    }
    for name, runs in groups.items():
        for model in MODELS:
            rows = runs["photographs", model]
            steps = sorted(step for row in rows if (step := blown_at(row)))
            distance = np.median([row["stops"]["pixel_frechet"][9] for row in rows])
            line = f"{name}, {model}", distance, f"{len(steps)} of {len(rows)}", f"{steps[0]}, {steps[-1]}"
            for column, value in zip(columns.values(), line, strict=True):
                column.append(value)
    return columns


def share_read(row: Row, window: slice) -> float:
    """Return the share of z that the encoder reads, 1 - 3 L_c^2, over some points of a run's curve."""
    return float(1 - 3 * np.mean(row["curve"]["constraint"][window]) ** 2)


def leak(full: Runs) -> dict[str, list[Row]]:
    """Return runs on all faces by whom the constraint reaches: those of both models, and their variants."""
    found = {model: list(full["faces", model]) for model in MODELS}
    for row in sorted(load_runs("leak", "faces"), key=lambda row: row["seed"]):
        found.setdefault(row["model"], []).append(row)
    return found


def early(runs: Mapping[str, Sequence[Row]], name: str) -> dict[str, Course]:
    """Return how a measure ran, up to the last step that all of the runs have."""
    part = "stops" if name in next(iter(runs.values()))[0]["stops"] else "curve"
    courses = {model: course(rows, name, part) for model, rows in runs.items()}
    steps = min((one.step for one in courses.values()), key=len)
    return {model: Course(steps, one.values[:, : len(steps)]) for model, one in courses.items()}


def reached(full: Runs) -> dict[str, dict[str, Course]]:
    """Return how runs went by whom the constraint reaches, a panel a measure."""
    runs = leak(full)
    panels = {title: early(runs, name) for title, name in REACHED.items()}
    panels["share of $z$ read, $R^2$"] = {
        name: Course(one.step, 1 - 3 * one.values**2) for name, one in early(runs, "constraint").items()
    }
    return panels


def differences(panels: Mapping[str, Mapping[str, Course]], those: Sequence[str]) -> Columns:
    """Return by how much `those` variants differ from both models in the mean of the last three stops, by panel."""
    pairs = [(variant, plain) for variant in those for plain in MODELS]
    columns: Columns = {"": [f"{variant} minus {plain}".replace("L_c", C) for variant, plain in pairs]}
    for title, of in panels.items():
        apart = [(of[variant].values - of[plain].values)[:, -3:].mean(1).tolist() for variant, plain in pairs]
        columns[title] = [within(*interval(values)) for values in apart]
    return columns


def sweep() -> dict[float, list[Row]]:
    """Return the runs of BEGAN-CS by alpha."""
    found: dict[float, list[Row]] = {}
    for row in sorted(load_runs("alpha"), key=lambda row: row["alpha"]):
        found.setdefault(row["alpha"], []).append(row)
    return found


def at_end(row: Row) -> dict[str, float]:
    """Return the measures of a run's last stop, and means of its curve over the last 200 steps."""
    stops, curve = row["stops"], {name: float(np.mean(values[-4:])) for name, values in row["curve"].items()}
    return {
        "cells": stops["cells"][-1],
        "spread": stops["spread"][-1],
        "Fréchet distance": stops["reader_frechet"][-1],
        "$k$": curve["k"],
        "$M$": curve["M"],
        RATIO: curve["loss_fake"] / curve["loss_real"],
    }


def by_alpha(runs: Mapping[float, Sequence[Row]]) -> dict[str, dict[float, list[float]]]:
    """Return the measures of `at_end` by name and alpha, one a run."""
    ends = {alpha: [at_end(row) for row in rows] for alpha, rows in runs.items()}
    names = next(iter(ends.values()))[0]
    return {name: {alpha: [one[name] for one in of] for alpha, of in ends.items()} for name in names}


def medians(runs: Mapping[float, Sequence[Row]]) -> Columns:
    """Return medians of the measures, and how many runs collapsed, a line for each alpha."""
    found = {name: [float(np.median(of)) for of in column.values()] for name, column in by_alpha(runs).items()}
    shares = [[share_read(row, slice(-4, None)) for row in rows] for rows in runs.values()]
    ratio = found.pop(RATIO)  # a name too long for a table
    return {
        "$\\alpha$": list(runs),
        **found,
        "ratio": ratio,
        "$R^2$": [float(np.median(of)) for of in shares],
        "lost": [f"{sum(collapsed_at(row) is not None for row in rows)} of {len(rows)}" for rows in runs.values()],
    }


def powers(values: Tensor) -> Found:
    """Return the geometric mean of positive values, with its interval."""
    mean, low, high = interval(values.log10().tolist())
    return 10**mean, 10**low, 10**high


def codes(full: Runs) -> dict[str, dict[str, tuple[Course, Course]]]:
    """Return how the variances of the codes of pictures and of samples ran, by data and model."""
    of = {key: (course(rows, "var_real"), course(rows, "var_gen")) for key, rows in full.items()}
    return {data: {model: of[data, model] for model in MODELS} for data in TITLES}


def apart(full: Runs, data: str, of: str) -> Found:
    """Return how many times the codes of BEGAN vary as much as those of BEGAN-CS at step 2 000; of: real, gen."""
    began, cs = (course(full[data, model], f"var_{of}").values[:, MIDDLE - 1] for model in MODELS)
    return powers(began / cs)


def growth(rows: Sequence[Row]) -> tuple[Found, int]:
    """Return how many times the variance of pictures' codes grows from step 250 on, and to which step."""
    step, values = course(rows, "var_real")
    last = min(MIDDLE, len(step)) - 1
    return powers(values[:, last] / values[:, 0]), step[last]


def variances(full: Runs) -> Columns:
    """Return medians of the codes' variances at steps 250 and 2 000, and their ratio."""
    columns: Columns = {
        "codes": [],
        **{f"{model}, steps 250, 2 000": [] for model in MODELS},
        "BEGAN over BEGAN-CS": [],
    }
    for data in TITLES:
        for of, name in (("real", "pictures"), ("gen", "samples")):
            columns["codes"].append(f"{data}, {name}")
            for model in MODELS:
                values = course(full[data, model], f"var_{of}").values[:, [0, MIDDLE - 1]].median(0).values
                columns[f"{model}, steps 250, 2 000"].append("{:.2f}, {:.2f}".format(*values))
            columns["BEGAN over BEGAN-CS"].append(within(*apart(full, data, of), spec=".1f"))
    return columns


def settings(full: Runs, few: Runs, rate: Runs) -> tuple[tuple[str, Runs, str], ...]:
    """Return the data, the runs and the words for those that test whether BEGAN-CS lives longer, and what grows."""
    return (
        ("faces", full, ""),
        ("photographs", full, ""),
        ("faces", few, ", on 100 faces"),
        ("faces", rate, ", lr 0.003"),
    )


def growths(tested: Sequence[tuple[str, Runs, str]]) -> Columns:
    """Return by how much the variance of pictures' codes grows, a line a setting."""
    columns: Columns = {"runs": [], "from step 250 to": [], **{model: [] for model in MODELS}}
    for data, runs, where in tested:
        columns["runs"].append(data + where)
        columns["from step 250 to"].append(growth(runs[data, "BEGAN"])[1])
        for model in MODELS:
            columns[model].append(within(*growth(runs[data, model])[0]))
    return columns


def sizes(rows: Sequence[Row]) -> list[str]:
    """Return of each run the powers of ten of Var(real) at step 2 000, at most, and at the end."""
    kept = [row["stops"]["var_real"] for row in rows]
    return [", ".join(f"{np.log10(v):.0f}" for v in (of[MIDDLE - 1], max(of), of[-1])) for of in kept]


def lived(rows: Sequence[Row], data: str, most: int) -> list[int]:
    """Return how many steps each run lived, at most `most`."""
    return [min(EVENT[data](row) or most, most) for row in rows]


def longer(runs: Runs, data: str) -> Found:
    """Return how many steps BEGAN-CS lives longer than BEGAN."""
    most = runs[data, "BEGAN"][0]["steps"]
    began, cs = (lived(runs[data, model], data, most) for model in MODELS)
    return interval([b - a for a, b in zip(began, cs, strict=True)])


def earlier(full: Runs, tenth: Runs, data: str, model: str) -> Found:
    """Return how many steps earlier runs on a tenth of the data are lost."""
    most = tenth[data, model][0]["steps"]
    most_lived, least = (lived(runs[data, model], data, most) for runs in (full, tenth))
    return interval([a - b for a, b in zip(most_lived, least, strict=True)])


def fall(tenth: Runs, data: str, model: str) -> Found:
    """Return by how much the distance falls from steps 1 000 to 1 500 to the last three stops."""
    values = course(tenth[data, model], FRECHET[data]).values
    return interval((values[:, 3:6].mean(1) - values[:, -3:].mean(1)).tolist())


def on_a_tenth(full: Runs, tenth: Runs) -> Columns:
    """Return how runs on a tenth of the data did: how much earlier they were lost, by how much the distance fell."""
    columns: Columns = {"runs": [], "lost earlier, steps": [], "fall of the Fréchet distance": []}
    for data in TITLES:
        for model in MODELS:
            steps = earlier(full, tenth, data, model)
            columns["runs"].append(f"{data}, {model}")
            columns["lost earlier, steps"].append(within(*steps, spec=".0f") if steps[1] < steps[2] else "no run lost")
            columns["fall of the Fréchet distance"].append(within(*fall(tenth, data, model)))
    return columns


def last(rows: Sequence[Row], name: str) -> Tensor:
    """Return the mean of the last three stops, a run each."""
    return course(rows, name).values[:, -3:].nanmean(1)


def between(full: Runs, data: str, name: str) -> Found:
    """Return by how much BEGAN ends above BEGAN-CS."""
    began, cs = (last(full[data, model], name) for model in MODELS)
    return interval((began - cs).tolist())


def rises(full: Runs) -> Columns:
    """Return where BEGAN ends minus where BEGAN-CS does, and by how much each run rises from its best stop."""
    columns: Columns = {"distance": [], "BEGAN minus BEGAN-CS": [], **{f"rises of {model}": [] for model in MODELS}}
    for data, name in DISTANCES:
        columns["distance"].append(f"{data}, {name.removesuffix('_frechet')}")
        columns["BEGAN minus BEGAN-CS"].append(within(*between(full, data, name)))
        for model in MODELS:
            best = course(full[data, model], name).values.nan_to_num(torch.inf).amin(1)
            by = (last(full[data, model], name) - best).tolist()
            columns[f"rises of {model}"].append(", ".join(f"{value:.2f}" for value in by))
    return columns


def verdict(low: float, high: float, aim: float = 0.0) -> Verdict:
    """Return whether the whole interval is on the paper's side, which begins at `aim`."""
    return "reproduced" if low > aim else "not reproduced" if high < aim else "open"


def of_survival(found: Found, lost: int, runs: int) -> Verdict:
    """Return whether BEGAN-CS lives longer, of whose runs so many were lost."""
    if lost > runs / 2:
        return "not reproduced"
    return "differs" if found[1] > 0 and lost else verdict(*found[1:])


def claims(full: Runs, tenth: Runs, few: Runs, rate: Runs) -> list[Claim]:
    """Return what was found of C1, C2, C4 and C5."""
    tested, found = settings(full, few, rate), []

    def add(claim: str, paper: str, of: Found, unit: str, data: str, judged: Verdict, section: str) -> None:
        found.append(Claim(claim, paper, *of, unit, 5, TITLES[data], judged, section))

    for data, runs, where in tested:
        of, cs = longer(runs, data), runs[data, "BEGAN-CS"]
        judged = of_survival(of, sum(EVENT[data](row) is not None for row in cs), len(cs))
        section = "Does BEGAN-CS survive what kills BEGAN?" if where else "How one compares lives"
        add("C1", "BEGAN collapses, CS does not" + where, of, "steps that CS lives longer", data, judged, section)
    for data in TITLES:
        of, unit = apart(full, data, "real"), "Var(real) of BEGAN over CS at step 2 000"
        judged = verdict(*of[1:], aim=1.0)
        add("C2", "codes of BEGAN vary more than those of CS", of, unit, data, judged, "Variances of codes")
    for data, runs, where in tested:
        of, step = growth(runs[data, "BEGAN"])
        paper, unit = f"the codes' variance grows in BEGAN{where}", f"Var(real), step {step} over step 250"
        add("C2", paper, of, unit, data, verdict(*of[1:], aim=2.0), "Variances of codes")
    for data in TITLES:
        paper, of = "a tenth of the data: BEGAN is lost earlier", earlier(full, tenth, data, "BEGAN")
        add("C4", paper, of, "steps earlier", data, verdict(*of[1:]), "A tenth of the data")
        paper, of = "a tenth of the data: CS keeps improving", fall(tenth, data, "BEGAN-CS")
        unit = f"{FRECHET[data]}: its fall from steps 1 000 to 1 500 to the end"
        add("C4", paper, of, unit, data, verdict(*of[1:]), "A tenth of the data")
    for data, name in DISTANCES:
        of, high = between(full, data, name), (last(full[data, "BEGAN-CS"], name) >= 1).float().mean() > 0.5
        judged = "not reproduced" if high else verdict(*of[1:])
        paper, unit = "FID of BEGAN rises, that of CS stays low", f"{name}, BEGAN minus CS at the end"
        add("C5", paper, of, unit, data, judged, "The Fréchet distance over training")
    return found
