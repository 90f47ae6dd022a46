"""What chapter 3 reads out of recorded runs, and what it claims of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from began.measure.wasserstein import gaussian_w1
from studies.claims import Claim, Verdict
from studies.statistics import interval, rank_correlation
from studies.tables import within

Rows = Sequence[Mapping[str, Any]]
Columns = dict[str, list[Any]]
NAMES = {"faces": "rendered faces", "photographs": "photographs (UTKFace, 12 000 adults)"}
SEEDS = 5
FAR = "How far is the bound from the distance?"


def read(rows: Rows, data: str, name: str, gamma: float | None = None) -> Tensor:
    """Return a reading of the runs at one gamma, or at all, by seed: `(runs, moments)`."""
    chosen = [row for row in rows if row["data"] == data and gamma in (None, row["setting"]["gamma"])]
    values = [row["readings"][name] for row in sorted(chosen, key=lambda row: row["seed"])]
    return torch.tensor(values, dtype=torch.float64)


def late(values: Tensor) -> Tensor:
    """Return the moments of the second half, `(runs, moments)`."""
    return values[:, values.shape[1] // 2 :]


def gammas(rows: Rows, data: str) -> list[float]:
    """Return the gammas at which runs on a data set were made."""
    return sorted({row["setting"]["gamma"] for row in rows if row["data"] == data})


def points(rows: Rows) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the spread ratio and the missed share at all moments, `(R,)` both, by data set."""
    return {
        data: (read(rows, data, "spread_ratio").flatten(), read(rows, data, "crossing").flatten()) for data in NAMES
    }


def missed(rows: Rows) -> dict[str, dict[float, Tensor]]:
    """Return the missed share over the second half, a mean a seed, by data set and gamma."""
    return {
        data: {gamma: late(read(rows, data, "crossing", gamma)).mean(1) for gamma in gammas(rows, data)}
        for data in NAMES
    }


def gaussian_share(ratio: Tensor) -> Tensor:
    """Return the share of W_1 that the bound misses for two Gaussians of this spread ratio."""
    one = torch.ones_like(ratio)
    return 1 - 1 / gaussian_w1(one, torch.zeros_like(ratio), ratio)


def shapes(rows: Rows) -> Columns:
    """Return medians over all moments of what describes the shape of the losses, and how often a test rejects."""
    columns: Columns = {"losses": [], "skewness": [], "excess kurtosis": [], "$1 - W$": [], "$p < 0.01$": []}
    for data in NAMES:
        for side, name in (("real", "x"), ("fake", "G(z)")):
            medians = (read(rows, data, f"{key}_{side}").median().item() for key in ("skewness", "kurtosis"))
            off = read(rows, data, f"nonnormality_{side}").median().item()
            sure = (read(rows, data, f"normal_p_{side}") < 0.01).double().mean().item()
            _add(columns, rf"{data}, $\mathcal{{L}}({name})$", *medians, off, sure)
    return columns


def second_half(rows: Rows) -> Columns:
    """Return a line a gamma: medians over seeds and moments of the second half."""
    names = ("$W_1 / m_1$", r"$\sigma_2 / \sigma_1$", "$r$", "missed", "by (3.9)", "$m_2 < m_1$")
    columns: Columns = {"data": [], r"$\gamma$": [], **{name: [] for name in names}}
    for data in NAMES:
        for gamma in gammas(rows, data):
            keys = ("w1", "mean_real", "std_real", "std_fake", "spread_ratio", "crossing", "gap")
            W, m_1, s_1, s_2, r, chi, gap = (late(read(rows, data, key, gamma)) for key in keys)
            medians = (of.median().item() for of in (W / m_1, s_2 / s_1, r, chi, gaussian_share(r)))
            _add(columns, data, gamma, *medians, (gap < 0).double().mean().item())
    return columns


def ranks(rows: Rows) -> Columns:
    """Return how the missed share ranks with r and with 1 - W, and how often it lies below the line of Gaussians."""
    columns: Columns = {"rank correlation of the missed share with": ["$r$"]}
    columns["rank correlation of the missed share with"] += [
        rf"$1 - W$ of $\mathcal{{L}}({name})$" for name in ("x", "G(z)")
    ]
    for data in NAMES:
        chi = read(rows, data, "crossing").flatten()
        keys = ("spread_ratio", "nonnormality_real", "nonnormality_fake")
        columns[data] = [rank_correlation(chi, read(rows, data, key).flatten()) for key in keys]
    return columns


def below_gaussians(rows: Rows, data: str) -> float:
    """Return in which share of the moments with r above 1/4 less is missed than two Gaussians would."""
    r, chi = (read(rows, data, key).flatten() for key in ("spread_ratio", "crossing"))
    return (chi < gaussian_share(r))[r > 1 / 4].double().mean().item()


def trends(rows: Rows) -> Columns:
    """Return how r, its numerator and W_2 go with the gap along runs: medians of rank correlations, [quartiles]."""
    columns: Columns = {"data": [], "$r$": [], "below 0": [], r"$(\sigma_1 - \sigma_2)^2$": [], "$W_2^2$": []}
    for data in NAMES:
        gap, r = read(rows, data, "gap").abs(), read(rows, data, "spread_ratio")
        spread = (read(rows, data, "std_real") - read(rows, data, "std_fake")).square()
        found = [
            torch.tensor([rank_correlation(*pair) for pair in zip(gap, of, strict=True)])
            for of in (r, spread, gap.square() + spread)
        ]
        of_r, of_spread, of_W = (within(*one.quantile(torch.tensor([0.5, 0.25, 0.75])).tolist()) for one in found)
        _add(columns, data, of_r, (found[0] < 0).float().mean().item(), of_spread, of_W)
    return columns


def sides(gap: Tensor, players: Mapping[str, Tensor]) -> Columns:
    """Return the median push of each player where the gap, over m_1, is clear on either side, `(R,)` each.

    The last column counts the stops at which the last player lowers W_1.
    """
    counted = f"{list(players)[-1]} below 0"
    columns: Columns = {"where": [], "stops": [], **{f"{name}, median": [] for name in players}, counted: []}
    for where, side in ((r"$m_2 < 0.9\, m_1$", gap < -0.1), (r"$m_2 > 1.1\, m_1$", gap > 0.1)):
        pushes = [of[side] for of in players.values()]
        below = int((pushes[-1] < 0).sum())
        _add(columns, where, int(side.sum()), *(of.median().item() for of in pushes), below)
    return columns


def claims(rows: Rows) -> list[Claim]:
    """Return what is claimed of B1, and of the condition W1 that is ours."""
    found = []
    for data, name in NAMES.items():
        off = [read(rows, data, "nonnormality_real", gamma).mean(1) for gamma in gammas(rows, data)]
        over = interval(torch.stack(off).mean(0).tolist())
        where = "Are the losses normal?"
        found.append(Claim("B1", "losses are close to normal", *over, "1 - W of L(x)", SEEDS, name, "differs", where))
        for gamma in (0.5, 0.9):
            chi = _share(late(read(rows, data, "crossing", gamma)).mean(1))
            verdict: Verdict = "reproduced" if chi[2] < 0.05 else "differs" if chi[0] < 0.05 else "not reproduced"
            unit = f"missed share of W_1, gamma {gamma}"
            found.append(Claim("B1", "|m_1 - m_2| tracks W_1", *chi, unit, SEEDS, name, verdict, FAR))
    for data, name in NAMES.items():
        chi, r, p = (read(rows, data, key).view(SEEDS, -1) for key in ("crossing", "spread_ratio", "normal_p_real"))
        exact = ((chi < 0.01) & (p < 0.01)).double().mean(1)
        ranked = interval([rank_correlation(*pair) for pair in zip(chi, r, strict=True)])
        paper = "no crossing, not normality, makes the bound exact (ours)"
        for over, unit in (
            (_share(exact), "share of moments exact, L(x) not normal"),
            (ranked, "rank correlation of missed share and r"),
        ):
            found.append(Claim("W1", paper, *over, unit, SEEDS, name, "reproduced", FAR))
    return found


def _share(values: Tensor) -> tuple[float, float, float]:
    """Return the mean of shares and its 95 % interval, cut to [0, 1]."""
    mean, low, high = (min(max(value, 0.0), 1.0) for value in interval(values.tolist()))
    return mean, low, high


def _add(columns: Columns, *cells: Any) -> None:
    for column, cell in zip(columns.values(), cells, strict=True):
        column.append(cell)
