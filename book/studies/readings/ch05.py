"""What chapter 5 reads off the trials: tables by gamma, the rivals, and its claims."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm, rankdata

from studies.claims import Claim, Verdict
from studies.gammas import load_trials
from studies.statistics import by_gamma, interval
from studies.tables import within

Row = Mapping[str, Any]
Columns = dict[str, list[Any]]
NAMES = {"faces": "rendered faces", "photographs": "photographs (UTKFace, 12 000 adults)"}
FRECHET = {"faces": "reader_frechet", "photographs": "pixel_frechet"}
SECRET = "The secret trick: BEGAN, EBGAN and WGAN-GP"


class Runs(NamedTuple):
    """The rows of the chapter by data set: of all gammas, of real pictures, and of the rivals."""

    trials: Mapping[str, Sequence[Row]]
    real: Mapping[str, Sequence[Row]]
    rivals: Mapping[str, Sequence[Row]]


def load_runs() -> Runs:
    """Return the committed rows."""
    groups = (load_trials(group) for group in ("gamma", "real", "rivals"))
    return Runs(*({data: [row for row in rows if row["data"] == data] for data in NAMES} for rows in groups))


def values(rows: Sequence[Row], name: str) -> list[float]:
    """Return a measure at the end of each run that has it."""
    return [row["final"][name] for row in rows if name in row["final"]]


def told(found: Sequence[float], spec: str = ".3f") -> str | None:
    """Return the mean over seeds with its interval, None without a value."""
    return within(*interval(found), spec) if found else None


def table(runs: Runs, data: str, names: Mapping[str, str]) -> Columns:
    """Return measures at each gamma and of real pictures; `names` maps them to their titles. Real ones have no k."""
    groups = {**{f"{gamma:g}": rows for gamma, rows in by_gamma(runs.trials[data]).items()}, "real": runs.real[data]}
    columns: Columns = {"$\\gamma$": list(groups)}
    return columns | {title: [told(values(rows, name)) for rows in groups.values()] for name, title in names.items()}


def allowed(runs: Runs, gammas: Sequence[float]) -> Columns:
    """Return the share of pictures that a gamma allows if losses are normal, as unequal as at the end of the runs."""
    share = np.logspace(-4, 0, 2000)[:-1]
    columns: Columns = {"pictures": list(runs.trials), "$r$": []} | {f"at {gamma:g}": [] for gamma in gammas}
    for rows in runs.trials.values():
        ends = [row["readings"] for row in rows]
        r = np.median([end["std_real"][-1] / end["mean_real"][-1] for end in ends])
        columns["$r$"].append(f"{r:.2f}")
        mean_of_easiest = 1 - r * norm.pdf(norm.ppf(share)) / share
        for gamma in gammas:
            columns[f"at {gamma:g}"].append(f"{share[mean_of_easiest <= gamma].max(initial=0):.1%}")
    return columns


def searched(runs: Runs) -> Columns:
    """Return the settings that were tried for the rivals, nearest first, and BEGAN's best gamma."""
    rows = sorted(load_trials("search"), key=lambda row: row["final"]["reader_frechet"])
    best = best_gamma(runs)
    ours = by_gamma(runs.trials["faces"])[best]
    settings = [", ".join(f"{name.replace('_', ' ')} {v:g}" for name, v in row["setting"].items()) for row in rows]
    ratios = [f"{row['final']['ratio']:.2f}" if row["model"] == "EBGAN" else None for row in rows]
    return {
        "model": [*(row["model"] for row in rows), "BEGAN, five seeds"],
        "setting": [*settings, f"gamma {best:g}"],
        "Fréchet, reader": [
            *(f"{row['final']['reader_frechet']:.3f}" for row in rows),
            told(values(ours, "reader_frechet")),
        ],
        "ratio": [*ratios, told(values(ours, "ratio"), ".2f")],
    }


def best_gamma(runs: Runs) -> float:
    """Return the gamma that is nearest to rendered faces by Fréchet distance."""
    groups = by_gamma(runs.trials["faces"])
    return min(groups, key=lambda gamma: float(np.mean(values(groups[gamma], "reader_frechet"))))


def compared(runs: Runs, data: str) -> dict[str, Sequence[Row]]:
    """Return the rows of BEGAN at the gamma nearest to its best, at 0.5, of the rivals, and of real pictures."""
    groups, best = by_gamma(runs.trials[data]), best_gamma(runs)
    named: dict[str, Sequence[Row]] = {"BEGAN": groups[min(groups, key=lambda gamma: abs(gamma - best))]}
    named["BEGAN, gamma 0.5"] = groups[0.5]
    for model in ("EBGAN", "WGAN-GP"):
        named[model] = [row for row in runs.rivals[data] if row["model"] == model]
    return named | {"real": runs.real[data]}


def beside(runs: Runs) -> Columns:
    """Return Fréchet distance and sharpness of BEGAN and its rivals."""
    columns: Columns = {"model": list(compared(runs, "faces"))}
    for data, frechet in FRECHET.items():
        groups = compared(runs, data).values()
        columns[f"Fréchet, {data}"] = [told(values(rows, frechet)) for rows in groups]
        columns[f"sharpness, {data}"] = [told(values(rows, "sharpness"), ".2f") for rows in groups]
    return columns


def held(runs: Runs) -> Columns:
    """Return how near the ratio ended to gamma in the runs whose k was at an end of its range for 5 % or less."""
    columns: Columns = {"pictures": [], "runs not saturated": [], "ratio / $\\gamma$, least": [], "most": []}
    for data, rows in runs.trials.items():
        kept = [row for row in rows if row["final"]["saturated"] <= 0.05]
        ratios = [row["final"]["ratio"] / row["setting"]["gamma"] for row in kept]
        line = (data, f"{len(kept)} of {len(rows)}", f"{min(ratios):.2f}", f"{max(ratios):.2f}")
        for column, value in zip(columns.values(), line, strict=True):
            column.append(value)
    return columns


def correlations(rows: Sequence[Row], name: str, least: float) -> list[float]:
    """Return the rank correlation of gamma, from `least` on, and a measure in each seed."""
    pairs: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        if row["setting"]["gamma"] >= least:
            pairs.setdefault(row["seed"], []).append((row["setting"]["gamma"], row["final"][name]))
    return [float(np.corrcoef(rankdata(some, axis=0).T)[0, 1]) for some in pairs.values()]


def claims(runs: Runs) -> list[Claim]:
    """Return the claims of the chapter; a number above 0 agrees with the paper."""
    found = []
    for data, name, sign, least, what in (
        ("faces", "spread", 1, 0.3, "less diverse: spread of attributes"),
        ("faces", "nearest_face", 1, 0.3, "better: nearest rendered face"),
        ("faces", "nearest_face", 1, 0.5, "better, from 0.5 on: the same"),
        ("photographs", "pixel_std", 1, 0.3, "less diverse: pixel std"),
        ("photographs", "sharpness", -1, 0.3, "better: sharpness"),
    ):
        ranks = [sign * rank for rank in correlations(runs.trials[data], name, least)]
        unit = f"rank correlation of gamma and {'-' * (sign < 0)}{name}"
        found.append(_tested("B3", f"lower gamma: {what}", ranks, unit, data, "Seven values, five seeds", most=1.0))
    for data, name, what in (
        ("faces", "nearest_face", "distance to the nearest face"),
        ("faces", "reader_frechet", "Frechet distance, reader"),
        ("photographs", "pixel_frechet", "Frechet distance, pixels"),
    ):
        groups = compared(runs, data)
        pairs = zip(values(groups["EBGAN"], name), values(groups["BEGAN"], name), strict=True)
        unit = f"{what}: EBGAN's minus BEGAN's"
        found.append(_tested("B7", "BEGAN beats EBGAN", [a - b for a, b in pairs], unit, data, SECRET))
    return found


def _tested(
    claim: str, paper: str, found: Sequence[float], unit: str, data: str, section: str, most: float = float("inf")
) -> Claim:
    """Return a claim that holds above 0; `most` bounds the size of the measure."""
    mean, low, high = interval(found)
    low, high = max(low, -most), min(high, most)
    verdict: Verdict = "reproduced" if low > 0 else "not reproduced" if high < 0 else "open"
    return Claim(claim, paper, mean, low, high, unit, len(found), NAMES[data], verdict, section)
