"""Processes that train many runs beside each other, with one progress bar for all."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any

import torch
from tqdm.auto import tqdm

from began.devices.acceleration import keep_memory


class Workers:
    """Processes that train jobs: as many as a CPU has cores, a thread each; one for a GPU. Use it in a `with`.

    `call(function, steps, *arguments)` trains by `function(*arguments, device, advance)`, of which so many steps are
    expected; `finished()` yields the results as they come, and shows the progress.
    """

    def __init__(self, device: torch.device):
        context = multiprocessing.get_context("spawn")
        self.device, self.steps = device, context.Value("q", 0)
        self.count = (os.cpu_count() or 1) if device.type == "cpu" else 1
        self.others = set(multiprocessing.active_children())  # not ours
        self.pool = ProcessPoolExecutor(self.count, context, initializer=_begin, initargs=(self.steps,))
        self.waiting: set[Future[list[Any]]] = set()
        self.bar = tqdm(total=0, unit="step", unit_scale=True, mininterval=1)

    def __enter__(self) -> "Workers":
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the workers, at once after an error."""
        self.bar.close()
        if error[0] is not None:
            for process in set(multiprocessing.active_children()) - self.others:
                process.terminate()
        self.pool.shutdown(cancel_futures=True)

    def call(self, function: Callable[..., list[Any]], steps: int, *arguments: object) -> None:
        """Let a worker train a job."""
        self.bar.total += steps
        self.waiting.add(self.pool.submit(_call, function, *arguments, self.device))

    def finished(self) -> Iterator[list[Any]]:
        """Yield the rows of each job as it ends, until none is left; more may be called meanwhile."""
        while self.waiting:
            done, self.waiting = wait(self.waiting, timeout=1, return_when=FIRST_COMPLETED)
            self.bar.update(self.steps.value - self.bar.n)
            for future in done:
                yield future.result()


_steps: Any = None  # in a worker: run-steps done by all workers


def _begin(steps: Any) -> None:
    global _steps
    _steps = steps
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    torch.set_num_threads(1)
    keep_memory()
    torch.set_flush_denormal(True)  # vanishing gradients are slow otherwise


def _call(function: Callable[..., list[Any]], *arguments: object) -> list[Any]:
    return function(*arguments, _advance)


def _advance(steps: int) -> None:
    with _steps.get_lock():
        _steps.value += steps


Row = dict[str, Any]
