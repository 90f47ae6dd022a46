"""What a device is tried out for: the faster precision, and the batch that fits."""

import math
from dataclasses import replace

import torch

from began.config import TrainConfig
from began.devices.acceleration import WARM_UP, seconds
from began.devices.parallel import ALONE, Ranks
from began.step import Update, decided, offered


def settled(config: TrainConfig, device: torch.device, ranks: Ranks = ALONE) -> TrainConfig:
    """Return a config whose precision is decided: that asked for where the device has it, the best for "auto".

    "auto" is bfloat16 on a GPU that has it; where there is only float16, the faster of float16 and float32 in a trial
    of this config; else float32. A precision that the device lacks gives way to float32, with a line in the log.
    """
    available = offered(config, device, ranks)
    if config.precision == "auto" and device.type == "cuda" and available == ["float32", "float16"]:
        return min(
            (replace(config, precision=precision) for precision in available),
            key=lambda one: seconds_a_step(one, device),
        )
    return decided(config, device, ranks)


def fitting_batch(config: TrainConfig, device: torch.device, ranks: Ranks = ALONE) -> int:
    """Return the first of a half, a quarter, ... of a config's batch that fits into the free memory; 0 if none does.

    Each is tried, by updates of a model of its own; with several `ranks`, by this process's part.
    """
    batch = config.batch // ranks.count // 2
    while batch and not _fits(replace(config, batch=batch, compile=False), device):
        batch //= 2
    return batch * ranks.count


def _fits(config: TrainConfig, device: torch.device) -> bool:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        update = Update(replace(config, log_every=WARM_UP + 1), device)
        x = torch.zeros(config.batch, config.channels, config.size, config.size, device=device)
        for _ in range(WARM_UP + 1):  # the second has Adam's moments beside it, the last is a graph
            update(x)
        update.take_rows()
    except (RuntimeError, MemoryError):  # oneDNN and cuDNN have words of their own for a lack of memory
        return False
    return True


def seconds_a_step(config: TrainConfig, device: torch.device, steps: int = 20) -> float:
    """Return the mean time of `steps` updates after a warm-up; infinity where a loss is not finite or memory ends."""
    once = replace(config, log_every=steps + 2 * WARM_UP, compile=False)
    try:
        update = Update(once, device)
        x = torch.rand(config.batch, config.channels, config.size, config.size, device=device).mul_(2).sub_(1)
        seconds(update, x, 2 * WARM_UP)
        mean = seconds(update, x, steps)
    except torch.OutOfMemoryError:
        return math.inf
    return mean if update.take_rows().isfinite().all() else math.inf
