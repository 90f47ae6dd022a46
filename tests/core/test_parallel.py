"""Several processes train as one: the same run as with all of the batch in one, and a clear end if one dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from began.checkpoints import CHECKPOINT, load_checkpoint
from began.parallel import ALONE, Ranks, joined

STEPS = 20
RUNS = {
    "began": {},
    "began-cs": {"alpha": 0.1, "norm": "l2", "ema": 0.9, "carry_steps": 30, "flip": True},
    "reference": {"alpha": 0.1, "mode": "reference"},
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
def test_ctrl_c_stops_all_ranks_at_the_same_step_with_everything_saved(tmp_path: Path):
    out = tmp_path / "run"
    launch = [*TORCHRUN, *train_command(out, "--steps", "1000000")]
    with subprocess.Popen(launch, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        while not (out / CHECKPOINT).exists():
            assert job.poll() is None, job.communicate()[1]
            time.sleep(0.2)
        job.send_signal(signal.SIGINT)
        printed, errors = job.communicate(timeout=60)
    assert "training in float32 on cpu, 2 processes" in printed
    assert "stopped at step" in printed + errors
    assert "lost another process" not in printed + errors
    state = load_checkpoint(out / CHECKPOINT)
    assert f"stopped at step {state['step']};" in printed + errors


def test_a_process_alone_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(torch.device("cpu")) as ranks:
        assert ranks == ALONE == Ranks(0, 1)
    model, values = torch.nn.Linear(1, 1), torch.ones(2)
    assert ALONE.parallel(model) is model
    assert torch.equal(ALONE.mean(values), torch.ones(2))


if __name__ == "__main__":
    train_all(Path(sys.argv[1]))
