"""What all studies stand on: their scale, jobs that are done once whatever stops them, and what is kept of them."""

import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from began.config import TrainConfig
from began.errors import BeganError
from began.files import atomic_write
from began.images.batches import Batches
from began.images.faces import rendered_faces
from began.images.sources import Pictures, open_images
from began.measure import distances
from began.measure.reader import Reader, ReaderConfig, load_reader, save_reader, train_reader
from began.runs.artifacts import Options, artifacts_folder
from began.runs.saving import provenance
from studies.toy.ensemble import Method
from studies.toy.mixtures import RADIUS, SAMPLES
from studies.workers import Row, Workers

# of a run on pictures, beside its lab's
BASE: dict[str, Any] = {"lambda_k": 0.03, "gamma": 0.9, "grain": 0.0, "ema": 0.0, "lr_patience": 0, "lr_drop": 0}
CHANNELS = {"faces": 3, "photographs": 3, "digits": 1}

Advance = Callable[[int], object]  # told of the steps done


def choice(default: Any) -> Any:
    """Return a field of a scale that says which jobs there are, or where things lie: no job's result depends on it."""
    return field(default=default, metadata={"choice": True})


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large a study is. It is handed to every job, and all that results depend on is in the job's key.

    `steps` None: each run has those that the study gives it.
    """

    steps: int | None = choice(None)
    seeds: int = choice(5)

    @property
    def absent(self) -> set[str]:
        """The data that can't be used here, or were not asked for."""
        return set()

    @property
    def depends(self) -> dict[str, Any]:
        """What results depend on."""
        return {part.name: getattr(self, part.name) for part in fields(self) if not part.metadata.get("choice")}


@dataclass(frozen=True, kw_only=True)
class Lab(Scale):
    """The scale of a study on pictures: networks, batches, and how many pictures there are and samples are measured.

    `data` are used, of which `photographs` is a folder that need not be there; `readers` has the reader of faces, the
    committed ones if None. Raises BeganError for what no run can have.
    """

    size: int = 16
    n: int = 16
    batch: int = 16
    lr: float = 5e-4
    rendered: int = 8192  # faces to train on
    held_out: int = 2000  # pictures that no run trains on, at most
    window: int = 20  # steps whose mean is one point of a curve
    data: tuple[str, ...] = choice(("faces", "photographs"))
    photographs: Path = choice(Options.photographs)
    readers: Path | None = choice(None)

    def __post_init__(self) -> None:
        """Check the ranges."""
        self.config("faces")
        if self.steps is not None and self.steps < self.window:
            raise BeganError(f"steps must be at least {self.window}, got {self.steps}")
        if unknown := set(self.data) - set(type(self).data):
            raise BeganError(f"data must be one of {', '.join(type(self).data)}, got {', '.join(sorted(unknown))}")

    @property
    def absent(self) -> set[str]:
        """The data that can't be used here, or were not asked for."""
        missing = set() if self.photographs.is_dir() else {"photographs"}
        return set(type(self).data) - set(self.data) | missing

    def config(self, data: str, **changes: Any) -> TrainConfig:
        """Return the config of a run on some data."""
        ours = {"size": self.size, "n": self.n, "batch": self.batch, "lr": self.lr, "channels": CHANNELS[data]}
        return TrainConfig.from_dict({**BASE, **ours, **changes})

    def pictures(self, data: str) -> tuple[Pictures, Tensor]:
        """Return the pictures to train on, and those held out, uint8 `(N, C, S, S)`: for photographs every tenth."""
        return _pictures(data, self.size, self.rendered, self.held_out, self.photographs)

    def reader(self, data: str) -> Reader | None:
        """Return what reads the attributes of the data's pictures, None where nothing does."""
        return load_reader(self.size, self.readers) if data == "faces" else None

    def measures(self, data: str) -> dict[str, Any]:
        """Return what measures of images depend on beside the images: the data held against, the reader, and sizes."""
        sizes = {name: getattr(distances, name) for name in ("NEIGHBOURS", "COMPONENTS")}
        if data == "photographs":
            return sizes | {"photographs": _listed(self.photographs)}
        folder = self.readers or artifacts_folder() / "attributes"
        return sizes | {"reader": _digest(folder / f"{self.size}.safetensors")}


@cache
def _pictures(data: str, size: int, rendered: int, held_out: int, photographs: Path) -> tuple[Pictures, Tensor]:
    if data == "faces":
        return Pictures(rendered_faces(rendered, size, seed=0), data), rendered_faces(held_out, size, seed=1)
    source = f"folder:{photographs}" if data == "photographs" else data
    pixels = Batches(open_images(source, size=size, channels=CHANNELS[data]), 1).images
    assert isinstance(pixels, Pictures)
    tenth = torch.arange(len(pixels)) % 10 == 9
    return Pictures(pixels.pixels[~tenth], data), pixels.pixels[tenth][:held_out]


L = TypeVar("L", bound=Lab)


def prepare(own: L, options: Options, work: Path) -> L:
    """Return a study's own lab with what is asked for; a reader of faces of its size is trained where there is none.

    Raises BeganError for what the study has not, or no run can have.
    """
    lab = replace(options.applied(own), photographs=options.photographs)
    name, committed = f"{lab.size}.json", artifacts_folder() / "attributes"
    readers = committed if (committed / name).exists() else work.parent / f"attributes-size={lab.size}"
    if "faces" in lab.data and not (readers / name).exists():
        save_reader(train_reader(ReaderConfig(size=lab.size)), readers)
    return replace(lab, readers=readers)


class Made(NamedTuple):
    """What a job leaves, or a study: rows, and tensors by name in each file."""

    rows: list[Row]
    tensors: dict[str, dict[str, Tensor]]


class Job:
    """What a worker does at once, on some `data`: a frozen dataclass, whose fields are in its key."""

    data: str
    steps: int

    def work(self, lab: Any) -> int:
        """Return the steps in it."""
        return self.steps

    @property
    def name(self) -> str:
        """Where its results lie among those of its study."""
        raise NotImplementedError

    def depends(self, lab: Any) -> Mapping[str, Any]:
        """Return what its results depend on beside its fields and those of its lab, as JSON can hold it."""
        raise NotImplementedError

    def carry_out(self, lab: Any, place: Path, device: torch.device, advance: Advance) -> Made:
        """Do it; what a stopped call goes on from may lie in a folder within `place`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Run(Job):
    """A job that trains one pair of networks: `setting` changes fields of its config, or knobs of its model."""

    group: str
    data: str
    model: str
    setting: Mapping[str, Any]
    seed: int
    steps: int

    @property
    def key(self) -> str:
        """The name of the run within its group."""
        return "-".join([self.data, self.model, *named(self.setting), str(self.seed)])

    @property
    def name(self) -> str:
        """Where its results lie among those of its study, and the name of what is kept of them."""
        return f"{self.group}/{self.key}"

    def row(self, **more: Any) -> Row:
        """Return its row: what it is, and what else is said of it."""
        return {**{name: getattr(self, name) for name in ("group", "key", "data", "model", "seed")}, **more}


def named(setting: Mapping[str, float]) -> list[str]:
    """List the parts of a setting by name, as keys have them."""
    return [f"{name}={value:g}" for name, value in sorted(setting.items())]


def place_of(job: Job, lab: Scale, work: Path) -> Path:
    """Return where a job's results lie: what was made under other settings lies elsewhere, and is not found."""
    return work / f"{job.name}-{fingerprint({'job': vars(job), 'lab': lab.depends, **job.depends(lab)})}"


def fingerprint(depends: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that change with any of the settings, which are what JSON can hold."""
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]


def toy_depends(method: type[Method]) -> dict[str, Any]:
    """Return what a run on a toy depends on beside its setting: the defaults of its knobs, and how it is scored."""
    return {"knobs": {name: knob.default for name, knob in method.all_knobs().items()}, "scores": [SAMPLES, RADIUS]}


@cache
def _listed(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path.relative_to(folder)), path.stat().st_size) for path in folder.rglob("*") if path.is_file())


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


Plan = Generator[Sequence[Job], list[Row], None]  # yields jobs, and is handed their rows when all of them are done


def carry_out(plans: Iterable[Plan], lab: Scale, work: Path, device: torch.device) -> Made:
    """Carry out plans side by side, on all cores of a CPU, and return what their jobs left, in the plans' order.

    Jobs on absent data are left out. `work` keeps what is done, so that a stopped call goes on.
    """
    plans = list(plans)
    places: list[list[Path]] = [[] for _ in plans]  # of all jobs
    stages: list[list[Path]] = [[] for _ in plans]  # of those that were begun last
    waiting = [0 for _ in plans]
    with Workers(device) as workers:

        def go_on(number: int, rows: list[Row] | None) -> None:
            """Begin the next stage of a plan, and the one after where none of its jobs can be done here."""
            try:
                jobs = plans[number].send(rows)  # pyright: ignore[reportArgumentType]
            except StopIteration:
                return
            jobs = [job for job in jobs if job.data not in lab.absent]
            stages[number], waiting[number] = [place_of(job, lab, work) for job in jobs], len(jobs)
            places[number] += stages[number]
            for job, place in zip(jobs, stages[number], strict=True):
                workers.call(carry_out_job, job.work(lab), job, lab, place, number)
            if not jobs:
                go_on(number, [])

        for number in range(len(plans)):
            go_on(number, None)
        for (number,) in workers.finished():
            waiting[number] -= 1
            if not waiting[number]:
                go_on(number, [row for place in stages[number] for row in read(place).rows])
    return united(read(place) for part in places for place in part)


def carry_out_job(job: Job, lab: Scale, place: Path, number: int, device: torch.device, advance: Advance) -> list[int]:
    """Do a job unless an earlier call did, and return the number of its plan; a worker's part of `carry_out`."""
    if (place / ROWS).exists():
        advance(job.work(lab))
    else:
        write(job.carry_out(lab, place, device, advance), place)
    return [number]


def united(parts: Iterable[Made]) -> Made:
    """Put together what several left, in order."""
    whole = Made([], {})
    for part in parts:
        whole.rows.extend(part.rows)
        for file, tensors in part.tensors.items():
            whole.tensors.setdefault(file, {}).update(tensors)
    return whole


ROWS = "rows.jsonl"


def write(made: Made, folder: Path) -> None:
    """Write rows and tensors; the rows come last, and say that all is there."""
    for file, tensors in made.tensors.items():
        save_tensors(folder / f"{file}.safetensors", tensors)
    save_text(folder / ROWS, "".join(json.dumps(row) + "\n" for row in made.rows))


def read(folder: Path) -> Made:
    """Read what `write` wrote; where nothing was, there is none."""
    tensors = {path.stem: load_file(path) for path in sorted(folder.glob("*.safetensors"))}
    return Made(read_rows(folder), tensors)


def read_rows(folder: Path) -> list[Row]:
    """Read the rows alone."""
    path = folder / ROWS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def keep(made: Made, out: Path, lab: Scale) -> None:
    """Write a study's artifact; what it had of data that are absent now stays as it is.

    Names of tensors have their data as a word.
    """
    old = read(out)
    rows = [row for row in old.rows if row.get("data") in lab.absent]
    tensors = {
        file: {name: part for name, part in parts.items() if lab.absent & set(re.split("[/-]", name))}
        for file, parts in old.tensors.items()
    }
    write(united([made, Made(rows, tensors)]), out)


def make(own: L, plan: Callable[[L], Plan], out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact of a plan at the scale asked for; `record.json` says when and on what."""
    lab = prepare(own, options, work)
    keep(carry_out([plan(lab)], lab, work, device), out, lab)
    save_text(out / "record.json", json.dumps(provenance(device), indent=1) + "\n")


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, wherever they are."""
    with atomic_write(path) as temporary:
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, temporary)


def save_text(path: Path, text: str) -> None:
    """Write a text."""
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def committed_rows(artifact: str, **known: Any) -> list[Row]:
    """Return those rows of a committed artifact that have the values known."""
    rows = read_rows(artifacts_folder() / artifact)
    return [row for row in rows if all(row[name] == value for name, value in known.items())]


def committed_tensors(artifact: str, file: str) -> dict[str, Tensor]:
    """Return what a file of a committed artifact holds, by name."""
    return load_file(artifacts_folder() / artifact / f"{file}.safetensors")


def columns(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return lines that have the same names as a column a name."""
    return {name: [line[name] for line in lines] for name in lines[0]}


def rounded(value: Any) -> Any:
    """Return nested lists and dictionaries with their floats cut to five significant digits."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
