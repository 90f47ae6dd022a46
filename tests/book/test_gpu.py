"""Ten minutes on a GPU, rehearsed on a CPU: what goes wrong costs one job, and what came back is taken."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import gpu
import jobs
import machine
import pytest
import tiny_jobs
import torch

from began.runs import artifacts

ROOT = Path(__file__).parents[2]
BARE = """
import importlib.metadata, sys
found = importlib.metadata.Distribution.discover
def discover(**wanted):
    return [] if wanted.get("name") == "began" else found(**wanted)
importlib.metadata.Distribution.discover = discover
class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {"ot", "click", "IPython", "ipywidgets", "nbval", "playwright", "torchvision"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch) -> dict[str, str]:
    """The environment of a machine on which only the core's dependencies are there, and nothing is installed."""
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/sitecustomize.py").write_text(BARE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "bare"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return dict(os.environ)


def unpacked(out: Path, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    gpu.unpack(out, place)
    return place


def states(place: Path) -> dict[str, str]:
    return {path.parent.name: json.loads(path.read_text())["state"] for path in sorted(place.glob("*/job.json"))}


@pytest.mark.slow
def test_a_bare_machine_gets_all_it_can_from_a_minute_and_goes_on_from_there(bare, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    command = [sys.executable, "benchmarks/gpu.py", "--seconds", "110", "--out", str(out), "--jobs", "tiny_jobs"]
    environment = bare | {"PYTHONPATH": f"{bare['PYTHONPATH']}:{ROOT / 'tests/book'}"}
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 130
    assert "still owed: crash (crashed), exit (failed), hang (timed out), memory (out of memory)" in done.stdout
    assert "huge: needs 10000 s" in done.stdout
    assert "many: needs 64 GPUs, here are 0" in done.stdout

    assert sorted(path.name for path in out.iterdir()) == ["results.tar.gz", "weights.tar.0"]
    assert all(path.stat().st_size < 15_000_000 for path in out.iterdir())
    place = unpacked(out, tmp_path / "work")
    found = states(place)
    wrong = {"crash": "crashed", "exit": "failed", "hang": "timed out", "memory": "out of memory"}
    assert found == wrong | dict.fromkeys(("tests", "ensembles", "tiny", "last"), "done")
    assert "so far" in (place / "exit/log.txt").read_text()
    assert "MemoryError" in (place / "memory/log.txt").read_text()
    assert len((place / "last/log.txt").read_text()) < gpu.LOG + 100
    assert "sleep(77)" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout

    # What came back is taken: numbers, the run, the list
    results, kept = tmp_path / "results", tmp_path / "artifacts"
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{gpu.MARKS[0]}\nold\n{gpu.MARKS[1]}\nafter\n")
    monkeypatch.setattr(machine, "RESULTS", results)
    monkeypatch.setattr(gpu, "README", readme)
    monkeypatch.setattr(artifacts, "artifacts_folder", lambda: kept)
    gpu.main(["--merge", str(out), "--jobs", "tiny_jobs"])
    assert "crash: crashed" in capsys.readouterr().out
    (ensembles,) = results.glob("ensembles-*.json")
    assert {row["model"] for row in json.loads(ensembles.read_text())["rows"]} == {"gan", "began_cs"}
    (tests,) = results.glob("tests-*.json")
    outcomes = {row["test"].partition("::")[2]: row["outcome"] for row in json.loads(tests.read_text())["rows"]}
    name = "test_the_monitor_reads_beside_a_graph_and_a_rollback_captures_it_anew"
    assert outcomes[f"{name}[cpu]"] == "passed"
    assert outcomes[f"{name}[cuda]"] == "skipped"
    here = machine.provenance(torch.device("cpu"))["commit"]
    run = json.loads((kept / "tiny/run.json").read_text())
    assert (run["commit"], run["steps"], run["versions"]["began"]) == (here, 400, "")
    assert {path.name for path in (kept / "tiny").iterdir()} == {
        *("run.json", "history.jsonl", "samples.png", "generator.safetensors", "discriminator.safetensors")
    }
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{gpu.MARKS[1]}\nafter\n")
    assert f"| `ensembles` | a rehearsal | {gpu.outcomes()['ensembles']['seconds']:.0f} | done, cpu, " in text
    assert "| `huge` | no time for it | 10000 expected | owed |" in text

    # A second call does only what is owed; results of other code say so
    monkeypatch.setattr(gpu, "sources", lambda: "other code")
    gpu.run_all(tiny_jobs.JOBS[:2] + tiny_jobs.JOBS[5:], out, 60)
    text = capsys.readouterr().out
    assert "crash ... crashed" in text
    assert "ensembles ..." not in text
    monkeypatch.setattr(gpu, "sources", lambda: "this code")
    gpu.main(["--merge", str(out), "--jobs", "tiny_jobs"])
    assert "crash: ran on other code than is here" in capsys.readouterr().out


@pytest.mark.slow
def test_a_training_that_runs_out_of_time_goes_on_in_the_next_call(bare, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "GRACE", 30)
    slow = "import time; from began.step import Update; real = Update.__call__; "
    slow += "Update.__call__ = lambda self, x: (time.sleep(SLOW), real(self, x))[1]; "
    slow += "import sys; sys.path.insert(0, 'benchmarks'); import trainings; trainings.main('tiny', '{out}')"

    def job(seconds: float, limit: float) -> list[jobs.Job]:
        command = ("-c", slow.replace("SLOW", str(seconds)))
        return [jobs.Job("tiny", "a rehearsal", command, expected=9, limit=limit, least=1, gpus=0)]

    out = tmp_path / "out"
    gpu.run_all(job(0.2, 30 + 20), out, 100)
    place = unpacked(out, tmp_path / "work")
    assert states(place) == {"tiny": "stopped"}
    step = torch.load(place / "tiny/checkpoint.pt", weights_only=True)["step"]
    assert 0 < step < 400
    assert (place / "tiny/samples.png").exists()
    gpu.run_all(job(0, 100), out, 100)
    place = unpacked(out, tmp_path / "work")
    assert states(place) == {"tiny": "done"}
    assert f"from step {step}, " in (place / "tiny/log.txt").read_text()
    assert not (place / "tiny/checkpoint.pt").exists()
    assert json.loads((place / "tiny/tiny/run.json").read_text())["steps"] == 400


def test_a_checkpoint_of_many_files_comes_back_and_one_that_is_torn_does_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "CHUNK", 30_000)
    work, out = tmp_path / "work", tmp_path / "out"
    (work / "a").mkdir(parents=True)
    (work / "a/job.json").write_text('{"state": "stopped"}')
    (work / "a/checkpoint.pt").write_bytes(os.urandom(70_000))
    (work / "a/larger.pt").write_bytes(os.urandom(200_000))
    gpu.pack(work, out)
    assert len(list(out.iterdir())) == 4
    assert "a/larger.pt is too large to come back" in capsys.readouterr().out
    back = unpacked(out, tmp_path / "back")
    assert (back / "a/checkpoint.pt").read_bytes() == (work / "a/checkpoint.pt").read_bytes()
    assert not (back / "a/larger.pt").exists()
    (out / "weights.tar.1").write_bytes(b"torn")
    back = unpacked(out, tmp_path / "back")
    assert not (back / "a/checkpoint.pt").exists()
    assert (back / "a/job.json").exists()
    shutil.rmtree(work / "a")
    (work / "b").mkdir()
    (work / "b/job.json").write_text("{}")
    gpu.pack(work, out)
    assert [path.name for path in out.iterdir()] == ["results.tar.gz"]
    with tarfile.open(out / "results.tar.gz") as tar:
        assert sorted(tar.getnames()) == ["b/job.json", "weights.sha256"]


def test_the_list_of_what_is_owed_is_that_of_the_jobs():
    text = (ROOT / "benchmarks/README.md").read_text()
    assert text.split(gpu.MARKS[0])[1].split(gpu.MARKS[1])[0].strip() == gpu.table(jobs.JOBS)
    names = [job.name for job in jobs.JOBS]
    assert len(set(names)) == len(names)
    assert all((ROOT / part).exists() for job in jobs.JOBS for part in job.command if part.endswith(".py"))


def test_what_is_urgent_fits_into_the_time_that_it_was_given():
    """Two minutes of tests, about four of the ladder, one of ensembles."""
    groups = {"tests": 0.0, "ladder": 0.0, "ensembles": 0.0}
    for job in jobs.JOBS[: [job.name for job in jobs.JOBS].index("faces64-wide-began")]:
        group = job.name.partition("-")[0]
        groups[group] = groups.get(group, 0) + job.expected
    assert groups["tests"] + groups["environment"] <= 120
    assert groups["ladder"] <= 240
    assert groups["ensembles"] <= 60
