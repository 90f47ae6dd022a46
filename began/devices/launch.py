"""How a process that torchrun started meets the others."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.constants import default_pg_timeout
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from began.devices.parallel import ALONE, Ranks
from began.errors import BeganError

PATIENCE = timedelta(minutes=2)  # for the other processes to be there
logger = logging.getLogger(__name__)


def launched() -> Ranks:
    """Return which of the processes that a launcher started this is; BeganError names a variable that is no number."""
    numbers = []
    for name, alone in (("RANK", "0"), ("WORLD_SIZE", "1")):
        value = os.environ.get(name, alone)
        if not value.isdecimal():
            cure = "unset it to train in one process, or start several with torchrun"
            raise BeganError(f"the environment variable {name} must be a number, got {value!r}; {cure}")
        numbers.append(int(value))
    return Ranks(*numbers) if numbers[1] > 1 else ALONE


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun started with this one, over NCCL for CUDA and gloo otherwise.

    Raises BeganError as `launched` does, TimeoutError where the others are not there.
    """
    ranks = launched()
    if ranks.count == 1:
        yield ranks
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", ranks.rank)) if device.index is None else device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"  # a vote is between hosts
    dist.init_process_group(backend, store=_met(ranks), rank=ranks.rank, world_size=ranks.count)
    try:
        yield ranks
    finally:
        dist.destroy_process_group()


def _met(ranks: Ranks) -> Store:
    where = ":".join(os.environ.get(name, f"({name} is not set)") for name in ("MASTER_ADDR", "MASTER_PORT"))
    wait = f"WORLD_SIZE is {ranks.count}, RANK {ranks.rank}: waiting for the other processes at {where}"
    if not dist.is_torchelastic_launched():  # torchrun's are there
        logger.warning("%s, up to %d s", wait, PATIENCE.seconds)
    try:
        store, _, _ = next(rendezvous("env://", timeout=PATIENCE))
    except (dist.DistError, ValueError) as error:
        cure = "unset WORLD_SIZE to train in one process, or start all of them with torchrun"
        raise TimeoutError(f"{wait} was in vain ({str(error).splitlines()[0]}); {cure}") from error
    store.set_timeout(default_pg_timeout)  # from here on one may be busy with its pictures for long
    return store
