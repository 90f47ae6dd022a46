"""What a study made under other settings is not handed back."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from began.measure import distances
from studies import comparison, controller, gammas, inversions, keys, survival
from studies.gammas import Trial
from studies.image_gans import ALI, EBGAN
from studies.inversions import Inversion
from studies.survival import ToyVigils, Vigil
from studies.toy.methods import METHODS
from studies.toy.sweeps import Job

FOLDER, NOWHERE = Path("work"), Path("no photographs")
TRIAL = Trial("gamma", "faces", "BEGAN", {"gamma": 0.7}, 0, 40, 2)
VIGIL = Vigil("full", "faces", "BEGAN-CS", {"lr": 1e-3}, 0, 20)
TOYS = ToyVigils("toy/2", ({"lr_g": 1e-3},), 200)
INVERSION = Inversion("report", "faces", "ALI", {"lr": 1e-3}, 0, 50)


def recording(folder: Path) -> Path:
    """Return where a recording is looked for."""

    class FoundError(Exception):
        """The file that is looked for."""

    def exists(path: Path) -> bool:
        raise FoundError(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "exists", exists)
        try:
            controller.record(controller.Recording(0), folder, torch.device("cpu"))
        except FoundError as found:
            return found.args[0]
    raise AssertionError("nothing was looked for")


JOB = Job("began", "grid", 3, (({"lr_g": 1e-3}, 0),))


def kept(folder: Path) -> Path:
    """Return where the rows of a comparison's job are looked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "exists", lambda path: True)
        patch.setattr(Path, "read_text", lambda path: json.dumps([{"path": str(path)}]))
        (row,) = comparison._kept(JOB, "search", folder, torch.device("cpu"), lambda _: None)
    return Path(row["path"])


PLACES: dict[str, Callable[[Path], Path]] = {
    "gammas": lambda folder: gammas.place(TRIAL, folder, NOWHERE),
    "survival": lambda folder: survival.place(VIGIL, folder, NOWHERE),
    "survival, toys": lambda folder: survival.place(TOYS, folder, NOWHERE),
    "inversions": lambda folder: inversions.place_of(INVERSION, folder, NOWHERE),
    "controller": recording,
    "comparison": kept,
}
MODULES: dict[str, Any] = {"gammas": gammas, "survival": survival, "inversions": inversions, "controller": controller}
SIZES = {"LONG", "SHORT", "RESTARTS", "RESTARTED", "IMAGES", "MANY", "FRAMES", "SHOWN", "WALKS", "BASES"}
SIZES |= {"SAMPLES", "RANGES", "WAYS"}
SETTINGS = {
    "gammas": ["WINDOW", "HELD_OUT", "COUNT"],
    "survival": ["STOP", "WINDOW", "COUNT", "CODES", "DRAWN", "SHOWN", "EVERY"],
    "survival, toys": ["COUNT", "EVERY", "SEEDS"],
    "inversions": [name for name in vars(inversions) if name in SIZES],
    "controller": ["WARM_UP", "LAMBDAS", "DITHER", "HOLD"],
}
UNUSED = {  # what says which jobs there are, and which of what they left is shown
    "gammas": {"SEEDS", "GAMMAS", "GAINS", "SEARCH_SEED", "SHOWN", "SEARCHED", "SCALE_FREE"},
    "survival": {"ALPHAS", "SEEDS", "FACES", "PHOTOGRAPHS", "FAST", "FEW", "LOW", "PICTURED", "TWO_LAYERS"}
    | {"THREE_LAYERS", "TOYS"},
    "inversions": {"STEPS", "ALI_TRIED", "SEARCH_SEED", "SEEDS"},
    "controller": {"SEEDS", "STILL"},
}
BY_CONFIG = {"BASE", "CHANNELS", "MODELS", "SETTINGS", "PRESETS", "RIVALS", "RULES"}  # through the config or the job
NOT_KEPT = {"TOY", "TOY_WARM_UP", "TOY_GAINS"}  # of the controller's recording on a toy, which is made each time


@contextmanager
def changed(module: Any, name: str) -> Iterator[None]:
    value = getattr(module, name)
    other = value * 2 if isinstance(value, int | float) else value[:-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, other)
        yield


@pytest.mark.parametrize(("study", "name"), [(study, name) for study, names in SETTINGS.items() for name in names])
def test_a_changed_setting_changes_the_place(study: str, name: str):
    before = PLACES[study](FOLDER)
    with changed(MODULES[study.partition(",")[0]], name):
        assert PLACES[study](FOLDER) != before
    assert PLACES[study](FOLDER) == before


@pytest.mark.parametrize("study", MODULES)
def test_no_setting_is_forgotten(study: str):
    """A new constant of a study is either in its key, or one of those that no result depends on."""
    constants = {
        name
        for name, value in vars(MODULES[study]).items()
        if name.isupper() and not isinstance(value, type) and not callable(value)
    }
    known = {name for key, names in SETTINGS.items() if key.partition(",")[0] == study for name in names}
    elsewhere = BY_CONFIG | NOT_KEPT | {"PROBLEMS", "METHODS", "ATTRIBUTES", "CONTINUOUS", "CATEGORICAL"}
    assert constants <= known | UNUSED[study] | elsewhere


@pytest.mark.parametrize("study", [study for study in PLACES if study not in ("survival, toys", "comparison")])
def test_a_changed_config_changes_the_place(study: str, monkeypatch: pytest.MonkeyPatch):
    before = PLACES[study](FOLDER)
    monkeypatch.setitem(gammas.BASE, "batch", 8)
    assert PLACES[study](FOLDER) != before


def test_each_field_of_a_job_changes_its_place():
    def differ(place: Callable, job: Any, **changes: Any) -> None:
        for name, value in changes.items():
            assert place(job._replace(**{name: value}), FOLDER, NOWHERE) != place(job, FOLDER, NOWHERE), name

    differ(gammas.place, TRIAL, data="digits", model="EBGAN", setting={}, seed=1, steps=80, checkpoints=3)
    differ(survival.place, VIGIL, data="photographs", model="BEGAN", setting={}, seed=1, steps=40, remedy="lr")
    differ(survival.place, TOYS, settings=({},), steps=100)
    differ(inversions.place_of, INVERSION, data="photographs", model="BEGAN", setting={}, seed=1, steps=80)


def test_defaults_that_a_job_does_not_name_count(monkeypatch: pytest.MonkeyPatch):
    before = {study: place(FOLDER) for study, place in PLACES.items()}
    monkeypatch.setattr(EBGAN, "knobs", {**EBGAN.knobs, "margin": 0.7})
    monkeypatch.setattr(ALI, "knobs", {**ALI.knobs, "tanh": 1})
    monkeypatch.setattr(METHODS["began"], "knobs", {})
    monkeypatch.setattr(distances, "NEAREST", 2)
    after = {study: place(FOLDER) for study, place in PLACES.items()}
    assert {study for study in PLACES if after[study] == before[study]} == {"controller"}, "which measures nothing"


def test_photographs_and_readers_that_changed_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def photographs() -> Path:
        keys._listed.cache_clear()
        return gammas.place(TRIAL._replace(data="photographs"), FOLDER, tmp_path)

    found = [photographs()]
    for name, text in (("a.png", "1"), ("b.png", "2"), ("a.png", "longer")):
        (tmp_path / name).write_text(text)
        found.append(photographs())
    assert len(set(found)) == 4
    assert photographs() == found[-1]
    before = PLACES["gammas"](FOLDER)
    (tmp_path / "attributes").mkdir()
    (tmp_path / "attributes/16.safetensors").write_text("another")
    monkeypatch.setattr(keys, "artifacts_folder", lambda: tmp_path)
    assert PLACES["gammas"](FOLDER) != before


def test_a_key_is_the_same_in_another_process_and_on_another_day():
    assert keys.fingerprint({"b": [1, 2.5], "a": {"x": None}}) == keys.fingerprint({"a": {"x": None}, "b": (1, 2.5)})
    assert keys.fingerprint({"a": 1}) == "f9d86028c6e0d64e"
    with pytest.raises(TypeError):
        keys.fingerprint({"a": object()})
