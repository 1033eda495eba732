"""Write checkpoints in a thread, while the training goes on."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch import Tensor

from vidmoco.checkpoint import save_checkpoint


class CheckpointWriter:
    """Writes one checkpoint at a time. ``close`` waits for the last, and raises nothing."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self._folder, self._keep = folder, keep
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._written: Future[Path] | None = None

    def write(self, step: int, state: dict[str, Any]) -> None:
        """Begin to write a copy of ``state``, when the checkpoint before is written.

        The copy is in the memory of the CPU until it is on the disk.

        Raises:
            ConfigError: the checkpoint before cannot be written.
        """
        self.wait()
        copy = copy_to_cpu(state)
        self._written = self._thread.submit(
            save_checkpoint, self._folder, step=step, state=copy, keep=self._keep
        )

    def check(self) -> None:
        """Raise ``ConfigError`` if a checkpoint could not be written."""
        if self._written is not None and self._written.done():
            self.wait()

    def wait(self) -> None:
        """Wait for the checkpoint; raise ``ConfigError`` if it cannot be written."""
        if self._written is not None:
            written, self._written = self._written, None
            written.result()

    def close(self) -> None:
        """Wait for the thread to end."""
        self._thread.shutdown()


def copy_to_cpu(state: Any) -> Any:
    """Return a copy of dicts, lists and tensors, which later steps do not change."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {key: copy_to_cpu(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(copy_to_cpu(value) for value in state)
    return state
