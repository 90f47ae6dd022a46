"""What chapter 5 reads off the studies of grain, forks and rivals, and its claims."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import norm

from began.images.faces import ATTRIBUTES
from studies import forks, rivals, takeoff
from studies.claims import Claim, Verdict
from studies.gammas import load_trials
from studies.statistics import BesideNull, by_gamma
from studies.tables import told, within
from studies.workers import Row

Columns = dict[str, list[Any]]
FACES, PHOTOGRAPHS = "rendered faces", "photographs (UTKFace, 12 000 adults)"
PLAIN = {"grain": 0.0, "gamma": 0.8}  # two settings that differ in grain alone
GRAINY = {"grain": 0.15, "gamma": 0.8}
DEFAULT = {"grain": 0.0, "gamma": 1.0}
UNTRAINED = "an untrained $G$"
WORDS = {"gamma": "$\\gamma$", "lambda_k": "$\\lambda$", "k_0": "$k_0$", "both": "on both", "alpha": "$\\alpha$"}
WAYS = {  # of holding D, by a setting of the study
    "$k$, $\\gamma = 1$": {"grain": 0.0, "gamma": 1.0},
    "$k$, $\\gamma = 0.8$, grain 0.15": GRAINY,
    "margin 0.8": {"grain": 0, "gamma": 1.0, "margin": 0.8},
    "margin 1": {"grain": 0, "gamma": 1.0, "margin": 1.0},
    "margin 1.2": {"grain": 0, "gamma": 1.0, "margin": 1.2},
    "margin 0.8, grain 0.15": {"grain": 0.15, "gamma": 1.0, "margin": 0.8},
}


def ends(rows: Sequence[Row], name: str) -> list[float]:
    """Return a measure at the end of each run that has it."""
    return [row["final"][name] for row in rows if name in row["final"]]


def middle(rows: Sequence[Row]) -> Row:
    """Return the run whose samples reach the median of all cells: one that nobody chose."""
    return sorted(rows, key=lambda row: row["final"]["cells"])[len(rows) // 2]


# Which people, and why


def shares(plain: Sequence[Row], grainy: Sequence[Row], names: Sequence[str]) -> Columns:
    """Return, by value of some attributes: L(x) over the mean of all, and the shares of real faces and of samples."""
    columns: Columns = {"attribute": [], "$\\mathcal{L}(x)$ / mean": [], "real": [], "samples": [], "with grain": []}
    for name in names:
        table = plain[0]["easy"]["table"][name]
        losses = np.mean([row["easy"]["table"][name]["loss"] for row in plain], 0)
        drawn, others = (np.mean([row["easy"]["table"][name]["share"] for row in rows], 0) for rows in (plain, grainy))
        for at, level in enumerate(levels(name)):
            line = (level, losses[at] / losses.mean(), table["real"][at], drawn[at], others[at])
            for column, value in zip(columns.values(), line, strict=True):
                column.append(value)
    return columns


def levels(name: str) -> list[str]:
    """Return the values of an attribute in words: its levels, or fifths of its range."""
    attribute = next(one for one in ATTRIBUTES if one.name == name)
    words = attribute.levels or ("lowest fifth", "second", "third", "fourth", "highest fifth")
    return [f"{name.replace('_', ' ')}: {word}" for word in words]


def affinities(rows: Sequence[Row], settings: Mapping[str, Mapping[str, float]]) -> Columns:
    """Return how far G draws what D finds easy, by setting, and in all runs without grain.

    Beside it stands the same with the losses shuffled.
    """
    groups = {title: takeoff.one_setting(rows, **setting) for title, setting in settings.items()}
    groups["all without grain"] = [row for row in rows if not row["setting"]["grain"]]
    found = [takeoff.affinity_of(some) for some in groups.values()]
    return {
        "runs": list(groups),
        "rank correlation": [within(*one[:3]) for one in found],
        "losses shuffled": [within(*one[3:6]) for one in found],
    }


def allowed(gammas: Sequence[float]) -> Columns:
    """Return the share of pictures that a gamma allows if losses are normal, as unequal as at the end of old trials."""
    share = np.logspace(-4, 0, 2000)[:-1]
    columns: Columns = {"pictures": [], "$r$": []} | {f"at {gamma:g}": [] for gamma in gammas}
    for data in ("faces", "photographs"):
        readings = [row["readings"] for row in load_trials("gamma") if row["data"] == data]
        r = np.median([end["std_real"][-1] / end["mean_real"][-1] for end in readings])
        columns["pictures"].append(data)
        columns["$r$"].append(f"{r:.2f}")
        mean_of_easiest = 1 - r * norm.pdf(norm.ppf(share)) / share
        for gamma in gammas:
            columns[f"at {gamma:g}"].append(f"{share[mean_of_easiest <= gamma].max(initial=0):.1%}")
    return columns


# Structure, texture and grain


def rooms() -> Columns:
    """Return what D alone, five seeds, makes of four kinds of pictures without grain: losses, and the least gamma."""
    columns: Columns = {"pictures": [], "$\\mathcal{L}(x)$": [], "copies / $\\mathcal{L}(x)$": []}
    for data in ("faces", "digits", "photographs"):
        rows = [row for row in takeoff.load("room", data=data) if not row["setting"]["grain"]]
        if rows:
            columns["pictures"].append(data)
            columns["$\\mathcal{L}(x)$"].append(told([row["found"]["clean"][-1] for row in rows], ".3f"))
            columns["copies / $\\mathcal{L}(x)$"].append(within(*takeoff.least_gamma(rows)))
    return columns


def grains_found(data: str) -> Columns:
    """Return the grain that was added, and what the law of squares reads off the losses."""
    found = takeoff.grain_found(takeoff.load("room", data=data))
    return {"grain added": list(found), "grain read": [within(*three, ".3f") for three in found.values()]}


def predicted(rows: Sequence[Row]) -> Columns:
    """Return, by prediction: the critical grain at some gammas beside that measured, and how often it is right."""
    critical = {one.gamma: one for one in takeoff.critical(rows)}
    columns: Columns = {"": [], "right in": []} | {f"$\\sigma^*$ at {gamma:g}": [] for gamma in critical}
    for name, prediction in takeoff.predictions(takeoff.load("room", data="faces")).items():
        columns[""].append(name)
        columns["right in"].append(within(*takeoff.agreement(rows, prediction)[:3], ".0%"))
        for gamma in critical:
            columns[f"$\\sigma^*$ at {gamma:g}"].append(f"{takeoff.predicted_grain(prediction, gamma):.2f}")
    columns[""].append("measured")
    null = takeoff.agreement(rows, lambda _: 0).null
    columns["right in"].append(f"best rule on one alone: {null:.0%}")
    for gamma, one in critical.items():
        columns[f"$\\sigma^*$ at {gamma:g}"].append(within(one.mean, one.low, one.high))
    return columns


def held(rows: Sequence[Row], settings: Mapping[str, Mapping[str, float]]) -> Columns:
    """Return measures of the ends of runs by setting, with the share that took off, and of an untrained G."""
    columns: Columns = {"runs": [], "took off": [], "cells": [], "spread": [], "Fréchet": []}
    for title, setting in {**settings, UNTRAINED: {}}.items():
        some = takeoff.load("null", model="untrained") if title == UNTRAINED else takeoff.one_setting(rows, **setting)
        if not some:
            continue
        measures = [told(ends(some, name)) for name in ("cells", "spread", "reader_frechet")]
        took = f"{sum(takeoff.took_off(row['final']) for row in some)} of {len(some)}"
        for column, value in zip(columns.values(), (title, took, *measures), strict=True):
            column.append(value)
    return columns


def on_gaussians(rows: Sequence[Row], grain: float) -> Columns:
    """Return, by code length and gamma on the 25 Gaussians: L(x) and the spread of samples, without grain and with."""
    groups: dict[tuple[float, float], dict[float, list[Row]]] = {}
    for row in rows:
        setting = row["setting"]
        groups.setdefault((setting["code"], setting["gamma"]), {}).setdefault(setting["grain"], []).append(row)
    columns: Columns = {
        "numbers in the code": [code for code, _ in groups],
        "$\\gamma$": [gamma for _, gamma in groups],
    }
    for name, title in (("loss_real", "$\\mathcal{L}(x)$"), ("spread", "spread / real")):
        for level, words in ((0.0, ""), (grain, f", grain {grain:g}")):
            columns[title + words] = [told(ends(found[level], name)) for found in groups.values()]
    return columns


def varied(rows: Sequence[Row]) -> Columns:
    """Return, for each setting among runs: how many took off, their cells, and what samples cost over clean faces."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        names = ", ".join(f"{WORDS.get(name, name)} {value:g}" for name, value in row["setting"].items())
        groups.setdefault(names, []).append(row)
    return {
        "runs": list(groups),
        "took off": [
            f"{sum(takeoff.took_off(row['final']) for row in some)} of {len(some)}" for some in groups.values()
        ],
        "cells": [told(ends(some, "cells")) for some in groups.values()],
        "$\\mathcal{L}(G(z)) / \\mathcal{L}(x)$, $x$ clean": [
            told([row["final"]["fake"] / row["final"]["clean"] for row in some]) for some in groups.values()
        ],
    }


def launched() -> Columns:
    """Return what runs without grain were after 400 steps: as they are in the map, and with one thing changed."""
    columns: Columns = {"runs": [], "took off": [], "cells": [], "spread": []}
    groups: dict[str, list[Row]] = {}
    for gamma in (0.5, 1.0):
        groups[f"$\\gamma$ {gamma:g}"] = takeoff.one_setting(takeoff.load("map"), grain=0.0, gamma=gamma)
        for row in takeoff.load("launch"):
            changes = {name: value for name, value in row["setting"].items() if name not in ("grain", "gamma")}
            if row["setting"]["gamma"] == gamma:
                words = ", ".join(f"{WORDS.get(name, name)} {value:g}" for name, value in changes.items())
                groups.setdefault(f"$\\gamma$ {gamma:g}, {words}", []).append(row)
    for title, rows in groups.items():
        at = [row["readings"]["step"].index(400) for row in rows]
        ended = rows[0]["steps"] == 400  # those of the map went on
        took = f"{sum(takeoff.took_off(row['final']) for row in rows)} of {len(rows)}" if ended else ""
        for column, value in zip(columns.values(), (title, took), strict=False):
            column.append(value)
        for name in ("cells", "spread"):
            columns[name].append(told([row["readings"][name][i] for row, i in zip(rows, at, strict=True)]))
    return columns


def all_ways() -> list[Row]:
    """Return the runs that hold D by k or by a margin."""
    return [*takeoff.load("map"), *takeoff.load("margin")]


def of_way(setting: Mapping[str, float]) -> list[Row]:
    """Return the runs of one way to hold D, by seed."""
    return takeoff.one_setting(all_ways(), **setting)


def journeys(rows: Sequence[Row]) -> Columns:
    """Return the spread of attributes at the end of trunks, of what they forked to, and of the way back."""
    columns: Columns = {"from": [], "to": [], "before": [], "there": [], "back": []}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        names = [", ".join(f"{name} {value:g}" for name, value in part.items()) for part in _parts(row)]
        groups.setdefault((names[0], names[1]), []).append(row)
    for (before, change), some in groups.items():
        line = [before, change, *(within(*three) for three in takeoff.kept(some).values())]
        for column, value in zip(columns.values(), line, strict=True):
            column.append(value)
    return columns


def _parts(row: Row) -> tuple[Mapping[str, float], Mapping[str, float]]:
    return row["setting"], row["change"]


# Photographs, and rivals


def averageness() -> Columns:
    """Return how far samples are from the mean face, by gamma, at the end of runs that had no grain."""
    trials = load_trials("gamma")
    gammas = list(by_gamma(trials))
    columns: Columns = {"$\\gamma$": gammas}
    for data in ("faces", "photographs"):
        groups = by_gamma([row for row in trials if row["data"] == data])
        columns[data] = [told([row["final"]["averageness"] for row in groups.get(gamma, ())]) for gamma in gammas]
    return columns


def traded(names: Mapping[str, str]) -> Columns:
    """Return what forks drew on photographs by gamma, and what the nulls score; `names` maps measures to titles."""
    groups = {f"$\\gamma = {gamma:g}$": rows for gamma, rows in _by_gamma(forks.load("there")).items()}
    for row in forks.load("null"):
        groups.setdefault(row["model"], []).append(row)
    return {"": list(groups)} | {
        title: [told(ends(rows, name)) for rows in groups.values()] for name, title in names.items()
    }


def _by_gamma(rows: Sequence[Row]) -> dict[float, list[Row]]:
    groups: dict[float, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["gamma"]):
        groups.setdefault(row["gamma"], []).append(row)
    return groups


def returned(names: Mapping[str, str]) -> Columns:
    """Return what measures were once a fork had come back, over what they were before it, by where it had been."""
    columns: Columns = {"back from": []}
    for name, title in names.items():
        found = forks.returns(forks.load("trunk"), forks.load("back"), name)
        columns["back from"] = [f"$\\gamma = {one.gamma:g}$" for one in found]
        columns[f"{title} / before"] = [within(one.mean, one.low, one.high) for one in found]
    return columns


def standing(data: str, names: Mapping[str, str]) -> Columns:
    """Return the ends of the best of each method, of BEGAN as it was and above 1, and of what can't draw."""
    found = rivals.standings(data)
    return {"": list(found)} | {
        title: [told(ends(rows, name)) for rows in found.values()] for name, title in names.items()
    }


def searched() -> Columns:
    """Return the best settings of each method with their mean distance over the search's seeds, two of each."""
    columns: Columns = {"method": [], "setting": [], "Fréchet, reader": []}
    for model, settings in rivals.tried(rivals.load("search")).items():
        for distance, setting in settings[:2]:
            columns["method"].append(model)
            columns["setting"].append(
                ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in setting.items())
            )
            columns["Fréchet, reader"].append(distance)
    return columns


# Claims

EASY = "Which people does it lose?"
GRAIN = "Grain makes room"
MARGIN = "A margin in place of k"
TRADE = "What gamma trades"
SECRET = "EBGAN and WGAN-GP, with as much search"


def claims() -> list[Claim]:
    """Return the claims of the chapter, each with its null: a number above 0 agrees with what it says."""
    runs = takeoff.load("map")
    easy = takeoff.affinity_of([row for row in runs if not row["setting"]["grain"]])
    right = takeoff.agreement(runs, takeoff.predictions(takeoff.load("room", data="faces"))["denoiser"])
    turned = BesideNull(-easy.mean, -easy.high, -easy.low, -easy.null, -easy.null_high, -easy.null_low, easy.seeds)
    unit = "minus the rank correlation of L(x) and share, by value of an attribute, without grain"
    found = [
        _line("G1", "G draws what D finds easy", turned, unit, FACES, EASY),
        _line(
            "G2",
            "a run takes off where gamma >= s / (s + t)",
            right,
            "share of runs foretold by the denoiser's ratio",
            FACES,
            GRAIN,
        ),
    ]
    margins = "k buys more than a margin of L(x)"
    for claim, paper, less, more, section in (
        ("G3", "grain makes BEGAN take off", PLAIN, GRAINY, GRAIN),
        ("G4", margins, WAYS["margin 1"], DEFAULT, MARGIN),
        ("G4", f"{margins}, with grain", WAYS["margin 0.8, grain 0.15"], GRAINY, MARGIN),
    ):
        gain = rivals.gain(of_way(less), of_way(more), "cells")
        found.append(_line(claim, paper, gain, "share of cells gained", FACES, section))
    there = forks.load("there")
    for name, sign, what in (
        ("pixel_std", 1, "less diverse: pixel std"),
        ("pixel_coverage", 1, "less diverse: coverage"),
        ("reconstruction", 1, "better: held-out reconstruction"),
        ("sharpness", -1, "better: sharpness"),
    ):
        trade = forks.trade(there, name, sign)
        unit = f"rank correlation of gamma and {'minus ' * (sign < 0)}{name.replace('_', ' ')}"
        line = _line("B3", f"lower gamma: {what}", trade, unit, PHOTOGRAPHS, TRADE)
        # what is better can't be told: the one measure doesn't see flaws, the other takes noise for sharpness
        found.append(replace(line, verdict="open") if what.startswith("better") else line)
    for data, name, where in (("faces", "reader_frechet", FACES), ("photographs", "pixel_frechet", PHOTOGRAPHS)):
        best = rivals.standings(data)
        gain = rivals.gain(best["BEGAN"], best["EBGAN"], name)
        ran = ", whose ratio ran away" if data == "photographs" else ""
        unit = f"{name.replace('_', ' ').replace('frechet', 'Frechet distance')}: EBGAN's minus BEGAN's{ran}"
        found.append(_line("B7", "BEGAN beats EBGAN", gain, unit, where, SECRET))
    return found


def _line(claim: str, paper: str, tested: BesideNull, unit: str, data: str, section: str) -> Claim:
    """Return a claim, reproduced where its interval lies above its null's, not reproduced where below."""
    mean, low, high, null, null_low, null_high, seeds = tested
    verdict: Verdict = "reproduced" if low > null_high else "not reproduced" if high < null_low else "open"
    return Claim(claim, paper, mean, low, high, unit, seeds, data, verdict, section, null, null_low, null_high)
