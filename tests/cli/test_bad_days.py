"""Bad days: what the command line and a notebook do when the disk, the memory, a file or a device lets them down."""

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from began import files, training
from began.checkpoints import CHECKPOINT, GOOD, load_checkpoint
from began.cli import main
from began.config import TrainConfig
from began.devices.parallel import Ranks
from began.files import UNFINISHED, atomic_write, locked
from began.images.sources import Pictures
from began.measure.reader import Reader, ReaderConfig, load_reader, save_reader
from began.runs.results import load
from began.state import DivergenceError, open_data
from began.step import Update
from began.training import MemoryLimitError, Trainer
from began.tuning import fitting_batch
from studies.toy import sweeps

resource = pytest.importorskip("resource", reason="limits as POSIX sets them")
SMALL = {"size": 16, "n": 4, "n_z": 8, "count": 32, "batch": 8, "log_every": 5, "precision": "float32"}
OPTIONS = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def config(**changes: Any) -> TrainConfig:
    return TrainConfig(**{**SMALL, "steps": 10, **changes})


def began(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def train(out: Path, *more: object) -> Result:
    return began("train", "--out", out, "--device=cpu", *OPTIONS, *more)


def resume(out: Path, *more: object) -> Result:
    return began("train", "--resume", "--out", out, "--device=cpu", *more)


def trainer(out: Path | None = None, **changes: Any) -> Trainer:
    options = config(**changes)
    return Trainer(options, open_data(options), out=out)


def the_line(result: Result, code: int = 1) -> str:
    """Return the error's one line."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert result.output.rstrip().endswith(line)
    return line


def unfinished(folder: Path) -> list[Path]:
    return list(folder.rglob(f"*{UNFINISHED}"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of five steps."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    result = train(folder, "--steps=5", "--sample-every=5")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a run of five steps."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


# A run that was stopped, or was on another device


def test_a_stopped_run_can_be_sampled_inverted_edited_and_shown(run: Path, tmp_path: Path):
    (run / "run.json").unlink()
    state = load_checkpoint(run / CHECKPOINT)
    torch.save({**state, "device": "cuda"}, run / CHECKPOINT)
    picture, codes = run / "samples/000005.png", tmp_path / "codes.safetensors"
    for command in (
        ["sample", "--run", run, "--count=4", "--out", tmp_path / "grid.png"],
        ["invert", "--run", run, "--image", picture, "--iterations=2", "--out", codes.with_suffix(".png")],
        ["edit", "--run", run, "--codes", codes, "--dimension=1=2", "--out", tmp_path / "edited.png"],
    ):
        device = ["--device=cpu"] if command[0] != "sample" else []
        result = began(*command, *device)
        assert result.exit_code == 0, result.output
        assert command[-1].exists()
    record = json.loads(began("info", run).output)
    assert (record["finished"], record["steps"], record["device"]) == (False, 5, "cuda")


def test_a_run_on_another_device_goes_on_here_and_says_so(run: Path, caplog):
    state = load_checkpoint(run / CHECKPOINT)
    torch.save({**state, "device": "cuda", "rng": torch.zeros(16, dtype=torch.uint8)}, run / CHECKPOINT)
    result = resume(run, "--steps=7")
    assert result.exit_code == 0, result.output
    assert "is from cuda: the run goes on on cpu, but not bit for bit as there" in caplog.text
    assert load(run).record["steps"] == 7


def test_a_run_can_be_told_to_stream(run: Path, tmp_path: Path, monkeypatch):
    seen = []

    def asked(*_: object, resident_bytes: int | None, **__: object) -> None:
        seen.append(resident_bytes)
        raise OSError("that was all")

    monkeypatch.setattr("began.state.Batches", asked)
    for command in (("train", "--out", tmp_path / "new", *OPTIONS), ("train", "--resume", "--out", run)):
        for more in ((), ("--stream",)):
            assert "that was all" in the_line(began(*command, "--device=cpu", *more))
    assert seen == [None, 0, None, 0]


# A full disk


@contextmanager
def no_larger_files(size: int) -> Iterator[None]:
    """Let the system refuse to write more than so many bytes to a file: a disk that is full after them."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_checkpoint_before_from_which_the_run_goes_on(run: Path, tmp_path: Path):
    before = (run / CHECKPOINT).read_bytes()
    with no_larger_files(len(before) // 2):
        line = the_line(resume(run, "--steps=10"))
    assert f"{run / CHECKPOINT} can't be written: the system allows no file as large" in line
    assert f"go on from the last checkpoint with: began train --resume --out {run}" in line
    assert (run / CHECKPOINT).read_bytes() == before
    assert not unfinished(run)
    assert resume(run, "--steps=10").exit_code == 0
    assert train(tmp_path / "whole", "--steps=10").exit_code == 0
    histories = [load_checkpoint(folder / CHECKPOINT)["history"] for folder in (run, tmp_path / "whole")]
    assert torch.equal(*histories)


WRITTEN = [CHECKPOINT, "samples/000010.png", "samples.png", "run.json", "history.jsonl"]
WRITTEN += ["generator.safetensors", "discriminator.safetensors"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("name", WRITTEN)
def test_no_room_for_a_file_is_one_line_that_names_it(name: str, run: Path, monkeypatch):
    monkeypatch.setattr(training, "remove_unfinished", lambda folder: None)
    path = run / name
    before = path.read_bytes() if path.exists() else None
    path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}").symlink_to("/dev/full")
    line = the_line(resume(run, "--steps=10"))
    assert f"{path} can't be written: the disk is full (No space left on device)" in line
    assert (path.read_bytes() if path.exists() else None) == before
    assert not unfinished(run)
    assert resume(run, "--steps=10").exit_code == 0
    assert load(run).record["steps"] == 10


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from click.testing import CliRunner
from began.cli import main
out = Path(sys.argv[1]) / "run"
def train(*options):
    result = CliRunner().invoke(main, ["train", "--out", str(out), "--device=cpu", *options])
    return result.exit_code, result.output.splitlines()[-1]
print(train(*sys.argv[2:], "--steps=5", "--checkpoint-every=5")[0])
room = Path(sys.argv[1]) / "other"
with room.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
print(*train("--resume", "--steps=10"))
print([path.name for path in out.rglob("*.unfinished")])
room.unlink()
print(train("--resume", "--steps=10")[0])
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs Linux's unshare")
def test_a_real_disk_that_is_full(tmp_path: Path):
    mount = f"mount -t tmpfs -o size=32m tmpfs {tmp_path} && echo mounted && exec"
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", f'{mount} "$@"', "-"]
    child = [sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path), *OPTIONS]
    result = subprocess.run([*command, *child], capture_output=True, text=True, timeout=300, env=ENVIRONMENT)
    if not result.stdout.startswith("mounted"):
        pytest.skip(f"no disk can be mounted here: {result.stderr}")
    first, second, left, third = result.stdout.splitlines()[1:]
    assert (first, left, third) == ("0", "[]", "0"), result.stdout
    assert second.startswith(f"1 Error: {tmp_path / 'run' / CHECKPOINT} can't be written: the disk is full")


class AtOnce:
    """Workers that do all in this process."""

    def __init__(self, device: torch.device):
        self.device, self.count, self.rows, self.bar = device, 1, [], self

    def __enter__(self) -> "AtOnce":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def call(self, function: Any, _steps: int, job: sweeps.Job) -> None:
        self.rows.append(function(job))

    def finished(self) -> list[Any]:
        return self.rows

    def write(self, text: str) -> None:
        print(text)


def test_a_sweep_on_a_full_disk_goes_on_later(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("studies.toy.command.Workers", AtOnce)
    out = tmp_path / "rows.jsonl"
    command = ["sweep", "toy", "--out", out, "--device=cpu", "--steps=2", "--width=8", "--seeds=3"]
    with no_larger_files(500):
        assert f"{out} can't be written: the system allows no file as large" in the_line(began(*command))
    assert out.stat().st_size == 500, "a row is cut off"
    kept = out.read_text().splitlines()[:-1]
    result = began(*command)
    assert result.exit_code == 0, result.output
    rows = out.read_text().splitlines()
    assert rows[: len(kept)] == kept
    assert sorted(json.loads(row)["seed"] for row in rows) == [0, 1, 2]
    out.write_text("not a row\n")
    assert f"{out} does not hold what it should" in the_line(began(*command))


# Files that can't be read


def damaged(whole: bytes) -> dict[str, bytes]:
    return {"empty": b"", "garbage": b"hello" * 100, "half": whole[: len(whole) // 2], "cut": whole[:-3]}


@pytest.mark.parametrize("kind", damaged(b"1234"))
@pytest.mark.parametrize("name", [CHECKPOINT, "run.json", "generator.safetensors", "discriminator.safetensors"])
def test_a_damaged_file_is_named_with_what_to_do(kind: str, name: str, run: Path):
    path = run / name
    path.write_bytes(damaged(path.read_bytes())[kind])
    if name == CHECKPOINT:
        line = the_line(resume(run))
        assert f"{path} is not a checkpoint that can be read" in line
        assert "start anew" in line
        with pytest.raises(ValueError, match="not a checkpoint that can be read"):
            Trainer.resume(path, open_data(config()))
    else:
        assert str(path) in the_line(began("info", run))
        with pytest.raises(ValueError, match="make or fetch it again"):
            load(run)


@pytest.mark.parametrize("line", ["", "[1, 2]", '{"step": 1}', "half of a li"])
def test_a_damaged_history_is_named(line: str, run: Path):
    (run / "history.jsonl").write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"history\.jsonl does not hold what it should"):
        load(run)


@pytest.mark.parametrize("name", ["16.json", "16.safetensors"])
@pytest.mark.parametrize("kind", damaged(b"1234"))
def test_a_damaged_reader_is_named(kind: str, name: str, tmp_path: Path):
    save_reader(Reader(ReaderConfig(n=2)), tmp_path)
    path = tmp_path / name
    path.write_bytes(damaged(path.read_bytes())[kind])
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load_reader(16, tmp_path)


def test_files_of_another_kind_are_no_checkpoints(run: Path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_checkpoint(run / "none.pt")
    torch.save({"step": 1}, run / CHECKPOINT)
    with pytest.raises(ValueError, match=r"checkpoint\.pt is not a checkpoint of a training run; start anew"):
        load_checkpoint(run / CHECKPOINT)
    (run / GOOD).mkdir()
    (run / GOOD / "000004.pt").touch()
    with pytest.raises(ValueError, match=r"copy .*good/000004\.pt over it, or start anew"):
        load_checkpoint(run / CHECKPOINT)


def test_a_checkpoint_that_may_not_be_read_is_named(run: Path, monkeypatch):
    if os.geteuid() == 0:  # whom permissions do not hold back

        def refused(*_args: object, **_options: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(run / CHECKPOINT))

        monkeypatch.setattr(torch, "load", refused)
    else:
        (run / CHECKPOINT).chmod(0)
    line = the_line(resume(run))
    assert str(run / CHECKPOINT) in line
    assert "Permission denied" in line


# A checkpoint from another config


def test_a_run_goes_on_only_with_its_own_config(run: Path):
    assert "--resume keeps gamma = 1.0, got 0.7" in the_line(resume(run, "--gamma=0.7"), 2)
    for name, value, other in (("gamma", 1.0, 0.7), ("n", 4, 8), ("norm", "l1", "l2")):
        changed = config(**{name: other})
        with pytest.raises(ValueError, match=rf"{name} must stay {value!r} in a resumed run, got {other!r}"):
            Trainer.resume(run / CHECKPOINT, open_data(config()), config=changed)


def test_a_preset_that_contradicts_the_run_is_refused(run: Path, tmp_path: Path):
    assert "--resume keeps" in the_line(resume(run, "--preset=began_cs"), 2)
    assert resume(run, "--preset=began", "--steps=6").exit_code == 0
    assert train(tmp_path / "cs", "--preset=began_cs", "--steps=2").exit_code == 0
    assert "--resume keeps" in the_line(resume(tmp_path / "cs", "--preset=began"), 2)
    assert resume(tmp_path / "cs", "--steps=3").exit_code == 0
    assert load_checkpoint(tmp_path / "cs" / CHECKPOINT)["config"]["alpha"] == 0.1


def test_a_config_or_weights_that_do_not_fit_name_the_file(run: Path):
    state = load_checkpoint(run / CHECKPOINT)
    torch.save({**state, "config": {**state["config"], "flavour": 1}}, run / CHECKPOINT)
    line = the_line(resume(run))
    assert str(run / CHECKPOINT) in line
    assert "config has no field flavour" in line
    torch.save({**state, "config": {**state["config"], "n": 8}}, run / CHECKPOINT)
    assert f"{run / CHECKPOINT} does not hold the weights of its own config" in the_line(resume(run))
    record = json.loads((run / "run.json").read_text())
    record["config"]["n"] = 8
    (run / "run.json").write_text(json.dumps(record))
    line = the_line(began("sample", "--run", run, "--out", run / "grid.png"))
    assert f"{run / 'generator.safetensors'} does not hold the weights of the config beside it (size mismatch" in line


@pytest.fixture
def goes_back(tmp_path: Path, monkeypatch) -> Trainer:
    """A run at step 8 that goes back to its good checkpoint of that step at once."""
    monkeypatch.setattr(training, "EVERY", 4)
    monkeypatch.setattr(training, "healthy", lambda readings: True)
    monkeypatch.setattr(training, "suspicion", lambda readings: None)
    going = trainer(tmp_path / "run", on_collapse="rollback", checkpoint_every=8, steps=20)
    going.fit(8)
    monkeypatch.setattr(training, "suspicion", lambda readings: "made up")
    return going


def test_a_run_goes_back_to_its_own_checkpoints_only(goes_back: Trainer, tmp_path: Path):
    other = trainer(gamma=0.3)
    other.fit(1)
    other.save(tmp_path / "run" / GOOD / "000008.pt")
    with pytest.raises(ValueError, match=r"000008\.pt is of another run: its gamma is 0\.3, not 1\.0"):
        goes_back.fit()


# A pickle that poses as a file of ours


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def pose(path: Path, kind: str) -> Path:
    """Put a trap in a file's place; return the file that it would make."""
    ran = path.with_name("it ran")
    if kind == "zip":
        torch.save({"config": Trap(ran)}, path)
    elif kind == "legacy":
        torch.save(Trap(ran), path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(Trap(ran), protocol=int(kind)))
    return ran


KINDS = ["zip", "legacy", "2", "4"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_trap_works(kind: str, tmp_path: Path):
    ran = pose(tmp_path / "trap", kind)
    if kind in ("zip", "legacy"):
        torch.load(tmp_path / "trap", weights_only=False)
    else:
        pickle.loads((tmp_path / "trap").read_bytes())
    assert ran.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_as_a_checkpoint_does_not_run(kind: str, run: Path):
    ran = pose(run / CHECKPOINT, kind)
    assert "is not a checkpoint that can be read" in the_line(resume(run))
    with pytest.raises(ValueError, match="is not a checkpoint that can be read"):
        Trainer.resume(run / CHECKPOINT, open_data(config()))
    assert not ran.exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["generator.safetensors", "discriminator.safetensors", "run.json", "history.jsonl"])
def test_a_pickle_in_a_finished_run_does_not_run(name: str, kind: str, run: Path):
    ran = pose(run / name, kind)
    assert name in the_line(began("sample", "--run", run, "--out", run / "grid.png"))
    assert name in the_line(began("info", run))
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load(run)
    assert not ran.exists()
    assert not (run / "grid.png").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_among_the_good_checkpoints_does_not_run(kind: str, goes_back: Trainer, tmp_path: Path):
    ran = pose(tmp_path / "run" / GOOD / "000008.pt", kind)
    with pytest.raises(ValueError, match=r"000008\.pt is not a checkpoint that can be read"):
        goes_back.fit()
    assert not ran.exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["16.json", "16.safetensors"])
def test_a_pickle_as_a_reader_does_not_run(name: str, kind: str, tmp_path: Path):
    save_reader(Reader(ReaderConfig(n=2)), tmp_path)
    ran = pose(tmp_path / name, kind)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load_reader(16, tmp_path)
    assert not ran.exists()


# A loss that is not a number


@pytest.fixture
def poisoned(monkeypatch) -> None:
    """Let G's weights become NaN before the eighth update of the process."""
    update, calls = Update.__call__, []

    def call(self: Update, x: torch.Tensor) -> None:
        calls.append(x)
        if len(calls) == 8:
            with torch.no_grad():
                next(self.model.generator.parameters()).fill_(float("nan"))
        update(self, x)

    monkeypatch.setattr(Update, "__call__", call)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("log_every", [1, 5, 100])
def test_a_loss_that_is_not_finite_stops_the_run_at_its_last_checkpoint(log_every: int, tmp_path: Path):
    out = tmp_path / "run"
    line = the_line(train(out, "--steps=12", "--checkpoint-every=5", f"--log-every={log_every}"))
    assert "a loss is not finite at step 8; lower lr" in line
    assert f"go on from the last checkpoint with: began train --resume --out {out}" in line
    assert line.endswith("--on-collapse rollback")
    assert load_checkpoint(out / CHECKPOINT)["step"] == 5
    assert not (out / "run.json").exists()
    result = resume(out, "--on-collapse=rollback")
    assert result.exit_code == 0, result.output
    assert load_checkpoint(out / CHECKPOINT)["history"].isfinite().all()


@pytest.mark.usefixtures("poisoned")
def test_a_loss_that_is_not_finite_is_an_exception_in_a_notebook(tmp_path: Path):
    going = trainer(tmp_path, steps=12, checkpoint_every=5)
    with pytest.raises(DivergenceError, match="a loss is not finite at step 8"):
        going.fit(progress=False)
    resumed = Trainer.resume(tmp_path / CHECKPOINT, open_data(config()), out=tmp_path)
    assert resumed.fit(progress=False).M.isfinite().all()
    assert resumed.step == 12


# Not enough memory


IN_LITTLE_MEMORY = """
import re, resource
import torch
from began.config import TrainConfig
from began.images.sources import Pictures
from began.training import MemoryLimitError, Trainer
def train(batch):
    config = TrainConfig(size=16, n=8, batch=batch, precision="float32")
    Trainer(config, Pictures(torch.zeros(4096, 3, 16, 16, dtype=torch.uint8), "black")).fit(3, progress=False)
train(2)
used = int(re.findall(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[0]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 256 * 2**20,) * 2)
try:
    train(4096)
except MemoryLimitError as error:
    text = str(error)
print(text)
train(int(re.findall(r"a batch of (\\d+) does", text)[0]))
print("it does")
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="limits memory as Linux does")
def test_where_memory_ends_the_batch_that_fits_is_found(tmp_path: Path):
    child = [sys.executable, "-c", IN_LITTLE_MEMORY]
    result = subprocess.run(child, capture_output=True, text=True, timeout=300, env=ENVIRONMENT)
    if result.returncode == -signal.SIGSEGV:  # seen with torch 2.6 and 2.11, whose oneDNN does not check
        pytest.skip(f"torch {torch.__version__} itself crashes where an allocation fails")
    assert result.returncode == 0, result.stderr
    message, verdict = result.stdout.splitlines()
    assert message.startswith("batch 4096 at size 16, n 8 does not fit into the memory of cpu; a batch of ")
    assert "can't allocate memory: you tried to allocate" in message
    assert verdict == "it does"


def hold(pictures: int, monkeypatch) -> None:
    """Let no more than so many pictures fit into an update, as a GPU would say it."""
    update = Update.__call__

    def call(self: Update, x: torch.Tensor) -> None:
        if len(x) > pictures:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore lines")
        update(self, x)

    monkeypatch.setattr(Update, "__call__", call)


@pytest.mark.parametrize(
    ("pictures", "advice"),
    [(8, None), (7, "a batch of 4 does"), (3, "a batch of 2 does"), (0, "not even one picture does")],
)
def test_out_of_memory_is_one_line_with_advice(pictures: int, advice: str | None, tmp_path: Path, monkeypatch):
    hold(pictures, monkeypatch)
    result = train(tmp_path / "run", "--steps=5")
    if advice is None:
        assert result.exit_code == 0, result.output
        return
    line = the_line(result)
    assert f"batch 8 at size 16, n 4 does not fit into the memory of cpu; {advice}" in line
    assert "Tried to allocate 20.00 GiB" in line
    with pytest.raises(MemoryLimitError, match=advice):
        trainer().fit(progress=False)


def test_the_batch_that_fits_is_that_of_all_processes(monkeypatch):
    hold(3, monkeypatch)
    assert fitting_batch(config(batch=16), torch.device("cpu"), Ranks(0, 2)) == 4


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch):
    def broken(self: Update, x: torch.Tensor) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Update, "__call__", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        trainer().fit(progress=False)


def test_a_model_too_large_is_one_line(tmp_path: Path):
    line = the_line(train(tmp_path / "run", "--n=2000000"))
    assert "this does not fit into the memory; ask for less" in line


# kill -9 in the middle of a checkpoint, and two runs in one folder


HANGS_IN_ITS_SECOND_CHECKPOINT = """
import io, sys, time
import torch
from began.cli import main
save, calls = torch.save, []
def half(state, file):
    calls.append(None)
    if len(calls) < 2:
        return save(state, file)
    save(state, whole := io.BytesIO())
    file.write(whole.getvalue()[: whole.tell() // 2])
    file.flush()
    print("writing", flush=True)
    time.sleep(600)
torch.save = half
main(["train", "--device=cpu", *sys.argv[1:], "--steps=20", "--checkpoint-every=5"])
"""


@contextmanager
def writing(out: Path) -> Iterator[subprocess.Popen]:
    """Start a process that stands still in the middle of writing the checkpoint of step 10."""
    child = [sys.executable, "-c", HANGS_IN_ITS_SECOND_CHECKPOINT, "--out", str(out), *OPTIONS]
    pipe = subprocess.PIPE
    with subprocess.Popen(child, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            assert "writing\n" in process.stdout, process.communicate()[1]
            yield process
        finally:
            process.kill()


def test_two_runs_do_not_write_to_one_folder_and_a_killed_one_leaves_its_last_checkpoint(tmp_path: Path):
    out = tmp_path / "run"
    with writing(out) as process:
        line = the_line(resume(out))
        assert f"another run is writing to {out} (it holds .lock): wait for it, or choose another place" in line
        with pytest.raises(BlockingIOError, match="another run is writing to"):
            trainer(out).fit(progress=False)
        (left,) = unfinished(out)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert left.stat().st_size > 0
    assert load_checkpoint(out / CHECKPOINT)["step"] == 5
    result = resume(out)
    assert result.exit_code == 0, result.output
    assert not unfinished(out)
    assert train(tmp_path / "whole", "--steps=20").exit_code == 0
    histories = [load_checkpoint(folder / CHECKPOINT)["history"] for folder in (out, tmp_path / "whole")]
    assert torch.equal(*histories)


def test_a_folder_is_kept_to_one_process_and_freed(tmp_path: Path):
    ask = [sys.executable, "-c", "import sys; from pathlib import Path; from began.files import locked\n"]
    ask[-1] += "with locked(Path(sys.argv[1])): pass"
    with locked(tmp_path / "new"), locked(tmp_path / "new"), locked(tmp_path / "new", ".other"):
        result = subprocess.run([*ask, str(tmp_path / "new")], capture_output=True, text=True)
        assert "BlockingIOError: another run is writing to" in result.stderr
    assert subprocess.run([*ask, str(tmp_path / "new")]).returncode == 0


def test_a_second_sweep_and_a_second_making_of_an_artifact_are_refused(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def refused(folder: Path, name: str) -> None:
        raise BlockingIOError(f"{folder}/{name} is held")

    for module in ("studies.toy.command", "began.cli.artifacts"):
        monkeypatch.setattr(f"{module}.locked", refused)
    assert "runs/.sweep-began.jsonl.lock is held" in the_line(began("sweep", "toy", "--method=began", "--device=cpu"))
    assert "runs/artifacts/.toy.lock is held" in the_line(began("artifacts", "toy", "--device=cpu"))


# A folder that can't be written


@pytest.fixture(params=["permission", "proc", "file"])
def read_only(request, tmp_path: Path) -> Path:
    """A folder in which nothing can be made, of several kinds."""
    folder = tmp_path / "folder"
    if request.param == "permission":
        if os.geteuid() == 0:
            pytest.skip("root may write anywhere")
        folder.mkdir(mode=0o500)
    elif request.param == "file":
        folder.touch()
    elif Path("/proc/self").exists():
        folder = Path("/proc/self")
    else:
        pytest.skip("there is no /proc")
    return folder


def no_training(*_: object) -> None:
    raise AssertionError("work was done that will be lost")


def test_a_folder_that_can_not_be_written_is_refused_before_any_work(read_only: Path, run: Path, monkeypatch):
    monkeypatch.setattr(Update, "__call__", no_training)
    monkeypatch.setattr("studies.toy.command.Workers", no_training)
    monkeypatch.setattr("studies.comparison.make", no_training)
    monkeypatch.setattr("began.cli.artifacts.artifacts_folder", lambda: read_only / "out")
    monkeypatch.chdir(run)
    for result in (
        train(read_only / "run"),
        began("sweep", "toy", "--device=cpu", "--out", read_only / "rows/rows.jsonl"),
        began("artifacts", "toy", "--device=cpu"),
    ):
        assert str(read_only) in the_line(result)
    with pytest.raises(OSError, match=str(read_only)):
        trainer(read_only / "run").fit()
    assert str(read_only) in the_line(began("sample", "--run", run, "--out", read_only / "a/grid.png"))


@pytest.mark.parametrize("code", list(files.REFUSALS))
def test_a_refusal_of_the_system_names_the_file_and_the_reason(code: int, tmp_path: Path):
    path = tmp_path / "file"

    def write() -> None:
        with atomic_write(path):
            try:
                raise OSError(code, os.strerror(code), "somewhere")
            finally:
                raise RuntimeError("unexpected pos 576 vs 534")  # what torch makes of it

    with pytest.raises(OSError, match=r"file can't be written: .*") as caught:
        write()
    assert files.REFUSALS[code] in str(caught.value)
    assert os.strerror(code) in str(caught.value)


# A device that does not exist


@pytest.mark.parametrize("device", ["cuda:9", "nonsense", "meta", "cuda:-3", ""])
def test_a_device_that_is_not_there_is_refused_before_any_work(device: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("began.cli.train.open_data", no_training)
    for command in (["train", "--out", tmp_path / "run"], ["sweep", "toy"], ["artifacts"]):
        line = the_line(began(*command, "--device", device), 2)
        assert f"{device!r} can't be used here" in line
        assert "cpu always can" in line
    with pytest.raises(ValueError, match="can't be used here"):
        Trainer(config(), Pictures(torch.zeros(8, 3, 16, 16, dtype=torch.uint8), "black"), device=device)
    assert not (tmp_path / "run").exists()


# The end by a signal


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_told_to_end_says_so_in_its_exit_code(number: int, code: int, tmp_path: Path, monkeypatch):
    update = Update.__call__

    def call(self: Update, x: torch.Tensor) -> None:
        update(self, x)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(Update, "__call__", call)
    result = train(tmp_path / "run")
    assert result.exit_code == code
    assert "stopped at step 1; go on with: began train --resume" in result.output
    assert load_checkpoint(tmp_path / "run" / CHECKPOINT)["step"] == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_all_processes_of_a_run_that_streams_is_heard_by_one(number: int, code: int, tmp_path: Path):
    """As a terminal sends Ctrl-C and a batch system SIGTERM: to the processes that decode pictures, too."""
    for index in range(16):
        Image.new("RGB", (16, 16), (index, 0, 0)).save(tmp_path / f"{index}.png")
    out, data = tmp_path / "run", f"--data=folder:{tmp_path}"
    options = [*OPTIONS, data, "--count=16", "--stream", "--device=cpu", "--checkpoint-every=10", "--steps=1000000"]
    child = [sys.executable, "-m", "began.cli", "train", "--out", str(out), *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(child, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT, start_new_session=True) as run:
        while not (out / CHECKPOINT).exists():
            assert run.poll() is None, run.communicate()[1]
            time.sleep(0.1)
        os.killpg(run.pid, number)
        printed, errors = run.communicate(timeout=60)
    assert run.returncode == code, errors
    assert f"stopped at step {load_checkpoint(out / CHECKPOINT)['step']}; go on with: " in printed
    assert "Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)
