"""A training of seconds, for tests of whole runs."""

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


def numbers(run):
    """Return the metrics of a run that do not depend on the machine."""
    return [
        {key: value for key, value in line.items() if key not in TIMING_KEYS}
        for line in read_metrics(run / "metrics.jsonl")
    ]
