"""Several processes that train one model, started by torchrun: who they are, and what they average."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """This process, number `rank` of `count` that train together; one that trains alone is number 0 of 1."""

    rank: int = 0
    count: int = 1

    def parallel(self, model: nn.Module) -> nn.Module:
        """Wrap a model: its gradients become means over the ranks, its weights and buffers those of rank 0."""
        if self.count == 1:
            return model
        return DistributedDataParallel(model, gradient_as_bucket_view=True)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over the ranks."""
        if self.count > 1:
            dist.all_reduce(values)
            values = values / self.count
        return values


ALONE = Ranks()


def lost_contact(error: RuntimeError) -> bool:
    """Whether an error says that another process no longer answers; gloo's has no class of its own."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun started with this one, over NCCL for CUDA and gloo otherwise."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) if device.index is None else device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
