"""Distances on the line: against scipy, closed forms, and examples that can be drawn on paper."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.testing import assert_close

from began.measure import wasserstein
from began.measure.wasserstein import (
    areas,
    bound,
    crossing,
    gaussian_w1,
    gaussian_w2_squared,
    loss_statistics,
    spread_ratio,
)

FUNCTIONS = (areas, wasserstein.w1, crossing)


def normal(count: int, mean: float = 0.0, std: float = 1.0, seed: int = 0) -> Tensor:
    return mean + std * torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quantiles(count: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """A sample without noise: the normal distribution's quantiles at the middles of `count` equal shares."""
    return torch.tensor(stats.norm.ppf((np.arange(count) + 0.5) / count, mean, std))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 7), (40, 40), (1, 9), (13, 29), (30, 12)])
@pytest.mark.parametrize("ties", [False, True])
def test_w1_is_scipys(n: int, m: int, ties: bool):
    a, b = normal(n, 0.2, 1.0, seed=1), normal(m, 0.0, 2.0, seed=2)
    if ties:
        a, b = a.round(), b.round()
    expected = stats.wasserstein_distance(a.numpy(), b.numpy())
    assert_close(wasserstein.w1(a, b), torch.tensor(expected, dtype=torch.float64))


def test_w1_of_equal_sizes_is_the_mean_distance_of_sorted_samples():
    a, b = normal(50, seed=3), normal(50, 0.3, 0.5, seed=4)
    assert_close(wasserstein.w1(a, b), (a.sort().values - b.sort().values).abs().mean())


def test_many_samples_at_once_are_those_one_by_one():
    a, b = normal(120, seed=5).view(2, 3, 20), normal(90, 0.5, seed=6).view(2, 3, 15)
    for function in (wasserstein.w1, crossing, bound):
        together = function(a, b)
        assert together.shape == (2, 3)
        for i in range(2):
            for j in range(3):
                assert_close(together[i, j], function(a[i, j], b[i, j]))


def test_a_shift_costs_itself_and_the_bound_is_exact():
    a = normal(30)
    for shift in (-0.7, 0.7):
        assert_close(wasserstein.w1(a, a + shift), torch.tensor(0.7, dtype=torch.float64))
        assert_close(bound(a, a + shift), torch.tensor(0.7, dtype=torch.float64))
        assert crossing(a, a + shift) == 0


def test_areas_are_where_one_function_lies_above_the_other():
    # F_a jumps to 1 at 1; F_b is 1/2 from 0 to 3: below F_a from 1 to 3, above it from 0 to 1
    above, below = areas(torch.tensor([1.0]), torch.tensor([0.0, 3.0]))
    assert (above.item(), below.item()) == (1.0, 0.5)
    assert areas(torch.tensor([0.0, 3.0]), torch.tensor([1.0])) == (below, above)


def test_areas_differ_by_the_gap_of_the_means():
    a, b = normal(33, 0.1, 1.0, seed=7), normal(20, 0.4, 3.0, seed=8)
    above, below = areas(a, b)
    assert_close(above - below, b.mean() - a.mean())
    assert_close(crossing(a, b), 1 - bound(a, b) / wasserstein.w1(a, b))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1.0], [0.0, 3.0], 2 * 0.5 / 1.5),
        ([-1.0, 1.0], [-2.0, 2.0], 1.0),  # equal means: the bound sees nothing
        ([0.0, 1.0, 2.0], [0.0, 1.0, 3.0], 0.0),  # touching is not crossing
        ([0.0, 1.0], [0.0, 0.0, 1.0, 1.0], 0.0),  # the same distribution
    ],
)
def test_crossing_of_samples_on_paper(a: list[float], b: list[float], expected: float):
    assert_close(crossing(torch.tensor(a), torch.tensor(b)).item(), expected)
    assert_close(crossing(torch.tensor(b), torch.tensor(a)).item(), expected)


def test_crossing_is_exactly_nought_where_one_sample_dominates():
    a = normal(700, seed=9)
    b = torch.cat([a, a]) + torch.rand(1400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert crossing(a, b).item() == 0.0
    assert crossing(b, a).item() == 0.0


def test_float32_is_summed_in_float64():
    a = torch.linspace(1000, 1001, 4001)
    b = a + 2**-10
    assert_close(wasserstein.w1(a, b).item(), 2**-10, rtol=1e-9, atol=0)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.tensor([]), torch.tensor([1.0]), r"a must hold at least one number .* got \(0,\)"),
        (torch.tensor([1.0]), torch.tensor(1.0), r"b must hold at least one number .* got \(\)"),
        (torch.tensor([1.0]), torch.tensor([math.nan, 1.0]), r"b must be finite, got 1 numbers"),
        (torch.tensor([math.inf, -math.inf]), torch.tensor([1.0]), r"a must be finite, got 2 numbers"),
        (torch.ones(2, 5), torch.ones(3, 5), r"a and b must agree before .* got \(2, 5\) and \(3, 5\)"),
    ],
)
def test_bad_samples_are_refused(function, a: Tensor, b: Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        function(a, b)


def gaussians(gap: float, std_1: float, std_2: float) -> list[Tensor]:
    return [torch.tensor(value, dtype=torch.float64) for value in (gap, std_1**2, std_2**2)]


@pytest.mark.parametrize("case", [(0.5, 1.0, 1.0), (0.5, 1.0, 2.0), (-0.5, 2.0, 1.0), (0.0, 0.3, 1.0), (1.0, 0.0, 1.0)])
def test_distances_of_gaussians_are_those_of_their_quantiles(case: tuple[float, float, float]):
    gap, std_1, std_2 = case

    def difference(u: float) -> float:
        return gap + (std_2 - std_1) * float(stats.norm.ppf(u))

    first, _ = integrate.quad(lambda u: abs(difference(u)), 0, 1, limit=200)
    second, _ = integrate.quad(lambda u: difference(u) ** 2, 0, 1, limit=200)
    assert_close(gaussian_w1(*gaussians(*case)).item(), first, rtol=1e-5, atol=1e-6)
    assert_close(gaussian_w2_squared(*gaussians(*case)).item(), second, rtol=1e-5, atol=1e-6)


def test_w1_of_gaussian_samples_comes_to_the_closed_form():
    a, b = quantiles(20_000, 0, 1), quantiles(20_000, 0.5, 2)
    assert_close(wasserstein.w1(a, b), gaussian_w1(*gaussians(0.5, 1, 2)), rtol=2e-3, atol=0)


def test_spread_ratio_is_the_papers():
    gap, c_1, c_2 = (torch.tensor(value, dtype=torch.float64) for value in ([0.1, -0.3], [1.0, 4.0], [2.0, 4.0]))
    expected = (c_1 + c_2 - 2 * (c_1 * c_2).sqrt()) / gap**2
    assert_close(spread_ratio(gap, c_1, c_2), expected)
    assert_close(gaussian_w2_squared(gap, c_1, c_2) / gap**2 - 1, expected)
    assert spread_ratio(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(2.0)).item() == math.inf


@pytest.mark.parametrize("function", [gaussian_w1, gaussian_w2_squared, spread_ratio])
def test_variances_are_not_negative(function):
    with pytest.raises(ValueError, match=r"c_2 must be at least 0, got -1"):
        function(torch.tensor(1.0), torch.tensor(1.0), torch.tensor(-1.0))


def test_loss_statistics_are_scipys_and_signed():
    real, fake = normal(400, 0.3, 0.1, seed=10), normal(300, 0.2, 0.05, seed=11).exp()
    fake -= 1.0  # skewed, with the smaller mean
    found = loss_statistics(real.float(), fake.float())
    real, fake = real.float().double().numpy(), fake.float().double().numpy()
    assert found["gap"] == pytest.approx(fake.mean() - real.mean())
    assert found["gap"] < 0
    assert found["w1"] == pytest.approx(stats.wasserstein_distance(real, fake))
    assert found["crossing"] == pytest.approx(1 - abs(found["gap"]) / found["w1"])
    assert found["spread_ratio"] == pytest.approx((real.std() - fake.std()) ** 2 / found["gap"] ** 2)
    for name, losses in (("real", real), ("fake", fake)):
        W, p = stats.shapiro(losses)
        shape = {"mean": losses.mean(), "std": losses.std(), "skewness": stats.skew(losses)}
        shape |= {"kurtosis": stats.kurtosis(losses), "nonnormality": 1 - W, "normal_p": p}
        for key, value in shape.items():
            assert found[f"{key}_{name}"] == pytest.approx(value), key
    assert len(found) == 4 + 2 * 6
    assert all(type(value) is float for value in found.values())


def test_nonnormality_does_not_grow_with_the_sample():
    few, many = (loss_statistics(quantiles(n).exp(), quantiles(n).exp())["nonnormality_real"] for n in (1000, 4000))
    assert 0.3 < few < many < 1.15 * few  # a lognormal distribution is what it is
    few, many = (loss_statistics(normal(n), normal(n))["nonnormality_real"] for n in (100, 4000))
    assert many < few < 0.05


def test_equal_losses_have_no_shape():
    found = loss_statistics(normal(10), torch.full((10,), 0.5))
    assert all(math.isnan(found[f"{key}_fake"]) for key in ("skewness", "kurtosis", "nonnormality", "normal_p"))
    assert found["std_fake"] == 0
    assert math.isfinite(found["w1"])
    assert math.isfinite(found["skewness_real"])


@pytest.mark.parametrize("shape", [(), (2,), (5001,), (4, 1)])
def test_losses_of_another_shape_are_refused(shape: tuple[int, ...]):
    good = torch.rand(4)
    with pytest.raises(ValueError, match=r"real must have the shape \(N,\), N from 3 to 5000, got"):
        loss_statistics(torch.zeros(shape), good)
    with pytest.raises(ValueError, match=r"fake must have the shape"):
        loss_statistics(good, torch.zeros(shape))


def test_losses_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="must be finite"):
        loss_statistics(torch.rand(4), torch.tensor([1.0, math.nan, 2.0, 3.0]))
