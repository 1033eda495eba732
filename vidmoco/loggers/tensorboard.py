"""TensorBoard: event files in the run folder, written anew by every start from metrics.jsonl."""

from collections.abc import Mapping

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from vidmoco.config.recipe import dump_recipe
from vidmoco.loggers.protocol import RunToLog


class TensorBoard:
    """Writes to ``tensorboard/`` of the run: ``tensorboard --logdir RUN``."""

    def __init__(self, run: RunToLog) -> None:
        folder = run.folder / "tensorboard"
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()  # a file that goes on would have steps twice
        self._writer = SummaryWriter(str(folder), flush_secs=30)
        text = "\n".join("    " + line for line in dump_recipe(run.config).splitlines())
        self._writer.add_text("config", text)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars under their names."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, image: Image.Image) -> None:
        """Write the image ``pairs``."""
        pixels = np.asarray(image.convert("RGB"))
        self._writer.add_image("pairs", pixels, 0, dataformats="HWC")

    def close(self, *, failed: bool) -> None:
        """Close the file."""
        self._writer.close()
