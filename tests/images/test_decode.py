import io
import struct
import warnings

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from vidmoco.errors import DataError
from vidmoco.images.decode import decode_image, is_animation


def encoded(image, file_format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def pixels(data):
    return decode_image(data).permute(1, 2, 0)


GRADIENT = np.arange(48, dtype=np.uint8).reshape(4, 12)


def test_rgb_is_kept():
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    decoded = decode_image(encoded(Image.fromarray(rgb)))
    assert decoded.shape == (3, 5, 7)
    assert decoded.dtype == torch.uint8
    assert (decoded.permute(1, 2, 0).numpy() == rgb).all()


def test_grey_and_palette_become_rgb():
    grey = Image.fromarray(GRADIENT)
    expected = torch.from_numpy(GRADIENT)[..., None].expand(4, 12, 3)
    assert torch.equal(pixels(encoded(grey)), expected)
    assert torch.equal(pixels(encoded(grey.convert("P"))), expected)
    one_bit = Image.fromarray(GRADIENT > 20)
    assert pixels(encoded(one_bit)).unique().tolist() == [0, 255]


def test_cmyk_becomes_rgb():
    red = Image.new("RGB", (16, 16), (220, 30, 20)).convert("CMYK")
    colour = pixels(encoded(red, "JPEG")).float().mean(dim=(0, 1))
    assert colour[0] > 180
    assert colour[1:].max() < 80


def test_transparency_is_laid_over_white():
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)  # black, with alpha 0, 128 and 255
    rgba[0, :, 3] = [0, 128, 255]
    assert pixels(encoded(Image.fromarray(rgba)))[0, :, 0].tolist() == [255, 127, 0]
    palette = Image.fromarray(GRADIENT).convert("P")
    decoded = pixels(encoded(palette, transparency=3))
    assert decoded[0, 3].tolist() == [255, 255, 255]
    assert decoded[0, 4].tolist() == [4, 4, 4]


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bits_are_scaled_not_clipped(file_format):
    wide = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    decoded = pixels(encoded(Image.fromarray(wide), file_format))
    assert decoded[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def test_float_and_32_bit_pixels_are_refused():
    for kind in (np.float32, np.int32):
        image = Image.fromarray(GRADIENT.astype(kind))
        with pytest.raises(DataError, match="no known range"):
            decode_image(encoded(image, "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    image = Image.fromarray(np.stack([GRADIENT * 5] * 3, axis=-1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = encoded(image, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(stored)))
    decoded = pixels(stored)
    assert (decoded.numpy() == np.asarray(upright)).all()
    assert tuple(decoded.shape[:2]) == ((4, 12) if orientation < 5 else (12, 4))


@pytest.mark.parametrize(
    "odd",
    [
        struct.pack("<HHI4s", 0x0128, 2, 2, b"2"),  # the unit of the resolution as text
        struct.pack("<HHI4s", 0x0100, 2, 3, b"12"),  # the width as text
        struct.pack("<HHIi", 0x0100, 9, 1, -4),
    ],
)
def test_odd_tags_beside_the_orientation(odd):
    """PIL cannot write them for the turned image, and nobody needs that."""
    turned = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + turned + odd + bytes(4)
    image = Image.fromarray(np.stack([GRADIENT * 5] * 3, axis=-1))
    assert tuple(pixels(encoded(image, "JPEG", exif=exif)).shape[:2]) == (12, 4)


@pytest.mark.parametrize(
    ("at_least", "size"),
    [(None, (240, 400)), (121, (240, 400)), (120, (120, 200)), (60, (60, 100)), (1, (30, 50))],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_file_is_decoded_at_the_size_that_is_needed(at_least, size, orientation):
    smooth = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    whole = Image.fromarray(smooth).resize((400, 240), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(encoded(whole, "JPEG", quality=95, exif=exif), at_least=at_least)
    upright = Image.fromarray(decoded.permute(1, 2, 0).numpy())
    if orientation == 6:
        upright = upright.transpose(Image.Transpose.ROTATE_90)
    assert upright.size == size[::-1]
    expected = whole.resize(size[::-1], Image.Resampling.BOX)
    difference = np.asarray(upright).astype(int) - np.asarray(expected)
    assert abs(difference).mean() < 1.5 and abs(difference.mean()) < 0.5


def test_other_files_are_decoded_whole():
    assert decode_image(encoded(Image.new("RGB", (64, 32))), at_least=8).shape == (3, 32, 64)


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (6, 6), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(data)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_cut_file_is_refused(file_format, share):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), file_format)
    with pytest.raises(DataError):
        decode_image(data[: int(len(data) * share)])


def test_what_is_no_image_is_refused_with_a_reason():
    for data, reason in (
        (b"", "is empty"),
        (b"hello", "cannot identify"),
        (b"\xff\xd8\xff", "Error"),
    ):
        with pytest.raises(DataError, match=reason):
            decode_image(data)


def test_a_format_that_runs_programs_is_refused():
    postscript = encoded(Image.new("RGB", (4, 4)), "EPS")
    with pytest.raises(DataError, match="cannot identify"):
        decode_image(postscript)


def test_a_decompression_bomb_is_refused(monkeypatch):
    data = encoded(Image.new("L", (40, 40)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="DecompressionBomb"):
        decode_image(data)


def test_awkward_real_files(real_data):
    folder = real_data / "edge" / "images"
    refused = set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in sorted(folder.iterdir()):
            try:
                assert decode_image(file.read_bytes()).shape[0] == 3
            except DataError as error:
                assert str(error)
                refused.add(file.name)
    # NOTE: bad_huffman.jpg is damaged too, but libjpeg repairs it and PIL does not tell.
    assert refused == {"corrupt.jpg", "corrupt34_2.jpg", "sigsegv.png", "zero_bytes.jpg"}


def test_animations():
    def saved(kind, number):
        buffer = io.BytesIO()
        frames = [Image.new("RGB", (4, 4), (60 * n, 9, 9)) for n in range(number)]
        frames[0].save(buffer, kind, save_all=number > 1, append_images=frames[1:])
        return buffer.getvalue()

    for kind in ("PNG", "WEBP", "GIF"):
        assert is_animation(saved(kind, 3)) and not is_animation(saved(kind, 1))
    assert not is_animation(saved("TIFF", 2)) and not is_animation(saved("JPEG", 1))
    with pytest.raises(DataError):
        is_animation(b"no image")
