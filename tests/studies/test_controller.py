"""The plant and its loop against closed forms, and recordings against the rule that made them."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from began.runs.artifacts import artifacts_folder
from studies import controller
from studies.controller import Branch, Lab, Recording, load_recordings
from studies.plant import (
    Plant,
    closed_loop,
    fit_plant,
    largest_gain,
    r_squared,
    simulate,
    spectral_radius,
    step_response,
)

SLOW = Plant((0.9,), 0.5)
TWO_POLES = Plant((0.9, -0.14), 0.6, delay=2, base=0.5)  # poles 0.2 and 0.7


def by_hand(plant: Plant, k: np.ndarray) -> list[float]:
    """The recursion as the docstring has it, from rest at k[0]."""
    y = [plant.gain * k[0]] * 2
    for t in range(len(k) - 1):
        past = k[t - plant.delay] if t >= plant.delay else k[0]
        y.append(sum(a * y[-1 - i] for i, a in enumerate(plant.a)) + plant.b * past)
    return [plant.base + value for value in y[1:]]


def swung(steps: int, seed: int = 0) -> np.ndarray:
    signs = np.cumprod(np.where(np.random.default_rng(seed).random(steps) < 0.05, -1, 1))
    return 0.06 + 0.02 * signs


@pytest.mark.parametrize("plant", [SLOW, TWO_POLES])
def test_the_answer_is_the_recursion(plant):
    k = swung(60)
    np.testing.assert_allclose(plant.answer(k), by_hand(plant, k))
    settled = plant.answer(np.r_[0.1, np.full(400, 0.2)])
    assert settled[0] == pytest.approx(plant.base + 0.1 * plant.gain)
    assert settled[-1] == pytest.approx(plant.base + 0.2 * plant.gain)


def test_the_gain_is_that_of_a_lasting_change():
    assert SLOW.gain == pytest.approx(5)
    assert TWO_POLES.gain == pytest.approx(0.6 / 0.24)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": ()}, "at least one coefficient"),
        ({"a": (0.5,), "delay": -1}, "delay and noise must be at least 0, got -1"),
        ({"a": (0.5,), "noise": -0.1}, "delay and noise must be at least 0, got 0 and -0.1"),
        ({"a": (1.0,)}, "poles within the unit circle"),
        ({"a": (0.9, 0.2)}, "poles within the unit circle"),
    ],
)
def test_plants_that_are_none_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Plant(b=1.0, **arguments)


@pytest.mark.parametrize("plant", [SLOW, TWO_POLES])
def test_a_fit_finds_the_plant_under_noise_and_drift(plant):
    k, rng = swung(4000), np.random.default_rng(1)
    time = np.linspace(-1, 1, len(k))
    drift = 0.3 * time - 0.2 * time**3
    ratio = plant.answer(k) + drift + 0.05 * rng.standard_normal(len(k))
    found = fit_plant(k, ratio, order=len(plant.a), delay=plant.delay)
    assert found.gain == pytest.approx(plant.gain, rel=0.05)
    assert found.answer(k) + drift == pytest.approx(plant.answer(k) + drift, abs=0.02)
    assert sorted(np.roots([1, *np.negative(found.a)])) == pytest.approx(
        sorted(np.roots([1, *np.negative(plant.a)])), abs=0.12
    )
    assert found.noise == pytest.approx(0.05, rel=0.03)
    assert found.base == pytest.approx(plant.base, abs=0.02)
    assert found.delay == plant.delay


def test_noise_does_not_pull_the_pole_down():
    """Regression on past ratios, the usual short cut, takes the noise for a fast plant."""
    k = swung(6000)
    ratio = SLOW.answer(k) + 0.2 * np.random.default_rng(2).standard_normal(len(k))
    past = np.stack([ratio[:-1] - ratio.mean(), k[:-1] - k.mean()], 1)
    short_cut = np.linalg.lstsq(past, ratio[1:] - ratio.mean(), rcond=None)[0][0]
    assert short_cut < 0.5
    assert fit_plant(k, ratio).a[0] == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize(
    ("k", "ratio", "order", "message"),
    [
        (np.arange(5), np.arange(4), 1, r"one length, got \(5,\) and \(4,\)"),
        (np.ones((2, 5)), np.ones((2, 5)), 1, "sequences of one length"),
        (np.arange(5), np.arange(5), 3, "order must be 1 or 2, got 3"),
        (np.ones(5), np.arange(5), 1, "k must move"),
    ],
)
def test_a_fit_refuses_what_cannot_be_fitted(k, ratio, order, message):
    with pytest.raises(ValueError, match=message):
        fit_plant(k, ratio, order)


def test_explained_is_the_share_of_the_variance():
    k = swung(3000)
    clean = SLOW.answer(k) + np.linspace(0, 4, len(k)) ** 2
    assert r_squared(SLOW, k, clean) == pytest.approx(1)
    assert r_squared(Plant((0.9,), 0.0), k, clean) == pytest.approx(0)
    signal = SLOW.answer(k).std()
    noisy = clean + signal * np.random.default_rng(3).standard_normal(len(k))
    assert r_squared(SLOW, k, noisy) == pytest.approx(0.5, abs=0.04)


def test_the_loop_of_one_pole_is_quadratic():
    np.testing.assert_allclose(closed_loop(SLOW, 0.1), [1, -1.9, 0.9 + 0.05])


def state_matrix(plant: Plant, gain: float) -> np.ndarray:
    """The loop as one linear map of (y, the k on their way, k), deviations from rest."""
    order, size = len(plant.a), len(plant.a) + plant.delay + 1
    matrix = np.zeros((size, size))
    matrix[0, :order] = plant.a
    matrix[0, -1 if plant.delay == 0 else order] = plant.b
    for i in range(1, order):
        matrix[i, i - 1] = 1
    for i in range(order, order + plant.delay):
        matrix[i, i + 1] = 1
    matrix[-1, 0], matrix[-1, -1] = -gain, 1
    return matrix


@pytest.mark.parametrize("gain", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("plant", [SLOW, TWO_POLES, Plant((0.5, 0.2), 0.3)])
def test_the_radius_is_that_of_the_state_matrix(plant, gain):
    assert spectral_radius(plant, gain) == pytest.approx(abs(np.linalg.eigvals(state_matrix(plant, gain))).max())


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.7, 1.4), (0.99, 0.02)])
def test_the_largest_gain_of_one_pole_is_jurys(a, b):
    assert largest_gain(Plant((a,), b)) == pytest.approx((1 - a) / b)


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
def test_the_largest_gain_of_a_delay_is_levins(delay):
    """x_{t+1} = x_t - q x_{t-n} is stable for q < 2 sin(pi / (4 n + 2)); a plant without a pole adds one step."""
    n = delay + 1
    assert largest_gain(Plant((0.0,), 1.0, delay)) == pytest.approx(2 * math.sin(math.pi / (4 * n + 2)))


def test_a_plant_that_falls_has_no_largest_gain():
    with pytest.raises(ValueError, match="ratio must rise with k, got a plant of gain -5"):
        largest_gain(Plant((0.9,), -0.5))


@pytest.mark.parametrize("plant", [SLOW, TWO_POLES])
def test_a_step_of_the_loop_is_what_the_simulator_does(plant):
    gain = 0.3 * largest_gain(plant)
    level = plant.base + 0.5 * plant.gain  # far from the clip
    _, ratio = simulate(plant, level + 0.1, gain, 300, k_0=0.5)
    step = step_response(plant, gain, 300)
    np.testing.assert_allclose(step.ratio, (ratio - level) / 0.1, atol=1e-9)
    assert step.overshoot == pytest.approx(step.ratio.max() - 1)
    late = int(step.settling)
    assert (abs(step.ratio[late:] - 1) <= 0.05).all()
    assert abs(step.ratio[late - 1] - 1) > 0.05


def test_a_slow_loop_settles_as_an_exponential_and_does_not_overshoot():
    gain = 1e-3 / SLOW.gain
    step = step_response(SLOW, gain, 6000)
    assert step.settling == pytest.approx(math.log(20) / 1e-3, rel=0.02)
    assert step.overshoot == 0
    assert step_response(SLOW, gain, 1000).settling == math.inf


def test_the_simulator_clips_and_goes_on_from_the_clip():
    plant = Plant((0.5,), 1.0, base=0.4)
    gamma = np.r_[np.full(100, 0.2), np.full(100, 0.9)]
    k, ratio = simulate(plant, gamma, 0.05, 200, k_0=0.1)
    assert k.min() == 0
    assert (k >= 0).all()
    for t in range(199):
        assert k[t + 1] == pytest.approx(np.clip(k[t] + 0.05 * (gamma[t] - ratio[t]), 0, 1))
    assert k[101] > 0, "at once"
    np.testing.assert_allclose(ratio, plant.answer(k))
    assert simulate(plant, 9.0, 0.5, 60)[0].max() == 1


def test_wind_up_waits_until_the_sum_is_back():
    plant = Plant((0.5,), 1.0, base=0.4)
    gamma = np.r_[np.full(100, 0.2), np.full(150, 0.9)]
    k, ratio = simulate(plant, gamma, 0.05, 250, k_0=0.1, wind_up=True)
    total = 0.1 + np.r_[0, np.cumsum(0.05 * (gamma - ratio))[:-1]]
    np.testing.assert_allclose(k, np.clip(total, 0, 1))
    first = np.flatnonzero(k[100:] > 0)[0]
    assert first == pytest.approx(-total[100] / (0.05 * 0.5), abs=1.5)
    assert first > 20


def test_noise_and_disturbances_are_added_to_the_ratio():
    plant = Plant((0.5,), 1.0, base=0.4, noise=0.1)
    _, ratio = simulate(plant, 0.0, 1e-9, 5000, disturbance=np.r_[np.zeros(2500), np.ones(2500)])
    assert ratio[:2500].std() == pytest.approx(0.1, rel=0.05)
    assert ratio[2500:].mean() - ratio[:2500].mean() == pytest.approx(1, abs=0.01)
    assert (simulate(plant, 0.5, 0.1, 50, seed=1)[1] != simulate(plant, 0.5, 0.1, 50, seed=2)[1]).all()
    assert (simulate(plant, 0.5, 0.1, 50, seed=1)[1] == simulate(plant, 0.5, 0.1, 50, seed=1)[1]).all()


def test_branches_hold_what_the_chapter_compares():
    found = controller.branches()
    swing = np.array(found["dither"].swing)
    assert set(swing.round(6)) == {0.6, 1.4}
    assert 15 < (np.diff(swing) != 0).sum() < 70
    assert {name for name, branch in found.items() if branch.wind_up} == {"wind-up"}
    assert found["clip"]._replace(wind_up=True) == found["wind-up"]
    assert [found[f"lambda {value:g}"].lambda_k for value in controller.LAMBDAS] == list(controller.LAMBDAS)


def follows(recorded: np.ndarray, branch: Branch, *, scale_free: bool = False) -> None:
    """Check that k moved by the rule: recorded has L(x), L(G(z)) and the k of each step, `(3, steps)`."""
    real, fake, k = recorded.astype(float)
    error = branch.gamma[: len(k)] * real - fake
    change = branch.lambda_k * (error / real if scale_free else error)
    if branch.wind_up:
        np.testing.assert_allclose(k[1:], np.clip(k[0] + np.cumsum(change)[:-1], 0, 1), atol=1e-4)
    else:
        np.testing.assert_allclose(k[1:], np.clip(k[:-1] + change[:-1], 0, 1), atol=1e-5)


SMALL = {
    "dither": Branch(1.0, (0.9,) * 4, swing=(1.4, 0.6, 0.6, 1.4)),
    "lambda 2": Branch(2.0, (0.9,) * 3),
    "step": Branch(0.5, (0.75, 0.5)),
    "clip": Branch(9.0, (0.0,) * 3 + (0.9,)),
    "wind-up": Branch(9.0, (0.0,) * 3 + (0.9,), wind_up=True),
}


LAB = Lab(
    steps=3, seeds=2, rendered=64, held_out=8, branches=SMALL, swing=(1.4, 0.6, 1.4), toy_steps=2, toy_gains=(0.5, 2.0)
)


@pytest.fixture(scope="module")
def small(here, tmp_path_factory):
    """An artifact of a few steps, made by the functions that make the real one, in this process."""
    folder = tmp_path_factory.mktemp("controller")
    for _ in range(2):  # the second time from what the first left
        controller.record(LAB, folder / "out", folder / "work", torch.device("cpu"))
    return folder, load_file(folder / "out/recordings.safetensors")


def test_recordings_follow_the_rule(small):
    _, recorded = small
    assert recorded.keys() == {"warm-up", *SMALL, "toy dither", "toy 0.5", "toy 2.0"}
    for name, branch in SMALL.items():
        assert recorded[name].shape == (2, 3, len(branch.gamma))
        if not branch.swing:
            for run in recorded[name].numpy():
                follows(run, branch)
    start = recorded["dither"][:, 2] / torch.tensor(SMALL["dither"].swing)
    assert torch.allclose(start, recorded["lambda 2"][:, 2, :1].expand_as(start)), "k as the warm-up left it"
    assert (start > 0).all()


def test_branches_start_from_the_same_networks(small):
    _, recorded = small
    for name in SMALL:
        assert torch.equal(recorded[name][:, 0, 0], recorded["step"][:, 0, 0]), "the same batch, the same D"
    assert not torch.equal(recorded["dither"][:, 1, 3], recorded["lambda 2"][:, 1, 2])
    assert not torch.equal(recorded["step"][0], recorded["step"][1]), "seeds differ"
    assert recorded["clip"][:, 2, 1:].eq(0).all()
    assert recorded["wind-up"][:, 2, 1:].eq(0).all()


def test_toy_recordings_follow_the_scale_free_rule(small):
    _, recorded = small
    for gain in (0.5, 2.0):
        for run in recorded[f"toy {gain}"].numpy():
            follows(run, Branch(gain, (controller.TOY["gamma"],) * 3), scale_free=True)
    dither = recorded["toy dither"][:, 2]
    assert torch.allclose(dither, recorded["toy 0.5"][:, 2, :1] * torch.tensor([1.4, 0.6, 1.4]))


def test_a_recording_is_the_same_again_and_says_where_it_comes_from(small):
    folder, recorded = small
    again = Recording(1, LAB.steps).carry_out(LAB, folder, torch.device("cpu"), lambda _: None)
    for name, run in again.tensors["recordings"].items():
        assert torch.equal(run, recorded[name.removeprefix("1/")][1]), name
    origin = json.loads((folder / "out/record.json").read_text())
    assert origin["seeds"] == [0, 1]
    assert origin["config"]["size"] == 16
    assert {"commit", "date", "device", "versions"} <= origin.keys()


def test_the_largest_stable_lambda_ends_at_the_first_that_is_not():
    assert controller.largest_stable([1, 2, 3, 4], [0.0, 0.049, 0.05, 0.0]) == 2
    assert controller.largest_stable([1, 2], [0.0, 0.0]) == 2
    with pytest.raises(ValueError, match="clipped must begin below"):
        controller.largest_stable([1, 2], [0.3, 0.0])


@pytest.mark.skipif(not (artifacts_folder() / "controller").is_dir(), reason="an installed package has no artifacts")
def test_the_committed_recordings_follow_the_rule():
    recorded = load_recordings()
    for name, branch in controller.branches().items():
        assert recorded[name].shape == (5, 3, len(branch.gamma))
        for run in recorded[name].numpy():
            assert np.isfinite(run).all()
            if not branch.swing:
                follows(run, branch)
    for gain, run in itertools.product(controller.TOY_GAINS, range(5)):
        toy = recorded[f"toy {gain}"][run].numpy()
        follows(toy, Branch(gain, (controller.TOY["gamma"],) * toy.shape[1]), scale_free=True)
