"""What is said of several seeds."""

import math

import pytest

from studies.statistics import paired, rank_correlation


def test_gains_are_paired_by_seed_and_judged_by_swapping():
    found = paired([0.6, 0.7, 0.8, 0.7, 0.7])
    assert found.mean == pytest.approx(0.7)
    assert 0.6 < found.low < 0.7 < found.high < 0.8
    assert found.null == 0
    assert found.null_low == pytest.approx(-found.null_high)
    assert 0 < found.null_high < found.mean
    assert found.seeds == 5


def test_ranks_agree_whatever_the_scale():
    assert rank_correlation([1, 2, 3], [1, 10, 1000]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 1, 2]) == pytest.approx(-0.5)
    with pytest.warns(match="constant"):
        assert math.isnan(rank_correlation([1, 2, 3], [1, 1, 1]))
