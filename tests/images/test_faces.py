"""The rendered faces: deterministic, anti-aliased, differentiable, and every attribute shows."""

import pytest
import torch
import torch.nn.functional as F

from began.images import faces
from began.images.faces import ATTRIBUTES, render, rendered_faces, sample_attributes

NAMES = [attribute.name for attribute in ATTRIBUTES]
CONTINUOUS = [attribute for attribute in ATTRIBUTES if not attribute.levels]
CATEGORICAL = [attribute for attribute in ATTRIBUTES if attribute.levels]


@pytest.fixture(autouse=True)
def one_thread():
    """Small pictures are drawn faster so, and tests may run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def column(name: str) -> int:
    return NAMES.index(name)


def typical(rows: int = 1) -> torch.Tensor:
    """A frontal face in the middle of every range, its mouth slightly open, with cropped hair."""
    middle = torch.tensor([(attribute.low + attribute.high) / 2 for attribute in ATTRIBUTES])
    for name, value in {"hair_style": 1, "beard": 0, "glasses": 0}.items():
        middle[column(name)] = value
    return middle.repeat(rows, 1)


def vary(attribute: faces.Attribute, steps: int) -> torch.Tensor:
    """The typical face, `steps` times, with one attribute going over its range."""
    table = typical(steps)
    table[:, column(attribute.name)] = torch.linspace(attribute.low, attribute.high, steps)
    if attribute.name == "lip_colour":  # a closed mouth shows more of the lips
        table[:, column("mouth_open")] = 0
    if attribute.name == "parting":  # shows in swept hair
        table[:, column("hair_style")] = 2
    return table


def test_attributes_are_a_function_of_seed_and_index():
    table = sample_attributes(3, range(1000))
    assert table.shape == (1000, len(ATTRIBUTES))
    assert table.dtype == torch.float32
    some = [999, 5, 5, 0]
    assert torch.equal(sample_attributes(3, some), table[some])
    assert torch.equal(sample_attributes(3, torch.tensor(some)), table[some])
    assert (sample_attributes(4, range(1000)) != table)[:, column("yaw")].all()
    assert len(table[:, column("yaw")].unique()) > 990
    assert torch.isfinite(sample_attributes(2**64 - 1, [2**40])).all()


def test_attributes_fill_their_ranges():
    table = sample_attributes(0, range(20_000))
    for attribute, values in zip(ATTRIBUTES, table.unbind(1), strict=True):
        assert attribute.low <= values.min()
        assert values.max() <= attribute.high
        if attribute.levels:
            share = torch.bincount(values.long(), minlength=len(attribute.levels)) / len(table)
            assert share.min() > 0.14, attribute.name
            assert len(share) == len(attribute.levels)
        elif attribute.name != "hair_colour":  # darker than uniform
            quarters = torch.histc(values, 4, attribute.low, attribute.high) / len(table)
            assert (quarters - 0.25).abs().max() < 0.02, attribute.name


def test_columns_are_uncorrelated_but_for_skin_and_hair():
    correlation = torch.corrcoef(sample_attributes(0, range(20_000)).T).fill_diagonal_(0)
    skin, hair = column("skin_tone"), column("hair_colour")
    assert correlation[skin, hair] < -0.3
    correlation[skin, hair] = correlation[hair, skin] = 0
    assert correlation.abs().max() < 0.04  # 5.6 standard errors


def test_every_cell_of_style_beard_glasses_and_skin_is_reached():
    table = sample_attributes(1, range(40_000))
    cell = (4 * table[:, column("skin_tone")]).long().clamp(max=3)
    for attribute in CATEGORICAL:
        cell = cell * len(attribute.levels) + table[:, column(attribute.name)].long()
    counts = torch.bincount(cell, minlength=4 * 6 * 4 * 4)
    assert len(counts) == 384
    assert counts.min() >= 20  # 46 expected in the rarest


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [16, 33, 64])
def test_picture_has_size_dtype_and_range(size, dtype):
    picture = render(sample_attributes(0, range(32)).to(dtype), size)
    assert picture.shape == (32, 3, size, size)
    assert picture.dtype == dtype
    assert picture.min() >= -1 - 1e-6
    assert picture.max() <= 1 + 1e-6


def test_faces_are_diverse():
    picture = render(sample_attributes(0, range(512)), 16)
    assert picture.std(0).mean() > 0.28
    skin = picture[:, :, 9, 7:9].mean((1, 2))  # about the tip of the nose
    assert skin.min() < -0.6
    assert skin.max() > 0.5


def test_a_picture_does_not_depend_on_its_batch():
    table = sample_attributes(0, range(24))
    batch = render(table, 32)
    alone = torch.cat([render(row[None], 32) for row in table])
    torch.testing.assert_close(batch, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [19, 64])
def test_bytes_do_not_depend_on_chunks_or_threads(size, monkeypatch):
    monkeypatch.setattr(faces, "_BLOCK_PIXELS", 7 * size**2)  # several blocks of seven faces
    whole = rendered_faces(40, size, seed=5, start=3)
    assert whole.shape == (40, 3, size, size)
    assert whole.dtype == torch.uint8
    for start, stop in ((0, 1), (1, 13), (13, 40)):
        part = rendered_faces(stop - start, size, seed=5, start=3 + start)
        assert torch.equal(part, whole[start:stop])
    torch.set_num_threads(2)
    assert torch.equal(rendered_faces(40, size, seed=5, start=3), whole)
    drawn = render(sample_attributes(5, range(3, 43)), size)
    assert ((drawn + 1) * 127.5 - whole).abs().max() < 0.501
    assert (rendered_faces(40, size, seed=6, start=3) != whole).any()


def test_rendering_leaves_the_number_of_threads_alone():
    torch.set_num_threads(2)
    assert rendered_faces(0, 16).shape == (0, 3, 16, 16)
    rendered_faces(3, 16)
    assert torch.get_num_threads() == 2


def test_no_part_leaves_its_window(monkeypatch):
    table = sample_attributes(0, range(200))
    windowed = render(table, 48)
    everywhere = tuple((part, (-1, 1, -1, 1)) for part, _ in faces._PARTS)
    monkeypatch.setattr(faces, "_PARTS", everywhere)
    torch.testing.assert_close(windowed, render(table, 48), rtol=0, atol=1e-5)


def test_a_small_picture_is_the_average_of_a_large_one():
    table = sample_attributes(0, range(16))
    large = render(table, 256)
    for size, bound in ((64, 0.012), (32, 0.025)):
        error = (F.avg_pool2d(large, 256 // size) - render(table, size)).abs().mean()
        assert error < bound


@pytest.mark.parametrize("attribute", CATEGORICAL, ids=lambda attribute: attribute.name)
def test_every_level_looks_different(attribute):
    pictures = render(vary(attribute, len(attribute.levels)), 64).flatten(1)
    distance = torch.cdist(pictures, pictures, p=1) / pictures.shape[1] + torch.eye(len(pictures))
    assert distance.min() > 0.004


@pytest.mark.parametrize("attribute", CONTINUOUS, ids=lambda attribute: attribute.name)
def test_an_attribute_changes_the_picture_smoothly(attribute):
    pictures = render(vary(attribute, 41), 64)
    assert (pictures[-1] - pictures[0]).abs().mean() > 0.001
    steps = pictures.diff(dim=0).abs().mean((1, 2, 3))
    assert steps.min() > 0  # no dead stretch
    assert steps.max() < 6 * steps.mean()  # no jump


def test_a_mirrored_turn_mirrors_the_picture():
    table = sample_attributes(0, range(64))
    mirrored = table.clone()
    mirrored[:, [column(name) for name in ("yaw", "light", "parting")]] *= -1
    torch.testing.assert_close(render(mirrored, 48).flip(3), render(table, 48), rtol=0, atol=1e-4)


def test_light_falls_from_its_side():
    left, right = render(vary(ATTRIBUTES[column("light")], 2), 64)
    brighter_left = (left - right).mean(0)
    for near, far in ((slice(0, 8), slice(56, 64)), (slice(17, 21), slice(43, 47))):  # on the wall, on the cheeks
        assert brighter_left[28:40, near].mean() > 0.1
        assert brighter_left[28:40, far].mean() < -0.1


def test_gradients_match_finite_differences():
    table = sample_attributes(2, range(6)).double().requires_grad_()
    target = render(sample_attributes(3, range(6)).double(), 32)

    def loss(table: torch.Tensor) -> torch.Tensor:
        return (render(table, 32) - target).square().sum((1, 2, 3))

    (gradient,) = torch.autograd.grad(loss(table).sum(), table)
    for attribute in CONTINUOUS:
        step = torch.zeros_like(table)
        step[:, column(attribute.name)] = 1e-6 * (attribute.high - attribute.low)
        with torch.no_grad():
            slope = (loss(table + step) - loss(table - step)) / (2 * step[:, column(attribute.name)])
        torch.testing.assert_close(gradient[:, column(attribute.name)], slope, rtol=1e-3, atol=1e-2)
    assert (gradient[:, [column(attribute.name) for attribute in CONTINUOUS]].abs().amax(0) > 1e-3).all()


@pytest.mark.parametrize("size", [15, 257, -1])
def test_size_out_of_range(size):
    with pytest.raises(ValueError, match=rf"size must be 16 to 256 pixels, got {size}"):
        render(typical(), size)
    with pytest.raises(ValueError, match=rf"size must be 16 to 256 pixels, got {size}"):
        rendered_faces(1, size)


def test_negative_count():
    with pytest.raises(ValueError, match="count must be at least 0, got -2"):
        rendered_faces(-2, 16)


def test_wrong_columns():
    with pytest.raises(ValueError, match=r"attributes must have shape \(B, 26\), got \(1, 25\)"):
        render(typical()[:, :-1], 16)


@pytest.mark.parametrize(("name", "value"), [("beard", 4), ("glasses", -1), ("hair_style", 1.5)])
def test_wrong_level(name, value):
    table = typical(3)
    table[1, column(name)] = value
    with pytest.raises(ValueError, match=rf"{name} must be 0 to [35], got {value}"):
        render(table, 16)
