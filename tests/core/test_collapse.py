"""What the monitor reads, and what it makes of readings."""

import math

import pytest
import torch

from began.collapse import BAND, PAUSE, QUIET, Reading, dropped, healthy, suspicion, take_reading, total_variance


def readings(k, spread=0.5) -> list[Reading]:
    """Return readings with the given k and spread, each a number or a list."""
    count = max(len(values) if isinstance(values, list) else 1 for values in (k, spread))
    ks, spreads = (values if isinstance(values, list) else [values] * count for values in (k, spread))
    return [Reading(a, b, 7.0, 1.0, 0.5) for a, b in zip(ks, spreads, strict=True)]


def test_readings_are_ratios_of_distances_and_shares_of_variance():
    rng = torch.Generator().manual_seed(0)
    x, v = (torch.randn(40, 12, generator=rng, dtype=torch.float64) * scale for scale in (3, 1))
    h_x, h_v = (torch.randn(40, 5, generator=rng, dtype=torch.float64) * scale for scale in (2, 1))
    reading = Reading(*take_reading(torch.tensor(0.1, dtype=torch.float64), x, v, h_x, h_v).tolist())
    assert reading.k == pytest.approx(0.1)
    squares = [torch.pdist(points).square().mean() for points in (v, x)]
    assert reading.spread == pytest.approx((squares[0] / squares[1]).sqrt().item())
    assert reading.var_real == pytest.approx(h_x.T.cov().trace().item())
    eigenvalues = torch.linalg.eigvalsh(h_v.T.cov())
    assert reading.var_fake == pytest.approx(eigenvalues.sum().item())
    assert reading.top == pytest.approx((eigenvalues.max() / eigenvalues.sum()).item())


def test_runs_side_by_side_are_read_one_by_one():
    sets = [torch.rand(3, 10, dims, generator=torch.Generator().manual_seed(dims)) for dims in (2, 3, 4, 5)]
    together = take_reading(torch.tensor([0.1, 0.2, 0.3]), *sets)
    for e in range(3):
        alone = take_reading(torch.tensor(0.1 * (e + 1)), *(part[e] for part in sets))
        torch.testing.assert_close(together[e], alone)


def test_total_variance_is_half_the_mean_squared_distance_of_a_pair():
    points = torch.rand(20, 3, generator=torch.Generator().manual_seed(1))
    assert total_variance(points).item() == pytest.approx(torch.pdist(points).square().mean().item() / 2, rel=1e-5)


def test_what_is_not_finite_is_read_as_that():
    v = torch.full((4, 3), math.inf)
    assert math.isnan(
        Reading(*take_reading(torch.tensor(0.1), torch.rand(4, 3), v, torch.rand(4, 2), v).tolist()).spread
    )


def test_nothing_is_judged_at_the_start():
    alike = readings(0.05, [0.01] * QUIET)
    assert suspicion(alike) is None
    assert not healthy(alike)
    assert suspicion([*alike, alike[0]]) is not None


def test_a_drop_of_k_is_a_suspicion_unless_k_was_next_to_nothing():
    assert "k fell from 0.1 to 0.05" in suspicion(readings([0.1] * 12 + [0.05] * 3))
    assert suspicion(readings([0.1] * 12 + [0.07] * 3)) is None
    assert suspicion(readings([0.009] * 12 + [0.001] * 3)) is None
    assert dropped(readings([0.1] * 12 + [0.05] * 3))
    assert not dropped(readings([0.1] * 12 + [0.07] * 3))


def test_one_odd_reading_is_no_drop():
    assert suspicion(readings([0.1] * 12 + [0.01])) is None
    assert suspicion(readings([0.1] * 6 + [0.9] + [0.1] * 6)) is None


def test_a_slow_decline_over_more_than_the_band_is_no_drop():
    halved = [0.1 * 0.5 ** (i / (2 * BAND)) for i in range(2 * BAND)]
    assert suspicion(readings(halved)) is None
    assert suspicion(readings(halved[::4])) is not None


def test_samples_that_are_alike_are_suspected_unless_they_or_k_grow():
    falling = [0.09 - 0.001 * i for i in range(20)]
    assert "samples differ 0.07" in suspicion(readings(0.05, falling))
    assert suspicion(readings(0.05, falling[::-1])) is None
    rising_k = [0.05 + 0.001 * i for i in range(20)]
    assert suspicion(readings(rising_k, falling)) is None
    assert (
        suspicion(readings([*rising_k[: 20 - PAUSE - 2], *[rising_k[-PAUSE - 3]] * (PAUSE + 2)], falling)) is not None
    )
    assert suspicion(readings(0.05, [0.11] * 20)) is None


@pytest.mark.parametrize("spread", [3.0, math.inf, math.nan])
def test_samples_that_left_the_pictures_are_suspected(spread: float):
    assert "samples differ" in suspicion(readings(0.05, [0.5] * 12 + [spread] * 3))


def test_a_checkpoint_is_good_only_well_away_from_any_alarm():
    assert healthy(readings(0.1, [0.5] * 12))
    assert not healthy(readings(0.1, [0.15] * 12)), "samples nearly alike"
    assert not healthy(readings([0.1] * 12 + [0.07] * 3)), "k is on its way down"
    assert not healthy(readings([0.1] * 12 + [0.05] * 3)), "suspected"
