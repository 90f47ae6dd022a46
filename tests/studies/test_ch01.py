"""What chapter 1 draws and reads: what is drawn is what was recorded."""

import pytest
import torch
from torch import Tensor

from began import TrainConfig
from began.step import Record
from studies.figures import ch01
from studies.readings import ch01 as readings


def history(ratio: Tensor, loss: float = 0.5) -> Record:
    real = torch.full((len(ratio),), loss)
    return Record(real, loss * ratio, real, ratio / 10, 2 * ratio)


def test_curves_show_losses_ratio_target_k_m_and_where_gamma_changed(check_figure):
    step, run, spread = torch.arange(1, 11) * 20, history(torch.rand(10)), torch.rand(10)
    gamma = torch.tensor([0.8] * 6 + [0.3] * 4)
    panels = check_figure(ch01.show_curves(step, run, spread, gamma, 120))
    losses, ratio, k, spreads = panels
    assert losses.curve(step, run.loss_real).name == ch01.REAL
    assert losses.curve(step, run.loss_fake).name == ch01.FAKE
    assert losses.curve(step, run.M).name == "$M$"
    assert ratio.curve(step, run.loss_fake / run.loss_real)
    assert ratio.curve(step, gamma).name == r"$\gamma$"
    assert k.curve(step, run.k)
    assert spreads.curve(step, spread)
    assert all(panel.upright(120, None, 0) for panel in panels)


def test_a_film_marks_its_step_in_the_curves_of_each_model(check_figure):
    step = torch.arange(1, 51) * 100
    runs = {name: (step, history(torch.rand(50)), gamma) for name, gamma in (("BEGAN", 0.7), ("BEGAN-CS", 0.8))}
    ratio, k, M, faces = check_figure(ch01.show_film(2500, torch.rand(16, 3, 16, 16), runs))
    for name, (_, run, gamma) in runs.items():
        assert ratio.curve(step, run.loss_fake / run.loss_real)
        assert ratio.level(gamma)
        assert k.curve(step, run.k).name == name
        assert M.curve(step, run.M)
    assert all(panel.upright(2500, None, 0) for panel in (ratio, k, M))
    assert faces.axes.images


def test_the_dial_shows_every_seed_the_median_and_the_null(check_figure):
    (panel,) = check_figure(ch01.show_dial({0.35: [0.1, 0.2, 0.6], 0.9: [0.3, 0.4, 0.5]}, [0.2, 0.3]))
    assert panel.ticks == ["0.35", "0.9"]
    assert panel.has([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.6, 0.3, 0.4, 0.5], dx=0.3)
    assert panel.level(0.2, 0)
    assert panel.level(0.4, 1)


def test_copies_stand_below_their_pictures_with_their_losses():
    pictures = {"a face": torch.zeros(3, 8, 8), "noise": torch.ones(3, 8, 8)}
    figure = ch01.show_copies(pictures, torch.zeros(2, 3, 8, 8), [0.1234, 0.5])
    assert [axes.get_title() for axes in figure.axes] == ["a face", "noise", "0.123", "0.500"]
    assert all(axes.images for axes in figure.axes)


def test_a_grown_face_has_a_row_a_step():
    figure = ch01.show_growth({0: torch.zeros(4, 3, 8, 8), 50: torch.zeros(4, 3, 8, 8)})
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["untrained", "step 50"]


@pytest.mark.parametrize(("size", "n"), [(16, 4), (64, 32)])
def test_levels_and_sizes_are_those_of_the_networks(size: int, n: int):
    encoder, decoder = readings.levels(TrainConfig(size=size, n=n))
    assert encoder == [(size >> place, n * (place + 1)) for place in range(len(encoder))]
    assert encoder[-1][0] == 8
    assert decoder == [(resolution, n) for resolution, _ in reversed(encoder)]


def test_a_network_of_one_level_has_as_many_weights_as_by_hand():
    found = readings.sizes([TrainConfig(size=16, n=4, n_z=8)])
    convolutions = 4 * (4 * 4 * 9 + 4) + (4 * 3 * 9 + 3)
    assert found["$G$, thousands"] == [(8 * 256 + 256 + convolutions) / 1000]


def test_parts_are_the_means_before_a_change_and_at_the_end():
    ratio = torch.cat([torch.full((300,), 0.8), torch.full((200,), 0.3)])
    table = readings.parts(history(ratio), torch.linspace(1, 0, 500), 300)
    assert list(table) == ["", "first step", "step 300", "end"]
    at = table[""].index("their ratio")
    assert [table[part][at] for part in ("step 300", "end")] == [pytest.approx(0.8), pytest.approx(0.3)]
    assert table["end"][-1] == 0
    assert table["first step"][-1] == 1


def test_the_stored_runs_of_a_dial_are_five_seeds_a_gamma():
    cells = readings.cells_by_gamma()
    assert set(map(len, cells.values())) == {5}
    assert len(readings.untrained_cells()) >= 5


def test_verdicts_are_those_of_the_book():
    table = readings.verdicts({"B2": "held", "B5": "at once"})
    assert table["claim"] == ["held (B2)", "at once (B5)"]
    assert table["measured in chapter"] == ["4", "4"]
