"""Checks of a GPU: `pytest tests/cuda`. Without one, a CPU stands in where it can."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests here, and skip those that need a GPU where there is none."""
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.cuda)
        if item.get_closest_marker("gpu_only") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture
def device() -> Iterator[torch.device]:
    """The GPU in exact float32, or the CPU in its place."""
    if not torch.cuda.is_available():
        yield torch.device("cpu")
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic = False, False, True
    yield torch.device("cuda")
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic = before
