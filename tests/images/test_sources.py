import hashlib
import itertools
import logging
import re
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from began.images import batches as module
from began.images import sources
from began.images.batches import Batches
from began.images.faces import rendered_faces
from began.images.pixels import to_pixels, to_unit
from began.images.sources import Files, Pictures, open_images

FACES64 = Path(__file__).parents[3] / "shared/faces/faces64.zip"

# Python 3.12 and later warn where a process with threads forks, which data loader workers on Linux do
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def save(path, pixels, **options):
    """Write an array as a picture and return its folder's spec."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **options)
    return f"folder:{path.parent}"


def plain(colour, width=40, height=40):
    return np.broadcast_to(np.array(colour), (height, width, 3))


def only(spec, **options):
    """Decode the one picture of a set."""
    images = open_images(spec, size=options.pop("size", 16), **options)
    assert len(images) == 1
    return images[0]


def assert_colour(picture, colour, tolerance=0):
    difference = picture.int() - torch.tensor(colour).view(-1, 1, 1)
    assert picture.dtype == torch.uint8
    assert difference.abs().max() <= tolerance, f"{picture[:, 8, 8].tolist()} is not {colour}"


@pytest.fixture(scope="session")
def aligned():
    """Rendered faces in the shape of CelebA's aligned pictures, (12, 218, 178, 3)."""
    return rendered_faces(12, 218, seed=5)[..., 20:198].permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="session")
def celeba(tmp_path_factory, aligned):
    """The root that torchvision's CelebA takes, with twelve pictures."""
    root = tmp_path_factory.mktemp("data")
    for i, picture in enumerate(aligned, start=1):
        save(root / "celeba/img_align_celeba" / f"{i:06}.jpg", picture, quality=95)
    for other in ("utk/1.png", "celeba/preview.png"):
        save(root / other, plain([1, 2, 3]))
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt"):
        (root / "celeba" / name).write_text("12\n")
    return root


@pytest.fixture
def damaged(tmp_path, aligned):
    """A folder of 12 files: five are broken, each in its own way."""
    for i, picture in enumerate(aligned[:7]):
        save(tmp_path / f"good{i}.jpg", picture)
    whole = (tmp_path / "good0.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "head.jpg").write_bytes(whole[:100])
    (tmp_path / "noise.png").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "nothing.jpg").write_bytes(b"")
    (tmp_path / "text.gif").write_text("<html>404 Not Found</html>")
    return tmp_path


@pytest.fixture
def lopsided(tmp_path):
    """Twenty-three pictures of noise, none like its mirror image."""
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (23, 16, 16, 3))):
        save(tmp_path / f"{i:02}.png", pixels)
    return open_images(f"folder:{tmp_path}", size=16)


@pytest.fixture
def numbered(tmp_path):
    """Twenty-three pictures, all of whose pixels are their number."""
    for i in range(23):
        save(tmp_path / f"{i:02}.png", plain([i, i, i], 16, 16))
    return open_images(f"folder:{tmp_path}", size=16)


def numbers(batch):
    """Tell which pictures of `numbered` a batch has."""
    return to_pixels(batch)[:, 0, 0, 0].tolist()


def take(batches, step, count):
    return list(itertools.islice(batches.starting_at(step), count))


# --- Values


def test_all_256_values_survive_a_round_trip():
    values = torch.arange(256, dtype=torch.uint8)
    unit = to_unit(values)
    assert unit.dtype == torch.float32
    assert (unit[0], unit[255]) == (-1, 1)
    torch.testing.assert_close(unit[127] + unit[128], torch.tensor(0.0))
    assert torch.equal(to_pixels(unit), values)
    assert torch.equal(to_pixels(unit.double()), values)


def test_pixels_are_clamped_and_rounded_not_wrapped():
    images = torch.tensor([-9.0, -1.01, 1.01, 9.0, 0.0, 1 / 127.5 * 0.6 - 1])
    assert to_pixels(images).tolist() == [0, 0, 255, 255, 128, 1]
    assert to_pixels(torch.tensor([0.5], dtype=torch.float16)).tolist() == [191]


def test_pictures_refuses_what_is_no_stack_of_pictures():
    with pytest.raises(ValueError, match=r"float32 .*uint8 \(N, C, S, S\)"):
        Pictures(torch.zeros(2, 3, 8, 8), "floats")
    with pytest.raises(ValueError, match=r"\(3, 8, 8\)"):
        Pictures(torch.zeros(3, 8, 8, dtype=torch.uint8), "one picture")


# --- Sources


def test_faces_are_rendered_in_any_number_and_depend_on_the_seed():
    faces = open_images("faces", size=16, count=5, seed=3)
    assert (len(faces), faces.name, faces[4].shape) == (5, "faces", (3, 16, 16))
    assert torch.equal(faces.pixels, rendered_faces(5, 16, seed=3))
    assert not torch.equal(faces.pixels, open_images("faces", size=16, count=5, seed=4).pixels)


def test_faces_are_8192_by_default(monkeypatch):
    asked = []
    monkeypatch.setattr(
        sources, "rendered_faces", lambda n, size, **_: asked.append(n) or torch.zeros(2, 3, 8, 8).byte()
    )
    open_images("faces", size=16)
    assert asked == [8192]


def test_digits_need_no_download():
    digits = open_images("digits", size=32, channels=1)
    assert (len(digits), digits[0].shape) == (1797, (1, 32, 32))
    small = Image.fromarray((load_digits().images[7] / 16 * 255).round().astype(np.uint8))
    assert np.array_equal(digits[7][0], np.array(small.resize((32, 32), Image.Resampling.LANCZOS)))
    ink = digits[0][0, :, 12:20].float()  # the first is a zero: an empty middle between two strokes
    assert ink[14:18].mean() < 0.3 * ink.amax(1).mean()


def test_olivetti_is_scaled_to_bytes(monkeypatch):
    values = np.linspace(0, 1, 256, dtype=np.float32).repeat(16).reshape(1, 4096)
    monkeypatch.setattr("sklearn.datasets.fetch_olivetti_faces", lambda **_: (values, None))
    olivetti = open_images("olivetti", size=64, channels=1)
    assert torch.equal(olivetti[0].flatten(), torch.arange(256).repeat_interleave(16).byte())


def test_lfw_is_cropped_to_the_face(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture = np.zeros((250, 250, 3))
    picture[61:189, 61:189] = 200
    for name in ("B_C/B_C_0001.png", "A_B/A_B_0002.png"):
        save(Path("data/sklearn/lfw_home/lfw_funneled", name), picture)
    lfw = open_images("lfw", size=128)
    assert [Path(path).name for path in lfw.paths] == ["A_B_0002.png", "B_C_0001.png"]
    assert_colour(lfw[0], [200, 200, 200])


@pytest.mark.parametrize(("spec", "loader"), [("lfw", "fetch_lfw_people"), ("olivetti", "fetch_olivetti_faces")])
def test_no_network_says_what_to_do_in_one_line(spec, loader, tmp_path, monkeypatch):
    def offline(**_):
        warnings.warn("Retry downloading from url: https://x", stacklevel=1)
        raise OSError("Name or service not known")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"sklearn.datasets.{loader}", offline)
    with pytest.raises(FileNotFoundError, match=rf"^{spec} cannot be downloaded .*by hand: .*data/sklearn.*$"):
        open_images(spec, size=16)


@pytest.mark.parametrize("inside", ["", "celeba", "celeba/img_align_celeba"])
def test_celeba_is_found_from_three_folders_and_cropped(celeba, inside):
    images = open_images(f"celeba:{celeba / inside}", size=128)
    assert len(images) == 12
    for i in (0, 11):
        with Image.open(celeba / f"celeba/img_align_celeba/{i + 1:06}.jpg") as picture:
            window = np.array(picture)[50:178, 25:153]
        assert np.array_equal(images[i].permute(1, 2, 0), window)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_celeba_resizes_close_to_a_plain_reference(celeba, size):
    images = open_images(f"celeba:{celeba}", size=size)
    for i in range(12):
        with Image.open(images.paths[i]) as picture:
            square = picture.resize((size, size), Image.Resampling.LANCZOS, box=(25, 50, 153, 178))
        reference = torch.from_numpy(np.array(square)).permute(2, 0, 1)
        assert (images[i].float() - reference.float()).abs().mean() < 1.5


@pytest.mark.parametrize("scale", [0.5, 2])
def test_celeba_at_another_scale_keeps_the_same_window(celeba, tmp_path, aligned, scale):
    picture = Image.fromarray(aligned[0]).resize((round(178 * scale), round(218 * scale)), Image.Resampling.BOX)
    picture.save(tmp_path / "1.png")
    scaled = only(f"celeba:{tmp_path}", size=32).float()
    assert (scaled - open_images(f"celeba:{celeba}", size=32)[0].float()).abs().mean() < 3


def test_celeba_refuses_pictures_of_another_shape(tmp_path):
    save(tmp_path / "square.png", plain([1, 2, 3]))
    with pytest.raises(ValueError, match=r"square\.png .*40x40 .*178x218: use folder:DIR"):
        only(f"celeba:{tmp_path}")


def test_folder_is_recursive_sorted_and_without_hidden_files(tmp_path):
    for name in ("b/2.PNG", "a.webp", "b/1.tiff", "b.bmp", "c/d/e.JPEG", "b/._1.png", "a.gif"):
        save(tmp_path / name, plain([9, 9, 9]))
    (tmp_path / "notes.txt").write_text("no picture")
    images = open_images(f"folder:{tmp_path}", size=16)
    found = [Path(path).relative_to(tmp_path).as_posix() for path in images.paths]
    assert found == ["a.gif", "a.webp", "b/1.tiff", "b/2.PNG", "b.bmp", "c/d/e.JPEG"]
    assert images.name == f"folder:{tmp_path}"


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save(tmp_path / "pictures/1.png", plain([9, 9, 9]))
    assert_colour(only("folder:~/pictures"), [9, 9, 9])


def test_count_takes_the_first_of_an_order_without_a_seed(numbered):
    first = open_images(numbered.name, size=16, count=4, seed=7)
    assert first.paths == numbered.paths[:4]
    assert torch.equal(open_images("digits", size=16, count=9).pixels, open_images("digits", size=16).pixels[:9])


# --- Kinds of picture


def test_the_centre_is_kept(tmp_path):
    picture = np.zeros((40, 100, 3))
    picture[:, 30:70] = [10, 200, 30]
    for name, stored in (("wide", picture), ("high", picture.transpose(1, 0, 2))):
        kept = only(save(tmp_path / name / "1.png", stored))
        assert_colour(kept[:, 3:-3, 3:-3], [10, 200, 30])
        assert_colour(kept, [10, 200, 30], tolerance=15)  # the filter sees past the edge of the square


def test_resizing_is_antialiased(tmp_path):
    board = np.indices((256, 256)).sum(0)[..., None] % 2 * np.array([255, 255, 255])
    assert_colour(only(save(tmp_path / "1.png", board)), [128, 128, 128], tolerance=2)


@pytest.mark.parametrize(
    ("mode", "stored", "seen"),
    [
        ("L", 90, [90, 90, 90]),
        ("1", 1, [255, 255, 255]),
        ("I;16", 90 * 257, [90, 90, 90]),
        ("RGBA", (200, 100, 0, 255), [200, 100, 0]),
        ("RGBA", (200, 100, 0, 0), [255, 255, 255]),
        ("RGBA", (200, 100, 0, 51), [244, 224, 204]),
        ("LA", (100, 51), [224, 224, 224]),
    ],
)
def test_modes_of_png(tmp_path, mode, stored, seen):
    Image.new(mode, (40, 40), stored).save(tmp_path / "1.png")
    assert_colour(only(f"folder:{tmp_path}"), seen, tolerance=1)


def test_palettes_and_their_transparency(tmp_path):
    for name, options in (
        ("a.png", {}),
        ("b.gif", {}),
        ("c.png", {"transparency": 0}),
        ("d.gif", {"transparency": 0}),
    ):
        picture = Image.fromarray(plain([10, 200, 30]).astype(np.uint8)).quantize(4)
        picture.save(tmp_path / name, **options)
    opaque, gif, clear, clear_gif = open_images(f"folder:{tmp_path}", size=16)
    assert_colour(opaque, [10, 200, 30], tolerance=2)
    assert_colour(gif, [10, 200, 30], tolerance=2)
    assert_colour(clear, [255, 255, 255])
    assert_colour(clear_gif, [255, 255, 255])


def test_cmyk_jpeg(tmp_path):
    Image.new("CMYK", (40, 40), (0, 255, 255, 0)).save(tmp_path / "1.jpg", quality=95)
    assert_colour(only(f"folder:{tmp_path}"), [255, 0, 0], tolerance=3)


def test_sixteen_bit_tiff_and_floats(tmp_path):
    Image.fromarray(np.full((40, 40), 200 * 257, np.uint16)).save(tmp_path / "1.tif")
    assert_colour(only(f"folder:{tmp_path}"), [200, 200, 200])
    Image.fromarray(np.full((40, 40), 0.5, np.float32)).save(tmp_path / "1.tif")
    with pytest.raises(ValueError, match="floating-point"):
        only(f"folder:{tmp_path}")


def test_first_frame_of_an_animation(tmp_path):
    first, *rest = (Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue"))
    first.save(tmp_path / "1.gif", save_all=True, append_images=rest)
    assert_colour(only(f"folder:{tmp_path}"), [255, 0, 0])


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation, suffix):
    upright = Image.fromarray(rendered_faces(1, 64)[0].permute(1, 2, 0).numpy()).crop((0, 0, 64, 56))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # from Image.Transpose: what a viewer will undo
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"1.{suffix}", exif=exif, lossless=True)
    assert np.array_equal(only(f"folder:{tmp_path}", size=56).permute(1, 2, 0), np.array(upright)[:, 4:60])


@pytest.mark.parametrize("length", [0, 5, 30, 60])
def test_damaged_exif_does_no_harm(tmp_path, length):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "x" * 200
    picture = Image.new("RGB", (40, 40), (0, 200, 30))
    picture.save(tmp_path / "1.jpg", exif=exif.tobytes()[:length], quality=95, dpi=(72, 72))
    with warnings.catch_warnings(record=True) as escaped:
        warnings.simplefilter("always")
        assert_colour(only(f"folder:{tmp_path}"), [0, 200, 30], tolerance=2)
    assert not escaped


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation_of_a_jpeg_decoded_at_a_smaller_scale(tmp_path, orientation):
    upright = Image.fromarray(rendered_faces(1, 256)[0].permute(1, 2, 0).numpy()).crop((0, 0, 177, 251))
    stored = upright.rotate({1: 0, 3: 180, 6: 90, 8: -90}[orientation], expand=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "1.jpg", exif=exif, quality=95)
    expected = upright.resize((16, 16), Image.Resampling.LANCZOS, box=(0, 37, 177, 214))
    found = only(f"folder:{tmp_path}").permute(1, 2, 0).float()
    assert (found - torch.from_numpy(np.array(expected)).float()).abs().mean() < 1


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 300), (3, 2)])
def test_tiny_pictures_are_enlarged(tmp_path, width, height):
    assert_colour(only(save(tmp_path / "1.png", plain([10, 200, 30], width, height))), [10, 200, 30])


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_huge_picture_is_reduced(tmp_path, suffix):
    picture = np.zeros((1000, 1500, 3), np.uint8)
    picture[:, 250:1250] = [10, 200, 30]
    large = Image.fromarray(picture).resize((6000, 4000), Image.Resampling.NEAREST)
    large.save(tmp_path / f"1.{suffix}", compress_level=1)
    assert_colour(only(f"folder:{tmp_path}")[:, :, 1:-1], [10, 200, 30], tolerance=5)


@pytest.mark.parametrize("limit", [1000, 500])
def test_a_decompression_bomb_is_a_broken_picture(tmp_path, monkeypatch, limit):
    """Pillow warns above its limit and raises above twice that; 40 * 40 is 1600."""
    spec = save(tmp_path / "bomb.png", plain([9, 9, 9]))
    save(tmp_path / "fine.png", plain([9, 9, 9], 20, 20))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings(record=True) as escaped:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match=r"bomb\.png .*1600 pixels"):
            Batches(open_images(spec, size=16), 1)
        assert len(Batches(open_images(spec, size=16, broken="skip"), 1).images) == 1
    assert not escaped


def test_channels(tmp_path):
    spec = save(tmp_path / "1.png", plain([200, 100, 50]))
    luma = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert_colour(only(spec, channels=1), [luma])
    assert_colour(only(spec, channels=3), [200, 100, 50])
    grey = open_images("faces", size=16, count=70, channels=1)
    colour = open_images("faces", size=16, count=70)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    expected = (colour.pixels.double() * weights).sum(1, keepdim=True)
    assert grey.pixels.shape == (70, 1, 16, 16)
    assert (grey.pixels - expected).abs().max() <= 0.51
    digits = open_images("digits", size=16, count=3).pixels
    assert digits.shape == (3, 3, 16, 16)
    assert torch.equal(digits[:, 0], digits[:, 2])


# --- Broken pictures


@forks
@pytest.mark.parametrize("resident_bytes", [None, 0])
def test_a_broken_picture_stops_before_training(damaged, resident_bytes):
    images = open_images(f"folder:{damaged}", size=16)
    with pytest.raises(ValueError, match=r"half\.jpg .*truncated.*broken='skip'") as raised:
        Batches(images, 4, resident_bytes=resident_bytes)
    assert raised.value.__cause__ is not None


@forks
@pytest.mark.parametrize("resident_bytes", [None, 0])
def test_broken_pictures_are_skipped_by_name(damaged, caplog, resident_bytes):
    images = open_images(f"folder:{damaged}", size=16, broken="skip")
    with caplog.at_level(logging.WARNING, logger="began.images.sources"):
        batches = Batches(images, 7, resident_bytes=resident_bytes, workers=1)
    told = [record.getMessage() for record in caplog.records]
    for name in ("half.jpg", "head.jpg", "noise.png", "nothing.jpg", "text.gif"):
        assert sum(name in message for message in told) == 1
    assert told[-1] == f"left out 5 of the 12 pictures of folder:{damaged}"
    assert len(told) == 6
    assert len(batches.images) == 7
    good = sorted(image.sum().item() for image in open_images(f"folder:{damaged}", size=16, count=7))
    (epoch,) = take(batches, 0, 1)
    assert sorted(to_pixels(image).sum().item() for image in epoch) == good


def test_nothing_but_broken_pictures_is_an_error(tmp_path):
    for name in ("1.png", "2.jpg"):
        (tmp_path / name).write_text("no picture")
    with pytest.raises(ValueError, match=rf"none of the 2 pictures of folder:{re.escape(str(tmp_path))}"):
        Batches(open_images(f"folder:{tmp_path}", size=16, broken="skip"), 1)


def test_too_few_pictures_left_is_an_error(damaged):
    images = open_images(f"folder:{damaged}", size=16, broken="skip")
    with pytest.raises(ValueError, match=r"batch is 8: .*1 to 7, the readable pictures"):
        Batches(images, 8)


def test_a_picture_deleted_meanwhile_is_named(numbered):
    Path(numbered.paths[3]).unlink()
    with pytest.raises(ValueError, match=r"03\.png .*FileNotFoundError"):
        Batches(numbered, 4)


# --- Arguments


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fases", r"'fases': known are faces, celeba:DIR, .*did you mean 'faces'"),
        ("celba:/x", r"did you mean 'celeba:DIR'"),
        ("folder", r"did you mean 'folder:DIR'"),
        ("folder:", r"did you mean 'folder:DIR'"),
        ("faces:9", r"unknown images 'faces:9'"),
        ("", r"unknown images ''"),
        ("/", r"did you mean 'folder:/'"),
    ],
)
def test_unknown_sources(spec, message):
    with pytest.raises(ValueError, match=message):
        open_images(spec, size=16)


@pytest.mark.parametrize("source", ["folder", "celeba"])
def test_folders_without_pictures(tmp_path, source):
    with pytest.raises(FileNotFoundError, match=r"no folder .*missing"):
        open_images(f"{source}:{tmp_path}/missing", size=16)
    with pytest.raises(FileNotFoundError, match="no pictures"):
        open_images(f"{source}:{tmp_path}", size=16)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(FileNotFoundError, match="no pictures"):
        open_images(f"{source}:{tmp_path}", size=16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 15}, r"size is 15: .*16 to 256 pixels"),
        ({"size": 257}, r"size is 257"),
        ({"size": 64.0}, r"size is 64\.0: an integer"),
        ({"channels": 4}, r"channels is 4: 1 \(grey\) or 3"),
        ({"count": 0}, r"count is 0: .*1 or more"),
        ({"count": 9999}, r"count is 9999: .*1 to 1797, the pictures of digits"),
        ({"broken": "ignore"}, r"broken is 'ignore': 'stop' or 'skip'"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        open_images("digits", **{"size": 16, **options})


def test_count_above_the_folder(numbered):
    with pytest.raises(ValueError, match=r"count is 24: .*1 to 23, the pictures of folder:"):
        open_images(numbered.name, size=16, count=24)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 24}, r"batch is 24: .*1 to 23, the pictures of folder:"),
        ({"batch": 0}, r"batch is 0"),
        ({"seed": -1}, r"seed is -1: .*0 or more"),
        ({"workers": 0}, r"workers is 0"),
        ({"ranks": 0}, r"ranks is 0: .*1 or more"),
        ({"ranks": 2, "rank": 2}, r"rank is 2: .*0 to 1, as there are 2 ranks"),
        ({"rank": -1}, r"rank is -1: .*0 to 0"),
        ({"ranks": 3}, r"batch is 4: a multiple of ranks, 3, is needed"),
    ],
)
def test_batches_refuses_before_decoding(numbered, options, message):
    numbered.paths[0] = "not there"
    with pytest.raises(ValueError, match=message):
        Batches(numbered, **{"batch": 4, **options})


def test_batches_refuses_other_data_sets_and_negative_steps(numbered):
    with pytest.raises(ValueError, match="images is list: open_images"):
        Batches([torch.zeros(3, 16, 16).byte()], 1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="step is -1"):
        Batches(numbered, 4).starting_at(-1)


# --- Batches


def test_a_batch_has_the_documented_shape_and_range(celeba):
    batches = Batches(open_images(f"celeba:{celeba}", size=32), 5)
    (batch,) = take(batches, 0, 1)
    assert (batch.shape, batch.dtype) == ((5, 3, 32, 32), torch.float32)
    assert -1 <= batch.min() < -0.5
    assert 0.5 < batch.max() <= 1


@pytest.mark.parametrize("batch", [1, 4, 22, 23])
def test_an_epoch_has_every_picture_once(numbered, batch):
    seen = [n for images in take(Batches(numbered, batch), 0, 23 * 3) for n in numbers(images)]
    epochs = [seen[i : i + 23] for i in range(0, len(seen), 23)][: 3 * batch]
    for epoch in epochs:
        assert sorted(epoch) == list(range(23))
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != list(range(23))


@pytest.mark.parametrize("step", [1, 5, 6, 23, 100, 123])
def test_resuming_gives_the_batches_of_an_uninterrupted_run(lopsided, step):
    batches = Batches(lopsided, 4, seed=2, flip=True)
    through = torch.stack(take(batches, 0, step + 8)[step:])
    assert torch.equal(through, torch.stack(take(Batches(lopsided, 4, seed=2, flip=True), step, 8)))
    assert torch.equal(through, torch.stack(take(batches, step, 8)))


@forks
@pytest.mark.parametrize("flip", [False, True])
def test_all_ways_of_loading_give_the_same_batches(celeba, flip):
    images = open_images(f"celeba:{celeba}", size=32)
    resident = Batches(images, 5, seed=1, flip=flip)
    assert isinstance(resident.images, Pictures)
    streaming = [Batches(images, 5, seed=1, flip=flip, resident_bytes=0, workers=n) for n in (1, 2)]
    assert all(isinstance(way.images, Files) for way in streaming)
    for step in (0, 3):
        expected = torch.stack(take(resident, step, 6))
        for way in (*streaming, Batches(resident.images, 5, seed=1, flip=flip, resident_bytes=0)):
            assert torch.equal(torch.stack(take(way, step, 6)), expected)


@pytest.mark.parametrize("epoch", [0, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_the_order_is_numpys_permutation_of_seed_and_epoch(numbered, epoch, flip):
    (batch,) = take(Batches(numbered, 23, seed=7, flip=flip), epoch, 1)
    assert numbers(batch) == np.random.default_rng((7, epoch)).permutation(23).tolist()


def test_flip_mirrors_half_of_the_pictures_and_others_in_each_epoch():
    pixels = torch.zeros(500, 1, 16, 16, dtype=torch.uint8)
    pixels[..., 0] = torch.arange(500 * 16).view(500, 1, 16) % 251 + 5  # on the left, not the same in any two rows
    upright, mirrored = [], []
    for plain_batch, batch in zip(
        *(take(Batches(Pictures(pixels, "left"), 500, flip=flip), 0, 8) for flip in (False, True)), strict=True
    ):
        upright.append((batch == plain_batch).flatten(1).all(1))
        mirrored.append((batch == plain_batch.flip(3)).flatten(1).all(1))
    mirrored = torch.stack(mirrored)
    assert torch.equal(mirrored, ~torch.stack(upright))
    assert (mirrored.double().mean(1) - 0.5).abs().max() < 0.1  # 4.5 standard deviations
    same = (mirrored[:, None] == mirrored).double().mean(2)
    assert same.fill_diagonal_(0.5).sub(0.5).abs().max() < 0.1


def test_flips_depend_on_the_seed():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(64, 1, 1, 1)
    one, other = (take(Batches(Pictures(pixels, "same"), 64, seed=seed, flip=True), 0, 1)[0] for seed in (1, 2))
    assert not torch.equal(one, other)


@forks
@pytest.mark.parametrize("resident_bytes", [None, 0])
@pytest.mark.parametrize("ranks", [2, 4])
def test_the_parts_of_all_ranks_make_the_batches_of_one(lopsided, ranks, resident_bytes):
    options = {"seed": 3, "flip": True, "resident_bytes": resident_bytes, "workers": 1}
    parts = [Batches(lopsided, 8, rank=rank, ranks=ranks, **options) for rank in range(ranks)]
    assert {part.batch for part in parts} == {8}
    whole = take(Batches(lopsided, 8, seed=3, flip=True), 2, 7)
    for batch, *shares in zip(whole, *(take(part, 2, 7) for part in parts), strict=True):
        assert {len(share) for share in shares} == {8 // ranks}
        assert torch.equal(torch.cat(shares), batch)


@forks
def test_a_rank_decodes_its_own_pictures_alone(numbered):
    batches = Batches(numbered, 4, rank=0, ranks=2, resident_bytes=0, workers=1)
    for batch in take(Batches(numbered, 4, rank=1, ranks=2), 0, 5):
        for n in numbers(batch):
            Path(numbered.paths[n]).unlink()
    assert [len(batch) for batch in take(batches, 0, 3)] == [2, 2, 2]


def test_a_batch_is_fetched_when_asked_for_and_not_before():
    fetched = []
    source = (fetched.append(i) or torch.zeros(1) for i in itertools.count())
    moved = module._moved(source, torch.device("cpu"))
    for count in range(4):
        assert len(fetched) == count
        next(moved)


def test_resident_up_to_the_limit_exactly(numbered):
    assert isinstance(Batches(numbered, 4, resident_bytes=23 * 3 * 16 * 16).images, Pictures)
    assert isinstance(Batches(numbered, 4, resident_bytes=23 * 3 * 16 * 16 - 1).images, Files)


@forks
@pytest.mark.parametrize("resident_bytes", [None, 0])
def test_global_random_numbers_are_left_alone(numbered, resident_bytes):
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    take(Batches(numbered, 4, resident_bytes=resident_bytes, workers=1), 3, 4)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_order_depends_on_the_seed_and_not_on_the_call(numbered):
    one, again, other = (
        Batches(numbered, 23, seed=1),
        Batches(numbered, 23, seed=1),
        Batches(numbered, 23, seed=2),
    )
    first = numbers(take(one, 0, 1)[0])
    assert first == numbers(take(one, 0, 1)[0]) == numbers(take(again, 0, 1)[0])
    assert first != numbers(take(other, 0, 1)[0])
    # Epoch 1 of seed 1 is not epoch 0 of seed 2, as a sum of the two would make it
    assert numbers(take(one, 1, 1)[0]) != numbers(take(other, 0, 1)[0])


def test_the_order_of_worker_threads_does_not_matter(tmp_path):
    for i in range(200):
        save(tmp_path / f"{i:03}.png", plain([i, i, i], 300 if i % 64 < 3 else 16, 300 if i % 64 < 3 else 16))
    images = open_images(f"folder:{tmp_path}", size=16)
    for workers in (1, 4):
        pixels = images.decoded(torch.device("cpu"), workers).pixels
        assert pixels[:, 0, 0, 0].tolist() == list(range(200))


@pytest.mark.parametrize("resident_bytes", [0, 10_000])
def test_batches_land_on_the_device(resident_bytes):
    own = Pictures(torch.zeros(9, 1, 16, 16, dtype=torch.uint8), "own")
    batches = Batches(own, 3, device="meta", resident_bytes=resident_bytes)
    assert batches.images[0].device.type == ("meta" if resident_bytes else "cpu")
    assert [batch.device.type for batch in take(batches, 0, 4)] == ["meta"] * 4


def test_pictures_of_ones_own_are_not_copied():
    own = Pictures(torch.randint(0, 256, (9, 1, 16, 16), dtype=torch.uint8), "own")
    batches = Batches(own, 3, resident_bytes=0)
    assert batches.images is own
    assert sorted(x.sum().item() for b in take(batches, 0, 3) for x in to_pixels(b)) == sorted(
        x.sum().item() for x in own.pixels
    )


def test_free_memory_is_within_the_machine():
    assert 2**24 < module._free_bytes(torch.device("cpu")) < 2**46


@forks
@pytest.mark.cuda
@pytest.mark.parametrize("kind", ["resident", "host", "files"])
def test_batches_on_cuda_while_it_is_busy(lopsided, kind):
    """Each batch is read long after the host asked for it, when others have been copied behind it."""
    images = Batches(lopsided, 4).images if kind == "host" else lopsided
    resident_bytes = None if kind == "resident" else 0
    batches = Batches(images, 4, device="cuda", flip=True, resident_bytes=resident_bytes).starting_at(0)
    found = []
    for _ in range(20):
        torch.cuda._sleep(10_000_000)
        found.append(next(batches))
    assert {batch.device.type for batch in found} == {"cuda"}
    assert torch.equal(torch.stack(found).cpu(), torch.stack(take(Batches(lopsided, 4, flip=True), 0, 20)))


@forks
@pytest.mark.cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("resident_bytes", [None, 0])
def test_batches_do_not_wait_for_cuda(lopsided, resident_bytes, flip):
    batches = Batches(lopsided, 4, device="cuda", flip=flip, resident_bytes=resident_bytes).starting_at(0)
    next(batches)
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(12):  # into the third epoch
            next(batches)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_set_stays_on_the_device_else_on_the_host_else_it_is_decoded_again(monkeypatch):
    free = {"cuda": 100, "cpu": 1000}
    monkeypatch.setattr(module, "_free_bytes", lambda device: free[device.type])
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert module._home(50, cuda, None) == cuda
    assert module._home(51, cuda, None) == cpu
    assert module._home(500, cuda, None) == cpu
    assert module._home(501, cuda, None) is None
    assert module._home(501, cpu, None) is None
    assert module._home(51, cuda, 51) == cuda
    assert module._home(52, cuda, 51) is None


# --- Photographs


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    if not FACES64.exists():
        pytest.skip(f"{FACES64.name} is not there")
    folder = tmp_path_factory.mktemp("photographs")
    with zipfile.ZipFile(FACES64) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.slow
def test_photographs(photographs, record_property):
    images = open_images(f"folder:{photographs}", size=64)
    assert len(images) == 12_000
    start = time.perf_counter()
    pictures = Batches(images, 16).images
    speed = len(images) / (time.perf_counter() - start)
    record_property("pictures_per_second", round(speed))
    print(f"decoded {speed:.0f} pictures a second")
    values = to_unit(pictures.pixels[::10])
    assert -0.3 < values.mean() < 0.2
    assert 0.35 < values.std() < 0.6
    red, _, blue = values.mean((0, 2, 3))
    assert red > blue  # skin
    assert len({hashlib.sha1(x.numpy().tobytes()).digest() for x in pictures.pixels}) > 11_900
