"""What chapter 10 reads off benchmarks: hours from speeds and counts."""

import pytest

from studies.readings import ch10


def row(size: int, n: int, mode: str, **values: float) -> dict:
    return {"model": "BEGAN", "size": size, "n": n, "batch": 16, "mode": mode, **values}


SHAPES = [(32, 32), (32, 64), (64, 32), (64, 64), (64, 128)]


def test_hours_are_images_over_speed_and_operations_over_a_third_of_the_peak():
    rows = [
        row(*one, mode, images_per_s=100.0, peak_mib=512) for one in SHAPES for mode in ("began", "began, bfloat16")
    ]
    columns = ch10.hours(rows, lambda size, n, batch: 65 * 10**9 * batch if n == 128 else 1)
    assert columns["float32, h"] == ["4.4"] * 5  # 1.6 million images
    assert columns["peak, GiB"] == ["0.5"] * 5
    assert columns["T4, h"] == ["< 0.1"] * 4 + ["1.3"]  # 1e5 steps of 1.04e12 operations at 2.17e13 a second


def test_celeba_is_a_hundred_epochs_at_a_batch_of_64():
    columns = ch10.celeba(lambda size, n, batch: 10**12)
    steps = 100 * 202_599 / 64
    assert columns["H100, h"] == pytest.approx([steps * 1e12 / (989e12 / 3) / 3600] * 4)


def test_a_floor_has_a_row_a_model_and_shape_and_a_column_a_way():
    rows = [row(64, 8, "ports", floor_share=0.2), row(64, 8, "began", floor_share=0.5), row(16, 8, "began")]
    columns = ch10.floors(rows, {"ports": "the ports", "began": "ours"})
    assert columns == {"share of the floor": ["BEGAN, 64x64, $n$ = 8"], "the ports": [0.2], "ours": [0.5]}


def test_runs_are_compared_with_the_reference_by_their_medians():
    ends = {"reference": (1.0, 2.0, 3.0), "float32": (4.0, 5.0, 6.0), "bfloat16": (1.0, 2.0, 3.0)}
    rows = [
        {"model": model, "way": way, **dict.fromkeys(ch10.MEASURES, value)}
        for model in ("BEGAN", "BEGAN-CS")
        for way, values in ends.items()
        for value in values
    ]
    columns = ch10.agreement(rows)
    assert columns[""][0] == "BEGAN, $M$"
    assert columns["reference"] == ["2.000"] * 8
    assert columns["float32 ($p$)"] == ["5.000 (0.10)"] * 8
    assert columns["bfloat16 ($p$)"] == ["2.000 (1.00)"] * 8
