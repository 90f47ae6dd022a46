"""Several processes train as one: the same run as with all of the batch in one, and a clear end if one dies."""

import copy
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from began.checkpoints import CHECKPOINT, load_checkpoint
from began.devices import parallel
from began.devices.launch import joined, launched
from began.devices.parallel import ALONE, Ranks, Vote

STEPS = 20
RUNS = {
    "began": {},
    "began-cs": {"alpha": 0.1, "norm": "l2", "ema": 0.9, "carry_steps": 30, "flip": True},
    "reference": {"alpha": 0.1, "mode": "reference"},
    "grain": {"grain": 0.2, "ema": 0.9},
    "rollback": {"on_collapse": "rollback"},
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def train_all(folder: Path) -> None:
    """Train each of RUNS in float64, in as many processes as torchrun started."""
    from began import training
    from began.config import TrainConfig
    from began.images.sources import Pictures

    found = iter([None, None, "made up"])
    training.EVERY = 4  # a reading more often, and a collapse at the third one of the run that goes back
    torch.set_default_dtype(torch.float64)
    pixels = torch.randint(0, 256, (25, 3, 16, 16), generator=torch.Generator().manual_seed(7), dtype=torch.uint8)
    with joined(torch.device("cpu")) as ranks:
        for name, options in RUNS.items():
            config = TrainConfig(size=16, n=4, n_z=8, batch=8, log_every=5, lr=1e-3, k_0=0.1, steps=STEPS, **options)
            training.suspicion = lambda _, name=name: next(found, None) if name == "rollback" else None
            training.Trainer(config, Pictures(pixels, "noise"), out=folder / name, ranks=ranks).fit()


@pytest.mark.slow
def test_two_processes_give_the_run_of_one(tmp_path: Path):
    for name, launcher in {"one": [sys.executable], "two": TORCHRUN}.items():
        subprocess.run([*launcher, __file__, str(tmp_path / name)], check=True, env=ENVIRONMENT, timeout=300)
    for name in RUNS:
        one, two = (load_checkpoint(tmp_path / count / name / CHECKPOINT) for count in ("one", "two"))
        assert one["history"].shape == (5, STEPS)
        assert one["history"].dtype == torch.float64
        torch.testing.assert_close(one["history"], two["history"], rtol=1e-10, atol=1e-10)
        for key, value in one["model"].items():
            torch.testing.assert_close(value, two["model"][key], rtol=1e-10, atol=1e-10)
        for key, value in (one["average"] or {}).items():
            torch.testing.assert_close(value, two["average"][key], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(one["readings"], two["readings"], rtol=1e-5, atol=1e-5)
        assert [(back["step"], back["to"]) for back in one["rollbacks"]] == [(12, 0)] * (name == "rollback")
        assert one["rollbacks"] == two["rollbacks"]


def train_command(out: Path, *more: str) -> list[str]:
    small = ["--size=16", "--n=4", "--count=32", "--batch=8", "--log-every=5", "--checkpoint-every=10", "--device=cpu"]
    return ["--no-python", "--", sys.executable, "-m", "began.cli", "train", "--out", str(out), *small, *more]


def worker(rank: int, launcher: int) -> int:
    """Return the process id of a rank that torchrun started."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(process.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            environment = process.joinpath("environ").read_bytes().split(b"\0")
        except (OSError, ProcessLookupError):
            continue
        if parent == launcher and f"RANK={rank}".encode() in environment:
            return int(process.name)
    raise AssertionError(f"no process has rank {rank}")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes as Linux lists them")
def test_a_killed_rank_ends_the_job_and_leaves_the_last_checkpoint(tmp_path: Path):
    out = tmp_path / "run"
    launch = [*TORCHRUN, *train_command(out, "--steps", "1000000")]
    with subprocess.Popen(launch, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        started = time.monotonic()
        while not (out / CHECKPOINT).exists():
            assert job.poll() is None, job.communicate()[1]
            assert time.monotonic() - started < 120
            time.sleep(0.2)
        os.kill(worker(1, job.pid), signal.SIGKILL)
        printed, errors = job.communicate(timeout=60)
    assert job.returncode != 0
    assert "rank 0 of 2 lost another process" in printed + errors
    assert "go on with: " in printed + errors
    step = load_checkpoint(out / CHECKPOINT)["step"]
    assert step % 10 == 0
    alone = ["-m", "began.cli", "train", "--resume", "--out", str(out), "--steps", str(step + 3), "--device", "cpu"]
    subprocess.run([sys.executable, *alone], check=True, env=ENVIRONMENT, timeout=120)
    assert load_checkpoint(out / CHECKPOINT)["step"] == step + 3


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes as Linux lists them")
@pytest.mark.parametrize(("number", "to", "code"), [(signal.SIGINT, "launcher", 130), (signal.SIGTERM, "rank 1", 143)])
def test_a_signal_to_any_stops_all_ranks_at_once_at_the_same_step(number: int, to: str, code: int, tmp_path: Path):
    """Long before the next reading of the history, which may be later than torchrun waits."""
    out = tmp_path / "run"
    launch = [*TORCHRUN, *train_command(out, "--steps=1000000", "--log-every=100000", "--sample-every=100000")]
    with subprocess.Popen(launch, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        while not (out / CHECKPOINT).exists():
            assert job.poll() is None, job.communicate()[1]
            time.sleep(0.2)
        os.kill(job.pid if to == "launcher" else worker(1, job.pid), number)
        started = time.monotonic()
        printed, errors = job.communicate(timeout=60)
    assert time.monotonic() - started < 25, "of the 30 s that torchrun grants"
    assert "training in float32 on cpu, 2 processes" in printed
    assert "lost another process" not in printed + errors
    step = load_checkpoint(out / CHECKPOINT)["step"]
    assert 0 < step < 100_000
    assert f"stopped at step {step}; go on with: " in printed + errors
    if to == "rank 1":
        assert f"exitcode  : {code}" in errors, "rank 0 says what rank 1 was told"


class Others:
    """The answers of another rank, as `dist.all_reduce` would bring them."""

    def __init__(self, *rows: list[int]):
        self.rows, self.sent = list(rows), []

    def __call__(self, values: torch.Tensor, _operation: object, *, async_op: bool) -> "Others":
        self.sent.append(values.tolist())
        self.answer = [torch.maximum(values, torch.tensor(self.rows.pop(0)))]
        return self

    def get_future(self) -> "Others":
        return copy.copy(self)

    def wait(self) -> list[torch.Tensor]:
        return self.answer


def test_ranks_ask_each_other_at_every_fourth_call_and_where_steps_are_slow_at_each(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(parallel.time, "monotonic", lambda: now[0])
    others = Others([0, 0], [0, 0], [0, 1], [0, 0], [15, 0], [0, 0], [0, 0])
    monkeypatch.setattr(parallel.dist, "all_reduce", others)
    told: list[int] = []
    vote, asked, answers = Vote(Ranks(0, 2), told), [], []
    for _ in range(12):
        now[0] += 0.1
        answers.append(vote())
        asked.append(len(others.sent))
    assert asked == [1, 2, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6], "that steps are slow comes as an answer, too"
    assert answers == [*[0] * 11, 15], "three calls after it was asked"
    told.append(2)
    now[0] += 2
    assert vote(ask=True) == 0
    assert others.sent == [*[[0, 0]] * 6, [2, 1]]


def test_the_vote_of_a_process_alone_is_its_own():
    told: list[int] = []
    vote = Vote(ALONE, told)
    assert vote() == 0
    told += [15, 2]
    assert vote() == 15


def began(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call the command line with variables that a launcher may have left behind."""
    command = [sys.executable, "-c", "import began.devices.launch as launch, datetime\n"]
    command[-1] += "launch.PATIENCE = datetime.timedelta(seconds=2)\nfrom began.cli import main\nmain()"
    return subprocess.run(
        [*command, *options], env=ENVIRONMENT | environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(("name", "value"), [("WORLD_SIZE", ""), ("WORLD_SIZE", "two"), ("RANK", "-1")])
def test_a_variable_that_is_no_number_is_named_with_the_cure(name: str, value: str, tmp_path: Path):
    result = began("train", "--out", str(tmp_path / "run"), "--device=cpu", "--steps=1", **{name: value})
    assert result.returncode == 1
    cure = "unset it to train in one process, or start several with torchrun"
    line = f"Error: the environment variable {name} must be a number, got {value!r}; {cure}"
    assert result.stderr.splitlines()[-1] == line
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_variables_left_behind_without_a_launcher_end_in_one_line(tmp_path: Path):
    port = str(free_port())
    left = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    for rank in ("0", "1"):
        result = began("train", "--out", str(tmp_path / rank), "--device=cpu", "--steps=1", **left, RANK=rank)
        assert result.returncode == 1
        waits = f"WORLD_SIZE is 2, RANK {rank}: waiting for the other processes at localhost:{port}"
        assert f"{waits}, up to 2 s" in result.stderr
        last = result.stderr.splitlines()[-1]
        assert last.startswith(f"Error: {waits} was in vain (")
        assert last.endswith("; unset WORLD_SIZE to train in one process, or start all of them with torchrun")
        assert "Traceback" not in result.stderr
    result = began("train", "--out", str(tmp_path / "2"), "--device=cpu", "--steps=1", WORLD_SIZE="2")
    assert "environment variable RANK expected, but not set); unset WORLD_SIZE" in result.stderr


def test_a_rank_left_behind_is_that_of_a_process_alone(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert launched() == ALONE, "which writes, and locks"
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert launched() == Ranks(1, 3)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


def test_a_process_alone_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(torch.device("cpu")) as ranks:
        assert ranks == ALONE == Ranks(0, 1)
    model, values = torch.nn.Linear(1, 1), torch.ones(2)
    assert ALONE.parallel(model) is model
    assert torch.equal(ALONE.mean(values), torch.ones(2))


if __name__ == "__main__":
    train_all(Path(sys.argv[1]))
