"""Processes that train jobs, and pass on what goes wrong."""

import multiprocessing
import time

import pytest
import torch

from studies.toy import sweeps
from studies.toy.sweeps import Job, train_job
from studies.workers import Workers

CPU = torch.device("cpu")
SMALL = {"width": 6, "batch": 8}
FIRST, SECOND = (Job(name, "ring", 3, ((SMALL, 0),)) for name in ("gan", "began"))


def threads(_job: Job, _device: torch.device, advance) -> list:
    advance(3)
    return [torch.get_num_threads()]


def work(found: list) -> None:
    """Train two jobs, the second called as the first ends, ask a worker for its threads, and break a job."""
    with Workers(CPU) as workers:
        workers.call(train_job, FIRST.work, FIRST)
        for rows in workers.finished():
            found += rows
            if len(found) < 3:
                workers.call(train_job if len(found) == 1 else threads, SECOND.work, SECOND)
        assert workers.steps.value == 9
        workers.call(train_job, FIRST.work, FIRST._replace(problem="nowhere"))
        list(workers.finished())


def test_workers_train_jobs_and_pass_on_what_goes_wrong(monkeypatch):
    """All in one pool, whose start takes seconds."""
    bystander = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    bystander.start()
    found = []
    try:
        with pytest.raises(KeyError, match="nowhere"):
            work(found)
        monkeypatch.setattr(sweeps, "wasserstein", lambda *_: 0.0)  # half a second each
        for theirs, job in zip(found, (FIRST, SECOND), strict=False):
            (ours,) = train_job(job)
            for key, value in {"setting": SMALL, "method": job.method, "problem": "ring"}.items():
                assert theirs.pop(key) == ours.pop(key) == value
            assert 0 < theirs.pop("w1") < 10 * (1 + ours.pop("w1"))
            assert theirs == pytest.approx(ours, rel=1e-3)
        assert found[2:] == [1], "more threads than one would wait for each other"
        assert bystander.is_alive(), "an error ends the workers, and no process of the caller's"
        assert multiprocessing.active_children() == [bystander]
    finally:
        bystander.terminate()
        bystander.join()
