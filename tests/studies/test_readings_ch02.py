"""What chapter 2 reads from its critics and arrows."""

import pytest
import torch

from studies.readings import ch02

LENGTHS = torch.tensor([[[4.0, 2.0, 0.001], [2.0, 1.0, 0.02], [0.5, 1.0, 0.03]], [[1.0] * 3, [2.0] * 3, [3.0] * 3]])


def test_the_median_arrow_is_over_samples_and_falls_from_its_longest():
    medians = ch02.middle({"GAN": LENGTHS})["GAN"]
    torch.testing.assert_close(medians, torch.tensor([[2, 1, 0.02], [2, 2, 2]]))
    torch.testing.assert_close(ch02.fall(medians), torch.tensor([100.0, 1.0]))


def test_faint_are_arrows_below_a_hundredth_of_the_longest_of_their_run():
    torch.testing.assert_close(ch02.faint(LENGTHS), torch.tensor([1.0, 0.0]))
    short = LENGTHS.clone()
    short[0, 2, 2] = 0.05
    torch.testing.assert_close(ch02.faint(short), torch.tensor([2 / 3, 0.0]))


def test_silence_has_the_first_and_the_last_update_of_each_method():
    name, first, last, share = ch02.silence({"GAN": LENGTHS}, (5, 50, 600)).values()
    assert name == ["GAN"]
    assert first == ["2.00\u00a0[2.00,\u00a02.00]"]
    assert last == ["1.01\u00a0[0.02,\u00a02]"]
    assert share == ["50%\u00a0[0%,\u00a0100%]"]


def test_fewer_names_the_methods_with_a_lower_median():
    reached = {"GAN": torch.tensor([3.0, 5, 7]), "a": torch.tensor([4.0, 4, 8]), "b": torch.tensor([1.0, 6, 9])}
    assert ch02.fewer_than(reached, "GAN") == ["a"]


def test_thresholds_and_remedies_are_one_row_each():
    k, energy, spread = ch02.thresholds((0, 1 / 32), torch.tensor([[1.0], [2e6]]), torch.zeros(2, 5)).values()
    assert k == ["0", "1/32"]
    assert energy == ["1.00\u00a0[1.00,\u00a01.00]", "2.0\u00a0[2.0,\u00a02.0] million"]
    assert spread == ["0.00\u00a0[0.00,\u00a00.00]"] * 2
    one = {"GAN": torch.tensor([1.0, 2, 4])}
    assert [column[0] for column in ch02.remedies(one, one, one).values()][1:] == [
        "2.00\u00a0[1.00,\u00a04.00]",
        "2.00\u00a0[1.00,\u00a04.00]",
        "2.0\u00a0[1.0,\u00a04.0]",
    ]


def test_beside_takes_the_numbers_of_the_methods_it_names():
    names = ("GAN, minimax", "LSGAN", "BEGAN")
    medians = {name: torch.tensor([[8.0, 4.0, 8 / (i + 2)]]) for i, name in enumerate(names)}
    together = {"GAN": torch.tensor([0.9]), "minibatch discrimination": torch.tensor([0.1])}
    claims, ours, verdicts = ch02.beside(medians, torch.tensor([0.95]), torch.tensor([0.04]), together).values()
    assert len(claims) == len(ours) == len(verdicts) == 6
    for place, number in enumerate(
        (
            "2\u00a0[2,\u00a02]",
            "3\u00a0[3,\u00a03]",
            "0.95\u00a0[0.95",
            "0.90\u00a0[0.90",
            "0.10\u00a0[0.10",
            "4.0\u00a0[4.0,\u00a04.0]",
        )
    ):
        assert number in ours[place]
    with pytest.raises(KeyError):
        ch02.beside(medians, torch.tensor([0.95]), torch.tensor([0.04]), {})
