"""Pictures of one's own: their codes found, kept and changed, by the package and by the command line."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from began.cli import main
from began.codes.edits import attribute_slopes, invert, load_codes, save_codes
from began.codes.search import move
from began.images.faces import ATTRIBUTES, rendered_faces
from began.images.pixels import to_pixels, to_unit
from began.measure.reader import load_reader
from began.runs.results import Run, generate, load


@pytest.fixture
def run() -> Run:
    return load("faces32-began-cs")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    for i, face in enumerate(rendered_faces(2, 64, seed=9)):
        Image.fromarray(face.permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    return sorted(folder.iterdir())


def began(*arguments: str | Path | int | float) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def grid(path: Path, columns: int) -> Tensor:
    """Cut a written grid of 32x32 pictures, two pixels between them, into its pictures."""
    with Image.open(path) as picture:
        pixels = torch.from_numpy(np.array(picture))
    rows = (pixels.shape[0] - 2) // 34
    assert pixels.shape[1] == 34 * columns + 2
    cut = [pixels[34 * r + 2 : 34 * r + 34, 34 * c + 2 : 34 * c + 34] for r in range(rows) for c in range(columns)]
    return torch.stack(cut).permute(0, 3, 1, 2)


def test_no_iteration_is_the_one_shot_and_more_come_nearer(run: Run):
    x = to_unit(rendered_faces(3, 32, seed=4))
    shot = invert(run, x, iterations=0)
    with torch.no_grad():
        assert torch.allclose(shot.z, run.discriminator.encode(x), atol=1e-5)
    found = invert(run, x, iterations=40)
    tried = invert(run, x, iterations=40, restarts=2)
    assert (found.error < shot.error).all()
    assert (tried.error <= found.error + 1e-5).all()
    error = (generate(run.generator, tried.z) - x).abs().flatten(1).mean(1)
    assert torch.allclose(error, tried.error, atol=1e-5)


def test_codes_come_back_with_their_names(tmp_path: Path):
    z = torch.randn(2, 5)
    save_codes(tmp_path / "a.safetensors", z, ["one.png", "two.png"])
    back = load_codes(tmp_path / "a.safetensors", 5)
    assert torch.equal(back.z, z)
    assert back.names == ["one.png", "two.png"]
    with pytest.raises(ValueError, match=r"holds codes \(2, 5\), where the run's have 64"):
        load_codes(tmp_path / "a.safetensors", 64)
    with pytest.raises(FileNotFoundError, match="began invert writes them"):
        load_codes(tmp_path / "b.safetensors", 5)
    for name, content in (("text", b"codes"), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="does not hold codes"):
            load_codes(tmp_path / name, 5)
    save_file({"weights": z}, tmp_path / "other")
    with pytest.raises(ValueError, match="does not hold codes"):
        load_codes(tmp_path / "other", 5)


def test_a_move_along_a_slope_changes_the_attribute(run: Run):
    reader = load_reader()
    names, slopes = attribute_slopes(run, reader)
    z = torch.rand(64, 64, generator=torch.Generator().manual_seed(5)) * 2 - 1
    light = [attribute.name for attribute in ATTRIBUTES].index("light")

    def seen(codes: Tensor) -> float:
        small = torch.nn.functional.avg_pool2d(generate(run.generator, codes), 2)
        return reader.read(to_pixels(small)).attributes[:, light].mean().item()

    step = move(slopes, torch.tensor([0.3 * (name == "light") for name in names]))
    assert seen(z - step) < seen(z) < seen(z + step)
    other = dataclasses.replace(run, config=dataclasses.replace(run.config, data="folder:mine"))
    with pytest.raises(ValueError, match="the run's data is 'folder:mine'"):
        attribute_slopes(other, reader)


def assert_drawn(pixels: torch.Tensor, run: Run, z: torch.Tensor) -> None:
    """They are G's pictures of z, but for a last digit that depends on how many are drawn at once."""
    drawn = to_pixels(generate(run.generator, z))
    assert pixels.shape == drawn.shape
    assert (pixels.int() - drawn.int()).abs().max() <= 1


def test_invert_and_edit(run: Run, pictures: list[Path], tmp_path: Path):
    found, edited = tmp_path / "found.png", tmp_path / "edited.png"
    given = [part for path in pictures for part in ("--image", path)]
    result = began("invert", "--run", "faces32-began-cs", *given, "--iterations", 30, "--bound", 1, "--out", found)
    assert result.exit_code == 0, result.output
    codes = load_codes(found.with_suffix(".safetensors"), 64)
    assert codes.names == [str(path) for path in pictures]
    assert codes.z.abs().max() <= 1
    shown = grid(found, 3)
    assert_drawn(shown[2::3], run, codes.z)
    assert (to_unit(shown[2]) - to_unit(shown[0])).abs().mean() < (to_unit(shown[1]) - to_unit(shown[0])).abs().mean()

    start = [
        "edit",
        "--run",
        "faces32-began-cs",
        "--codes",
        found.with_suffix(".safetensors"),
        "--out",
        edited,
        "--force",
    ]
    result = began(*start, "--dimension", "3=2", "--frames", 3)
    assert result.exit_code == 0, result.output
    changed = codes.z.clone()
    changed[:, 3] = 2
    shown = grid(edited, 3)
    assert_drawn(shown[0::3], run, codes.z)
    assert_drawn(shown[2::3], run, changed)

    save_codes(tmp_path / "with.safetensors", torch.full((2, 64), 0.5), ["a", "b"])
    save_codes(tmp_path / "without.safetensors", torch.zeros(3, 64), ["c", "d", "e"])
    ends = ["--toward", tmp_path / "with.safetensors", "--away", tmp_path / "without.safetensors", "--amount", 0.5]
    assert began(*start, *ends, "--frames", 2).exit_code == 0
    assert_drawn(grid(edited, 2)[1::2], run, codes.z + 0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to change"),
        (["--dimension", "64=1"], "'64' is not a dimension: 0 to 63 are"),
        (["--dimension", "3"], "NAME=NUMBER is needed"),
        (["--attribute", "smile=1"], "'smile' can't be read as a number"),
        (["--toward", "CODES"], "--toward and --away need each other"),
    ],
)
def test_edit_refuses(tmp_path: Path, arguments: list[str], message: str):
    codes = tmp_path / "codes.safetensors"
    save_codes(codes, torch.zeros(1, 64), ["a"])
    given = [str(codes) if part == "CODES" else part for part in arguments]
    result = began("edit", "--run", "faces32-began-cs", "--codes", codes, *given)
    assert result.exit_code
    assert message in " ".join(result.stderr.split())
    assert not Path("edited.png").exists()


def test_a_picture_that_is_none_is_named(tmp_path: Path):
    (tmp_path / "text.jpg").write_text("no picture")
    result = began("invert", "--run", "faces32-began-cs", "--image", tmp_path / "text.jpg")
    assert result.exit_code == 1
    assert "text.jpg" in result.stderr
