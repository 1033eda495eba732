"""Event files, read back by TensorBoard's own reader."""

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.loggers.protocol import RunToLog
from vidmoco.loggers.tensorboard import TensorBoard


def read(run):
    events = EventAccumulator(str(run / "tensorboard"), purge_orphaned_data=False)
    events.Reload()
    return events


def test_scalars_picture_and_settings_are_read_back(tmp_path):
    run = RunToLog(tmp_path, PretrainConfig(seed=7), {})
    logger = TensorBoard(run)
    for step in (2, 4):
        logger.scalars(step, {"loss": 1 / step, "retrieval/2.0": 50.0})
    logger.picture(Image.new("RGB", (9, 5), "red"))
    logger.close(failed=False)
    events = read(tmp_path)
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(2, 0.5), (4, 0.25)]
    assert events.Tags()["scalars"] == ["loss", "retrieval/2.0"]
    (shown,) = events.Images("pairs")
    assert (shown.width, shown.height) == (9, 5)
    (text,) = events.Tensors("config/text_summary")
    assert b"    seed: 7\n" in np.array(text.tensor_proto.string_val).item()


def test_a_start_that_goes_on_has_no_step_twice(tmp_path):
    for steps in ((1, 2, 3, 4), (1, 2, 3)):  # the second goes on from step 2
        logger = TensorBoard(RunToLog(tmp_path, PretrainConfig(), {}))
        for step in steps:
            logger.scalars(step, {"loss": float(step)})
        logger.close(failed=False)
    assert [one.step for one in read(tmp_path).Scalars("loss")] == [1, 2, 3]
