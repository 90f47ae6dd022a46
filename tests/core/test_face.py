"""The names that `import began` offers: they are there, and their examples are true."""

import doctest
import importlib
import re
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import began
from began.checkpoints import CHECKPOINT

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", began.__all__)
def test_the_example_of_a_public_name_is_true(name: str):
    thing = getattr(began, name)
    (test,) = doctest.DocTestFinder(recurse=False).find(thing, name, globs=vars(sys.modules[thing.__module__]).copy())
    assert test.examples, f"{name} has no example"
    result = doctest.DocTestRunner().run(test)
    assert result.failed == 0


def test_the_face_is_small_and_names_nothing_else():
    assert len(began.__all__) <= 18
    assert sorted(began.__all__) == began.__all__
    assert dir(began) == sorted([*began.__all__, "__version__"])
    with pytest.raises(AttributeError, match="no attribute 'Update'"):
        _ = importlib.import_module("began").Update


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(12):
        Image.new("RGB", (40 + i, 50), (20 * i, 100, 50)).save(folder / f"{i}.jpg")
    return folder


def test_one_line_trains_on_a_folder_of_pictures(pictures: Path, tmp_path: Path):
    small = {"size": 16, "n": 4, "batch": 4, "progress": False}
    run = began.train("began_cs", data=f"folder:{pictures}", steps=6, out=tmp_path / "mine", **small)
    assert run.config.alpha == 0.1
    assert run.record["steps"] == 6
    assert run.sample(3).shape == (3, 3, 16, 16)
    again = began.load(tmp_path / "mine")
    assert torch.equal(again.sample(3), run.sample(3))
    assert again.record == run.record
    assert (tmp_path / "mine/samples.png").is_file()


@pytest.mark.parametrize(
    ("page", "alpha", "small"),
    [("README.md", 0.0, "steps=3, size=16, n=4"), ("book/api.md", 0.1, "steps=3, n=4")],
)
def test_the_example_of_a_page_runs_on_a_folder_of_pictures(
    page: str, alpha: float, small: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    for given, smaller in {
        "folder:DIR": f"folder:{pictures}",
        r"steps=\d+_000": f"{small}, batch=4, progress=False",
        'out="[^"]*"': 'out="runs/mine"',
    }.items():
        example, count = re.subn(given, smaller, example)
        assert count == 1, given
    example = example.replace("size=64", "size=16")
    monkeypatch.chdir(pictures.parent)
    names: dict = {}
    exec(example, names)
    assert names["run"].config.alpha == alpha
    assert names["run"].record["steps"] == 3
    assert (pictures.parent / "runs/mine/run.json").is_file()


def test_a_folder_that_holds_a_run_is_refused_or_gone_on_with(pictures: Path, tmp_path: Path):
    given = {"data": f"folder:{pictures}", "size": 16, "n": 4, "batch": 4, "out": tmp_path / "mine", "progress": False}
    began.train("began", steps=3, **given)
    before = (tmp_path / "mine" / CHECKPOINT).read_bytes()
    with pytest.raises(began.BeganError, match="mine holds a run already: go on with it"):
        began.train("began", steps=5, **given)
    assert (tmp_path / "mine" / CHECKPOINT).read_bytes() == before
    longer = began.train("began", steps=5, resume=True, **given)
    assert longer.record["steps"] == 5
    whole = began.train("began", steps=5, **{**given, "out": None})
    assert torch.equal(whole.sample(2), longer.sample(2))


def test_a_trainer_opens_the_pictures_that_its_config_names(pictures: Path):
    trainer = began.Trainer(began.TrainConfig(data=f"folder:{pictures}", size=16, n=4, batch=4, steps=2))
    assert len(trainer.batches.images) == 12
    assert len(trainer.fit(progress=False).k) == 2


def test_a_rule_of_ones_own_is_a_function(pictures: Path):
    seen = []

    def only_real(model, x, z):
        v = model.generator(z)
        real, fake = (began.reconstruction_loss(u, model.discriminator(u)).mean() for u in (x, v))

        def backward():
            seen.append(len(x))
            real.backward()

        return began.Losses(real.detach(), fake.detach(), torch.zeros(())), backward

    config = began.TrainConfig(data=f"folder:{pictures}", size=16, n=4, batch=4, steps=3)
    trainer = began.Trainer(config, rule=only_real)
    before = [part.clone() for part in trainer.model.generator.parameters()]
    trainer.fit(progress=False)
    assert seen == [4, 4, 4]
    assert all(map(torch.equal, before, trainer.model.generator.parameters())), "only D was told to move"
