"""Ten minutes on a GPU: runs what is owed to one, as far as the time goes.

`python benchmarks/gpu.py --seconds 540 --out DIR` needs a checkout and what the package needs, nothing installed. DIR
then holds at most five files that are small enough to be handed on; a second call with it goes on from there.
`--merge DIR` brings what came back into this checkout, `--list` prints what is still owed.
"""

import argparse
import contextlib
import datetime
import hashlib
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "book")]

import machine  # noqa: E402 - from a checkout that is not installed
import torch  # noqa: E402
from jobs import Job  # noqa: E402

from began.files import atomic_write  # noqa: E402
from began.runs import artifacts  # noqa: E402

LARGEST = 14_000_000  # bytes of the file of results
CHUNK, CHUNKS = 11_000_000, 4  # bytes of a file of weights, and how many there may be
HEAVY = (".pt", ".safetensors")
GRACE = 20  # seconds between being asked to stop and being stopped
PACKING = 8  # seconds kept to pack what there is
LOG = 400_000  # bytes kept of a log, half of it from the start
README = Path(__file__).with_name("README.md")
MARKS = ("<!-- owed -->", "<!-- end of owed -->")


# Running


def run_all(jobs: Sequence[Job], out: Path, seconds: float) -> None:
    """Run what fits into the time, in order, what failed before last; pack after each, and say what is owed."""
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        unpack(out, work)
        there = torch.cuda.device_count()
        for job in sorted(jobs, key=lambda job: state(work, job) not in ("", "stopped")):
            left = end - time.monotonic() - PACKING
            if state(work, job) == "done":
                continue
            if job.gpus > there:
                print(f"{job.name}: needs {job.gpus} GPU{'s' * (job.gpus > 1)}, here are {there}", flush=True)
            elif left < job.needs:
                print(f"{job.name}: needs {job.needs:.0f} s, {left:.0f} are left", flush=True)
            else:
                print(f"{job.name} ...", end=" ", flush=True)
                record = run(job, work / job.name, min(job.limit, left))
                print(f"{record['state']} after {record['seconds']:.0f} s", flush=True)
                pack(work, out)
        owed = [f"{job.name} ({state(work, job) or 'not run'})" for job in jobs if state(work, job) != "done"]
        print(f"still owed: {', '.join(owed) or 'nothing'}")


def state(work: Path, job: Job) -> str:
    """Return what became of a job in former calls; nothing where it has not been run."""
    path = work / job.name / "job.json"
    return json.loads(path.read_text())["state"] if path.exists() else ""


def run(job: Job, folder: Path, seconds: float) -> dict[str, Any]:
    """Run a job in a process of its own, stop it with all that it started, and return and write what became of it."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(ROOT), str(ROOT / "book"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"BEGAN_RESULTS": str(folder), "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-u", *(part.format(out=folder) for part in job.command)]
    log, start, timed_out = folder / "log.txt", time.monotonic(), False
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            process.wait(max(seconds - GRACE * (job.least is not None), 1))
        except subprocess.TimeoutExpired:
            timed_out = True
            signal_all(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE if job.least is not None else 2)
        finally:
            signal_all(process, signal.SIGKILL)
            process.wait()
    text = shortened(log)
    record = {
        "state": verdict(process.returncode, timed_out, job.least is not None, text[-20_000:]),
        "code": process.returncode,
        "seconds": round(time.monotonic() - start, 1),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "commit": machine.provenance(torch.device("cpu"))["commit"],
        "sources": sources(),
    }
    (folder / "job.json").write_text(json.dumps(record, indent=1) + "\n")
    return record


def signal_all(process: subprocess.Popen, number: int) -> None:
    """Send a signal to a job and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def shortened(log: Path) -> str:
    """Return a log, cut in its middle where it is long, and leave it so."""
    text = log.read_text(errors="replace")
    if len(text) > LOG:
        text = f"{text[: LOG // 2]}\n... {len(text) - LOG} characters ...\n{text[-LOG // 2 :]}"
        log.write_text(text)
    return text


def verdict(code: int, timed_out: bool, resumes: bool, log: str) -> str:
    """Return in words what an exit code and a log say."""
    if code == 0:
        return "done"
    if timed_out:
        return "stopped" if resumes else "timed out"
    if "MemoryError" in log or "OutOfMemoryError" in log:
        return "out of memory"
    return "crashed" if code < 0 else "failed"


def sources() -> str:
    """Return what stands for all the code that a job may run, where there is no git to name a commit."""
    digest = hashlib.sha256()
    for path in sorted(
        path for room in ("began", "book", "benchmarks", "tests") for path in (ROOT / room).rglob("*.py")
    ):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


# Packing


def pack(work: Path, out: Path) -> None:
    """Pack what there is: logs, numbers and pictures in one file, weights and checkpoints in up to `CHUNKS` more."""
    files = sorted((path for path in work.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    weights = archive(work, fitting((path for path in files if path.suffix in HEAVY), CHUNK * CHUNKS), "w")
    for i in range(CHUNKS):
        chunk = weights[i * CHUNK : (i + 1) * CHUNK]
        with atomic_write(out / f"weights.tar.{i}") as temporary:
            temporary.write_bytes(chunk)
        if not chunk:
            (out / f"weights.tar.{i}").unlink()
    # last: it says which weights belong to it
    (work / "weights.sha256").write_text(hashlib.sha256(weights).hexdigest())
    light = [work / "weights.sha256", *(path for path in files if path.suffix not in (*HEAVY, ".sha256"))]
    with atomic_write(out / "results.tar.gz") as temporary:
        temporary.write_bytes(archive(work, fitting(light, LARGEST), "w:gz"))


def fitting(files: Iterable[Path], most: int) -> list[Path]:
    """Return the files, in order, that go into an archive of `most` bytes."""
    kept: list[Path] = []
    for path in files:
        most -= path.stat().st_size + 4096  # with a header, and what an archive is filled up by
        if most < 10_240:
            print(f"[{path.parent.name}/{path.name} is too large to come back]", end=" ")
            break
        kept.append(path)
    return kept


def archive(work: Path, files: list[Path], mode: str) -> bytes:
    """Return an archive of some files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # pyright: ignore[reportCallIssue, reportArgumentType]
        for path in files:
            tar.add(path, path.relative_to(work))
    return buffer.getvalue() if files else b""


def unpack(out: Path, work: Path) -> None:
    """Unpack what former calls left; weights that are not those of the results are left out."""
    if not (out / "results.tar.gz").exists():
        return
    with tarfile.open(out / "results.tar.gz") as tar:
        tar.extractall(work, filter="data")
    weights = b"".join(path.read_bytes() for path in sorted(out.glob("weights.tar.*")))
    if hashlib.sha256(weights).hexdigest() != (work / "weights.sha256").read_text():
        print("the weights are not those of the results: trainings start anew")
    elif weights:
        with tarfile.open(fileobj=io.BytesIO(weights)) as tar:
            tar.extractall(work, filter="data")


# What came back


def merge(jobs: Sequence[Job], out: Path) -> None:
    """Bring what came back into benchmarks/results, data/artifacts and the list of what is owed."""
    if not (out / "results.tar.gz").exists():
        raise SystemExit(f"{out} holds no results.tar.gz: name the folder that `make gpu` was given")
    here = machine.provenance(torch.device("cpu"))["commit"]
    known = outcomes()
    with tempfile.TemporaryDirectory() as place:
        unpack(out, Path(place))
        for path in sorted(Path(place).glob("*/job.json")):
            folder, record = path.parent, json.loads(path.read_text())
            if record.pop("sources") == sources():
                record["commit"] = here
            else:
                print(
                    f"{folder.name}: ran on other code than is here, commit {record['commit']}; taken with that commit"
                )
            known[folder.name] = record
            take(folder, record["commit"])
            if record["state"] != "done":
                print(
                    f"{folder.name}: {record['state']}; the end of its log:\n{(folder / 'log.txt').read_text()[-3000:]}"
                )
    machine.save("gpu", {"benchmark": "gpu", "jobs": known})
    before, rest = README.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    README.write_text(f"{before}{MARKS[0]}\n\n{table(jobs)}\n\n{MARKS[1]}{after}")
    print(table(jobs))


def take(folder: Path, commit: str) -> None:
    """Take the numbers of a job's benchmarks, and the runs that it finished."""
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text())
        if "rows" in result:
            result["commit"] = commit
            print(machine.save(path.stem, machine.merged(path.stem, result)))
    for path in sorted(folder.glob("*/run.json")):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "commit": commit}, indent=1) + "\n")
        place = artifacts.artifacts_folder() / path.parent.name
        shutil.copytree(path.parent, place, dirs_exist_ok=True)
        print(place)


def outcomes() -> dict[str, dict[str, Any]]:
    """Return what became of the jobs whose results are in this checkout."""
    path = machine.RESULTS / "gpu.json"
    return json.loads(path.read_text())["jobs"] if path.exists() else {}


def table(jobs: Sequence[Job]) -> str:
    """Return the jobs and what became of each as a table."""
    known = outcomes()
    lines = ["| job | what for | seconds | state |", "|---|---|---|---|"]
    for job in jobs:
        found = known.get(job.name)
        seconds = f"{found['seconds']:.0f}" if found else f"{job.expected:.0f} expected"
        became = f"{found['state']}, {found['device']}, {found['date']}, {found['commit']}" if found else "owed"
        lines.append(f"| `{job.name}` | {job.what} | {seconds} | {became} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run, merge or list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=540, help="that there are, packing included")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), metavar="DIR")
    parser.add_argument("--jobs", default="jobs", help="a module on the path whose JOBS to take")
    parser.add_argument("--merge", type=Path, metavar="DIR")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args(arguments)
    jobs = importlib.import_module(given.jobs).JOBS
    if given.list:
        print(table(jobs))
    elif given.merge:
        merge(jobs, given.merge)
    else:
        run_all(jobs, given.out, given.seconds)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no job outlives this
    main()
