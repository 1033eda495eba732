"""Meet the other processes of a job in a store where an earlier start of it has left nothing.

torchrun keeps one store through all its restarts. What gloo and NCCL leave there, such as the
addresses of processes that have ended, lets processes that are started again wait for ever (torch
2.15: both ranks, in about half of the restarts). So each start writes below a name of its own.
"""

import os
import time
import uuid
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from vidmoco.errors import ConfigError, TrainingError

_LAUNCHER = "Start the processes by torchrun, or unset RANK and WORLD_SIZE."
SECONDS_TO_MEET = 900.0
"""Imports from a slow disk take minutes, and the processes of a job start at different times."""


def has_others() -> bool:
    """Return whether a launcher, such as torchrun, has started this process beside others.

    Raises:
        ConfigError: the variables that it sets cannot be used.
    """
    world_size = whole_number("WORLD_SIZE", default="1")
    if "RANK" not in os.environ or world_size <= 1:
        return False
    if (rank := whole_number("RANK")) >= world_size:
        raise ConfigError(
            f"RANK is {rank}, and WORLD_SIZE {world_size}; ranks begin at 0. {_LAUNCHER}"
        )
    return True


def whole_number(name: str, *, default: str = "") -> int:
    """Return a variable that a launcher sets.

    Raises:
        ConfigError: it is no whole number.
    """
    value = os.environ.get(name, default)
    if not (value.isascii() and value.isdecimal()):
        raise ConfigError(f"{name} is {value!r}; it must be a whole number. {_LAUNCHER}")
    return int(value)


def meet(timeout: timedelta) -> tuple[Any, int, int, str]:
    """Return a store for this start of the job, this process's rank, their number, and the name.

    Args:
        timeout: of the store, as of a process group.

    Raises:
        ConfigError: the address that the launcher sets cannot be used.
        TrainingError: a process does not come within ``SECONDS_TO_MEET``.
    """
    if not os.environ.get("MASTER_ADDR"):
        raise ConfigError(f"RANK is set, and MASTER_ADDR is not. {_LAUNCHER}")
    if not 0 < (port := whole_number("MASTER_PORT")) < 2**16:
        raise ConfigError(f"MASTER_PORT is {port}; ports are from 1 to 65535. {_LAUNCHER}")
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
