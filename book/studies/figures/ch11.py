"""The figure of all claims: what reproduced, what did not, and what is open."""

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from studies.claims import OURS, Entry, Verdict, overall
from studies.style import WIDTH

MARKS: Mapping[Verdict, dict[str, Any]] = {  # told apart by shape: colours belong to models
    "reproduced": {"marker": "o", "fillstyle": "full"},
    "differs": {"marker": "o", "fillstyle": "left", "markerfacecoloralt": "white"},
    "not reproduced": {"marker": "x"},
    "open": {"marker": "o", "fillstyle": "none", "alpha": 0.5},
}


def show_claims(entries: Iterable[Entry], labels: Mapping[str, str]) -> Figure:
    """Draw a row for each claim that `labels` names: a large mark for the verdict on it, a small one for each line."""
    lines = [claim for _, claim in entries if OURS not in claim.paper]
    figure, axes = plt.subplots(figsize=(WIDTH, 0.148 * len(labels) + 0.5))
    for y, name in enumerate(labels):
        own = [claim for claim in lines if claim.claim == name]
        axes.plot(0, y, linestyle="", color="black", markersize=8, **MARKS[overall(own)])
        for x, claim in enumerate(own, 2):
            axes.plot(x, y, linestyle="", color="black", markersize=5, **MARKS[claim.verdict])
    most = max(sum(claim.claim == name for claim in lines) for name in labels)
    axes.set(xticks=[0, 2], xticklabels=["claim", "line by line"], xlim=(-0.8, most + 1.8))
    axes.set_ylim(len(labels) - 0.4, -0.7)
    axes.set_yticks(range(len(labels)), list(labels.values()))
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8)
    axes.get_xticklabels()[1].set_horizontalalignment("left")
    axes.grid(axis="x", visible=False)
    axes.spines[:].set_visible(False)
    marks = [Line2D([], [], linestyle="", color="black", label=verdict, **mark) for verdict, mark in MARKS.items()]
    figure.legend(handles=marks, loc="outside upper left", ncols=len(marks), fontsize=8)
    return figure
