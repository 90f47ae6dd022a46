"""A list of jobs that a CPU does in a minute, some of which go wrong."""

from jobs import Job


def job(name: str, *command: str, limit: float = 60, least: float | None = None) -> Job:
    return Job(name, "a rehearsal", command, expected=1, limit=limit, least=least, gpus=0)


HANG = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(77)']); "
HANG += "print('started', flush=True); time.sleep(77)"
JOBS = [
    job("crash", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"),
    job("exit", "-c", "import os; print('so far'); os._exit(3)"),
    job("hang", "-c", HANG, limit=2),
    job("memory", "-c", "x = bytearray(1 << 60)"),
    job("tests", "benchmarks/cuda_tests.py", "tests/core/test_cuda.py"),
    job("ensembles", "benchmarks/ensembles.py", "--members", "1", "2", "--steps", "1"),
    job("tiny", "benchmarks/trainings.py", "tiny", "{out}", least=1),
    job("last", "-c", "print('x' * 1_000_000)"),
    Job("huge", "no time for it", ("-c", "pass"), expected=10_000, limit=10_000, gpus=0),
    Job("many", "needs a GPU", ("-c", "pass"), expected=1, limit=1, gpus=64),
]
