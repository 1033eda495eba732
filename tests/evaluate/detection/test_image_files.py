import warnings

import pytest
import torch
from detection_material import picture
from PIL import Image

from vidmoco.errors import DataError
from vidmoco.evaluate.detection.annotations import AnnotatedImage
from vidmoco.evaluate.detection.image_files import require_usable


def annotated(path, width=96, height=80):
    none = torch.zeros(0, dtype=torch.bool)
    return AnnotatedImage(
        path=path,
        width=width,
        height=height,
        boxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.int64),
        crowd=none,
        difficult=none,
    )


def saved(path, **options):
    Image.fromarray(picture([])).save(path, **options)
    return path


def turned():
    exif = Image.Exif()
    exif[274] = 6
    return exif


def test_whole_images_of_the_annotated_size_pass(tmp_path):
    images = [annotated(saved(tmp_path / f"a.{suffix}")) for suffix in ("jpg", "png", "bmp")]
    images.append(annotated(saved(tmp_path / "turned.jpg", exif=turned()), 80, 96))
    with_more = saved(tmp_path / "more.jpg")
    with_more.write_bytes(with_more.read_bytes() + b"a film, as some phones append it")
    before = list(warnings.filters)
    require_usable([*images, annotated(with_more)], flag="--train")
    assert warnings.filters == before


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp"])
def test_images_that_are_cut_off(tmp_path, name):
    path = saved(tmp_path / name)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=rf"1 of the 1 images of --val cannot be used: .*{name}: "):
        require_usable([annotated(path)], flag="--val")


def test_all_that_are_wrong_are_counted(tmp_path):
    good = annotated(saved(tmp_path / "a.jpg"))
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    wrong = [
        annotated(saved(tmp_path / "turned.jpg", exif=turned())),
        annotated(tmp_path / "missing.jpg"),
        annotated(tmp_path / "text.jpg"),
        annotated(tmp_path / "empty.jpg"),
        annotated(tmp_path),
    ]
    reasons = (
        r"turned.jpg has 80 x 96 pixels, but its annotation is for 96 x 80 \(the EXIF orientation",
        r"missing.jpg does not exist\.",
        r"text.jpg: UnidentifiedImageError: cannot identify image file\.",
        r"empty.jpg: the file is empty\.",
        r": Is a directory\.",
    )
    for first, reason in enumerate(reasons):
        given = [good, *wrong[first:], *wrong[:first]]
        with pytest.raises(
            DataError, match=rf"5 of the 6 images .* cannot be used, such as .*{reason}"
        ):
            require_usable(given, flag="--train")
