"""The figures of the first faces: what is drawn is what was recorded."""

import pytest
import torch
from torch import Tensor

from began.step import Record
from studies.figures import ch01


def history(ratio: Tensor, loss: float = 0.5) -> Record:
    real = torch.full((len(ratio),), loss)
    return Record(real, loss * ratio, real, ratio / 10, 2 * ratio)


@pytest.mark.parametrize("models", [["BEGAN"], ["BEGAN", "BEGAN-CS"]])
def test_histories_show_losses_ratio_and_target_k_and_m(check_figure, models: list[str]):
    step = torch.arange(1, 51)
    runs = {name: (step, history(torch.rand(50), 0.5 + i), 0.7 + i / 10) for i, name in enumerate(models)}
    losses, ratio, k, M = check_figure(ch01.show_histories(runs))
    for name, (_, run, gamma) in runs.items():
        assert losses.curve(step, run.loss_real).name == f"{ch01.REAL}, {name}"
        assert losses.curve(step, run.loss_fake).name == f"{ch01.FAKE}, {name}"
        assert ratio.curve(step, run.loss_fake / run.loss_real).name == name
        assert ratio.level(gamma).name == rf"$\gamma$, {name}"
        assert k.curve(step, run.k)
        assert M.curve(step, run.M)


def test_gammas_show_every_seed_the_median_and_the_target(check_figure):
    runs = {gamma: torch.rand(3, 10) for gamma in (0.35, 0.9)}
    histories = {gamma: [history(ratio.repeat_interleave(10)) for ratio in ratios] for gamma, ratios in runs.items()}
    ratio, spread = check_figure(ch01.show_gammas(histories, {0.35: [0.1, 0.2, 0.6], 0.9: [0.3, 0.4, 0.5]}))
    for gamma, ratios in runs.items():
        assert ratio.runs(range(10, 101, 10), ratios) == {ratio.level(gamma).name} == {rf"$\gamma = {gamma}$"}
    assert spread.ticks == ["0.35", "0.9"]
    assert spread.has([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.6, 0.3, 0.4, 0.5], dx=0.3)
    assert spread.level(0.2, 0)
    assert spread.level(0.4, 1)
    check_figure(ch01.show_gammas({0.5: [history(torch.ones(10))]}, {0.5: [0.1]}))
