"""What chapter 1 reads from its runs."""

import pytest
import torch

from began.step import Record
from studies.readings import ch01


def run(ratio: float, k: float = 0.1, M: float = 0.2) -> Record:
    """A run whose first step is 1 everywhere, and that then stays where it is."""
    real, column = torch.full((80,), 0.5), torch.ones(80)
    history = Record(real, real * ratio, torch.zeros(80), column * k, column * M)
    for values in (history.loss_real, history.loss_fake, history.k, history.M):
        values[0] = 1
    return history


def test_ends_are_the_first_step_and_the_mean_of_the_last():
    columns = ch01.ends(run(0.6))
    names, first, last = columns.values()
    assert len(names) == len(set(names)) == 5
    assert first == [1] * 5
    assert last == pytest.approx([0.5, 0.3, 0.6, 0.1, 0.2])


def test_by_gamma_has_the_median_of_the_seeds_and_their_ends():
    histories = {0.3: [run(0.3, 0.001), run(0.5, 0.003), run(0.2, 0.002)], 0.9: [run(1.0)]}
    gamma, ratio, k, M, spread = ch01.by_gamma(histories, {0.3: [0.1, 0.3, 0.2], 0.9: [0.5]}).values()
    assert gamma == [0.3, 0.9]
    assert ratio == ["0.30\u00a0[0.20,\u00a00.50]", "1.00\u00a0[1.00,\u00a01.00]"]
    assert k[0] == "0.002\u00a0[0.001,\u00a00.003]"
    assert M[0] == "0.20\u00a0[0.20,\u00a00.20]"
    assert spread == ["0.20\u00a0[0.10,\u00a00.30]", "0.50\u00a0[0.50,\u00a00.50]"]


def test_beside_counts_the_runs_that_came_near_and_those_in_which_m_fell():
    histories = {0.3: [run(0.31), run(0.6)], 0.9: [run(0.9), run(0.8, M=0.7)]}
    claim, ours, verdict = ch01.beside(histories, {0.9: [0.3, 0.5], 0.3: [0.1, 0.2]}).values()
    assert len(claim) == len(ours) == len(verdict) == 3
    assert ours[0].startswith("3 of 4 runs")
    assert ours[1].endswith("0.10, 0.30")  # torch's median is the lower of two
    assert ours[2].endswith("3 of 4")
