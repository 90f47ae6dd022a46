"""The equations against hand computations."""

import pytest
import torch

from began.losses import (
    Losses,
    convergence_measure,
    discriminator_loss,
    distance,
    generator_loss,
    latent_constraint,
    reconstruction_loss,
)

LOSSES = Losses(torch.tensor(0.8), torch.tensor(0.3), torch.tensor(0.5))


def test_both_norms_by_hand():
    v = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]], [[[0.5, 0.5], [0.5, 0.5]]]])
    reconstruction = torch.tensor([[[[0.0, 0.0], [0.0, 0.0]]], [[[0.0, 1.0], [0.5, 0.5]]]])
    # |differences| are (1, 0, 0, 0) and (1/2, 1/2, 0, 0)
    torch.testing.assert_close(reconstruction_loss(v, reconstruction, "l1"), torch.tensor([0.25, 0.25]))
    torch.testing.assert_close(reconstruction_loss(v, reconstruction, "l2"), torch.tensor([0.5, 0.5**0.5 / 2]))


def test_the_latent_constraint_by_hand():
    z, code = torch.tensor([[1.0, -1.0], [0.0, 0.5]]), torch.tensor([[0.0, -1.0], [3.0, 4.5]])
    torch.testing.assert_close(latent_constraint(z, code, "l1"), torch.tensor([0.5, 3.5]))
    torch.testing.assert_close(latent_constraint(z, code, "l2"), torch.tensor([1 / 2**0.5, 5 / 2**0.5]))


def test_the_l2_norm_has_a_gradient_at_a_perfect_reconstruction():
    v = torch.ones(2, 3, requires_grad=True)
    reconstruction_loss(v, torch.ones(2, 3), "l2").sum().backward()
    assert torch.equal(v.grad, torch.zeros(2, 3))


def test_the_players_losses_by_hand():
    torch.testing.assert_close(discriminator_loss(LOSSES, 0.5), torch.tensor(0.65))
    torch.testing.assert_close(discriminator_loss(LOSSES, torch.tensor(0.5), 0.1), torch.tensor(0.7))
    assert generator_loss(LOSSES) == LOSSES.fake


@pytest.mark.parametrize(("fake", "expected"), [(0.3, 0.8 + 0.1), (0.4, 0.8), (0.6, 0.8 + 0.2)])
def test_the_convergence_measure_by_hand(fake, expected):
    torch.testing.assert_close(convergence_measure(torch.tensor(0.8), torch.tensor(fake), 0.5), torch.tensor(expected))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"same shape, got \(2, 3\) and \(2, 4\)"):
        distance(torch.zeros(2, 3), torch.zeros(2, 4), "l1")
    with pytest.raises(ValueError, match=r"norm must be one of .*got 'l3'"):
        distance(torch.zeros(2, 3), torch.zeros(2, 3), "l3")
