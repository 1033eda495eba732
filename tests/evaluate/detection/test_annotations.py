import math
from pathlib import Path

import pytest
import torch
from detection_material import Shape, picture
from PIL import Image

from vidmoco.errors import DataError
from vidmoco.evaluate.detection.annotations import Object, Part, build_set, inside


def part(tmp_path, objects, *, width=96, height=80):
    path = tmp_path / "a.png"
    Image.fromarray(picture([])).save(path)
    return Part(
        source="a", format="coco", classes=("disc",), images=[(path, width, height, objects)]
    )


def disc(*box, **marks):
    return Object(label="disc", box=box, **marks)


def test_boxes_are_cut_at_the_edge_and_those_without_area_left_out(tmp_path):
    objects = [
        disc(-5.0, 10.0, 100.0, 90.0),
        disc(96.0, 0.0, 120.0, 40.0),  # wholly outside
        disc(10.0, 10.0, 10.0, 40.0),
        disc(30.0, 20.0, 20.0, 40.0),  # right of itself
        disc(0.0, 0.0, 96.0, 80.0, is_crowd=True),
    ]
    found = build_set([part(tmp_path, objects)], ("disc",))
    (image,) = found.images
    assert image.boxes.tolist() == [[0, 10, 96, 80], [0, 0, 96, 80]]
    assert image.crowd.tolist() == [False, True]
    assert (found.num_clipped, found.num_dropped) == (1, 3)


def test_crowds_and_difficult_objects_are_not_trained_on(tmp_path):
    objects = [
        disc(0.0, 0.0, 9.0, 9.0, is_crowd=True),
        disc(1.0, 1.0, 9.0, 9.0, is_difficult=True),
        disc(2.0, 2.0, 9.0, 9.0),
    ]
    some, none = part(tmp_path, objects), part(tmp_path, objects[:2])
    found = build_set([some], ("disc",))
    assert [image.boxes.tolist() for image in found.trainable(difficult=False)] == [[[2, 2, 9, 9]]]
    assert [len(image.boxes) for image in found.trainable(difficult=True)] == [2]
    found = build_set([none], ("disc",))
    assert found.trainable(difficult=False) == []
    assert len(found.images) == 1  # kept for the evaluation


def test_an_image_is_read_at_the_size_of_its_annotation(tmp_path):
    (image,) = build_set([part(tmp_path, [])], ("disc",)).images
    assert torch.equal(image.read(), torch.from_numpy(picture([])).permute(2, 0, 1))
    (turned,) = build_set([part(tmp_path, [], width=80, height=96)], ("disc",)).images
    with pytest.raises(DataError, match=r"96 x 80 pixels, but its annotation is for 80 x 96 \(the"):
        turned.read()
    image.path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png: .*take it out of the annotations"):
        image.read()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_boxes_that_are_no_numbers_are_refused(tmp_path, bad):
    with pytest.raises(DataError, match=r"'disc' in a\.png is .*four finite numbers"):
        build_set([part(tmp_path, [disc(1.0, 2.0, bad, 4.0)])], ("disc",))


@pytest.mark.parametrize("side", [0, -1, math.nan, 1.5, 10**9, 10**400])
def test_sizes_that_no_image_has_are_refused(tmp_path, side):
    with pytest.raises(DataError, match="a whole number from 1 to"):
        build_set([part(tmp_path, [], height=side)], ("disc",))


def test_images_that_are_named_twice_and_parts_without_any(tmp_path):
    once = part(tmp_path, [])
    with pytest.raises(DataError, match="listed twice"):
        build_set([once, once], ("disc",))
    once.images.clear()
    with pytest.raises(DataError, match="has no images"):
        build_set([once], ("disc",))


def test_names_that_lead_out_of_the_folder():
    folder = Path("images")
    assert inside(folder, "deep/er/a..b.jpg", source=folder) == folder / "deep/er/a..b.jpg"
    for name in ("../a.jpg", "a/../../b", "/etc/passwd", "C:\\a.jpg", "..\\a.jpg", "", "a\0b"):
        with pytest.raises(DataError, match="not a path below images"):
            inside(folder, name, source=folder)


def test_the_material_is_what_it_says():
    image = picture([Shape("square", (10, 20, 40, 50))])
    assert image.shape == (80, 96, 3)
    assert (image[20:50, 10:40] == (230, 40, 40)).all()
    assert not (image[19, :] == (230, 40, 40)).all(axis=-1).any()
