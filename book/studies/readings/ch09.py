"""What chapter 9 reads off the comparison on the toy, and the claims that it makes of it."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from scipy.stats import binomtest

from studies.claims import Claim, Verdict
from studies.comparison import EVERYWHERE, PUBLISHED
from studies.statistics import interval, rank_correlation
from studies.tables import within
from studies.toy.methods import METHODS
from studies.toy.mixtures import PROBLEMS, SAMPLES, Mixture, score, wasserstein
from studies.toy.sweeps import SCORES, by_setting, merit
from studies.workers import Row

OURS = ("began", "began_cs")
DATA = "25 Gaussians"
SAID: dict[str, tuple[str, Verdict]] = {  # of the picture in BEGAN-CS, fig. 7
    "veegan": ("VEEGAN finds all modes, but blurred", "reproduced"),
    "ali": ("ALI fails", "differs"),
    "began": ("BEGAN finds most modes after tuning", "not reproduced"),
    "began_cs": ("BEGAN-CS does best", "not reproduced"),
}


def titled(line: Row) -> str:
    """Return the name of a line's method, with its search where that was the longer one."""
    if line["method"] not in METHODS:
        return line["method"]
    return METHODS[line["method"]].title + ", longer search" * (line["search"] == "wide")


def nulls(mixture: Mixture, draws: int = 5) -> list[Row]:
    """Score what has learned nothing, as the comparison scores methods: a perfect sampler, and noise.

    Noise is uniform on a square that reaches ten standard deviations beyond the outermost means.
    """
    real, reach = mixture.sample(SAMPLES, seed=1), mixture.means.abs().max() + 10 * mixture.std
    generators = [torch.Generator().manual_seed(seed) for seed in range(draws)]
    samples = {
        "a perfect sampler": [mixture.sample(SAMPLES, seed=2 + seed) for seed in range(draws)],
        "noise": [(2 * torch.rand(SAMPLES, 2, generator=rng) - 1) * reach for rng in generators],
    }
    lines = []
    for name, points in samples.items():
        line: Row = {"method": name, "search": "none", "seeds": draws}
        values = vars(score(torch.stack(points), mixture)) | {"w1": [wasserstein(one, real) for one in points]}
        for key in SCORES:
            mean, low, high = interval([float(value) for value in values[key]])
            line |= {key: mean, f"{key}_low": low, f"{key}_high": high}
        lines.append(line)
    return lines


def comparison(lines: Sequence[Row]) -> dict[str, list]:
    """Return the columns of the comparison, BEGAN's names in bold."""

    def cells(name: str, factor: int) -> list[str]:
        numbers = [[factor * line[name + end] for end in ("", "_low", "_high")] for line in lines]
        return [within(mean, low, high, ".1f") for mean, low, high in numbers]

    return {
        "": [f"**{titled(line)}**" if line["method"] in OURS else titled(line) for line in lines],
        "modes, of 25": cells("modes", 1),
        "high quality, %": cells("high_quality", 100),
        "KL": [line["reverse_kl"] for line in lines],
        "$W_1$": [line["w1"] for line in lines],
    }


def searches(rows: Sequence[Row]) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return, by method, the merit of every setting tried, and what the best of them reached with other seeds."""
    tried, reported = {}, {}
    for name, method in METHODS.items():
        of = [row for row in rows if row["method"] == name and row["problem"] == "grid"]
        tried[method.title] = [merit(group) for _, group in by_setting(r for r in of if r["stage"] == "search")]
        reported[method.title] = merit(row for row in of if row["stage"] == "report")
    return tried, reported


def settled(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the runs of BEGAN and BEGAN-CS, by name, where k was inside its limits and nothing had blown up."""
    two = [row for row in rows if row["method"] in OURS]
    inside = [row for row in two if 0.002 < row["k"] < 0.99 and row["loss_real"] < 1 and row["modes"] > 0]
    return {METHODS[name].title: [row for row in inside if row["method"] == name] for name in OURS}


def rank_over_settings(rows: Iterable[Row]) -> tuple[int, float]:
    """Return how many settings runs have, and the rank correlation of k and the least p / p_g over their means."""
    groups = [of for _, of in by_setting(rows)]
    ks, ratios = ([sum(row[name] for row in of) / len(of) for of in groups] for name in ("k", "density_ratio"))
    return len(groups), rank_correlation(ks, ratios)


def longer_search(lines: Iterable[Row]) -> dict[str, list[str]]:
    """Return the columns of what the longer search found: a row a number or knob, a column a method."""
    best = [line for line in lines if line["search"] == "wide"]
    knobs = sorted({knob for line in best for knob in line["setting"]})
    columns = {"": ["settings tried", "modes, of 25", "high quality, %", *(f"`{knob}`" for knob in knobs)]}
    for line in best:
        numbers = str(line["settings_tried"]), f"{line['modes']:.1f}", f"{100 * line['high_quality']:.0f}"
        setting = [f"{line['setting'].get(knob, 0):g}" for knob in knobs]  # alpha is 0 in BEGAN
        columns[METHODS[line["method"]].title] = [*numbers, *setting]
    return columns


def wide(rows: Iterable[Row]) -> dict[str, tuple[list[float], list[float]]]:
    """Return, by method, the modes and the share of high quality of each setting of the longer search."""
    tried = [row for row in rows if row["stage"] == "wide" and row["loss_real"] < 1e30]  # of the two only
    groups = {METHODS[name].title: [row for row in tried if row["method"] == name] for name in OURS}
    return {title: ([r["modes"] for r in of], [r["high_quality"] for r in of]) for title, of in groups.items()}


def elsewhere(lines: Iterable[Row]) -> dict[str, list]:
    """Return the columns of the modes that methods find on all three mixtures, at one setting each."""
    on = {(line["method"], line["problem"]): line["modes"] for line in lines if line["search"] == "search"}
    columns = {f"{data}, of {len(PROBLEMS[data].means)}": data for data in ("ring", "grid", "rare")}
    return {
        "modes": [METHODS[name].title for name in EVERYWHERE],
        **{title: [on[name, data] for name in EVERYWHERE] for title, data in columns.items()},
    }


def blown_up(rows: Iterable[Row]) -> dict[str, list]:
    """Return the columns of how many runs of BEGAN and BEGAN-CS blew up, for gammas up to 1 and above."""
    two = [row for row in rows if row["method"] in OURS]
    low = [row for row in two if row["setting"].get("gamma", 1.0) <= 1]
    high = [row for row in two if row["setting"].get("gamma", 1.0) > 1]
    share = [sum(row["loss_real"] > 10 for row in some) / len(some) for some in (low, high)]
    return {"$\\gamma$": ["at most 1", "above 1"], "runs": [len(low), len(high)], "blown up": share}


def claims(shown: Mapping[str, Row], runs: Iterable[Row]) -> list[Claim]:
    """Return the claims of the chapter: lines of the comparison by method, and the bound in runs that settled."""

    def found(claim: str, paper: str, line: Row, key: str, verdict: Verdict) -> Claim:
        ours, low, high = (line[key + end] for end in ("", "_low", "_high"))
        unit = "modes" if key == "modes" else "share"
        return Claim(claim, paper, ours, low, high, unit, line["seeds"], DATA, verdict, "Paper beside ours")

    of_veegan = []
    for number, (name, (modes, quality)) in enumerate(PUBLISHED.items(), 1):
        line, title = shown[name], METHODS[name].title
        for key, value, words in (
            ("modes", modes, f"{title}: {modes:g} modes"),
            ("high_quality", quality, f"{title}: {quality:g} of high quality"),
        ):
            same = line[f"{key}_low"] <= value <= line[f"{key}_high"]
            of_veegan.append(found(f"T{number}", words, line, key, "reproduced" if same else "differs"))
    of_began_cs = [found("C8", words, shown[name], "modes", verdict) for name, (words, verdict) in SAID.items()]
    within_bound = [row["k"] <= row["density_ratio"] for row in runs]
    share = binomtest(sum(within_bound), len(within_bound))
    exact = share.proportion_ci()
    bound = Claim(
        "K1",
        "k <= p / p_g where G draws (ours)",
        share.statistic,
        float(exact.low),
        float(exact.high),
        "share of runs",
        len(within_bound),
        DATA,
        "reproduced",
        "When does k settle?",
    )
    return [*of_veegan, *of_began_cs, bound]
