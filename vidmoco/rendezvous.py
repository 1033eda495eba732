"""Meet the other processes of a job in a store where an earlier start of it has left nothing.

torchrun keeps one store through all its restarts. What gloo and NCCL leave there, such as the
addresses of processes that have ended, lets processes that are started again wait for ever (torch
2.15: both ranks, in about half of the restarts). So each start writes below a name of its own.
"""

import time
import uuid
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from vidmoco.errors import TrainingError

SECONDS_TO_MEET = 900.0
"""Imports from a slow disk take minutes, and the processes of a job start at different times."""


def meet(timeout: timedelta) -> tuple[Any, int, int, str]:
    """Return a store for this start of the job, this process's rank, their number, and the name.

    Args:
        timeout: of the store, as of a process group.

    Raises:
        TrainingError: a process does not come within ``SECONDS_TO_MEET``.
    """
    patience = timedelta(seconds=SECONDS_TO_MEET)
    try:
        store, rank, world_size = next(rendezvous("env://", timeout=patience))
    except dist.DistError as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"The processes of this job do not meet ({reason}). Start it again."
        ) from error
    store.set_timeout(timeout)
    agree = _name_start if rank == 0 else _hear_name
    start = agree(store, rank, world_size)
    prefixed = dist.PrefixStore(start, store)  # type: ignore[attr-defined]
    return prefixed, rank, world_size, start


def _name_start(store: Any, rank: int, world_size: int) -> str:
    """Name this start and answer every process, also those that an earlier start has left.

    Keys that matter hold a random number of this start, so nobody takes an old one for new.
    """
    start = f"vidmoco/{uuid.uuid4().hex}"
    missing, ends = set(range(1, world_size)), time.monotonic() + SECONDS_TO_MEET
    while missing:
        for other in sorted(missing):
            if store.check([_hello(other)]):
                store.set(_answer(store.get(_hello(other)).decode()), start)
            if store.check([f"{start}/met/{other}"]):
                missing.remove(other)
        if missing:
            _wait(ends, min(missing), world_size)
    return start


def _hear_name(store: Any, rank: int, world_size: int) -> str:
    me, ends = uuid.uuid4().hex, time.monotonic() + SECONDS_TO_MEET
    store.set(_hello(rank), me)
    while not store.check([_answer(me)]):
        _wait(ends, 0, world_size)
    start: str = store.get(_answer(me)).decode()
    store.set(f"{start}/met/{rank}", "")
    return start


def _hello(rank: int) -> str:
    return f"vidmoco/hello/{rank}"


def _answer(number: str) -> str:
    return f"vidmoco/answer/{number}"


def _wait(ends: float, missing: int, world_size: int) -> None:
    if time.monotonic() > ends:
        raise TrainingError(
            f"Process {missing} of {world_size} has not joined the job within "
            f"{SECONDS_TO_MEET:.0f} s. Start the job again."
        )
    time.sleep(0.05)
