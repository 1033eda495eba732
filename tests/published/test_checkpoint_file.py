import argparse
import pickle

import numpy as np
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


def test_numbers_of_numpy_are_harmless(tmp_path):
    """DINO sets its learning rate to one, and saves its optimiser."""
    group = {"lr": np.float64(0.1), "step": np.int64(3), "w": np.float32(2)}
    torch.save({"optimizer": {"param_groups": [group]}}, tmp_path / "c.pth")
    assert read_checkpoint_file(tmp_path / "c.pth")["optimizer"]["param_groups"] == [group]
    data = (tmp_path / "c.pth").read_bytes()
    older = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy._core" not in older


@pytest.mark.parametrize("zipped", [True, False])
def test_flipped_bytes_are_damage_and_no_traceback(zipped, tmp_path):
    torch.save({"w": torch.arange(50.0)}, tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    data = bytearray((tmp_path / "c.pth").read_bytes())
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        broken = bytearray(data)
        for place in generator.integers(len(data), size=3).tolist():
            broken[place] ^= 1 << int(generator.integers(8))
        (tmp_path / "b.pth").write_bytes(broken)
        try:
            read_checkpoint_file(tmp_path / "b.pth")
        except CheckpointError:
            refused += 1
    assert refused > 20


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
