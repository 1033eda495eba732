import argparse
import pickle

import pytest
import torch

from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.published.checkpoint_file import read_checkpoint_file


def test_flags_beside_the_weights_are_harmless(tmp_path):
    content = {"args": argparse.Namespace(lr=0.03), "model": {"w": torch.ones(2)}}
    for zipped in (True, False):  # torch.save before 1.6 wrote no zip files
        torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
        found = read_checkpoint_file(tmp_path / "c.pth")
        assert found["args"].lr == 0.03 and torch.equal(found["model"]["w"], torch.ones(2))


def test_nothing_else_becomes_harmless_with_them(tmp_path):
    torch.save({"action": argparse.Action(["-x"], "x")}, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match=r"holds more than weights: argparse\.Action"):
        read_checkpoint_file(tmp_path / "c.pth")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_a_pickle_that_is_no_checkpoint(tmp_path):
    (tmp_path / "c.pkl").write_bytes(pickle.dumps({"a": object()}))
    with pytest.raises(CheckpointError, match=r"c\.pkl"):
        read_checkpoint_file(tmp_path / "c.pkl")


def test_no_such_file(tmp_path):
    with pytest.raises(ConfigError, match="No such checkpoint file"):
        read_checkpoint_file(tmp_path / "none.pth")
    with pytest.raises(ConfigError, match="No such checkpoint file"):
        read_checkpoint_file(tmp_path)
