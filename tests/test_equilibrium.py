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


def test_the_state_travels():
    equilibrium = Equilibrium(0.7, 0.01, 0.3)
    other = Equilibrium()
    other.load_state_dict(equilibrium.state_dict())
    assert (other.k, other.gamma, other.lambda_k) == (equilibrium.k, equilibrium.gamma, equilibrium.lambda_k)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gamma": 1.2}, r"gamma must lie in \[0, 1\], got 1.2"),
        ({"gamma": float("nan")}, "gamma"),
        ({"k_0": -0.1}, r"k_0 must lie in \[0, 1\], got -0.1"),
        ({"lambda_k": 0}, "lambda_k must be positive, got 0"),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Equilibrium(**arguments)
