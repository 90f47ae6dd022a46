"""The mixtures, and the scores of samplers whose scores are known."""

import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from studies.toy.mixtures import PROBLEMS, SAMPLES, Mixture, density_ratio, grid, rare, ring, score, wasserstein


def mixture(*weights: float) -> Mixture:
    """Modes at x = 0, 10, 20, ... with standard deviation 1."""
    means = torch.stack([10.0 * torch.arange(len(weights)), torch.zeros(len(weights))], 1)
    return Mixture("line", means, 1.0, torch.tensor(weights), 1.0)


def at(*points: tuple[float, float]) -> torch.Tensor:
    """Return one run's samples, `(1, S, 2)`."""
    return torch.tensor([points])


def test_the_grid_and_the_ring_have_the_published_means():
    steps = (-4.0, -2.0, 0.0, 2.0, 4.0)
    assert {tuple(mean) for mean in grid().means.tolist()} == {(a, b) for a in steps for b in steps}
    assert (grid().std, ring().std) == (0.05, 0.02)
    torch.testing.assert_close(ring().means.norm(dim=1), torch.full((8,), 2.0))
    neighbours = (ring().means - ring().means.roll(1, 0)).norm(dim=1)
    torch.testing.assert_close(neighbours, torch.full((8,), 4 * math.sin(math.pi / 8)))


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_weights_are_shares_and_the_scale_brings_means_to_images_range(problem):
    assert problem.weights.shape == problem.means.shape[:1]
    torch.testing.assert_close(problem.weights.sum(), torch.tensor(1.0))
    torch.testing.assert_close(problem.means.abs().max() / problem.scale, torch.tensor(1.0))


def test_weights_are_equal_or_span_a_factor_of_50():
    for even in (grid(), ring()):
        assert even.weights.unique().numel() == 1
    torch.testing.assert_close(rare().weights.max() / rare().weights.min(), torch.tensor(50.0))
    falling = rare().weights.sort().values
    torch.testing.assert_close(falling[1:] / falling[:-1], torch.full((24,), 50 ** (1 / 24)))


def test_draw_picks_modes_by_the_distribution_function_of_the_weights():
    modes = torch.tensor([[0.0, 0.49], [0.5, 0.74], [0.75, 1 - 2**-24]])
    points = mixture(0.5, 0.25, 0.2499).draw(modes, torch.zeros(3, 2, 2))  # a sum may fall short of 1 by rounding
    assert points[..., 0].tolist() == [[0, 0], [10, 10], [20, 20]]


def test_draw_spreads_the_noise_by_the_standard_deviation():
    noise = torch.tensor([[1.0, -2.0]])
    torch.testing.assert_close(grid().draw(torch.zeros(1), noise) - grid().means[:1], 0.05 * noise, atol=1e-6, rtol=0)


def test_samples_come_as_often_as_the_weights_say():
    count = 100_000
    points = rare().sample(count)
    share = torch.cdist(points, rare().means).argmin(1).bincount(minlength=25) / count
    deviation = (rare().weights / count).sqrt()
    assert ((share - rare().weights).abs() < 4 * deviation).all()


def test_samples_are_those_of_their_seed():
    assert torch.equal(grid().sample(9, seed=3), grid().sample(9, seed=3))
    assert not torch.equal(grid().sample(9, seed=3), grid().sample(9, seed=4))


def test_the_true_mixture_scores_25_modes_and_the_rayleigh_tail():
    scores = score(torch.stack([grid().sample(SAMPLES, seed) for seed in range(20)]), grid())
    assert scores.modes.tolist() == [25] * 20
    # 50 000 samples: a standard deviation of 0.0005
    assert scores.high_quality.mean().item() == pytest.approx(1 - math.exp(-9 / 2), abs=0.0015)
    # a histogram of S draws over K modes: (K - 1) / (2 S) above 0 on average
    assert scores.reverse_kl.mean().item() == pytest.approx(24 / (2 * SAMPLES), rel=0.3)


def test_a_sampler_of_one_mode():
    scores = score(grid().means[7].expand(1, 100, 2), grid())
    assert (scores.modes.item(), scores.high_quality.item()) == (1, 1)
    assert scores.reverse_kl.item() == pytest.approx(math.log(25))


def test_reverse_kl_by_hand():
    """Of low-quality samples too: 3 of 4 are nearest to the first mean, whose weight is 1/2, none to the last."""
    scores = score(at((0, 0), (0, 4.5), (-20, 0), (10, 1)), mixture(0.5, 0.25, 0.25))
    assert scores.reverse_kl.item() == pytest.approx(0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(1))


def test_high_quality_ends_at_three_standard_deviations_and_captures_modes():
    scores = score(at((0, 2.99), (0, 3.01), (12.2, 2.2), (20, 0)), mixture(0.5, 0.25, 0.25))
    assert scores.high_quality.item() == 0.5
    assert scores.modes.item() == 2  # the sample nearest to the second mean is 3.1 standard deviations off


def test_runs_are_scored_apart():
    both = torch.cat([at((0, 0), (10, 0)), at((0, 0), (5, 99))])
    scores = score(both, mixture(0.5, 0.5))
    assert scores.modes.tolist() == [2, 1]
    assert scores.high_quality.tolist() == [1, 0.5]
    torch.testing.assert_close(density_ratio(both, mixture(0.5, 0.5)), torch.tensor([1.0, 1.0]).double())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_samples_that_are_not_finite_are_no_ones(bad):
    """(0, 0) is a mean of the mixture: what is not a number must not count as there."""
    lost = torch.full((1, 4, 2), bad)
    scores = score(lost, mixture(0.5, 0.5))
    assert (scores.modes.item(), scores.high_quality.item()) == (0, 0)
    assert density_ratio(lost, mixture(0.5, 0.5)).item() == float("inf")
    half = at((0, 0), (bad, 0), (0, bad), (10, 0))
    scores = score(half, mixture(0.5, 0.5))
    assert (scores.modes.item(), scores.high_quality.item()) == (2, 0.5)
    assert density_ratio(half, mixture(0.5, 0.5)).item() == 2


def test_no_run_that_blew_up_has_a_better_reverse_kl_than_the_mixture_itself():
    nan = float("nan")
    for samples in (at((nan, nan), (nan, nan)), at((0, 0), (nan, 0), (nan, 0), (10, 0))):
        assert score(samples, mixture(0.5, 0.5)).reverse_kl.item() >= 0
    assert score(at((nan, nan), (nan, nan)), mixture(0.5, 0.5)).reverse_kl.item() > math.log(2)


def test_the_density_ratio_by_hand():
    """p / p_g is (1/2) / (1/5) and (3/10) / (3/5); the fifth sample is of low quality, the last mode has none."""
    samples = at((0, 0), (10, 0), (10, 1), (10, 2), (0, 5))
    assert density_ratio(samples, mixture(0.5, 0.3, 0.2)).item() == pytest.approx(0.5)
    assert density_ratio(at((5, 0), (5, 9)), mixture(0.5, 0.5)).item() == float("inf")


def test_w1_by_hand():
    points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    assert wasserstein(points, points) == pytest.approx(0, abs=1e-9)
    assert wasserstein(points, points + torch.tensor([3.0, -4.0])) == pytest.approx(5, rel=1e-6)
    one, two = torch.zeros(6, 2), torch.tensor([[0.0, 0.0], [2.0, 0.0]]).repeat(3, 1)
    assert wasserstein(one, two) == pytest.approx(1)


def test_w1_is_that_of_the_best_assignment():
    rng = torch.Generator().manual_seed(1)
    a, b = torch.randn(40, 2, generator=rng), torch.randn(40, 2, generator=rng) * 2 + 1
    cost = (a[:, None] - b).double().norm(dim=2).numpy()
    rows, columns = linear_sum_assignment(cost)
    assert wasserstein(a, b) == pytest.approx(cost[rows, columns].mean())
    assert wasserstein(a, b) < cost.diagonal().mean()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_w1_of_points_that_are_not_finite_is_infinite(bad):
    points = torch.zeros(3, 2)
    broken = torch.tensor([[0.0, 0.0], [0.0, bad], [0.0, 0.0]])
    assert wasserstein(points, broken) == wasserstein(broken, points) == float("inf")


@pytest.mark.parametrize("shape", [(5, 2), (1, 5, 3), (1, 1, 5, 2)])
def test_samples_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(E, S, 2\), got \(" + ", ".join(map(str, shape))):
        score(torch.zeros(shape), grid())
