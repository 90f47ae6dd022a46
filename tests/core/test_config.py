"""A run's record: round trips, and what it refuses."""

import dataclasses

import pytest

from began.config import PRESETS, TrainConfig


@pytest.mark.parametrize("preset", PRESETS)
def test_json_round_trip(preset):
    config = TrainConfig.preset(preset, size=64, count=100, gamma=0.7, skip=True, ema=0.99)
    assert TrainConfig.from_json(config.to_json()) == config
    assert dataclasses.replace(config, gamma=0.3).gamma == 0.3


def test_presets_hold_what_distinguishes_the_papers():
    began, constrained = TrainConfig.preset("began"), TrainConfig.preset("began_cs")
    assert (began.alpha, began.norm) == (0, "l1")
    assert (constrained.alpha, constrained.norm, constrained.lr_patience) == (0.1, "l2", 0)


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().gamma = 0.1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 48}, r"size must be one of \(16, 32, 64, 128, 256\), got 48"),
        ({"size": 512}, "size must be at least 16 and at most 256, got 512"),
        ({"channels": 2}, "channels must be 1 or 3, got 2"),
        ({"gamma": 1.5}, "gamma must be at least 0 and at most 1, got 1.5"),
        ({"gamma": float("nan")}, "gamma .* got nan"),
        ({"gamma": "0.5"}, "gamma must be float, got '0.5'"),
        ({"lr": 0.0}, "lr must be at least .* got 0"),
        ({"lr": float("inf")}, "lr must be .* got inf"),
        ({"grain": -0.1}, "grain must be at least 0 and at most 2, got -0.1"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"batch": 2.5}, "batch must be int, got 2.5"),
        ({"steps": True}, "steps must be int, got True"),
        ({"skip": 1}, "skip must be bool, got 1"),
        ({"norm": "l3"}, r"norm must be one of \('l1', 'l2'\), got 'l3'"),
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"ema": 1.0}, "ema must be at least 0 and at most 0.999999, got 1.0"),
    ],
)
def test_values_that_are_not_allowed_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**changes)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="config has no field gama"):
        TrainConfig.from_dict({"gama": 0.5})
    with pytest.raises(ValueError, match=r"preset must be one of .*got 'wgan'"):
        TrainConfig.preset("wgan")


def test_whole_numbers_stand_for_floats():
    assert TrainConfig(gamma=1).gamma == 1
