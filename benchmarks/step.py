"""Measures the training step against the ports of BEGAN: `python benchmarks/step.py`, or `make bench`.

All ways to do a step are timed in turn, round after round, so that what else the machine does falls on all alike.
The floor is the time that the operations of the fast step would take at the rate of a large matrix product in the same
precision, measured in the same run.
"""

import argparse
import gc
import multiprocessing
import re
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import torch
from machine import RESULTS, facts, merged, save, significant
from ports import FEATURES, PortsStep, TorchganStep
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from tqdm import tqdm

from began.config import PRESETS, TrainConfig
from began.devices.acceleration import DTYPES, WARM_UP, compile_failure, out_of_memory, precisions, seconds
from began.passes import Began, fast_pass
from began.step import Update
from began.tuning import settled

CUDA_GRID = [(16, 8, 16), *product((32, 64, 128), (64, 128), (16, 64))]
CPU_GRID = [(16, 8, 16), (32, 32, 16), (64, 32, 16), (32, 64, 16), (64, 64, 16)]
SLICE = 0.3  # seconds that a way is timed for in each round, at least a step


class Step(Protocol):
    """A way to do a step."""

    @property
    def precision(self) -> str:
        """What the networks compute in."""
        ...

    def __call__(self, x: Tensor) -> None:
        """Train on a batch."""
        ...


def ways(
    config: TrainConfig, device: torch.device, remedies: bool = False, compiled: bool = False
) -> dict[str, Callable[[], Step]]:
    """Return what makes each way to do a step, by name: the ladder from the ports' to this package's, on any device.

    `began` is what a run does by default; `remedies` adds the ports with one each, `compiled` torch.compile.
    """
    cuda = device.type == "cuda"
    here = [name for name in FEATURES if cuda or name not in ("bfloat16", "CUDA graph")]
    made: dict[str, Callable[[], Step]] = {"ports": lambda: PortsStep(config, device)}
    if find_spec("torchgan") and not config.alpha:
        made["torchgan"] = lambda: TorchganStep(config, device)
    if cuda and "bfloat16" in precisions(device):
        made["ports + bfloat16"] = lambda: PortsStep(config, device, {"bfloat16"})
    for feature in here if remedies else ():
        if feature != "bfloat16":
            chosen = {feature, "k on the device"} if feature == "CUDA graph" else {feature}
            made[f"ports + {feature}"] = lambda chosen=chosen: PortsStep(config, device, chosen)
    made["reference"] = lambda: Reading(replace(config, mode="reference", precision="float32"), device, graph=False)
    default = decided(config, device).precision if cuda else "float32"
    offered = [name for name in ("float32", "bfloat16") if name in precisions(device)]
    for precision, graph in product(dict.fromkeys([default, *offered]), (True, False) if cuda else (True,)):
        name = "began" + f", {precision}" * (precision != default) + ", no graph" * (not graph)
        one = replace(config, precision=precision)
        made[name] = lambda one=one, graph=graph: Reading(one, device, graph=graph)
        if compiled and not compile_fails(device):
            both = replace(one, compile=True)
            made[f"{name}, compiled"] = lambda both=both, graph=graph: Reading(both, device, graph=graph)
    return made


decided = cache(settled)  # on a T4 it takes a trial
compile_fails = cache(compile_failure)


class Reading(Update):
    """An update whose rows are read when they are full, as a run does at each reading of its history."""

    @property
    def precision(self) -> str:
        """What the networks compute in."""
        return self.config.precision

    def __call__(self, x: Tensor) -> None:
        """Update once."""
        if self._written == self.config.log_every:
            self.take_rows()
        super().__call__(x)


def batch(config: TrainConfig, device: torch.device) -> Tensor:
    """Return some images."""
    return torch.rand(config.batch, config.channels, config.size, config.size, device=device) * 2 - 1


def matrix_rates(device: torch.device) -> dict[str, float]:
    """Measure the rate of a large matrix product in FLOP/s, by precision; the best of several."""

    def square(a: Tensor) -> None:
        torch.mm(a, a)

    side = 8192 if device.type == "cuda" else 2048
    rates = {}
    for name in precisions(device) if device.type == "cuda" else ("float32", "bfloat16"):
        a = torch.randn(side, side, device=device, dtype=DTYPES[name])
        square(a)
        rates[name] = 2 * side**3 / min(seconds(square, a, 3) for _ in range(7))
    return rates


def flops(config: TrainConfig) -> int:
    """Count the floating-point operations of the gradients of a step, without doing any: on shapes alone."""
    model = Began(config).to("meta")
    x = torch.empty(config.batch, config.channels, config.size, config.size, device="meta")
    with Flops() as counter:
        _, backward = fast_pass(model, x, torch.empty(config.batch, config.n_z, device="meta"))
        backward()
    return counter.count


class Flops(TorchDispatchMode):
    """Adds up torch's own counts of the operations that go by.

    torch's FlopCounterMode also follows modules, which fails on the gradient by a leaf that BEGAN-CS takes.
    """

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operation."""
        out = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func._overloadpacket):
            self.count += formula(*args, **(kwargs or {}), out_val=out)
        return out


class HostReads(TorchDispatchMode):
    """Counts the operations that hand numbers of a device to the host, which then waits for them."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operation."""
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return func(*args, **(kwargs or {}))


def host_reads(step: Callable[[Tensor], None], x: Tensor) -> int:
    """Count the host's waits in a step, but for those in Adam: its count of steps is on the host on any device."""
    step(x)
    before: list[int] = []
    in_adam = 0

    def leave(*_: object) -> None:
        nonlocal in_adam
        in_adam += reads.count - before.pop()

    with HostReads() as reads:
        hooks = (
            register_optimizer_step_pre_hook(lambda *_: before.append(reads.count)),
            register_optimizer_step_post_hook(leave),
        )
        step(x)
    for hook in hooks:
        hook.remove()
    return reads.count - in_adam


def peak_mib(make: Callable[[], Step], config: TrainConfig, device: torch.device, name: str) -> float:
    """Return the most MiB that a way takes at a time, weights and all: allocated on a GPU, resident on a CPU.

    On a CPU, of Linux, it is measured in a process of its own, over what that process held before.
    """
    if device.type == "cuda":
        held = torch.cuda.memory_allocated(device)
        step, x = make(), batch(config, device)
        seconds(step, x, WARM_UP + 1)
        torch.cuda.reset_peak_memory_stats(device)  # without what cuDNN's search for its fastest kernels took
        seconds(step, x, WARM_UP)
        peak = torch.cuda.max_memory_allocated(device) - held
        del step
        gc.collect()
        torch.cuda.empty_cache()
        return peak / 2**20
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_resident_mib, config, name).result()


def _resident_mib(config: TrainConfig, name: str) -> float:
    device = torch.device("cpu")
    small = replace(config, size=16, n=2, precision="float32")
    seconds(Reading(small, device), batch(small, device), 2)  # loads the libraries
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew, from what is resident
    held = _resident("VmRSS")
    seconds(ways(config, device, True, name.endswith("compiled"))[name](), batch(config, device), 3)
    return (_resident("VmHWM") - held) / 2**10


def _resident(kind: str) -> int:
    """Return what Linux says of this process's memory, in KiB."""
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def compare(
    config: TrainConfig,
    chosen: dict[str, Callable[[], Step]],
    device: torch.device,
    rounds: int,
    rates: dict[str, float],
) -> Iterator[dict[str, Any]]:
    """Yield a row of results for each way chosen to do a step of a config; one that fails says so.

    Without rounds, memory alone is measured.
    """
    torch._dynamo.reset()  # it compiles a function for a few shapes only, then no longer
    x, steps, rows = batch(config, device), {}, {}
    for name, make in chosen.items():
        step = None  # frees the one before while memory is measured, if it was not kept
        rows[name] = {
            "model": "BEGAN-CS" if config.alpha else "BEGAN",
            "mode": name,
            "size": config.size,
            "n": config.n,
            "batch": config.batch,
        }
        try:
            rows[name]["peak_mib"] = round(peak_mib(make, config, device, name), 1)
            if rounds:
                step = make()
                rows[name]["dtype"] = step.precision
                rows[name]["syncs_per_step"] = host_reads(step, x)
                seconds(step, x, 2 * WARM_UP if device.type == "cuda" else 1)
                steps[name] = step
                if without := getattr(step, "without", None):
                    rows[name]["error"] = f"without {'; '.join(without)}"
        except Exception as error:  # the other ways are worth their time
            reason = (str(error) or repr(error)).splitlines()[0]
            rows[name]["error"] = "out of memory" if out_of_memory(error) else reason
        gc.collect()
    for step in steps.values():
        seconds(step, x, 1)  # captures and measurements have emptied the allocator's cache
    slice_s = SLICE / 3 if device.type == "cuda" else SLICE  # a GPU's times vary less
    counts = {name: max(1, round(slice_s / seconds(step, x, 1))) for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds(step, x, counts[name]))
    operations = flops(config)
    for name, row in rows.items():
        if name in times:
            median = statistics.median(times[name])
            ratios = [a / b for a, b in zip(times.get("ports", []), times[name], strict=False)]
            row["images_per_s"] = significant(config.batch / median)
            row["floor_share"] = significant(operations / rates[row["dtype"]] / median)
            if ratios:
                row["ratio"] = significant(statistics.median(ratios))
                row["ratio_low"], row["ratio_high"] = significant(min(ratios)), significant(max(ratios))
        yield row


def table_line(row: dict[str, Any]) -> str:
    """Return a row as a line of the printed table."""
    numbers = ("images_per_s", "ratio", "ratio_low", "ratio_high", "peak_mib", "syncs_per_step", "floor_share")
    texts = [f"{row[name]:10.4g}" if name in row else f"{'':10}" for name in numbers]
    return f"{row['mode']:26}{' '.join(texts)} {row.get('error', '')}"


def file_name(result: dict[str, Any]) -> str:
    """Return where a result goes."""
    return f"{result['machine']}-{result['date']}"


def main(arguments: list[str] | None = None) -> None:
    """Measure the step and write benchmarks/results/MACHINE-DATE.json, which keeps what it has of other shapes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shape", type=int, nargs=3, action="append", metavar=("SIZE", "N", "BATCH"))
    parser.add_argument("--model", choices=PRESETS, help="[both]")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="of the CPU  [all cores]")
    parser.add_argument("--memory", action="store_true", help="measure memory alone")
    parser.add_argument("--compiled", action="store_true", help="measure each way with torch.compile too")
    parser.add_argument("--remedies", action="store_true", help="measure the ports with one remedy each too")
    given = parser.parse_args(arguments)
    where, memory, rounds = torch.device(given.device), given.memory, given.rounds
    if given.threads:
        torch.set_num_threads(given.threads)
    if where.type == "cuda":  # the ports get these too
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    rates = {} if memory else matrix_rates(where)
    result = {
        **facts("step", where),
        "matrix_tflops": {name: significant(rate / 1e12) for name, rate in rates.items()},
        "rounds": rounds,
        "rows": [],
    }
    print(f"{result['machine']}, torch {result['torch']}, matrix product, TFLOP/s: {result['matrix_tflops']}")
    heads = ("images/s", "ratio", "lowest", "highest", "peak MiB", "syncs", "of floor")
    print(f"{'':26}{' '.join(f'{head:>10}' for head in heads)}")
    grid = given.shape or (CUDA_GRID if where.type == "cuda" else CPU_GRID)
    models = [given.model] if given.model else PRESETS
    for (size, n, count), preset in tqdm(list(product(grid, models)), disable=None):
        config = TrainConfig.preset(preset, size=size, n=n, batch=count)
        # one remedy at a time, where that does not take an hour
        small = where.type == "cpu" and n <= 32
        remedies = preset == "began" and count == 16 and (given.remedies or small) and not memory
        tqdm.write(f"{preset}, {size}x{size}, n = {n}, batch {count}: {flops(config) / 1e9:.3g} GFLOP a step")
        chosen = ways(config, where, remedies, given.compiled)
        for row in compare(config, chosen, where, 0 if memory else rounds, rates):
            result["rows"].append(row)
            tqdm.write(table_line(row))
        save(file_name(result), merged(file_name(result), result))
        gc.collect()
    print(RESULTS / f"{file_name(result)}.json")


if __name__ == "__main__":
    main()
