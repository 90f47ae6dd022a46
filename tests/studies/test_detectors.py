"""Ground truth, detectors and their scores, on runs made up by hand."""

import pytest
from scipy import stats

from studies.detectors import (
    DETECTORS,
    EARLY,
    LOST,
    M_alone,
    Score,
    collapsed_at,
    coverage,
    evaluate,
    k_alone,
    lost_at,
    monitor,
    readings,
    survival,
)


def run(cells, *, k=0.1, M=0.1, spread=0.5, every=250) -> dict:
    """Return a row of a run on faces: a measurement every 250 steps, a reading every 100, points of curves every 50."""
    steps = every * len(cells)
    count = steps // 100

    def column(value, points):
        return [value(100 * i * count / points) if callable(value) else value for i in range(1, points + 1)]

    seen = {"k": column(k, count), "spread": column(spread, count)}
    rest = {name: [1.0] * count for name in ("var_real", "var_fake", "top")}
    return {
        "data": "faces",
        "steps": steps,
        "ended": None,
        "curve": {"step": [50 * i for i in range(1, 2 * count + 1)], "M": column(M, 2 * count)},
        "readings": {"step": [100 * i for i in range(1, count + 1)], **seen, **rest},
        "stops": {"step": [every * i for i in range(1, len(cells) + 1)], "cells": cells},
    }


GOOD, BAD = 4 * LOST, LOST / 2


def test_coverage_is_that_of_modes_or_cells():
    assert coverage({"stops": {"modes": [5, 25]}}) == [0.2, 1]
    assert coverage({"stops": {"cells": [0.3]}}) == [0.3]
    with pytest.raises(ValueError, match="got data 'photographs'"):
        coverage({"data": "photographs", "stops": {"pixel_std": [0.1]}})


def test_a_run_collapsed_where_coverage_stays_low_to_the_end():
    assert collapsed_at(run([GOOD] * 8 + [BAD] * 4)) == 9 * 250
    assert collapsed_at(run([GOOD] * 12)) is None
    assert collapsed_at(run([GOOD] * 4 + [BAD] * 4 + [GOOD] * 4)) is None, "it came back"
    assert collapsed_at(run([GOOD] * 4 + [BAD] * 4 + [GOOD] + [BAD] * 3)) == 5 * 250, "one odd reading"
    assert collapsed_at(run([BAD] * 12)) == 250


def test_a_run_is_lost_where_one_picture_would_do_as_well():
    row = {
        "steps": 1000,
        "ended": None,
        "stops": {"step": [250, 500, 750, 1000], "pixel_frechet": [1.2, 0.5, 1.1, 1.0]},
    }
    assert lost_at(row) == 750
    row["stops"]["pixel_frechet"][-1] = 0.9
    assert lost_at(row) is None
    row["stops"]["pixel_frechet"][-1] = float("nan")
    assert lost_at(row) == 750
    row["stops"]["pixel_frechet"][-2:] = [0.6, 0.9]
    assert lost_at({**row, "ended": "a loss is not finite at step 1100"}) == 1000
    assert collapsed_at({**run([GOOD] * 12), "ended": "a loss is not finite"}) == 3000


def test_the_detectors_see_what_they_are_named_for():
    healthy = run([GOOD] * 12)
    k_falls = run([GOOD] * 12, k=lambda step: 0.1 if step <= 2000 else 0.03)
    M_rises = run([GOOD] * 12, M=lambda step: 0.1 if step <= 2000 else 0.12)
    alike = run([GOOD] * 12, spread=lambda step: 0.5 if step <= 2000 else 0.01)
    for detector in DETECTORS.values():
        assert not any(detector(healthy))
        assert len(detector(healthy)) == len(readings(healthy)) == 30
    seen = [[any(detector(row)) for detector in (monitor, k_alone, M_alone)] for row in (k_falls, M_rises, alike)]
    assert seen == [[True, True, False], [False, False, True], [True, False, False]]
    assert k_alone(k_falls).index(True) == M_alone(M_rises).index(True) + 1 == 21, "a median of three lags by one"


def test_alarms_are_counted_as_leads_lags_and_false_ones():
    collapse = [GOOD] * 12 + [BAD] * 8  # from step 3 250 on

    def alarm_at(*steps):
        return lambda row: [step in steps for step in row["readings"]["step"]]

    row = run(collapse)
    assert collapsed_at(row) == 3250
    score = evaluate([row], alarm_at(3400, 3500))
    assert (score.found, score.lags, score.false_alarms) == (1, [150], 0)
    assert score.healthy_steps == 3250 - EARLY
    assert evaluate([row], alarm_at(2600)).lags == [-650]
    score = evaluate([row], alarm_at(1000, 1100, 1500))
    assert (score.found, score.false_alarms) == (0, 2), "one that lasts counts once"
    score = evaluate([run([GOOD] * 20)], alarm_at(4900))
    assert (score.collapsed, score.false_alarms, score.healthy_steps) == (0, 1, 5000)


def test_an_alarm_that_lasts_into_a_collapse_is_meant_for_it_and_false_before():
    row = run([GOOD] * 12 + [BAD] * 8)
    score = evaluate([row], lambda row: [step >= 1000 for step in row["readings"]["step"]])
    assert (score.lags, score.false_alarms) == ([-950], 1)


def test_scores_are_rates():
    score = Score(collapsed=4, lags=[-200, 100, 500], false_alarms=3, healthy_steps=20_000)
    assert score.found == 3
    assert score.lag == 100
    assert score.false_rate == pytest.approx(1.5)
    rate, low, high = score.rate
    assert rate == 0.75
    z = stats.norm.ppf(0.975)  # Wilson's interval, written out
    centre, half = (0.75 + z**2 / 8) / (1 + z**2 / 4), z / (1 + z**2 / 4) * (0.75 * 0.25 / 4 + z**2 / 64) ** 0.5
    assert (low, high) == pytest.approx((centre - half, centre + half))


def test_runs_that_were_not_lost_are_censored():
    rows = [run([GOOD] * 4 + [BAD] * 4), run([GOOD] * 8), run([GOOD] * 2 + [BAD] * 6)]
    curve = stats.ecdf(survival(rows, collapsed_at)).sf
    assert curve.quantiles.tolist() == [750, 1250, 2000]
    assert curve.probabilities.tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3])
