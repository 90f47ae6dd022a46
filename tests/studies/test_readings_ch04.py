"""Readings of chapter 4: what they pick, count and correlate, on rows made by hand."""

import math

import pytest
import torch

from studies.readings import ch04


def row(gamma: float = 0.5, data: str = "faces", seed: int = 0, **parts) -> dict:
    return {"setting": {"gamma": gamma, **parts.pop("setting", {})}, "data": data, "seed": seed, **parts}


def test_rows_are_picked_by_their_fields_and_their_settings():
    some = [row(gamma, data) for gamma in (0.5, 0.9) for data in ("faces", "digits")]
    assert ch04.of(some, data="digits", gamma=0.9) == [some[3]]


def test_ratios_are_by_data_and_gamma_with_a_run_a_row():
    curves = {seed: {"loss_real": [2.0, 4.0], "loss_fake": [1.0, seed]} for seed in (1, 0)}
    runs = [row(0.5, data, seed, curve=curves[seed]) for data in ch04.NAMES for seed in curves]
    for of in ch04.ratios(runs).values():
        assert of[0.5].tolist() == [[0.5, 0.0], [0.5, 0.25]]


def test_the_onset_lies_between_the_last_stable_lambda_and_the_next():
    still, held = torch.full((2, 40), 0.5), torch.zeros(2, 40)
    touched = still.clone()
    touched[:, 0] = 1.0  # 2.5 %, less than counts
    found = ch04.stability([1, 2, 4], [still, touched, held], [still, held, held], bound=3.0)
    assert found["clipped"].tolist() == [[0.0, 0.0], [pytest.approx(0.025)] * 2, [1.0, 1.0]]
    assert found["clipped_plant"] == [0.0, 1.0, 1.0]
    assert found["std"][0].tolist() == [0.0, 0.0]
    columns = ch04.onsets({"faces": found})
    assert [column[0] for column in columns.values()] == ["faces", 3.0, "2 to 4", "1 to 2"]


def test_runs_of_a_lambda_are_averaged_and_the_ratio_keeps_its_range():
    ends = [{"k": k, "saturated": 0.1, "ratio": ratio, "M": 0.2} for k, ratio in ((0.1, 0.45), (0.3, 0.55))]
    columns = ch04.by_lambda([row(setting={"lambda_k": 2.0}, final=end) for end in ends], 0.5)
    assert [column[0] for column in columns.values()] == [
        2.0,
        pytest.approx(0.2),
        0.1,
        "1.00\u00a0[0.90,\u00a01.10]",
        0.2,
    ]


def test_rules_are_told_apart_by_kind_and_scale():
    settings = [{"loss_scale": 1.0}, {"loss_scale": 0.01}, {"loss_scale": 0.01, "scale_free": 1}]
    runs = [row(setting=one, final={"ratio": 0.45, "k": i}) for i, one in enumerate(settings)]
    columns = ch04.rule_ends(ch04.rules(runs), 0.5)
    assert columns["rule, scale"] == ["paper's, x 1", "paper's, x 0.01", "scale-free, x 0.01"]
    assert columns["$k$ at the end"] == [0.0, 1.0, 2.0]
    assert set(columns[r"ratio / $\gamma$ [range]"]) == {"0.90\u00a0[0.90,\u00a00.90]"}


def test_the_demand_is_judged_where_the_clip_leaves_k_free():
    ends = [{"ratio": 0.6, "saturated": 0.05}, {"ratio": 5.0, "saturated": 0.06}]
    assert ch04.met([row(final=end) for end in ends]) == {"faces": [pytest.approx(1.2)], "photographs": []}


def test_paths_take_m_of_the_window_that_a_checkpoint_lies_in():
    curve = {"step": [20, 40, 60], "M": [3.0, 2.0, 1.0]}
    runs = [
        row(0.5, data, curve=curve, readings={"step": [20, 21, 75], ch04.DISTANCE[data]: [0.3, 0.2, 0.1]})
        for data in ch04.DISTANCE
    ]
    M, distance = ch04.paths(runs)["faces"][0.5]
    assert M.tolist() == [[3.0, 2.0, 1.0]]
    assert distance.tolist() == [[pytest.approx(0.3), pytest.approx(0.2), pytest.approx(0.1)]]


def test_correlations_are_along_each_run_and_across_the_ends_of_a_seed():
    falling, rising = torch.tensor([[3.0, 2.0, 1.0]] * 2), torch.tensor([[1.0, 2.0, 3.0]] * 2)
    runs = {gamma: (falling + gamma, rising - gamma) for gamma in (0.3, 0.5, 0.9)}
    along, across = ch04.rank_correlations(runs)
    assert along == {gamma: [pytest.approx(-1)] * 2 for gamma in runs}
    assert across == [pytest.approx(-1)] * 2
    assert ch04.bounded([1.0, 1.0, 0.9]) == (pytest.approx(29 / 30), pytest.approx(0.8232, abs=1e-4), 1.0)


def test_a_rate_is_halved_once_m_has_stood_still_for_the_patience():
    steps, M = [20, 40, 60, 80, 100], [1.0, 0.9, 0.8999, 0.8998, 0.8997]
    assert ch04.first_halving(steps, M, 40) == 80
    assert ch04.first_halving(steps, M, 80) == math.inf
    columns = ch04.halvings([row(curve={"step": steps, "M": M})] * 3, [20, 40, 80])
    assert columns["halved"] == [3, 3, 0]
    assert columns["in the first half"] == [0, 0, 0]


def test_orders_share_a_gamma_and_their_seeds_are_compared():
    def end(distance: float) -> dict:
        return {"reader_frechet": distance, "ratio": 0.9, "pixel_std": 0.2}

    at_once = [row(0.9, seed=seed, final=end(value)) for seed, value in ((1, 3.0), (0, 2.0))]
    turns = [
        row(0.9, seed=seed, setting={"generator_first": first}, final=end(first + 1.0))
        for first in (0, 1)
        for seed in (0, 1)
    ]
    ways = ch04.orders({"gamma": [*at_once, row(0.5)], "order": turns}, 0.9)
    assert {way: len(runs) for way, runs in ways.items()} == {"both at once": 2, "D first": 2, "G first": 2}
    assert ch04.order_ends(ways, 0.9)["Fréchet distance, 95 %"][1] == "1.00\u00a0[1.00,\u00a01.00]"
    assert ch04.at_once_over_turns(ways) == [pytest.approx(4 / 3), pytest.approx(2.0)]


def test_claims_are_judged_by_their_intervals():
    held = {"faces": [1.0, 1.05], "photographs": [1.0, 1.2]}
    along, across = {"faces": [0.5, 0.6], "photographs": [0.5, 0.51]}, {data: [-0.5, -0.51] for data in held}
    verdicts = [claim.verdict for claim in ch04.claims(held, along, across, [1.0, 1.1])]
    b4 = ["differs", "not reproduced", "reproduced", "not reproduced"]
    assert verdicts == ["reproduced", "differs", *b4, "reproduced"]
