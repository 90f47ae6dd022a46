"""What chapter 7 reads off its runs: numbers that can be counted by hand."""

import pytest
import torch

from studies.readings import ch07 as readings
from studies.survival import Course


def row(seed: int, distances: list[float], **changes) -> dict:
    """A run on photographs whose samples are measured every 250 steps."""
    step = [250 * (i + 1) for i in range(len(distances))]
    stops = {"step": step, "pixel_frechet": distances, "var_real": [2.0] * len(step), **changes}
    return {"data": "photographs", "seed": seed, "steps": step[-1], "ended": None, "stops": stops}


LOST = row(0, [0.5, 1.5, 1.5, 1.5])  # from step 500 on
LATE = row(1, [0.5, 0.5, 1.5, 1.5])
WELL = row(1, [0.5, 0.4, 0.3, 0.2])


def runs(began: list[dict], cs: list[dict]) -> readings.Runs:
    return {("photographs", "BEGAN"): began, ("photographs", "BEGAN-CS"): cs}


def test_fates_say_how_many_were_lost_and_when():
    columns = readings.fates({"some": (runs([LOST, LATE], [LOST, WELL]), "photographs")})
    assert columns["BEGAN lost"] == ["2 of 2, 500 to 750, median 625"]
    assert columns["BEGAN-CS lost"] == ["1 of 2, 500 to 500, median 500"]
    assert columns["logrank $p$"][0] > 0.05
    none = readings.fates({"none": (runs([WELL], [WELL]), "photographs")})
    assert (none["BEGAN lost"], none["logrank $p$"]) == (["0 of 1"], [None])


def test_a_run_blows_up_where_its_codes_vary_a_hundred_times_as_much():
    assert readings.blown_at(row(0, [1.0] * 3, var_real=[2.0, 199.0, 201.0])) == 750
    assert readings.blown_at(row(0, [1.0] * 3, var_real=[2.0, 3.0, float("nan")])) == 750
    assert readings.blown_at(LOST) is None


def test_the_share_of_z_is_one_for_no_error_and_zero_for_a_code_that_says_nothing():
    curve = {"constraint": [9.0, 0.0, 0.0, 3**-0.5]}
    assert readings.share_read({"curve": curve}, slice(1, 3)) == 1
    assert readings.share_read({"curve": curve}, slice(3, None)) == pytest.approx(0)


def test_differences_are_paired_over_the_last_three_stops():
    step = [250, 500, 750, 1000]
    values = {name: torch.full((2, 4), at) for name, at in (("BEGAN", 1.0), ("BEGAN-CS", 2.0), ("L_c in G", 4.0))}
    values["L_c in G"][:, 0] = 99
    panels = {"cells": {name: Course(step, of) for name, of in values.items()}}
    columns = readings.differences(panels, ["L_c in G"])
    assert columns["cells"] == ["3.00\u00a0[3.00,\u00a03.00]", "2.00\u00a0[2.00,\u00a02.00]"]
    assert columns[""][0] == "$\\mathcal{L}_c$ in G minus BEGAN"


def test_variances_are_compared_by_their_powers():
    assert readings.powers(torch.tensor([1.0, 100.0]))[0] == pytest.approx(10)
    found, step = readings.growth([row(0, [1.0] * 9, var_real=[2.0 * (i + 1) for i in range(9)])])
    assert (found[0], step) == (pytest.approx(8), 2000), "up to the eighth stop"


def test_lives_are_compared_with_the_same_seed_and_length():
    assert readings.longer(runs([LOST, LATE], [WELL, WELL]), "photographs")[0] == (500 + 250) / 2
    longer = runs([row(0, [0.5] * 8)], [WELL])
    assert readings.earlier(longer, runs([LOST], [WELL]), "photographs", "BEGAN") == (500, 500, 500)


def test_the_distance_falls_from_the_fourth_to_the_sixth_stop_to_the_last_three():
    tenth = runs([row(0, [9, 9, 9, 2, 3, 4, 9, 1, 1, 1])], [])
    assert readings.fall(tenth, "photographs", "BEGAN")[0] == 2


@pytest.mark.parametrize(
    ("found", "lost", "verdict"),
    [
        ((9.0, 1.0, 17.0), 0, "reproduced"),
        ((9.0, 1.0, 17.0), 2, "differs"),
        ((9.0, 1.0, 17.0), 3, "not reproduced"),
        ((1.0, -7.0, 9.0), 0, "open"),
        ((-9.0, -17.0, -1.0), 0, "not reproduced"),
    ],
)
def test_a_life_is_longer_only_with_the_whole_interval(found: readings.Found, lost: int, verdict: str):
    assert readings.of_survival(found, lost, 5) == verdict
