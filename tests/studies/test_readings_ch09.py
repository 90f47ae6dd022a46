"""What chapter 9 reads off the comparison: nulls, what settled, and its claims."""

import pytest

from studies.claims import Claim
from studies.readings import ch09
from studies.toy.mixtures import PROBLEMS


def row(method: str, **values: object) -> dict:
    return {"method": method, "setting": {}, "k": 0.1, "loss_real": 0.1, "modes": 5, "density_ratio": 0.5, **values}


def line(method: str, modes: float, quality: float) -> dict:
    numbers = {f"{key}{end}": value for key, value in (("modes", modes), ("high_quality", quality)) for end in ENDS}
    return {"method": method, "search": "search", "seeds": 10, **numbers}


ENDS = ("", "_low", "_high")


def test_noise_finds_modes_and_a_perfect_sampler_all_of_them():
    perfect, noise = ch09.nulls(PROBLEMS["ring"], draws=2)
    assert perfect["modes"] == 8
    assert perfect["high_quality_low"] <= perfect["high_quality"] <= perfect["high_quality_high"]
    assert noise["high_quality"] < 0.1 < 0.9 < perfect["high_quality"]
    assert perfect["w1"] < noise["w1"]


def test_what_settled_is_inside_its_limits_and_not_blown_up():
    rows = [row("began"), row("began", k=0.0), row("began_cs", k=1.0), row("began", loss_real=2.0), row("gan")]
    assert {name: len(of) for name, of in ch09.settled(rows).items()} == {"BEGAN": 1, "BEGAN-CS": 0}


def test_correlation_is_over_settings_not_runs():
    means = {1: (0.1, 0.3), 2: (0.2, 0.5), 3: (0.3, 0.4)}
    rows = [
        row("began", k=k + off, density_ratio=ratio, setting={"gamma": gamma}, problem="grid", high_quality=0.5)
        for gamma, (k, ratio) in means.items()
        for off in (-0.25, 0.25)
    ]
    assert ch09.rank_over_settings(rows) == (3, pytest.approx(0.5))


def test_blown_up_runs_are_counted_by_gamma():
    rows = [row("began", loss_real=20.0, setting={"gamma": 2.5}), row("began_cs"), row("gan", loss_real=99.0)]
    assert ch09.blown_up(rows) == {"$\\gamma$": ["at most 1", "above 1"], "runs": [1, 1], "blown up": [0, 1]}


def test_claims_hold_what_is_published_against_intervals():
    shown = {name: line(name, 24.6, 0.1) for name in ("gan", "ali", "unrolled_gan", "veegan", "began", "began_cs")}
    claims = ch09.claims(shown, [row("began")] * 46)
    verdicts: dict[str, list[Claim]] = {}
    for claim in claims:
        verdicts.setdefault(claim.claim, []).append(claim)
    assert [claim.verdict for claim in verdicts["T4"]] == ["reproduced", "differs"]
    assert [claim.verdict for claim in verdicts["T1"]] == ["differs", "differs"]
    (bound,) = verdicts["K1"]
    assert (bound.ours, bound.high, round(bound.low, 2)) == (1, 1, 0.92)
