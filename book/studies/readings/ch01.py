"""What chapter 1 reads from its runs: the columns of its tables."""

from collections.abc import Mapping, Sequence

import torch

from began import Run
from began.step import Record
from studies.tables import over_seeds

LAST = 50  # steps over which the end of a run is averaged
REAL, FAKE = r"$\mathcal{L}(x)$", r"$\mathcal{L}(G(z))$"
STEP = [REAL, FAKE, r"$\mathcal{L}_D$", "next $k$", "$M$"]  # what a step computes


def last_ratio(history: Record) -> float:
    """Return L(G(z)) over L(x) at the end of a run, each averaged first."""
    return (history.loss_fake[-LAST:].mean() / history.loss_real[-LAST:].mean()).item()


def last_share(history: Record) -> float:
    """Return M at the end of a run over M at its first step."""
    return (history.M[-LAST:].mean() / history.M[0]).item()


def ends(history: Record) -> dict[str, list]:
    """Return the losses, their ratio, k and M of a run at its first step and at its end."""
    measures = {
        REAL: history.loss_real,
        FAKE: history.loss_fake,
        "their ratio": history.loss_fake / history.loss_real,
        "$k$": history.k,
        "$M$": history.M,
    }
    return {
        "": list(measures),
        "first step": [values[0].item() for values in measures.values()],
        f"mean of the last {LAST}": [values[-LAST:].mean().item() for values in measures.values()],
    }


def by_gamma(histories: Mapping[float, Sequence[Record]], spreads: Mapping[float, Sequence[float]]) -> dict[str, list]:
    """Return by gamma what runs ended with: median [least, greatest] over their seeds."""
    rows = histories.values()
    return {
        r"$\gamma$": list(histories),
        f"last {FAKE} / {REAL}": [over_seeds(torch.tensor([last_ratio(run) for run in runs])) for runs in rows],
        "last $k$": [over_seeds(torch.tensor([run.k[-1].item() for run in runs]), ".3f") for runs in rows],
        "last $M$ / first": [over_seeds(torch.tensor([last_share(run) for run in runs])) for runs in rows],
        "pixel std over samples": [over_seeds(torch.tensor(spreads[gamma])) for gamma in histories],
    }


def artifacts(runs: Mapping[str, Run]) -> dict[str, list]:
    """Return, a column a run, with which settings stored runs were trained and what came out."""
    columns: dict[str, list] = {"": ["$\\gamma$", "$\\lambda$", "seed", "steps", "minutes on a CPU core"]}
    columns[""] += ["last ratio", "last $k$", "last $M$", "pixel std over samples", "pixel std over faces", "made"]
    for name, run in runs.items():
        record, metrics = run.record, run.record["metrics"]
        settings = [run.config.gamma, run.config.lambda_k, run.config.seed, record["steps"]]
        columns[name] = [f"{value:g}" for value in (*settings, round(record["seconds"] / 60))]
        columns[name] += [f"{metrics['ratio']:.2f}", f"{metrics['k']:.3f}", f"{metrics['M']:.3f}"]
        columns[name] += [f"{metrics[spread]:.2f}" for spread in ("sample_std", "picture_std")]
        columns[name].append(f"{record['date']}, commit `{record['commit'][:7]}`")
    return columns


def beside(histories: Mapping[float, Sequence[Record]], spreads: Mapping[float, Sequence[float]]) -> dict[str, list]:
    """Return what these runs have to say about three statements of the paper, and how far that goes."""
    every = [(gamma, run) for gamma, runs in histories.items() for run in runs]
    near = sum(abs(last_ratio(run) / gamma - 1) < 0.5 for gamma, run in every)
    ordered = [torch.tensor(spreads[gamma]).median().item() for gamma in sorted(spreads)]
    falls = sum(last_share(run) < 0.5 for _, run in every)
    return {
        "claim": [
            rf"the controller holds {FAKE} / {REAL} at $\gamma$",
            r"lower $\gamma$, less diversity",
            "no turns, no batch normalisation",
        ],
        "here": [
            rf"{near} of {len(every)} runs end within half of $\gamma$",
            "median pixel std " + ", ".join(f"{value:.2f}" for value in ordered),
            f"$M$ falls to less than half in {falls} of {len(every)}",
        ],
        "verdict": ["reached; held, in chapter 4", "reproduced for the spread of pixels", "open: see below"],
    }
