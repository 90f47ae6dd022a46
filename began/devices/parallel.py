"""Several processes that train one model: who they are, what they average, and how they agree to stop."""

import time
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


class Vote:
    """Whether any rank was told to stop: the hosts ask each other, and have the answer when they ask next: none waits.

    `told` lists the signals that have come to this one. They ask at every fourth call, which costs less than 0.5 % of
    steps of 10 ms, and where steps are slow at each, so that all have stopped before torchrun's patience of 30 s ends.
    """

    def __init__(self, ranks: Ranks, told: list[int]):
        self.ranks, self.told, self.calls, self.every, self.last = ranks, told, 0, 1, time.monotonic()
        self.asked: torch.futures.Future | None = None

    def __call__(self, *, ask: bool = False) -> int:
        """Return the number of a signal that told a rank to stop, the same one on all of them, or 0."""
        told, now = self.told[0] if self.told else 0, time.monotonic()
        if self.ranks.count == 1:
            return told
        self.calls += 1
        if self.calls % self.every and not ask:
            return 0
        answer, slow = self.asked.wait()[0].tolist() if self.asked else (0, 1)
        work = dist.all_reduce(torch.tensor([told, now > self.last + 1]), dist.ReduceOp.MAX, async_op=True)
        self.asked, self.every, self.last = work and work.get_future(), 1 if slow else 4, now
        return answer


def lost_contact(error: RuntimeError) -> bool:
    """Whether an error says that another process no longer answers; gloo's has no class of its own."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)
