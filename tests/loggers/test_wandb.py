"""Weights & Biases offline, read back: a file of LevelDB's log format, with records of W&B."""

import json
import struct

import pytest
import wandb
from child_processes import until
from PIL import Image
from wandb.proto import wandb_internal_pb2

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.errors import ConfigError
from vidmoco.loggers.protocol import RunToLog
from vidmoco.loggers.wandb import WeightsAndBiases

_BLOCK, _HEAD, _FIRST = 32768, 7, 7  # bytes of a block, of a chunk's header, of the file's


def records(path):
    data, place, parts = path.read_bytes(), _FIRST, b""
    while place + _HEAD <= len(data):
        if _BLOCK - place % _BLOCK < _HEAD:  # the rest of a block is empty
            place += _BLOCK - place % _BLOCK
            continue
        size, kind = struct.unpack("<HB", data[place + 4 : place + _HEAD])
        if place + _HEAD + size > len(data):  # it is being written
            return
        parts += data[place + _HEAD : place + _HEAD + size]
        place += _HEAD + size
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def history(path):
    rows = []
    for record in records(path):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({one.key or ".".join(one.nested_key): json.loads(one.value_json)
                         for one in items})  # fmt: skip
    return rows


def test_it_is_read_back_and_a_start_that_goes_on_has_no_step_twice(tmp_path):
    note = {}
    for steps in ((2, 4, 6), (2, 4, 8)):  # the second goes on from step 4
        logger = WeightsAndBiases(RunToLog(tmp_path, PretrainConfig(seed=7), note))
        for step in steps:
            logger.scalars(step, {"loss": 1 / step})
            logger.scalars(step, {"knn_top1": 50.0})
        logger.picture(Image.new("RGB", (9, 5)))
        logger.close(failed=steps[-1] == 8)
        (path,) = (tmp_path / "wandb").glob(f"offline-run-*/run-{note['id']}.wandb")
        # W&B's own process may write the file after finish() has returned.
        until(lambda path=path: "exit" in [one.WhichOneof("record_type") for one in records(path)])
    rows = history(path)
    assert [(row["_step"], row["loss"]) for row in rows] == [(2, 0.5), (4, 0.25), (8, 0.125)]
    assert all(row["knn_top1"] == 50.0 for row in rows)
    (begun,) = (one.run for one in records(path) if one.WhichOneof("record_type") == "run")
    config = {one.key: json.loads(one.value_json) for one in begun.config.update}
    assert config["seed"] == 7 and config["optim"]["name"] == "sgd"
    assert begun.project == "vidmoco" and begun.display_name == tmp_path.name
    assert list((tmp_path / "wandb").glob("offline-run-*/files/media/images/pairs*.png"))


def test_files_go_to_the_folder_of_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "deep" / "files"))
    note = {}
    for _ in range(2):
        WeightsAndBiases(RunToLog(tmp_path / "run", PretrainConfig(), note)).close(failed=False)
    found = list((tmp_path / "deep" / "files" / "wandb").glob(f"offline-run-*-{note['id']}"))
    assert len(found) == 1 and not (tmp_path / "run").exists()


def test_a_setting_that_wandb_refuses(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "nonsense")
    wandb.teardown()  # it reads its variables once in a process
    with pytest.raises(
        ConfigError, match=r"mode of wandb \(WANDB_MODE\) is 'nonsense': .*'offline'"
    ):
        WeightsAndBiases(RunToLog(tmp_path, PretrainConfig(), {}))
    wandb.teardown()


def test_nobody_is_asked_for_a_key(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    wandb.teardown()  # it reads its variables once in a process
    with pytest.raises(ConfigError, match="wandb login, or set WANDB_MODE=offline"):
        WeightsAndBiases(RunToLog(tmp_path, PretrainConfig(), {}))
    wandb.teardown()
