"""What chapter 4 reads out of recorded runs, and what it claims of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studies.claims import Claim, Verdict
from studies.controller import STILL, largest_stable
from studies.statistics import by_gamma, interval, rank_correlation
from studies.tables import within

Row = Mapping[str, Any]
Rows = Sequence[Row]
Columns = dict[str, list[Any]]
DISTANCE = {"faces": "reader_frechet", "photographs": "pixel_frechet"}
NAMES = {"faces": "rendered faces", "photographs": "photographs (UTKFace, 12 000 adults)"}


def of(rows: Rows, **equal: Any) -> list[Row]:
    """Return the rows whose fields, or those of their setting, equal these."""
    return [row for row in rows if all({**row["setting"], **row}[name] == value for name, value in equal.items())]


def _add(columns: Columns, *cells: Any) -> None:
    for column, cell in zip(columns.values(), cells, strict=True):
        column.append(cell)


def ratios(rows: Rows) -> dict[str, dict[float, Tensor]]:
    """Return L(G(z)) / L(x) over the steps by data set and gamma, `(E, T)` each."""

    def curve(runs: Rows, name: str) -> Tensor:
        return torch.tensor([row["curve"][name] for row in runs])

    return {
        data: {
            gamma: curve(runs, "loss_fake") / curve(runs, "loss_real")
            for gamma, runs in by_gamma(of(rows, data=data)).items()
        }
        for data in NAMES
    }


def clipped(k: Tensor) -> Tensor:
    """Return the share of steps in which the clip holds k, `(..., T)` to `(...)`."""
    return ((k <= 0) | (k >= 1)).float().mean(-1)


def stability(
    lambdas: Sequence[float], recorded: Sequence[Tensor], simulated: Sequence[Tensor], bound: float
) -> dict[str, Any]:
    """Return a row of `figures.ch04.show_stability`: k as recorded and as simulated at each lambda, `(E, T)` each."""
    return {
        "lambda_k": lambdas,
        "std": torch.stack([k.std(1) for k in recorded]),
        "clipped": torch.stack([clipped(k) for k in recorded]),
        "std_plant": [k.std().item() for k in simulated],
        "clipped_plant": [clipped(k).mean().item() for k in simulated],
        "bound": bound,
        "threshold": STILL,
    }


def onsets(panels: Mapping[str, Mapping[str, Any]]) -> Columns:
    """Return the largest lambda tried that is stable and the next one, which is not, recorded and simulated."""
    columns: Columns = {"data": [], "bound (4.7), median of seeds": [], "recorded": [], "plant and noise": []}
    for title, row in panels.items():
        columns["data"].append(title)
        columns["bound (4.7), median of seeds"].append(row["bound"])
        for name, shares in (("recorded", row["clipped"].mean(1)), ("plant and noise", row["clipped_plant"])):
            last = largest_stable(row["lambda_k"], shares)
            following = row["lambda_k"][row["lambda_k"].index(last) + 1]
            columns[name].append(f"{last:g} to {following:g}")
    return columns


def by_lambda(rows: Rows, gamma: float) -> Columns:
    """Return what runs of each lambda end with: means over seeds, of the ratio the range too."""
    columns: Columns = {r"$\lambda$": [], "$k$": [], "steps at the clip": [], r"ratio / $\gamma$": [], "$M$": []}
    for value in sorted({row["setting"]["lambda_k"] for row in rows}):
        ends = [row["final"] for row in of(rows, lambda_k=value)]
        ratio = [end["ratio"] / gamma for end in ends]
        mean = {name: float(np.mean([end[name] for end in ends])) for name in ("k", "saturated", "M")}
        held = within(float(np.mean(ratio)), min(ratio), max(ratio))
        _add(columns, value, mean["k"], mean["saturated"], held, mean["M"])
    return columns


def met(rows: Rows) -> dict[str, list[float]]:
    """Return by data set the ratio over gamma at the end of each run that the clip leaves free."""
    return {
        data: [
            row["final"]["ratio"] / row["setting"]["gamma"]
            for row in of(rows, data=data)
            if row["final"]["saturated"] <= STILL
        ]
        for data in NAMES
    }


def rules(rows: Rows) -> dict[str, dict[str, list[Row]]]:
    """Return how runs ended by data set and by the rule and the scale of the losses that it saw."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        kind = "scale-free" if row["setting"].get("scale_free") else "paper's"
        name = f"{kind}\nx {row['setting']['loss_scale']:g}"
        found.setdefault(row["data"], {}).setdefault(name, []).append(row["final"])
    return found


def rule_ends(ends: Mapping[str, Mapping[str, Rows]], gamma: float) -> Columns:
    """Return k and the ratio at the end under each rule: means over seeds, of the ratio the range too."""
    columns: Columns = {"data": [], "rule, scale": [], "$k$ at the end": [], r"ratio / $\gamma$ [range]": []}
    for data, panel in ends.items():
        for name, runs in panel.items():
            ratio = [end["ratio"] / gamma for end in runs]
            held = within(float(np.mean(ratio)), min(ratio), max(ratio))
            k = float(np.mean([end["k"] for end in runs]))
            _add(columns, data, name.replace("\n", ", "), k, held)
    return columns


def paths(rows: Rows) -> dict[str, dict[float, tuple[Tensor, Tensor]]]:
    """Return M and the Frechet distance at the checkpoints by data set and gamma, `(E, T)` both."""
    found: dict[str, dict[float, tuple[Tensor, Tensor]]] = {}
    for data, distance in DISTANCE.items():
        for gamma, runs in by_gamma(of(rows, data=data)).items():
            M = torch.tensor([row["curve"]["M"] for row in runs])
            steps = torch.tensor(runs[0]["readings"]["step"])
            at = ((steps - 1) // runs[0]["curve"]["step"][0]).clamp(max=M.shape[1] - 1)
            found.setdefault(data, {})[gamma] = M[:, at], torch.tensor([row["readings"][distance] for row in runs])
    return found


def rank_correlations(runs: Mapping[float, tuple[Tensor, Tensor]]) -> tuple[dict[float, list[float]], list[float]]:
    """Return Spearman's correlation of M and the distance, each by seed: along runs by gamma, and across gammas."""
    along = {gamma: list(map(rank_correlation, *pair)) for gamma, pair in runs.items()}
    M, distance = (torch.stack([pair[i][:, -1] for pair in runs.values()], 1) for i in (0, 1))  # (E, gammas)
    return along, list(map(rank_correlation, M, distance))


def bounded(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of correlations and its 95 % interval, cut to [-1, 1]."""
    mean, low, high = (min(max(float(value), -1.0), 1.0) for value in interval(values))
    return mean, low, high


def first_halving(steps: Sequence[int], M: Sequence[float], patience: int) -> float:
    """Return the step at which M has not fallen by a thousandth for `patience` steps, inf if there is none."""
    best, since, last = math.inf, 0, 0
    for step, value in zip(steps, M, strict=True):
        better = value < best * 0.999
        best, since = (value, 0) if better else (best, since + step - last)
        last = step
        if since >= patience:
            return step
    return math.inf


def halvings(rows: Rows, patiences: Sequence[int]) -> Columns:
    """Return how many runs would have had their learning rate halved by each patience, and how many before half-way."""
    columns: Columns = {"patience, steps": [], "runs": [], "halved": [], "in the first half": []}
    for patience in patiences:
        firsts = [first_halving(row["curve"]["step"], row["curve"]["M"], patience) for row in rows]
        early = sum(first <= row["curve"]["step"][-1] / 2 for first, row in zip(firsts, rows, strict=True))
        _add(columns, patience, len(firsts), sum(map(math.isfinite, firsts)), early)
    return columns


def orders(rows: Mapping[str, Rows], gamma: float) -> dict[str, list[Row]]:
    """Return runs on faces at one gamma by the order of their updates, all by seed."""
    ways = {"both at once": of(rows["gamma"], data="faces", gamma=gamma)}
    ways |= {f"{who} first": of(rows["order"], generator_first=first) for first, who in enumerate("DG")}
    return {way: sorted(runs, key=lambda row: row["seed"]) for way, runs in ways.items()}


def over_time(ways: Mapping[str, Rows], part: str, name: str) -> dict[str, Tensor]:
    """Return a curve or a reading of the runs of each order, `(E, T)`."""
    return {way: torch.tensor([row[part][name] for row in runs]) for way, runs in ways.items()}


def order_ends(ways: Mapping[str, Rows], gamma: float) -> Columns:
    """Return what runs of each order end with: means over seeds, of the distance the 95 % interval too."""
    columns: Columns = {"order": [], r"ratio / $\gamma$": [], "Fréchet distance, 95 %": [], "pixel std": []}
    for way, runs in ways.items():
        ratio, distance, std = (
            [row["final"][name] for row in runs] for name in ("ratio", "reader_frechet", "pixel_std")
        )
        _add(columns, way, np.mean(ratio) / gamma, within(*interval(distance)), np.mean(std))
    return columns


def at_once_over_turns(ways: Mapping[str, Rows]) -> list[float]:
    """Return each seed's Frechet distance with both at once, over the mean of both orders."""
    at_once, *turns = ([row["final"]["reader_frechet"] for row in runs] for runs in ways.values())
    return [one / float(np.mean(both)) for one, *both in zip(at_once, *turns, strict=True)]


def claims(
    held: Mapping[str, Sequence[float]],
    along: Mapping[str, Sequence[float]],
    across: Mapping[str, Sequence[float]],
    share: Sequence[float],
) -> list[Claim]:
    """Return what is claimed of B2, B4 and B5; correlations are a seed's, its runs of all gammas averaged."""
    found = []
    for data, values in held.items():
        verdict: Verdict = "reproduced" if max(abs(value - 1) for value in values) <= 0.1 else "differs"
        where = "Saturation, and why the clip is anti-windup"
        unit = "ratio / gamma, runs not saturated"
        paper = "k_t holds L(G(z)) / L(x) at gamma"
        found.append(Claim("B2", paper, *interval(values), unit, 5, NAMES[data], verdict, where))
    for data in held:
        for where, values in (("within a run", along[data]), ("across gammas", across[data])):
            mean, low, high = bounded(values)
            verdict = "reproduced" if low > 0 else "differs" if high > 0 else "not reproduced"
            unit = f"rank correlation of M and Frechet distance {where}"
            paper = "M falls as sample quality rises"
            found.append(Claim("B4", paper, mean, low, high, unit, 5, NAMES[data], verdict, "What M measures"))
    mean, low, high = interval(share)
    verdict = "reproduced" if low <= 1 else "differs"
    unit, paper = "Frechet distance over the mean of both orders", "simultaneous training works without alternation"
    here = NAMES["faces"], verdict, "Both at once, or by turns"
    return [*found, Claim("B5", paper, mean, low, high, unit, 5, *here)]
