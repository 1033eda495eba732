"""How the tests of a comparison run one."""

import io

from rich.console import Console

from vidmoco.evaluate.compare import evaluate
from vidmoco.evaluation_commands import EvaluateCommand


def run(images, tmp_path, *backbones, **options):
    """Evaluate and return results, what was printed, and what was shown meanwhile."""
    command = EvaluateCommand(
        images=images,
        backbone=backbones or ("random:test_resnet",),
        **{"output": tmp_path / "r.json", "size": 32, "k": (1, 3), "workers": 0} | options,
    )
    table, log = io.StringIO(), io.StringIO()
    results = evaluate(command, console=Console(file=log), output=Console(file=table))
    return results, table.getvalue(), log.getvalue()


def accuracies(results):
    return [
        {key: row[key] for key in ("knn_top1", "linear_top1", "linear_decay")}
        for row in results["rows"]
    ]
