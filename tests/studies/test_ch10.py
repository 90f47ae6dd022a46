"""The figures of speed and agreement: bars as long as their numbers, and a path a seed."""

from itertools import product

import pytest

from studies.figures import ch10


@pytest.mark.parametrize("sizes", [(32,), (32, 64), (32, 64, 128)])
def test_speeds_show_a_panel_for_each_shape_and_a_bar_for_each_model(check_figure, sizes: tuple[int, ...]):
    models, names = ("BEGAN", "BEGAN-CS"), {"ports": "the ports", "began": "ours"}
    keys = [*product(models, ("ports", "began", "other"), sizes), ("BEGAN", "began", 256)]
    rows = [{**dict(zip(("model", "mode", "size"), key, strict=True)), "n": 8, "batch": 4} for key in keys]
    for ratio, row in enumerate(rows[:-1], 2):  # the last has not fit into memory
        row.update(ratio=ratio, ratio_low=ratio - 0.5, ratio_high=ratio + 0.25)
    panels = check_figure(ch10.show_speeds(rows, names))
    assert panels[0].rows == list(names.values())
    for panel, size in zip(panels, sizes, strict=True):
        assert panel.title == f"{size}x{size}, $n$ = 8, batch 4"
        for row in (row for row in rows if row["size"] == size):
            y = ["ports", "began", "other"].index(row["mode"])
            bar = panel.at(row["ratio"], y, dy=0.4)
            assert bar.name == row["model"] if y < 2 else not bar
            assert y == 2 or panel.has([row["ratio_low"], row["ratio_high"]], y, dy=0.4)


@pytest.mark.parametrize("seeds", [1, 3])
def test_agreement_joins_the_runs_of_a_seed_and_marks_medians(check_figure, seeds: int):
    keys = product(("BEGAN", "BEGAN-CS"), ("reference", "float32"), range(seeds))
    rows = [{"model": model, "way": way, "seed": seed, "ratio": 0.5, "sample_std": 0.1} for model, way, seed in keys]
    for row in rows:
        row["M"] = row["seed"] + (row["way"] == "float32")
    M, _, _, other, *_ = check_figure(ch10.show_agreement(rows))
    assert (M.title, other.title) == ("$M$, BEGAN", "$M$, BEGAN-CS")
    assert other.ticks == ["reference", "float32"]
    for panel in (M, other):
        assert all(panel.curve([0, 1], [seed, seed + 1]) for seed in range(seeds))
        assert panel.level(seeds // 2, 0)
        assert panel.level(seeds // 2 + 1, 1)


def test_speeds_of_this_machine_are_points_in_the_row_of_their_way(check_figure):
    (panel,) = check_figure(ch10.show_speeds_here({"reference": [3.0, 4.0], "began": [6.0, 7.0]}))
    assert panel.rows == ["reference", "began"]
    assert panel.has([3, 4], 0)
    assert panel.has([6, 7], 1)
