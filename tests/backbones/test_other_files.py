import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from vidmoco.backbones.checkpoint_file import read_checkpoint_file
from vidmoco.backbones.other_files import kind_of_other
from vidmoco.errors import CheckpointError, ConfigError

ONNX = b"\x08\x08\x12\x07pytorch\x1a\x052.9.0:"


def zipped(**content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in content.items():
            archive.writestr(name.replace("_", "."), data)
    return buffer.getvalue()


def encoded(save, *given):
    buffer = io.BytesIO()
    save(buffer, *given)
    return buffer.getvalue()


KINDS = [
    ("m.onnx", ONNX, r"an exported network \(ONNX\)\. Give the checkpoint"),
    ("m.pth", ONNX, "an exported network"),
    ("m.safetensors", ONNX, "an exported network"),
    ("m.tflite", b"\x1c\0\0\0TFL3", r"an exported network \(TensorFlow Lite\)"),
    ("m.h5", b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes"),
    ("m.npy", encoded(np.save, np.zeros(3)), "an array of NumPy"),
    ("m.npz", encoded(np.savez, np.zeros(3)), "arrays of NumPy"),
    ("m.pth.gz", gzip.compress(b"x", mtime=0), "a compressed file. Unpack it"),
    ("m.zip", zipped(m_pth=b"x"), r"a zip file that holds m\.pth\. Unpack it"),
    ("m.zip", zipped(m_txt=b"x"), "a zip file that torch.save has not written"),
    ("m.py", b"import torch\n\nclass Net:\n", "a Python program, not weights"),
    ("m.py", b'"""A network."""\nimport torch', "a Python program, not weights"),
    ("m.json", b'{"architecture": "resnet18"}', "a JSON file, not weights"),
    ("m.yaml", b"method:\n  name: moco\n", "a YAML file, not weights"),
    ("m.txt", "Gewichte für später, größer als zuvor, und noch mehr davon".encode(), "a text"),
    ("m.jpg", encoded(Image.new("RGB", (4, 4)).save, "JPEG"), "a picture"),
    ("m.mp4", b"\0\0\0\x20ftypisom", "a video"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "what"), KINDS)
def test_what_is_no_checkpoint_is_named(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"/{name} is {what}") as refused:
        read_checkpoint_file(tmp_path / name)
    assert "pickle" not in str(refused.value) and str(refused.value).endswith(".")


def test_a_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"is a folder\. Give the checkpoint file in it"):
        read_checkpoint_file(tmp_path)


def test_what_may_be_a_checkpoint_is_left_to_its_readers(tmp_path):
    path = tmp_path / "m.pth"
    content = {"w": torch.ones(2)}
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        torch.save(content, path, **options)
        assert kind_of_other(path, path.read_bytes()[:64]) == ""
    path.write_bytes(path.read_bytes()[:100])
    assert kind_of_other(path, path.read_bytes()[:64]) == ""
    for size in (1, 70_000, 300_000):  # their length comes first
        save_file({f"{n}": torch.zeros(1) for n in range(size // 60 + 1)}, path)
        assert kind_of_other(path, path.read_bytes()[:64]) == ""
    for protocol in range(5):
        assert kind_of_other(path, pickle.dumps(content["w"].tolist(), protocol)[:64]) == ""
    with tarfile.open(path, "w") as archive:  # of torch before 0.1.10
        archive.add(__file__, "pickle")
    assert kind_of_other(path, path.read_bytes()[:64]) == ""
