import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image, features

from vidmoco.video.other_files import describe_other, is_text, pictures_line


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
            f"it is an animated picture ({name}); convert it to a GIF or an MP4"
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


def test_text():
    assert (
        is_text("Ü".encode()[:1]) and is_text(b"a") and not is_text(b"a\0") and not is_text(b"\xff")
    )
