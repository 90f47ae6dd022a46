"""The measures of quality and diversity against closed forms, other implementations, and faces spoilt on purpose."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from began.images.faces import ATTRIBUTES, render, rendered_faces, sample_attributes
from began.images.pixels import to_pixels, to_unit
from began.measure.distances import (
    attribute_diversity,
    averageness,
    curve_metrics,
    frechet_distance,
    kernel_distance,
    measure,
    neighbour_metrics,
    sharpness,
)
from began.measure.reader import LEVELS, load_reader

READER = load_reader()
FACES = rendered_faces(2000, 16, seed=31)
NAMES = [attribute.name for attribute in ATTRIBUTES]


def normal(count: int, dims: int, seed: int = 0) -> Tensor:
    return torch.randn(count, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_frechet_distance_of_samples_with_known_moments():
    """Points whitened to have exactly the moments asked for, so the closed form holds without sampling error."""
    white = normal(500, 3) - normal(500, 3).mean(0)
    white = torch.linalg.qr(white).Q * 499**0.5
    a = white * torch.tensor([1.0, 2.0, 3.0])
    b = white * torch.tensor([2.0, 2.0, 1.0]) + torch.tensor([1.0, 0.0, -2.0])
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + (1 - 2) ** 2 + (3 - 1) ** 2)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b))


def test_frechet_distance_agrees_with_the_square_root_of_the_product():
    a, b = normal(300, 6) @ normal(6, 6, 1), normal(400, 6, 2) @ normal(6, 6, 3) + 0.5
    C_a, C_b = (np.cov(s.numpy(), rowvar=False) for s in (a, b))
    root = np.trace(sqrtm(C_a @ C_b)).real
    expected = float((a.mean(0) - b.mean(0)).square().sum()) + np.trace(C_a) + np.trace(C_b) - 2 * root
    assert frechet_distance(a.float(), b.float()) == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_of_collapsed_sets():
    point = torch.ones(10, 4)
    spread = normal(200, 4)
    alike = float((spread.mean(0) - 1).square().sum() + spread.var(0).sum())
    assert frechet_distance(point, spread) == pytest.approx(alike)
    assert frechet_distance(point, point) == 0
    assert abs(frechet_distance(spread, spread)) < 1e-10


def test_kernel_distance_by_the_sums_of_its_definition():
    a, b = normal(7, 3), normal(9, 3, 1) + 0.3

    def k(x: Tensor, y: Tensor) -> float:
        return float((x @ y / 3 + 1) ** 3)

    within = [np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (a, b)]
    between = np.mean([k(x, y) for x in a for y in b])
    assert kernel_distance(a, b) == pytest.approx(sum(within) - 2 * between)


def test_kernel_distance_is_centred_on_0_for_equal_distributions():
    values = np.array([kernel_distance(normal(40, 5, 2 * seed), normal(40, 5, 2 * seed + 1)) for seed in range(200)])
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean()) < 3 * error
    assert (values < 0).any()
    assert kernel_distance(normal(40, 5), normal(40, 5, 1) + 1) > 20 * error


def test_neighbour_metrics_by_hand():
    """On a line, k = 1. Real balls: 0 and 1 with radius 1, 10 and 12 with radius 2."""
    real = torch.tensor([[0.0], [1.0], [10.0], [12.0]])
    samples = torch.tensor([[0.5], [0.75], [20.0]])  # balls: 0.25, 0.25, 19.25
    found = neighbour_metrics(samples, real, k=1)
    assert found["precision"] == pytest.approx(2 / 3)  # not 20
    assert found["recall"] == pytest.approx(3 / 4)  # not 0
    assert found["density"] == pytest.approx((2 + 2 + 0) / 3)
    assert found["coverage"] == pytest.approx(2 / 4)  # the balls around 0 and 1


def test_neighbour_metrics_of_the_same_distribution_and_of_another():
    same = neighbour_metrics(normal(500, 4), normal(500, 4, 1))
    assert min(same.values()) > 0.85
    assert same["density"] == pytest.approx(1, abs=0.15)
    far = neighbour_metrics(normal(500, 4) + 50, normal(500, 4, 1))
    assert set(far.values()) == {0.0}
    inner = neighbour_metrics(0.01 * normal(500, 4), normal(500, 4, 1))
    assert inner["precision"] == 1
    assert inner["recall"] < 0.02
    assert inner["coverage"] < same["coverage"] / 2


def test_averageness_by_hand():
    real = torch.tensor([[0.0, 0.0], [4.0, 8.0]])  # mean (2, 4), mean |difference| 3
    assert averageness(torch.tensor([[2.0, 4.0]]), real) == 0
    assert averageness(torch.tensor([[2.0, 1.0], [5.0, 4.0]]), real) == pytest.approx(0.5)
    assert averageness(real, real) == 1
    with pytest.raises(ValueError, match="got all alike"):
        averageness(real, real[:1])


def test_sharpness_by_hand():
    picture = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.5]])[None, None]
    assert sharpness(picture) == pytest.approx(((1 + 1 + 1 + 0.5) / 4 + 0.5 / 3) / 2)
    assert sharpness(torch.ones(2, 3, 4, 4)) == 0


def test_attribute_diversity_by_hand():
    """Real faces fill each combination of levels once; samples one style of hair, and half the range of numbers."""
    grid = torch.cartesian_prod(*map(torch.arange, LEVELS)).float()
    real = sample_attributes(0, range(len(grid)))
    choices = [NAMES.index(name) for name in ("hair_style", "beard", "glasses")]
    real[:, choices] = grid
    samples = real.clone()
    samples[:, choices[0]] = 2
    samples[:, NAMES.index("yaw")] /= 2
    reader = load_reader()
    reader.skill = dict.fromkeys(NAMES, 0.0) | dict.fromkeys(("hair_style", "beard", "glasses", "yaw", "light"), 0.5)
    found = attribute_diversity(samples, real, reader)
    assert found == pytest.approx({"cells": 1 / 6, "entropy": np.log(16) / np.log(96), "spread": 0.75})
    reader.skill["hair_style"] = 0.49  # no longer read, so nothing is missing
    assert attribute_diversity(samples, real, reader)["cells"] == 1
    assert attribute_diversity(samples[:2], real, reader)["cells"] == 1  # of the cells that as many faces reach


def spoilt(name: str) -> Tensor:
    """Faces of another seed, some of them spoilt."""
    faces = rendered_faces(2000, 16, seed=32)
    if name == "few":  # ten faces again and again, a little varied
        table = sample_attributes(32, range(10)).repeat(200, 1)
        return to_pixels(render(table, 16))
    if name == "noisy":
        noise = torch.randn(faces.shape, generator=torch.Generator().manual_seed(0))
        return to_pixels(to_unit(faces) + 0.5 * noise)
    return faces


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, float]]:
    return {name: measure(spoilt(name), FACES, READER) for name in ("real", "few", "noisy")}


@pytest.mark.slow
def test_real_faces_score_as_real_faces(measured):
    real = measured["real"]
    for name in ("pixel", "reader"):
        for metric in ("precision", "recall", "density", "coverage"):
            assert real[f"{name}_{metric}"] == pytest.approx(1, abs=0.15)
    for name in ("cells", "entropy", "spread", "sharpness", "averageness", "reader_averageness"):
        assert real[name] == pytest.approx(1, abs=0.06)
    assert real["nearest_face"] < 0.03


@pytest.mark.parametrize("name", ["pixel_std", "cells", "entropy", "spread", "reader_recall", "reader_coverage"])
def test_a_generator_of_few_faces_loses_diversity(measured, name: str):
    assert measured["few"][name] < 0.9 * measured["real"][name]


@pytest.mark.parametrize("name", ["reader_precision", "pixel_precision", "nearest_face"])
def test_a_generator_of_few_faces_keeps_quality(measured, name: str):
    assert measured["few"][name] == pytest.approx(measured["real"][name], rel=0.35)


def test_a_generator_of_noisy_faces_loses_quality_and_keeps_diversity(measured):
    real, noisy = measured["real"], measured["noisy"]
    assert noisy["nearest_face"] > 8 * real["nearest_face"]
    assert noisy["reader_precision"] < 0.8 * real["reader_precision"]
    assert noisy["pixel_std"] >= real["pixel_std"]
    assert noisy["sharpness"] > 1.3
    assert noisy["cells"] > 0.8
    for name in ("pixel_frechet", "reader_frechet", "pixel_kernel", "reader_kernel"):
        assert min(noisy[name], measured["few"][name]) > 5 * abs(real[name])


def test_pictures_without_a_reader_get_the_pixel_measures_alone():
    grey = FACES[:100, :1]
    found = measure(grey, grey)
    assert {name for name in found if not name.startswith("pixel_")} == {"averageness", "sharpness"}
    assert found["pixel_frechet"] == pytest.approx(0, abs=1e-6)
    assert found["averageness"] == 1
    mean = to_pixels(to_unit(grey).mean(0, keepdim=True)).repeat(20, 1, 1, 1)
    assert measure(mean, grey)["pixel_frechet"] == pytest.approx(1, abs=1e-3)


def test_the_curve_repeats_the_measures(measured):
    curve = curve_metrics(spoilt("few"), FACES, READER)
    assert curve == pytest.approx({name: measured["few"][name] for name in curve}, rel=1e-6)
    assert curve.keys() == {"pixel_std", "pixel_frechet", "reader_frechet"}
    assert curve_metrics(FACES[:9], FACES).keys() == {"pixel_std", "pixel_frechet"}


@pytest.mark.parametrize(
    ("samples", "held_out", "message"),
    [
        (FACES[:9].float(), FACES, r"samples must be torch.uint8 \(B, 3, 16, 16\), got torch.float32"),
        (FACES[:9, :1], FACES, r"samples must be .*, got torch.uint8 \(9, 1, 16, 16\)"),
        (FACES[:9], FACES[:5], "held_out must hold at least 6 pictures, got 5"),
        (FACES[:5], FACES, "samples must hold at least 6 pictures, got 5"),
        (FACES[:0], FACES, "samples must be"),
    ],
)
def test_bad_pictures_are_named(samples: Tensor, held_out: Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        measure(samples, held_out)


@pytest.mark.parametrize("metric", [frechet_distance, kernel_distance, neighbour_metrics, averageness])
def test_bad_sets_are_named(metric):
    with pytest.raises(ValueError, match=r"N and M at least \d, got \(9, 2\) and \(9, 3\)"):
        metric(normal(9, 2), normal(9, 3))
    with pytest.raises(ValueError, match=r"got \(9,\) and \(9, 3\)"):
        metric(normal(9, 1)[:, 0], normal(9, 3))
    with pytest.raises(ValueError, match=r"got \(0, 3\) and \(9, 3\)"):
        metric(normal(9, 3)[:0], normal(9, 3))
