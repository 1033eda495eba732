import io

import numpy as np
import pytest
import torch
from painted_videos import paint
from PIL import Image

from vidmoco.frames import jpeg


@pytest.fixture(params=["torchvision", "Pillow"])
def module(request, monkeypatch):
    if request.param == "Pillow":
        monkeypatch.setattr(jpeg, "_torchvision_decoder", lambda: None)
    return jpeg


def picture(seed=0):
    noise = np.random.default_rng(seed).integers(0, 40, (64, 96, 3), dtype=np.uint8)
    return torch.from_numpy(paint(5, size=(96, 64)) // 2 + noise).permute(2, 0, 1)


def test_files_are_read_as_any_reader_does(module):
    data = module.encode(picture(), quality=90)
    expected = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    decoded = module.decode(data)
    assert decoded.dtype == torch.uint8
    np.testing.assert_array_equal(decoded.permute(1, 2, 0).numpy(), expected)
    assert (decoded.float() - picture().float()).abs().mean() < 12  # colours are halved


def test_quality_is_the_libraries(module):
    assert len(module.encode(picture(), quality=30)) < len(module.encode(picture(), quality=95)) / 2


def test_gray_files_come_in_three_channels(module):
    file = io.BytesIO()
    Image.fromarray(picture()[0].numpy()).save(file, "JPEG")
    assert module.decode(file.getvalue()).shape == (3, 64, 96)


@pytest.mark.parametrize("data", [b"no picture", b"\xff\xd8\xff"])
def test_what_is_no_file(module, data):
    with pytest.raises(RuntimeError):
        module.decode(data)


def test_a_torchvision_without_them_is_no_error(monkeypatch):
    import torchvision.io

    monkeypatch.delattr(torchvision.io, "decode_jpeg")
    monkeypatch.setattr(jpeg, "_torchvision_decoder", jpeg._torchvision_decoder.__wrapped__)
    assert jpeg._torchvision_decoder() is None
    assert jpeg.decode(jpeg.encode(picture(), quality=90)).shape == (3, 64, 96)
