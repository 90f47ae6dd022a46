"""What a device offers beyond plain float32: lower precision, torch.compile, and the step as one CUDA graph."""

import ctypes
import os
import time
from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

from began.errors import BeganError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
WARM_UP = 3


def precisions(device: torch.device) -> tuple[str, ...]:
    """List the precisions, names of `DTYPES`, that a device computes in itself rather than by way of another.

    bfloat16 needs a GPU of compute capability 8.0 (Ampere), float16 one of 7.0 (Volta, Turing: Colab's T4). A CPU does
    all of them, but is seldom fast in any but float32.
    """
    if device.type == "cpu":
        return tuple(DTYPES)
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability >= (8, 0):
            return tuple(DTYPES)
        if capability >= (7, 0):
            return "float32", "float16"
    return ("float32",)


def compile_failure(device: torch.device) -> Exception | None:
    """Return why torch.compile does not work here, None where it does: it takes a C++ compiler, on a GPU Triton."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(1, device=device))
    except Exception as error:  # each backend has errors of its own
        return error
    return None


def keep_memory() -> None:
    """Let glibc keep the memory that tensors free, for the tensors of the next step: 3 to 10 % of a CPU's time.

    Handed back, each page of it costs a fault when it is asked for again. It holds for the whole process, so that
    entry points call it, and no class does; other C libraries go on as they are.
    """
    with suppress(AttributeError, OSError, TypeError):  # macOS, Windows and musl have no such call
        for threshold in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            ctypes.CDLL(None).mallopt(threshold, 2**30)


def seconds(function: Callable[[Tensor], None], x: Tensor, count: int) -> float:
    """Return the mean time of `count` calls of a function on x, up to the end of what they asked of x's device."""

    def wait() -> None:
        if x.is_cuda:
            torch.cuda.synchronize(x.device)

    wait()
    start = time.perf_counter()
    for _ in range(count):
        function(x)
    wait()
    return (time.perf_counter() - start) / count


class Graphed:
    """Calls of a function of one batch, on CUDA, as one graph: replayed, its kernels start without Python.

    The first calls run as they are, on a stream of their own, so that cuDNN picks its kernels and the optimizer makes
    its state before the capture; they are calls like all others. The function must be the same in all calls, keep its
    state in tensors changed in place, draw from `rng` alone if at all, and never wait for the host; each batch must
    have the shape of the first. Call number `WARM_UP` captures, and may raise where single calls do not: nothing of it
    has then run on the device, but `rng` is of no more use.
    """

    def __init__(self, device: torch.device, rng: torch.Generator | None = None):
        self.rng = rng
        self.stream = torch.cuda.Stream(device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.x: Tensor | None = None
        self.calls = 0

    def __call__(self, function: Callable[[Tensor], None], x: Tensor) -> None:
        """Call the function on x."""
        with torch.cuda.device(self.stream.device):
            if self.x is None:
                layout = torch.channels_last if x.dim() == 4 else torch.contiguous_format
                self.x = torch.empty_like(x, memory_format=layout)
            self.x.copy_(x)
            if self.calls < WARM_UP:
                self.stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(self.stream):
                    function(self.x)
                torch.cuda.current_stream().wait_stream(self.stream)
            else:
                self.graph = self.graph or self._captured(function, self.x)
                self.graph.replay()
            self.calls += 1

    def _captured(self, function: Callable[[Tensor], None], x: Tensor) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        # from 2.14 on, torch registers generators by itself and warns of this call
        if self.rng is not None and torch.__version__ < "2.14":
            graph.register_generator_state(self.rng)
        # thread_local: the thread that pins the memory of streamed batches may go on meanwhile. The outer context: a
        # capture that breaks off leaves torch on the graph's stream
        capture = torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local")
        with torch.cuda.stream(torch.cuda.current_stream()), capture:
            function(x)
        return graph


def best_device() -> str:
    """Return the CUDA device of this process where there is one, else the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


def usable(device: str | torch.device) -> torch.device:
    """Return a device that can be computed on here; ValueError for an unknown name, or one that is not there."""
    try:
        found = torch.device(device)
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise BeganError(f"device {str(device)!r} can't be used here ({reason}); cpu always can") from error
    return found


def out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one behind it, says that there is not enough memory; a CPU's has no class of its own."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error):
        return True
    behind = error.__cause__ or error.__context__
    return behind is not None and out_of_memory(behind)
