"""What chapter 8 reads off its inversions."""

import pytest
import torch

from studies.readings import ch08 as readings


def test_a_search_is_worth_what_it_takes_to_be_as_near():
    way = {"iterations": [0, 1, 3, 10], "error": [0.8, 0.6, 0.4, 0.3]}
    assert readings.worth(way, 0.6) == pytest.approx(1)
    assert readings.worth(way, 0.5) == pytest.approx(2)
    assert readings.worth(way, 0.9) == 0


def test_an_attribute_has_the_largest_effect_of_its_columns():
    effects = torch.tensor([[0.5, -3.0, 1.0, -0.2]])
    found, names = readings.by_attribute(effects, ["yaw", "beard: none", "beard: full", "light"])
    assert names == ["yaw", "beard", "light"]
    torch.testing.assert_close(found, torch.tensor([[0.5, 3.0, 0.2]]))


def test_claims_hold_on_the_side_of_their_line_that_they_name():
    values = [1.0, 1.1, 0.9]
    for line, below, verdict in (
        (0.5, False, "reproduced"),
        (1.0, False, "open"),
        (2.0, False, "not reproduced"),
        (0.5, True, "not reproduced"),
        (2.0, True, "reproduced"),
    ):
        claim = readings._tested("C6", "", values, "", "faces", line, "", below=below)
        assert claim.verdict == verdict


def test_searches_gain_nearly_all_in_the_first_thousand_iterations():
    runs = readings.load_runs()
    for key in readings.BOTH:
        rows = runs[key]
        for row, left in zip(rows, readings.still_to_gain(rows), strict=True):
            path = row["errors"]["random"]
            errors = [path["error"][path["iterations"].index(at)] for at in (0, 1000, 10_000)]
            assert errors[1] == pytest.approx(errors[2] + left * (errors[0] - errors[2]))


def test_axes_and_random_directions_share_all_that_is_moved_most():
    rows = readings.load_runs()["faces", "BEGAN-CS"]
    everything = readings.moved_most(rows, first=100)
    for column in list(everything.values())[1:]:
        assert sum(float(cell.split()[0]) for cell in column) == pytest.approx(64, abs=4)  # whole numbers are shown
