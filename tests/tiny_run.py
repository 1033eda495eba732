"""A training of seconds, for tests of whole runs."""

import os
import signal
from contextlib import contextmanager

import pytest

from vidmoco.data import source
from vidmoco.json_lines import read_metrics
from vidmoco.train.metrics import TIMING_KEYS

TINY = [
    "--recipe", "tiny_cpu", "--backbone.name", "resnet10t", "--data.batch-size", "8",
    "--method.bn-splits", "2", "--method.queue-size", "40", "--augment.size", "32",
    "--data.short-side", "32", "--engine.log-every", "1", "--data.workers", "0",
    "--optim.warmup-epochs", "0", "--engine.threads", "1",
]  # fmt: skip

SMALL = {
    "recipe": "tiny_cpu", "batch_size": 8, "backbone": "test_resnet", "augment": {"size": 32},
    "data": {"short_side": 32}, "method": {"queue_size": 40, "bn_splits": 2},
    "optim": {"warmup_epochs": 0}, "engine": {"log_every": 1, "threads": 1}, "workers": 0,
    "quiet": True,
}  # fmt: skip


@contextmanager
def signal_in(wanted, number=signal.SIGTERM):
    """Let a training get a signal while it loads a step's pairs, counted from where it begins."""
    load_pairs = source.load_pairs

    def interrupted(*args, **options):
        for step, batch in enumerate(load_pairs(*args, **options), start=1):
            if step == wanted:
                os.kill(os.getpid(), number)
            yield batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "load_pairs", interrupted)
        yield


def numbers(run):
    """Return the metrics of a run that do not depend on the machine."""
    return [
        {key: value for key, value in line.items() if key not in TIMING_KEYS}
        for line in read_metrics(run / "metrics.jsonl")
    ]
