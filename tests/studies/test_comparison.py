"""The comparison of all methods: its stages, what a stop leaves, and the table."""

import json
from pathlib import Path

import pytest
import torch

from studies import comparison
from studies.statistics import interval
from studies.toy.methods import METHODS
from studies.toy.sweeps import MEMBERS

CPU = torch.device("cpu")


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setattr(comparison, "SETTINGS", 3)
    monkeypatch.setattr(comparison, "SEARCH_STEPS", 3)
    monkeypatch.setattr(comparison, "SEEDS", (0, 1, 2))
    monkeypatch.setattr(comparison, "STEPS", {"grid": 4, "ring": 2})
    monkeypatch.setattr(comparison, "WIDE_SETTINGS", {"began_cs": 5})
    for name in ("WIDE_STEPS", "REFINE_STEPS", "BEST_STEPS", "REFINED"):
        monkeypatch.setattr(comparison, name, 2)


def rows_of(rows, **known):
    return [row for row in rows if all(row[name] == value for name, value in known.items())]


def test_every_method_gets_the_same_search_on_seeds_that_are_not_reported():
    efforts = set()
    for method in METHODS:
        stage, batch = next(comparison.same_for_all(method))
        runs = [run for job in batch for run in job.runs]
        efforts.add((stage, len(runs), *{(job.problem, job.steps) for job in batch}))
        assert len({json.dumps(setting) for setting, _ in runs}) == comparison.SETTINGS
        assert {seed for _, seed in runs}.isdisjoint(comparison.SEEDS)
    assert efforts == {
        ("search", comparison.SETTINGS * len(comparison.SEARCH_SEEDS), ("grid", comparison.SEARCH_STEPS))
    }
    assert len(comparison.SEEDS) >= 10


def test_began_cs_gets_two_hundred_settings_more():
    _, batch = next(comparison.at_its_best("began_cs"))
    assert len({json.dumps(setting) for job in batch for setting, _ in job.runs}) == 200
    assert all(len(job.runs) <= MEMBERS for job in batch)


@pytest.mark.usefixtures("small")
def test_the_best_setting_of_the_search_is_reported_and_nothing_is_trained_twice(tmp_path: Path, monkeypatch):
    plans = [comparison.same_for_all("gan"), comparison.same_for_all("rgan"), comparison.at_its_best("began_cs")]
    rows = comparison.carry_out(plans, tmp_path, CPU)
    assert len(rows_of(rows, method="gan", stage="search")) == 3 * 2
    (best, _), *_ = comparison.by_setting(rows_of(rows, method="gan", stage="search"))
    reported = rows_of(rows, method="gan", stage="report")
    assert [row["setting"] for row in reported] == [best] * 6
    assert sorted((row["problem"], row["seed"]) for row in reported) == [
        (problem, seed) for problem in ("grid", "ring") for seed in range(3)
    ]
    assert {row["problem"] for row in rows_of(rows, method="rgan", stage="report")} == {"grid"}
    assert len(rows_of(rows, stage="wide")) == 5
    assert len(rows_of(rows, stage="refine")) == 2 * 2
    (best, _), *_ = comparison.by_setting(rows_of(rows, stage="refine"))
    assert [row["setting"] for row in rows_of(rows, stage="best")] == [best] * 3

    monkeypatch.setattr(comparison, "train_job", None)  # would fail in this process; workers read the files
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = comparison.carry_out([comparison.same_for_all("gan")], tmp_path, CPU)
    assert again == rows_of(rows, method="gan")
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    lines = comparison.table(rows)
    assert [line["problem"] for line in lines] == ["grid"] * 3 + ["ring"]
    line = next(line for line in lines if (line["problem"], line["method"]) == ("grid", "gan"))
    mean, low, high = interval([row["modes"] for row in reported if row["problem"] == "grid"])
    assert (line["modes"], line["modes_low"], line["modes_high"]) == (mean, low, high)
    assert (line["seeds"], line["settings_tried"], line["search"]) == (3, 3, "search")
    assert next(line["settings_tried"] for line in lines if line["search"] == "wide") == 5


def test_the_committed_table_is_that_of_the_committed_rows():
    rows, table = comparison.load_rows(), comparison.load_table()
    assert comparison.table(rows) == table
    grid = [line for line in table if line["problem"] == "grid"]
    assert {line["method"] for line in grid} == set(METHODS)
    assert {line["seeds"] for line in table} == {len(comparison.SEEDS)}
