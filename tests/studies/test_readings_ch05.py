"""What chapter 5 reads off the trials."""

import pytest

from studies.readings import ch05 as readings


def row(gamma: float, seed: int, value: float) -> dict:
    return {"setting": {"gamma": gamma}, "seed": seed, "final": {"x": value}}


def test_ranks_agree_seed_by_seed_from_the_least_gamma_on():
    rows = [row(g, seed, v) for seed, values in enumerate(((9, 1, 2, 3), (9, 3, 1, 2))) for g, v in enumerate(values)]
    assert readings.correlations(rows, "x", 1) == pytest.approx([1, -0.5])
    assert readings.correlations(rows, "x", 0) == pytest.approx([-0.2, -0.8])


def test_a_low_gamma_allows_less_the_more_alike_the_losses_are():
    runs = readings.load_runs()
    columns = readings.allowed(runs, (0.5, 0.9))
    faces, photographs = (dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True))
    assert float(faces["$r$"]) < float(photographs["$r$"])
    for at in ("at 0.5", "at 0.9"):
        assert 0 <= float(faces[at].rstrip("%")) < float(photographs[at].rstrip("%")) < 100


def test_the_best_gamma_is_compared_where_it_was_run():
    runs = readings.load_runs()
    best = readings.best_gamma(runs)
    for data, nearest in (("faces", best), ("photographs", 0.9)):
        groups = readings.compared(runs, data)
        assert {one["setting"]["gamma"] for one in groups["BEGAN"]} == {nearest}
        assert [len(groups[model]) for model in ("BEGAN", "EBGAN", "WGAN-GP")] == [5, 5, 5]
