"""Readings of chapter 3, on rows made by hand: who is read, which half, and what is claimed of them."""

import pytest
import torch

from studies.readings import ch03

KEYS = ("w1", "gap", "spread_ratio", "crossing")
KEYS += tuple(f"{key}_{side}" for key in ("mean", "std", "skewness", "kurtosis") for side in ("real", "fake"))
KEYS += tuple(f"{key}_{side}" for key in ("nonnormality", "normal_p") for side in ("real", "fake"))


def rows(**parts: list[float]) -> list[dict]:
    """Five seeds, the last first, of two gammas on both data sets; a reading is 1 to 4 where `parts` says no other."""
    readings = {key: parts.get(key, [1.0, 2.0, 3.0, 4.0]) for key in KEYS}
    return [
        {
            "data": data,
            "seed": seed,
            "setting": {"gamma": gamma},
            "readings": {key: [value + seed * (key == "w1") for value in of] for key, of in readings.items()},
        }
        for gamma in (0.9, 0.5)
        for data in ch03.NAMES
        for seed in (4, 3, 2, 1, 0)
    ]


def test_readings_are_by_seed_and_the_late_ones_are_the_second_half():
    values = ch03.read(rows(), "faces", "w1", 0.5)
    assert values[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert ch03.late(values)[0].tolist() == [3.0, 4.0]
    assert len(ch03.read(rows(), "faces", "w1")) == 10
    assert ch03.gammas(rows(), "photographs") == [0.5, 0.9]


def test_what_is_missed_is_a_mean_of_the_second_half_a_seed():
    found = ch03.missed(rows(crossing=[0.9, 0.9, 0.1, 0.3]))
    assert found["faces"][0.9].tolist() == [pytest.approx(0.2)] * 5
    ratio, share = ch03.points(rows())["photographs"]
    assert ratio.shape == share.shape == (40,)


def test_gaussians_miss_what_the_formula_says():
    # 1 - 1 / E|1 + Z|, E|1 + Z| = sqrt(2 / pi) exp(-1/2) + erf(1 / sqrt(2))
    assert ch03.gaussian_share(torch.tensor([1.0]).double()).item() == pytest.approx(0.1428, abs=1e-4)


def test_tables_have_a_line_a_gamma_and_a_line_a_side():
    found = ch03.second_half(rows(gap=[1.0, 1.0, -1.0, 1.0]))
    assert found["data"] == ["faces"] * 2 + ["photographs"] * 2
    assert found["$m_2 < m_1$"] == [0.5] * 4
    assert found["$W_1 / m_1$"] == [1.5] * 4  # seeds 0 to 4: (3 + seed) / 3 and (4 + seed) / 4
    shapes = ch03.shapes(rows(normal_p_fake=[0.001, 0.001, 0.5, 0.5]))
    assert shapes["$p < 0.01$"] == [0.0, 0.5] * 2


def test_ranks_and_trends_follow_their_order():
    falling = [4.0, 3.0, 2.0, 1.0]
    ranked = ch03.ranks(rows(nonnormality_real=falling))
    assert ranked["faces"] == [pytest.approx(1), pytest.approx(-1), pytest.approx(1)]
    trends = ch03.trends(rows(spread_ratio=falling, std_fake=[0.0] * 4))
    assert trends["$r$"][0] == "-1.00\u00a0[-1.00,\u00a0-1.00]"
    assert trends["below 0"] == [1.0] * 2
    assert trends["$W_2^2$"][1] == "1.00\u00a0[1.00,\u00a01.00]"


def test_less_is_missed_than_gaussians_would_only_where_r_is_large():
    some = rows(spread_ratio=[0.1, 1.0, 1.0, 1.0], crossing=[0.9, 0.1, 0.1, 0.9])
    assert ch03.below_gaussians(some, "faces") == pytest.approx(2 / 3)


def test_sides_leave_out_what_is_near_the_middle():
    gap, push = torch.tensor([-0.5, -0.2, 0.0, 0.5]), torch.tensor([1.0, -0.5, 7.0, -1.0])
    found = ch03.sides(gap, {"G": push, "D": -push})
    assert found["stops"] == [2, 1]
    assert found["G, median"] == [-0.5, -1.0]
    assert found["D below 0"] == [1, 0]


def test_claims_are_judged_by_how_much_is_missed():
    for share, verdict in ((0.01, "reproduced"), (0.5, "not reproduced")):
        found = ch03.claims(rows(crossing=[share] * 3 + [share + 0.001], normal_p_real=[0.0] * 4))
        assert [claim.verdict for claim in found if "tracks" in claim.paper] == [verdict] * 4
        exact = [claim.ours for claim in found if "exact" in claim.unit]
        assert exact == [0.0, 0.0]
    almost = ch03.claims(rows(crossing=[0.0, 0.0, 0.0, 0.02], normal_p_real=[0.0, 0.0, 0.5, 0.0]))
    assert [claim.ours for claim in almost if "exact" in claim.unit] == [0.5, 0.5]
