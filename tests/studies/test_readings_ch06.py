"""What chapter 6 reads off its runs: numbers that can be counted by hand."""

import numpy as np
import pytest

from began.collapse import Reading
from studies.readings import ch06 as readings


def row(cells: list[float], k: list[float], spread: float = 0.5, **changes) -> dict:
    """A run that is read every 100 steps, and whose samples are measured every 250."""
    step = [100 * (i + 1) for i in range(len(k))]
    stops = {"step": [250 * (i + 1) for i in range(len(cells))], "cells": cells, "reader_frechet": cells}
    curve = {"step": step, "k": k, "M": np.linspace(2, 1, len(k)).tolist(), "loss_real": [0.9] * len(k)}
    read = {"step": step, **dict.fromkeys(Reading._fields, k), "spread": [spread] * len(k)}
    parts = {"stops": stops, "curve": curve, "readings": read}
    return {"model": "BEGAN", "data": "faces", "seed": 3, "steps": step[-1], "ended": None, **parts, **changes}


LOST = row([0.3, 0.05, 0.05, 0.05], [0.1] * 6 + [0.01] * 6)
WELL = row([0.5, 0.6, 0.7, 0.5], [0.1] * 12)


def test_fates_are_spans_over_the_runs_of_a_group():
    columns = readings.fates({"lost": [LOST, LOST], "well": [WELL, row([0.4] * 4, [0.1] * 12)]})
    assert columns["lost"] == ["2 of 2", "500", "0.30", "0.05", "90%", "0.50", "1.000"]
    assert columns["well"] == ["0 of 2", "", "0.40 to 0.70", "0.40 to 0.50", "0%", "0.50", "1.000"]
    assert len(columns[""]) == 7


def test_k_falls_at_the_first_reading_well_below_its_highest():
    assert readings.falls_at(LOST) == 700
    assert readings.falls_at(WELL) == np.inf


def test_collapses_say_how_k_and_m_went():
    columns, rise = readings.collapses([LOST, LOST])
    (title, names), (_, values) = columns.items()
    assert title == "in 2 runs that collapsed"
    assert rise == 1
    assert dict(zip(names, values, strict=True))["... with it or later"] == "2"


def test_ends_are_held_against_the_bound_at_their_coverage():
    pairs = {"runs": [np.array([[0.5, 0.4], [0.05, 0.01]]), np.array([[0.5, 0.4], [0.5, 0.4]])]}
    columns = readings.ends(pairs, {"runs": ([0.0, 1.0], [0.0, 1.0])})
    assert [values[0] for values in columns.values()] == ["runs", 2, 2, pytest.approx(3.125), 1, 1]


def test_blow_ups_start_at_the_first_reading_of_samples_that_are_no_pictures():
    wild = row([0.5] * 4, [0.1] * 12)
    wild["readings"]["spread"] = [0.5] * 8 + [9.0] * 4
    assert readings.blown_at(wild) == 900
    assert readings.blown_at(WELL) is None
    columns = readings.blow_ups([WELL, wild])
    assert columns["blown up at step"] == [900]
    assert columns["monitor, steps later"] == [200], "the first reading that is judged"
    assert columns["M alone, steps later"] == [None]


def test_alarms_ring_in_healthy_readings_only_until_the_collapse():
    assert readings.ringing([WELL], lambda row: [True] * 11 + [False]) == 0.5
    late = row([0.5] * 4 + [0.05] * 2, [0.1] * 15)
    assert readings.ringing([late], lambda row: [False] * 11 + [True] * 4) == pytest.approx(1 / 2)


def test_a_run_is_saved_that_goes_through_to_a_good_end():
    assert readings.saved(WELL)
    assert not readings.saved(LOST)
    assert not readings.saved({**WELL, "ended": "given up"})
    far = {"pixel_frechet": [0.4, 0.6]}
    assert not readings.saved({"data": "photographs", "stops": far, "ended": None})


@pytest.mark.parametrize(
    ("rate", "on", "sees", "verdict"),
    [
        ((0.9, 0.7, 1.0), 0.0, True, "reproduced"),
        ((0.9, 0.7, 1.0), 0.0, False, "not reproduced"),
        ((0.1, 0.0, 0.3), 0.0, False, "reproduced"),
        ((0.5, 0.3, 0.7), 0.0, True, "open"),
        ((0.9, 0.7, 1.0), 0.3, True, "differs"),
    ],
)
def test_a_verdict_goes_by_the_whole_interval_and_by_false_alarms(rate, on: float, sees: bool, verdict: str):
    assert readings.verdict(rate, on, sees) == verdict


def test_claims_have_a_line_for_each_detector_and_set():
    claims = readings.claims(readings.judge({"faces": [LOST, WELL], "toy": [LOST, WELL]}))
    assert [(one.data, one.seeds, one.ours) for one in claims] == [
        *(("faces", 1, ours) for ours in (1, 0, 1)),
        *(("toy", 1, ours) for ours in (1, 0, 1)),
    ]
