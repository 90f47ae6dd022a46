"""What a run will take on this device, found by its first steps: `began train --dry-run`."""

import sys
import time
from dataclasses import replace

import click
import torch

from began.config import TrainConfig
from began.devices.parallel import Ranks
from began.state import open_data
from began.training import Trainer

WARM_UP, TIMED = 5, 15  # steps: a graph, a compiler and cuDNN's search take their time in the first


def rehearse(config: TrainConfig, device: torch.device, ranks: Ranks) -> None:
    """Train some steps, write nothing, and print speed, time, memory and what the run will leave on the disk."""
    trainer = Trainer(replace(config, on_collapse="warn"), open_data(config), device=device, ranks=ranks)
    trainer.fit(WARM_UP, progress=False)
    start = time.perf_counter()
    trainer.fit(WARM_UP + TIMED, progress=False)
    a_step = (time.perf_counter() - start) / TIMED
    if ranks.rank == 0:
        click.echo(f"{WARM_UP + TIMED} steps in {trainer.update.how}; nothing was written")
        click.echo(f"speed:  {config.batch / a_step:.4g} images/s, {1 / a_step:.3g} steps/s")
        click.echo(f"time:   {duration(a_step * config.steps)} for {config.steps} steps")
        click.echo(f"memory: {memory(device)}")
        click.echo(f"disk:   {disk(trainer, config)}")


def duration(seconds: float) -> str:
    """Return a time in words, to the two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def memory(device: torch.device) -> str:
    """Return the most that was held at a time: of the GPU's, else by this process."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        return f"{size(torch.cuda.max_memory_allocated(device))} of the {size(total)} of the GPU"
    try:
        import resource
    except ImportError:  # Windows
        return "not known on this system"
    unit = 1 if sys.platform == "darwin" else 1024
    return f"{size(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)} in this process"


def disk(trainer: Trainer, config: TrainConfig) -> str:
    """Return what the run will leave on the disk: checkpoints, good ones among them, sample grids, weights."""
    checkpoint = trainer.update.nbytes + 4 * len(trainer.history) * config.steps
    kept = 1
    if config.on_collapse == "rollback":  # the first is kept too
        kept += 1 + min(max(config.good_mib * 2**20 // checkpoint, 1), config.steps // config.checkpoint_every)
    grids = config.steps // config.sample_every + 1
    samples = grids * config.channels * (8 * (config.size + 2)) ** 2
    weights = sum(part.nbytes for part in trainer.model.parameters())
    total = kept * checkpoint + samples + weights
    return (
        f"{size(total)} at most: checkpoints {kept} x {size(checkpoint)}, {grids} sample grids {size(samples)}, "
        f"weights {size(weights)}"
    )


def size(count: float) -> str:
    """Return a number of bytes in words."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
