"""The controller of k against hand computations."""

import pytest
import torch

from began.equilibrium import Equilibrium


def test_an_update_by_hand():
    equilibrium = Equilibrium(gamma=0.5, lambda_k=0.1, k_0=0.2)
    M = equilibrium.update(torch.tensor(1.0), torch.tensor(0.2))
    torch.testing.assert_close(equilibrium.k, torch.tensor(0.2 + 0.1 * (0.5 - 0.2)))
    torch.testing.assert_close(M, torch.tensor(1.3))


def test_the_error_accumulates():
    equilibrium = Equilibrium(gamma=0.5, lambda_k=0.01)
    for _ in range(10):
        equilibrium.update(torch.tensor(1.0), torch.tensor(0.3))
    torch.testing.assert_close(equilibrium.k, torch.tensor(10 * 0.01 * 0.2))


def test_k_stays_between_0_and_1_and_leaves_the_clip_at_once():
    equilibrium = Equilibrium(gamma=0.5, lambda_k=0.4)
    for _ in range(100):
        equilibrium.update(torch.tensor(1.0), torch.tensor(0.0))
    assert equilibrium.k == 1
    assert equilibrium.saturated
    equilibrium.update(torch.tensor(1.0), torch.tensor(1.0))  # a wound-up integral would need many more of these
    torch.testing.assert_close(equilibrium.k, torch.tensor(0.8))
    assert not equilibrium.saturated
    for _ in range(100):
        equilibrium.update(torch.tensor(1.0), torch.tensor(5.0))
    assert equilibrium.k == 0
    assert equilibrium.saturated


def test_free_of_scale_k_moves_alike_on_any_data_and_m_keeps_its_units():
    real, fake = torch.tensor(0.04), torch.tensor(0.01)
    for scale in (1, 1000):
        equilibrium = Equilibrium(gamma=0.5, lambda_k=0.1, k_0=0.2, scale_free=True)
        M = equilibrium.update(scale * real, scale * fake)
        torch.testing.assert_close(equilibrium.k, torch.tensor(0.2 + 0.1 * (0.5 - 0.25)))
        torch.testing.assert_close(M, torch.tensor(scale * 0.05))


@pytest.mark.parametrize("scale_free", [False, True])
def test_runs_side_by_side_move_as_each_alone(scale_free):
    gamma, lambda_k, k_0 = torch.tensor([[0.0, 0.5, 25.0], [0.4, 0.01, 0.2], [0.3, 0.9, 1.0]])
    together = Equilibrium(gamma, lambda_k, k_0, scale_free=scale_free)
    alone = [Equilibrium(*values.tolist(), scale_free=scale_free) for values in torch.stack([gamma, lambda_k, k_0], 1)]
    for real, fake in (([1.0, 2.0, 3.0], [0.5, 0.7, 80.0]), ([0.5, 0.6, 0.7], [0.9, 0.1, 0.2])):
        M = together.update(torch.tensor(real), torch.tensor(fake))
        expected = [one.update(torch.tensor(r), torch.tensor(f)) for one, r, f in zip(alone, real, fake, strict=True)]
        torch.testing.assert_close(M, torch.stack(expected))
        torch.testing.assert_close(together.k, torch.stack([one.k for one in alone]))
        assert together.saturated.tolist() == [one.saturated.item() for one in alone]
    assert together.saturated.tolist() == [True, False, True]
    assert k_0.tolist() == pytest.approx([0.3, 0.9, 1.0]), "the tensor that was given is not the controller's own"


def test_the_state_travels():
    equilibrium = Equilibrium(0.7, 0.01, 0.3)
    other = Equilibrium()
    other.load_state_dict(equilibrium.state_dict())
    assert (other.k, other.gamma, other.lambda_k) == (equilibrium.k, equilibrium.gamma, equilibrium.lambda_k)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gamma": -0.1}, "gamma must be at least 0, got -0.1"),
        ({"gamma": float("nan")}, "gamma must be at least 0, got nan"),
        ({"gamma": torch.tensor([0.5, -1.0])}, "gamma must be at least 0"),
        ({"k_0": -0.1}, r"k_0 must lie in \[0, 1\], got -0.1"),
        ({"k_0": torch.tensor([0.5, 1.1])}, r"k_0 must lie in \[0, 1\]"),
        ({"lambda_k": 0}, "lambda_k must be positive, got 0"),
        ({"lambda_k": torch.tensor([1e-3, 0.0])}, "lambda_k must be positive"),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Equilibrium(**arguments)
