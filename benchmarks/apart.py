"""Measures the step of each way in a process of its own, as somebody runs it: `python benchmarks/apart.py`.

`step.py` times all ways in one process, where they share an allocator. Here each has its own: the ports as they are,
this package as `began train` starts it, which keeps the memory that tensors free (`acceleration.keep_memory`). They
take turns, round after round.
"""

import argparse
import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec

import torch
from machine import facts, save, significant
from ports import PortsStep, TorchganStep
from step import Reading, Step, batch

from began.config import PRESETS, TrainConfig
from began.devices.acceleration import keep_memory, seconds

CPU = torch.device("cpu")
WAYS = ("ports", "torchgan", "began, memory as it comes", "began")


class Alone:
    """A way to do a step, in this process."""

    step: Step
    x: torch.Tensor

    @classmethod
    def begin(cls, way: str, config: TrainConfig, threads: int) -> None:
        """Make the step, and do it twice."""
        torch.set_num_threads(threads)
        if way == "began":
            keep_memory()
        made = {"ports": PortsStep, "torchgan": TorchganStep}.get(way, Reading)
        cls.step, cls.x = made(config, CPU), batch(config, CPU)
        seconds(cls.step, cls.x, 2)

    @classmethod
    def time(cls, count: int) -> float:
        """Return the mean time of some steps."""
        return seconds(cls.step, cls.x, count)


def main(arguments: list[str] | None = None) -> None:
    """Write benchmarks/results/apart-MACHINE-DATE.json, in float32 on the CPU."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--shape", type=int, nargs=3, action="append", metavar=("SIZE", "N", "BATCH"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=3, help="of a way in a round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    rows, context = [], multiprocessing.get_context("spawn")
    for size, n, count in given.shape or [(64, 32, 16)]:
        for preset in PRESETS:
            config = TrainConfig.preset(preset, size=size, n=n, batch=count, precision="float32")
            here = [way for way in WAYS if way != "torchgan" or (find_spec("torchgan") and not config.alpha)]
            pools = {
                way: ProcessPoolExecutor(1, context, initializer=Alone.begin, initargs=(way, config, given.threads))
                for way in here
            }
            times: dict[str, list[float]] = {way: [] for way in here}
            for _ in range(given.rounds):
                for way, pool in pools.items():
                    times[way].append(pool.submit(Alone.time, given.steps).result())
            for way, pool in pools.items():
                pool.shutdown()
                ratios = [a / b for a, b in zip(times["ports"], times[way], strict=True)]
                rows.append({"model": "BEGAN-CS" if config.alpha else "BEGAN", "mode": way, "size": size, "n": n})
                rows[-1] |= {"batch": count, "images_per_s": significant(count / statistics.median(times[way]))}
                rows[-1] |= {"ratio": significant(statistics.median(ratios))}
                rows[-1] |= {"ratio_low": significant(min(ratios)), "ratio_high": significant(max(ratios))}
                print(rows[-1])
    result = {**facts("apart", CPU), "rounds": given.rounds, "rows": rows}
    print(save(f"apart-{result['machine']}-{result['date']}", result))


if __name__ == "__main__":
    main()
