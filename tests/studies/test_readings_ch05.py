"""What chapter 5 reads off its studies."""

import pytest

from studies import takeoff
from studies.readings import ch05
from studies.statistics import BesideNull


def run(seed: int, setting: dict[str, float], cells: float, share: list[float], correlation: float = -0.5) -> dict:
    beard = {"loss": [0.1, 0.1, 0.1, 0.3], "share": share, "real": [0.25] * 4}
    final = {"cells": cells, "spread": cells, "entropy": cells, "reader_frechet": 1 - cells, "fake": 0.12, "clean": 0.1}
    easy = {"table": {"beard": beard}, "correlation": correlation, "null": 0.1 * (seed - 1)}
    return {"group": "map", "seed": seed, "setting": setting, "final": final, "easy": easy}


@pytest.fixture
def runs() -> list[dict]:
    plain = [run(seed, ch05.PLAIN, 0.2 + 0.01 * seed, [1.0, 0.0, 0.0, 0.0], -0.5 - 0.01 * seed) for seed in range(3)]
    return plain + [run(seed, ch05.GRAINY, 0.9 + 0.01 * seed, [0.3, 0.3, 0.2, 0.2], -0.1) for seed in range(3)]


def test_shares_stand_beside_the_loss_of_each_value(runs: list[dict]):
    table = ch05.shares(runs[:3], runs[3:], ["beard"])
    assert table["attribute"] == [f"beard: {word}" for word in ("none", "stubble", "moustache", "full")]
    assert [round(loss, 2) for loss in table["$\\mathcal{L}(x)$ / mean"]] == [0.67, 0.67, 0.67, 2.0]
    assert table["samples"] == [1.0, 0.0, 0.0, 0.0]
    assert table["with grain"] == pytest.approx([0.3, 0.3, 0.2, 0.2])


def test_the_middle_run_has_the_median_cells(runs: list[dict]):
    assert ch05.middle(runs[:3])["seed"] == 1


def test_a_number_is_told_by_fifths_of_its_range():
    assert ch05.levels("skin_tone")[0] == "skin tone: lowest fifth"
    assert len(ch05.levels("skin_tone")) == 5


def test_a_low_gamma_allows_less_the_more_alike_the_losses_are():
    columns = ch05.allowed((0.5, 0.9))
    faces, photographs = (dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True))
    assert float(faces["$r$"]) < float(photographs["$r$"])
    for at in ("at 0.5", "at 0.9"):
        assert 0 <= float(faces[at].rstrip("%")) < float(photographs[at].rstrip("%")) < 100


def test_affinities_stand_beside_those_of_shuffled_losses(runs: list[dict]):
    table = ch05.affinities(runs, {"plain": ch05.PLAIN, "grain": ch05.GRAINY})
    assert [cell.split("\u00a0")[0] for cell in table["rank correlation"]] == ["-0.51", "-0.10", "-0.51"]
    assert [cell.split("\u00a0")[0] for cell in table["losses shuffled"]] == ["0.00", "0.00", "0.00"]


def test_runs_that_took_off_are_counted_and_settings_without_runs_left_out(runs: list[dict]):
    table = ch05.held(runs, {"plain": ch05.PLAIN, "grain": ch05.GRAINY, "none": {"gamma": 3.0}})
    assert table["runs"] == ["plain", "grain", ch05.UNTRAINED]
    assert table["took off"] == ["0 of 3", "3 of 3", "0 of 5"]


def test_each_setting_of_a_group_has_a_line(runs: list[dict]):
    table = ch05.varied(runs)
    assert table["runs"] == ["grain 0, $\\gamma$ 0.8", "grain 0.15, $\\gamma$ 0.8"]
    assert table["took off"] == ["0 of 3", "3 of 3"]
    assert [cell[:4] for cell in list(table.values())[-1]] == ["1.20", "1.20"]


def test_the_toy_has_a_line_for_each_code_and_gamma():
    rows = [
        {"setting": {"code": code, "gamma": 0.5, "grain": grain}, "final": {"loss_real": code + grain, "spread": grain}}
        for code in (1, 2)
        for grain in (0.0, 0.2)
    ]
    table = ch05.on_gaussians(rows, 0.2)
    assert table["numbers in the code"] == [1, 2]
    assert [cell[:4] for cell in table["$\\mathcal{L}(x)$, grain 0.2"]] == ["1.20", "2.20"]
    assert [cell[:4] for cell in table["spread / real"]] == ["0.00", "0.00"]


def test_journeys_have_a_line_for_each_change():
    part = {"spread": [0.1, 0.9]}
    rows = [
        {"setting": {"grain": 0, "gamma": 1}, "change": {"gamma": gamma}, "trunk": part, "there": part, "back": part}
        for gamma in (0.3, 0.5, 0.3)
    ]
    table = ch05.journeys(rows)
    assert table["from"] == ["grain 0, gamma 1"] * 2
    assert table["to"] == ["gamma 0.3", "gamma 0.5"]
    assert all(cell.startswith("0.90") for cell in table["back"][:1])


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ((0.5, 0.4, 0.6, 0.0, -0.1, 0.1), "reproduced"),
        ((-0.5, -0.6, -0.4, 0.0, -0.1, 0.1), "not reproduced"),
        ((0.2, 0.05, 0.3, 0.0, -0.1, 0.1), "open"),
    ],
)
def test_a_line_is_judged_against_its_null(numbers: tuple[float, ...], verdict: str):
    claim = ch05._line("G1", "said", BesideNull(*numbers, 5), "unit", ch05.FACES, ch05.EASY)
    assert claim.verdict == verdict
    assert (claim.null, claim.null_low, claim.null_high) == numbers[3:]


def test_the_chapters_claims_have_nulls():
    claims = ch05.claims()
    assert {claim.claim for claim in claims} == {"G1", "G2", "G3", "G4", "B3", "B7"}
    assert all(claim.null is not None and claim.seeds >= 5 for claim in claims)
    assert takeoff.load("map")
