import gzip
import io
import tarfile
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image, features

from vidmoco.video.other_files import describe_other, describe_text, others_line, pictures_line


def picture(kind, **options):
    """Return an image file of four pixels."""
    buffer = io.BytesIO()
    image = Image.new("RGB", (2, 2), (200, 10, 10))
    more = [Image.new("RGB", (2, 2), (10, 10, 200))] * options.pop("more", 0)
    image.save(buffer, kind, **({"save_all": True, "append_images": more} if more else {}))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("WebP", ".webp"), ("TIFF", ".tif"), ("BMP", ".bmp")],
)
def test_pictures(kind, suffix):
    said = describe_other(picture(kind))
    assert said.startswith(f"it is a picture ({kind}); vidmoco.embed") and said.endswith(suffix)


def test_animated_pictures():
    for kind, name in (("PNG", "APNG"), ("WebP", "WebP")):
        assert describe_other(picture(kind, more=2)) == (
            f"it is an animated picture ({name}); convert it to an MP4 or a GIF"
        )
    if features.check("avif"):
        assert "picture (AVIF)" in describe_other(picture("AVIF"))
    assert "picture (HEIF)" in describe_other(b"\0\0\0\x18ftypheic" + bytes(9))


def test_archives_and_others():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a.mp4"), io.BytesIO())
    assert describe_other(data.getvalue()[:4096]).startswith("it is a tar archive; unpack it")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        packed.writestr("a.mp4", "")
    assert describe_other(data.getvalue()).startswith("it is a zip archive; unpack it")
    assert describe_other(gzip.compress(b"x")).startswith("it is packed by gzip; unpack it")
    data = io.BytesIO()
    np.save(data, np.zeros(3))
    assert describe_other(data.getvalue()) == "it is an array of NumPy"
    assert "ffmpeg -i IN -c copy" in describe_other(b"nut/multimedia container\0" + bytes(9))
    assert "a PDF" in describe_other(b"%PDF-1.7\n")


@pytest.mark.parametrize("head", [b"", b"RIFF\0\0\0\0AVI LIST", b"\0\0\0\x18ftypmp42", bytes(600)])
def test_what_is_not_known(head):
    assert describe_other(head) == ""


def test_where_pictures_go():
    assert pictures_line([".txt", ".jpg"]).startswith(" Pictures go to vidmoco.embed")
    assert pictures_line([".txt"]) == ""


def test_files_that_are_no_videos_are_counted():
    others = Counter({".jpg": 2, ".part": 1, "linked": 1})
    assert others_line(others) == "4 other files, not read: .jpg (2), .part (1), linked (1)"
    assert others_line(Counter()) == ""
    many = Counter({f".{n}": 20 - n for n in range(12)})
    assert others_line(many).endswith(", .7 (13), 4 more suffixes")


@pytest.mark.parametrize(
    ("head", "suffix", "words"),
    [
        ("Ü".encode()[:1], "", "it is a text file"),
        (b"a", ".mp4", "it is a text file"),
        (b"path\na.mp4\n", ".csv", "write @ before its path"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "", "it is a web page; its link"),
        (b" <HTML lang=de>", ".mp4", "it is a web page"),
    ],
)
def test_text(head, suffix, words):
    assert words in describe_text(head, suffix)


@pytest.mark.parametrize("head", [b"a\0", b"\xff"])
def test_what_is_no_text(head):
    assert describe_text(head, ".txt") == ""


def test_raw_mjpeg():
    data = 3 * picture("JPEG")
    for suffix in (".mjpeg", ".mjpg"):
        assert "a raw MJPEG stream, which has no times" in describe_other(data, suffix)
    assert "a picture (JPEG)" in describe_other(data, ".jpg")
