import argparse
import os
import pickle
import subprocess
import warnings
import zipfile

import numpy as np
import pytest
import torch

from vidmoco.backbones.checkpoint_file import read_checkpoint_file
from vidmoco.errors import CheckpointError, ConfigError


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


class _Calls:
    def __init__(self, function, *given):
        self.call = (function, given)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, rf"{os.name}\.system"), (exec, "exec"), (subprocess.Popen, r"\w+\.Popen")],
)
def test_code_is_named_and_nothing_advises_to_run_it(function, name, zipped, tmp_path):
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w')" if function is exec else f"touch {mark}"
    content = {"state_dict": {"a": _Calls(function, code)}}
    torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=rf"more than weights: {name}\. .*refused") as caught:
        read_checkpoint_file(tmp_path / "c.pth")
    assert "weights_only" not in str(caught.value) and "damaged" not in str(caught.value)
    assert not mark.exists()


def test_code_in_a_pickle_of_another_protocol_is_not_called_damage(tmp_path):
    mark = tmp_path / "ran"
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(_Calls(os.system, f"touch {mark}"), protocol=4))
    with pytest.raises(CheckpointError, match="may run code") as caught:
        read_checkpoint_file(tmp_path / "c.pkl")
    assert "damaged" not in str(caught.value) and not mark.exists()


def test_torchs_advice_is_left_out_of_other_faults(tmp_path):
    """A list to which a number is appended that is none: torch's unpickler says so, and more."""
    (tmp_path / "c.pkl").write_bytes(b"\x80\x02K\x01K\x02a.")
    with pytest.raises(CheckpointError, match=r"checkpoint: Can only append to lists") as caught:
        read_checkpoint_file(tmp_path / "c.pkl")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", r"\(0 bytes\) cannot be read as a checkpoint: it is empty"),
        (b"e", "begins with b'e', so it is not a file of torch.save"),
        (b"hello world\n", r"is a text, not weights\. Give a checkpoint file"),
    ],
)
def test_text_and_nothing_are_no_checkpoints(content, what, tmp_path):
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=what) as caught:
        read_checkpoint_file(tmp_path / "c.pth")
    assert "damaged" not in str(caught.value)


def test_torchscript_is_told_apart(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit's end
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="a TorchScript program, not just weights"):
        read_checkpoint_file(tmp_path / "c.pt")


def test_sparse_tensors_beside_the_weights_are_read_in_silence(tmp_path):
    """Warnings are errors here."""
    torch.save({"w": torch.ones(2), "s": torch.eye(3).to_sparse()}, tmp_path / "c.pth")
    assert read_checkpoint_file(tmp_path / "c.pth")["s"].is_sparse


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        read_checkpoint_file(tmp_path / ("n" * 300))


def test_no_such_file(tmp_path):
    with pytest.raises(ConfigError, match="No such checkpoint file"):
        read_checkpoint_file(tmp_path / "none.pth")


def test_a_compressed_file_is_measured_before_it_is_unpacked(tmp_path):
    torch.save({"w": torch.zeros(2**22)}, tmp_path / "c.pth")  # 16 MiB of zeros
    with (
        zipfile.ZipFile(tmp_path / "c.pth") as plain,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    assert (tmp_path / "b.pth").stat().st_size < 2**17
    message = r"unpacks to 16 MiB.* At most 0\.00391 GiB are .* --max-unpacked-gib"
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint_file(tmp_path / "b.pth", max_unpacked=2**22)
    assert len(read_checkpoint_file(tmp_path / "b.pth", max_unpacked=2**25)["w"]) == 2**22
    assert len(read_checkpoint_file(tmp_path / "c.pth", max_unpacked=2**22)["w"]) == 2**22


@pytest.mark.parametrize("zipped", [True, False])
def test_a_call_that_takes_all_memory_is_refused_before_it_is_made(zipped, tmp_path):
    content = {"w": torch.ones(2), "a": _Calls(bytearray, 10**15)}
    torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="holds more than weights: bytearray"):
        read_checkpoint_file(tmp_path / "c.pth")
