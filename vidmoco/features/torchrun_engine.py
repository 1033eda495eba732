"""``extract --engine torchrun``: a process for each GPU of this machine, started by torchrun.

Each is an extraction of its own, and their claims share the videos (``claims``).
"""

import json
import os
import signal
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console

from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.config.extract import ExtractCommand
from vidmoco.config.plain import to_plain
from vidmoco.console import say
from vidmoco.device import resolve_device
from vidmoco.features.claims import Worker
from vidmoco.features.extract_here import open_output
from vidmoco.features.extract_plan import Plan

_LAUNCHED = "TORCHELASTIC_RUN_ID"
_PROCESS = "vidmoco.cli.torchrun_process"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""Those that torchrun takes."""


def is_launched() -> bool:
    """Return whether torchrun has started this process.

    It takes every exit code but 0 for a crash, and then ends the other processes.
    """
    return _LAUNCHED in os.environ


def speaks() -> bool:
    """Return whether this process shows what it does: of those of torchrun, the first one."""
    return not is_launched() or os.environ.get("RANK", "0") == "0"


def extract_on_all_gpus(
    command: ExtractCommand, frozen: FrozenBackbone, plan: Plan, console: Console
) -> ExtractCommand:
    """Let torchrun extract what is to be extracted, and return the command for what is left.

    That is nothing, unless videos failed or a process died. With one GPU or none, and in a process
    that torchrun has started, everything is left.

    Raises:
        ConfigError: the output folder cannot be used.
    """
    rest = replace(command, engine="local")
    number = num_gpus(command.device)
    if number < 2 or is_launched():
        return rest
    # What is wrong with the folder is told once, and a dataset begins anew once.
    with (
        Worker(plan.folder) as worker,
        open_output(plan.folder, worker, frozen, command, plan.labels),
    ):
        pass
    each = replace(rest, overwrite=command.overwrite and not command.writes_dataset)
    say(console, f"{number} GPUs, a process for each")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does
    crash = _run(each, number)
    if crash:
        say(console, f"{crash}. This process goes on with what is left.")
    return replace(rest, overwrite=False)


def _run(command: ExtractCommand, number: int) -> str:
    """Extract in several processes; return why one of them crashed, or "".

    It is what the command ``torchrun --standalone`` does. A signal that stops this process is
    passed on to them, and stops this one when they have ended.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=number,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    # Without this the end of the terminal would end what nohup has started. Older torch ignores it.
    heard = [number.name for number, handler in handlers.items() if handler != signal.SIG_IGN]
    config.signals_to_handle = ",".join(heard)
    try:
        with TemporaryDirectory(prefix="vidmoco-") as folder:
            settings = Path(folder) / "extract.json"  # one argument has no room for many paths
            settings.write_text(json.dumps(to_plain(command)), encoding="utf-8")
            elastic_launch(config, sys.executable)("-m", _PROCESS, str(settings))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        return f"Process {rank} ended with exit code {failure.exitcode}"
    except SignalException as error:
        stop = error.sigval
    else:
        return ""
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    signal.raise_signal(stop)  # now it does what it does without torchrun
    raise KeyboardInterrupt


def num_gpus(device: str) -> int:
    """Return how many GPUs a ``--device`` without a number means."""
    if device not in ("auto", "cuda") or resolve_device("auto").type != "cuda":
        return 0
    return torch.cuda.device_count()
