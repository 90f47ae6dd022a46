"""The skeleton of the studies: jobs are done once, in stages, and what a changed scale made is not handed back."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from began.errors import BeganError
from began.measure import distances
from began.runs.artifacts import Options
from studies import comparison, controller, forks, gammas, inversions, rivals, runner, survival
from studies.image_gans import ALI, EBGAN
from studies.runner import Made, Scale, place_of
from studies.toy.methods import METHODS
from studies.toy.sweeps import Job

CPU, WORK = torch.device("cpu"), Path("work")
TOY_JOB = Job("began", "grid", 3, (({"lr_g": 1e-3}, 0),))
JOBS: dict[str, tuple[runner.Job, Any]] = {
    "gammas": (gammas.Trial("gamma", "faces", "BEGAN", {"gamma": 0.7}, 0, 40, 2), gammas.Lab()),
    "gammas, real": (gammas.Real("real", "faces", "real", {}, 0, 0), gammas.Lab()),
    "rivals": (rivals.Contest("best", "faces", "EBGAN", {"multiple": 2.0}, 0, 40, 2), rivals.Lab()),
    "rivals, nulls": (rivals.Null("null", "faces", "one", {}, 0, 0), rivals.Lab()),
    "forks": (forks.Fork("fork", "photographs", "BEGAN", forks.TRUNK, 0, 40, (0.5,), 20), forks.Lab()),
    "forks, nulls": (forks.Null("null", "photographs", "one", {}, 0, 0), forks.Lab()),
    "survival": (survival.WatchedRun("full", "faces", "BEGAN-CS", {"lr": 1e-3}, 0, 20), survival.Lab()),
    "survival, toys": (survival.ToyRuns("2", ({"lr_g": 1e-3},), 5, 200), survival.Lab()),
    "inversions": (inversions.Inversion("report", "faces", "ALI", {"lr": 1e-3}, 0, 50), inversions.Lab()),
    "controller": (controller.Recording(0, 500), controller.Lab()),
    "controller, toys": (controller.ToyRecordings(5), controller.Lab()),
    "comparison": (comparison.Stage("search", "grid", TOY_JOB), comparison.Lab()),
}


def places() -> dict[str, Path]:
    return {study: place_of(job, lab, WORK) for study, (job, lab) in JOBS.items()}


def another(value: Any) -> Any:
    """Something else of the same kind."""
    if isinstance(value, dict):
        return {name: part for name, part in value.items() if name != next(iter(value))}
    return value * 2 if isinstance(value, int | float) else value[:-1]


@pytest.mark.parametrize("study", JOBS)
def test_a_change_of_scale_changes_the_place_of_every_job_and_a_choice_of_jobs_does_not(study: str):
    job, lab = JOBS[study]
    for part in dataclasses.fields(lab):
        if part.metadata.get("choice"):
            value = getattr(lab, part.name)
            changed = {"photographs": Path("mine"), "steps": 777, "readers": runner.artifacts_folder() / "attributes"}
            other = replace(lab, **{part.name: changed.get(part.name, value + 1 if isinstance(value, int) else value)})
            assert place_of(job, other, WORK) == place_of(job, lab, WORK), part.name
        elif part.name != "size":  # there is a reader of one size alone
            other = replace(lab, **{part.name: another(getattr(lab, part.name))})
            assert place_of(job, other, WORK) != place_of(job, lab, WORK), part.name


@pytest.mark.parametrize("study", JOBS)
def test_each_field_of_a_job_changes_its_place(study: str):
    job, lab = JOBS[study]
    other = {"data": "digits", "setting": {}, "remedy": "lr", "model": "EBGAN", "job": TOY_JOB._replace(steps=4)}
    if study in ("inversions", "gammas, real", "rivals", "rivals, nulls"):
        other["data"] = "photographs"
    if study == "forks":
        other["setting"] = {**forks.TRUNK, "lr": 5e-4}
    for name, value in vars(job).items():
        changed = replace(job, **{name: other.get(name, value + "s" if isinstance(value, str) else value)})
        if isinstance(value, int):
            changed = replace(job, **{name: value + 1})
        if changed != job:
            assert place_of(changed, lab, WORK) != place_of(job, lab, WORK), name


def test_defaults_that_no_job_names_count(monkeypatch: pytest.MonkeyPatch):
    before = places()
    monkeypatch.setattr(EBGAN, "knobs", {**EBGAN.knobs, "margin": 0.7})
    monkeypatch.setattr(ALI, "knobs", {**ALI.knobs, "tanh": 1})
    monkeypatch.setattr(METHODS["began"], "knobs", {})
    monkeypatch.setattr(distances, "COMPONENTS", 2)
    same = {study for study, place in places().items() if place == before[study]}
    assert same == {"controller"}, "which measures nothing"
    monkeypatch.setitem(runner.BASE, "lambda_k", 0.1)
    assert places()["controller"] != before["controller"]


def test_photographs_and_readers_that_changed_count(tmp_path: Path):
    job, lab = JOBS["gammas"]

    def photographs() -> Path:
        runner._listed.cache_clear()
        return place_of(replace(job, data="photographs"), replace(lab, photographs=tmp_path), WORK)

    found = [photographs()]
    for name, text in (("a.png", "1"), ("b.png", "2"), ("a.png", "longer")):
        (tmp_path / name).write_text(text)
        found.append(photographs())
    assert len(set(found)) == 4
    assert photographs() == found[-1]
    (tmp_path / "16.safetensors").write_text("another")
    assert place_of(job, replace(lab, readers=tmp_path), WORK) != place_of(job, lab, WORK)


def test_a_key_is_the_same_in_another_process_and_on_another_day():
    one, other = {"b": [1, 2.5], "a": {"x": None}}, {"a": {"x": None}, "b": (1, 2.5)}
    assert runner.fingerprint(one) == runner.fingerprint(other)
    assert runner.fingerprint({"a": 1}) == "f9d86028c6e0d64e"
    with pytest.raises(TypeError):
        runner.fingerprint({"a": object()})


@dataclass(frozen=True)
class Count(runner.Job):
    """A job that says its number, and that it was done."""

    number: int
    data: str = "faces"
    steps: int = 1

    @property
    def name(self) -> str:
        return f"{self.data}/{self.number}"

    def depends(self, lab: Scale) -> dict:
        return {}

    def carry_out(self, lab: Scale, place: Path, device: torch.device, advance: runner.Advance) -> Made:
        DONE.append(self.number)
        advance(self.steps)
        tensor = torch.full((2,), self.number)
        return Made([{"number": self.number, "data": self.data}], {"left": {f"kind/{self.name}": tensor}})


DONE: list[int] = []


def counted(first: int, data: str = "faces") -> runner.Plan:
    """A plan of two stages: the second adds up the first."""
    rows = yield [Count(first, data), Count(first + 1, data)]
    yield [Count(sum(row["number"] for row in rows))]


@contextmanager
def done(*numbers: int) -> Iterator[None]:
    """Jobs that are done meanwhile, whatever the order."""
    DONE.clear()
    yield
    assert sorted(DONE) == sorted(numbers)


@pytest.mark.usefixtures("here")
def test_plans_go_on_with_their_rows_in_order_and_no_job_is_done_twice(tmp_path: Path):
    lab = runner.Lab()
    with done(1, 2, 3, 10, 11, 21):
        made = runner.carry_out([counted(1), counted(10)], lab, tmp_path, CPU)
    assert [row["number"] for row in made.rows] == [1, 2, 3, 10, 11, 21]
    with done():
        assert runner.carry_out([counted(1)], lab, tmp_path, CPU).rows == made.rows[:3]
    (place_of(Count(2), lab, tmp_path) / runner.ROWS).unlink()
    with done(2):
        runner.carry_out([counted(1)], lab, tmp_path, CPU)


@pytest.mark.usefixtures("here")
def test_what_is_not_there_is_left_out_and_what_was_made_of_it_stays(photographs: Path, tmp_path: Path):
    there, out, work = runner.Lab(photographs=photographs), tmp_path / "out", tmp_path / "work"
    runner.keep(runner.carry_out([counted(1, "photographs")], there, work, CPU), out, there)
    missing = replace(there, photographs=tmp_path / "nowhere")
    with done(0):  # the sum of no rows
        runner.keep(runner.carry_out([counted(5, "photographs")], missing, work, CPU), out, missing)
    kept = runner.read(out)
    assert [row["number"] for row in kept.rows] == [0, 1, 2], "those of photographs last"
    assert kept.tensors["left"].keys() == {"kind/faces/0", "kind/photographs/1", "kind/photographs/2"}
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    runner.keep(runner.carry_out([counted(5, "photographs")], missing, work, CPU), out, missing)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_scale_has_what_is_asked_for_and_refuses_what_a_study_has_not(photographs: Path, tmp_path: Path):
    asked = Options(photographs, data=("faces",), n=4, lr=1e-4, steps=100, seeds=2)
    lab = runner.prepare(gammas.Lab(), asked, tmp_path)
    assert lab == gammas.Lab(
        data=("faces",), photographs=photographs, n=4, lr=1e-4, steps=100, seeds=2, readers=lab.readers
    )
    assert lab.absent == {"photographs", "digits"}
    assert asked.label == "data=faces-n=4-lr=0.0001-steps=100-seeds=2"
    for given, message in (
        ({"settings": 3}, "--settings can't be chosen"),
        ({"data": ("grid",)}, "data must be one of faces, photographs, digits, got grid"),
        ({"steps": 19}, "steps must be at least 20, got 19"),
        ({"size": 17}, "size must be"),
    ):
        with pytest.raises(BeganError, match=message):
            runner.prepare(gammas.Lab(), Options(**given), tmp_path)
    with pytest.raises(BeganError, match="--size"):
        Options(size=64).applied(comparison.Lab())


def test_a_reader_of_faces_that_is_not_here_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trained = []
    monkeypatch.setattr(runner, "train_reader", lambda config: trained.append(config.size) or config)
    monkeypatch.setattr(runner, "save_reader", lambda config, folder: (folder.mkdir(), (folder / "128.json").touch()))
    labs = [runner.prepare(gammas.Lab(), Options(size=128), tmp_path / name) for name in ("trials", "survival")]
    assert trained == [128]
    assert {lab.readers for lab in labs} == {tmp_path / "attributes-size=128"}
    assert (
        runner.prepare(gammas.Lab(), Options(), tmp_path / "trials").readers == runner.artifacts_folder() / "attributes"
    )
