"""The reader of attributes, what is shipped of it, and the search for the nearest face."""

import json
import math
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from began.images.faces import ATTRIBUTES, render, rendered_faces, sample_attributes
from began.images.pixels import to_pixels, to_unit
from began.measure import reader
from began.measure.reader import (
    CATEGORICAL,
    CONTINUOUS,
    HIGH,
    LEVELS,
    LOW,
    Reader,
    ReaderConfig,
    load_reader,
    nearest_face,
    reading_loss,
    save_reader,
    scaled,
    skills,
    train_reader,
)
from began.runs.artifacts import artifacts_folder

READER = load_reader()
NAMES = [attribute.name for attribute in ATTRIBUTES]
PHOTOGRAPHS = Path(__file__).resolve().parents[3] / "shared/faces/faces64.zip"


def test_the_shipped_reader_reads_faces_that_it_never_saw():
    """On faces of yet another seed; the counts are done here by hand, the committed skills are close to them."""
    true = sample_attributes(77, range(2000))
    read = READER.read(rendered_faces(2000, 16, seed=77)).attributes
    hair, skin = NAMES.index("hair_style"), NAMES.index("skin_tone")
    right = (read[:, hair] == true[:, hair]).float().mean()
    base = true[:, hair].long().bincount().max() / 2000
    assert READER.skill["hair_style"] == pytest.approx(((right - base) / (1 - base)).item(), abs=0.02)
    assert right > 0.95
    correlation = torch.corrcoef(torch.stack([true[:, skin], read[:, skin]]))[0, 1]
    assert READER.skill["skin_tone"] == pytest.approx(correlation.item() ** 2, abs=0.02)
    for column, attribute in enumerate(ATTRIBUTES):
        assert read[:, column].min() >= attribute.low
        assert read[:, column].max() <= attribute.high
        if attribute.levels:
            assert set(read[:, column].tolist()) <= set(range(len(attribute.levels)))


def test_what_is_readable():
    assert {NAMES[c] for c in READER.readable(CATEGORICAL)} == {"hair_style", "beard", "glasses"}
    numbers = {NAMES[c] for c in READER.readable(CONTINUOUS)}
    assert numbers >= {"skin_tone", "hair_colour", "face_width", "yaw", "pitch", "light", "background", "clothes"}
    assert not numbers & {"iris_colour", "eye_openness", "nose_length"}  # smaller than a pixel
    assert READER.readable([]) == []


def test_the_committed_skills_are_those_of_the_weights():
    assert skills(READER) == pytest.approx(READER.skill, abs=2e-3)
    assert READER.skill.keys() == set(NAMES)


def test_the_committed_record_says_how_it_was_made():
    record = json.loads((artifacts_folder() / "attributes/16.json").read_text())
    assert ReaderConfig(**record["config"]) == ReaderConfig()
    assert {"date", "commit", "versions", "device"} <= record.keys()
    assert (artifacts_folder() / "attributes/16.safetensors").stat().st_size < 1e6


def test_features_are_those_that_the_guesses_are_made_of():
    faces = rendered_faces(300, 16)  # more than one part
    reading = READER.read(faces)
    with torch.no_grad():
        features, guesses = READER(to_unit(faces))
        torch.testing.assert_close(READER.head(reading.features), guesses, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(reading.features, features, rtol=1e-4, atol=1e-4)
    numbers = guesses[:, sum(LEVELS) :].clamp(0, 1)
    torch.testing.assert_close(scaled(reading.attributes), numbers, rtol=1e-4, atol=1e-4)


def test_the_loss_by_hand():
    table = sample_attributes(0, range(500))
    blind = torch.cat([torch.zeros(500, sum(LEVELS)), torch.full((500, len(CONTINUOUS)), 0.5)], 1)
    numbers = 6 * (scaled(table) - 0.5).square().mean(0).sum().item()
    assert reading_loss(blind, table).item() == pytest.approx(sum(map(math.log, LEVELS)) + numbers, rel=1e-5)
    right = torch.cat([30.0 * F.one_hot(table[:, c].long()) for c in CATEGORICAL] + [scaled(table)], 1)
    assert reading_loss(right, table).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.slow
def test_a_short_training_learns_repeats_and_leaves_the_generator_of_random_numbers_alone(tmp_path: Path):
    config = ReaderConfig(n=8, features=32, steps=200, batch=64, lr=5e-3, seed=2)
    state = torch.get_rng_state()
    reader = train_reader(config, progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert max(reader.skill.values()) > 0.05  # before training none is above 0
    assert reader.skill["eye_spacing"] < 0.1
    again = train_reader(config, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(reader.parameters(), again.parameters(), strict=True))
    save_reader(reader, tmp_path)
    back = load_reader(16, tmp_path)
    assert back.config == config
    assert back.skill == pytest.approx(reader.skill, abs=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(reader.parameters(), back.parameters(), strict=True))
    with pytest.raises(FileNotFoundError, match=r"size 32 in .* \(sizes there: 16\)"):
        load_reader(32, tmp_path)


def test_the_network_follows_the_size_of_the_pictures():
    for size in (16, 32, 64):
        reader = Reader(ReaderConfig(size=size, n=4))
        features, guesses = reader(torch.zeros(2, 3, size, size))
        assert features.shape == (2, 64)
        assert guesses.shape == (2, sum(LEVELS) + len(CONTINUOUS))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("size", 24, "size must be 16, 32, 64, 128 or 256, got 24"), ("n", 0, "n must be positive, got 0")]
    + [(name, -1, f"{name} must be positive, got -1") for name in ("features", "steps", "batch", "lr")],
)
def test_bad_settings_are_named(field: str, value: int, message: str):
    with pytest.raises(ValueError, match=message):
        ReaderConfig(**{field: value})


def test_bad_pictures_are_named():
    with pytest.raises(ValueError, match=r"pictures must be torch.uint8 \(B, 3, 16, 16\), got torch.float32"):
        READER.read(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match=r"got torch.uint8 \(2, 3, 32, 32\)"):
        nearest_face(rendered_faces(2, 32), READER)


def test_the_nearest_face_of_a_rendered_face_is_itself():
    faces = rendered_faces(64, 16, seed=78)
    found = nearest_face(faces, READER)
    drawn = render(found.attributes, 16)
    torch.testing.assert_close(found.distance, (drawn - to_unit(faces)).abs().mean((1, 2, 3)))
    assert found.distance.mean() < 0.03
    assert found.distance.max() < 0.12
    numbers = scaled(found.attributes)
    assert numbers.min() >= -1e-6
    assert numbers.max() <= 1 + 1e-6


def test_no_start_of_the_search_is_nearer_than_its_end():
    faces = rendered_faces(32, 16, seed=79)
    guess = READER.read(faces).attributes
    start = (render(guess, 16) - to_unit(faces)).abs().mean((1, 2, 3))
    known = render(sample_attributes(reader.BANK, range(4096)), 16)
    nearest = torch.stack([(known - face).abs().mean((1, 2, 3)).min() for face in to_unit(faces)])
    found = nearest_face(faces, READER).distance
    assert (found <= torch.minimum(start, nearest) + 1e-6).all()
    assert found.mean() < 0.5 * start.mean()


@pytest.mark.slow
def test_noise_and_blends_are_far_from_every_face():
    faces = rendered_faces(64, 16, seed=80)
    noise = torch.randint(0, 256, (32, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    near = nearest_face(faces[:32], READER).distance.mean()
    blends = to_pixels((to_unit(faces[:32]) + to_unit(faces[32:])) / 2)
    assert nearest_face(noise, READER).distance.mean() > 0.4
    assert nearest_face(blends, READER).distance.mean() > 2 * near


@pytest.mark.skipif(not PHOTOGRAPHS.is_file(), reason="no photographs here")
def test_photographs_are_far_from_every_rendered_face():
    with zipfile.ZipFile(PHOTOGRAPHS) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][:32]
        pictures = []
        for name in names:
            with archive.open(name) as file, Image.open(file) as picture:
                small = picture.convert("RGB").resize((16, 16))
            pictures.append(torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(16, 16, 3))
    photographs = torch.stack(pictures).permute(0, 3, 1, 2)
    assert nearest_face(photographs, READER).distance.mean() > 0.08


def test_ranges_are_those_of_the_renderer():
    assert [float(v) for v in LOW] == pytest.approx([ATTRIBUTES[c].low for c in CONTINUOUS])
    assert [float(v) for v in HIGH] == pytest.approx([ATTRIBUTES[c].high for c in CONTINUOUS])
    table = sample_attributes(0, range(100))
    assert 0 <= scaled(table).min() <= scaled(table).max() <= 1
