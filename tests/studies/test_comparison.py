"""The comparison of all methods: its stages, what a stop leaves, and the table."""

import json
from pathlib import Path

import pytest
import torch

from studies import comparison, runner
from studies.comparison import Lab
from studies.statistics import interval
from studies.toy.methods import METHODS
from studies.toy.sweeps import MEMBERS

CPU = torch.device("cpu")


SMALL = Lab(
    settings=3,
    search_steps=3,
    seeds=3,
    steps=4,
    problems=("grid", "ring"),
    wide={"began_cs": 5},
    wide_steps=2,
    refine_steps=2,
    refined=2,
)


def rows_of(rows, **known):
    return [row for row in rows if all(row[name] == value for name, value in known.items())]


def test_every_method_gets_the_same_search_on_seeds_that_are_not_reported():
    efforts, lab = set(), Lab()
    for method in METHODS:
        batch = next(comparison.same_for_all(method, lab))
        runs = [run for one in batch for run in one.job.runs]
        efforts.add((len(runs), *{(one.stage, one.data, one.job.steps) for one in batch}))
        assert len({json.dumps(setting) for setting, _ in runs}) == lab.settings
        assert {seed for _, seed in runs}.isdisjoint(range(lab.seeds))
    assert efforts == {(lab.settings * len(comparison.SEARCH_SEEDS), ("search", "grid", lab.search_steps))}
    assert lab.seeds >= 10


def test_began_cs_gets_two_hundred_settings_more():
    batch = next(comparison.at_its_best("began_cs", Lab()))
    assert len({json.dumps(setting) for one in batch for setting, _ in one.job.runs}) == 200
    assert all(len(one.job.runs) <= MEMBERS for one in batch)


@pytest.mark.usefixtures("here")
def test_the_best_setting_of_the_search_is_reported_and_nothing_is_trained_twice(tmp_path: Path, monkeypatch):
    plans = [comparison.same_for_all(method, SMALL) for method in ("gan", "rgan")]
    rows = runner.carry_out([*plans, comparison.at_its_best("began_cs", SMALL)], SMALL, tmp_path, CPU).rows
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

    monkeypatch.setattr(comparison, "train_job", lambda *_: pytest.fail("trained twice"))
    again = runner.carry_out([comparison.same_for_all("gan", SMALL)], SMALL, tmp_path, CPU).rows
    assert again == rows_of(rows, method="gan")

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
    assert {line["seeds"] for line in table} == {Lab().seeds}
