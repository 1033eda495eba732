import json

import pytest
from detection_material import Shape, random_shapes, write_coco

from vidmoco.errors import DataError
from vidmoco.evaluate.detection.coco_format import read_coco


@pytest.fixture
def given(tmp_path):
    write_coco(tmp_path, [[Shape("disc", (10, 20, 40, 52))], []])
    return tmp_path


def read(folder):
    return read_coco(folder / "train.json", folder / "train", source="given")


def test_all_that_is_written_is_read(tmp_path):
    scenes = random_shapes(5)
    scenes[1] = [Shape("square", (0, 0, 96, 80), marked=True)]
    scenes[2] = []
    write_coco(tmp_path, scenes)
    part = read(tmp_path)
    assert part.classes == ("disc", "square")  # by id, not as they stand in the file
    assert [path.name for path, *_ in part.images] == [f"{n:03d}.png" for n in range(5)]
    assert all((width, height) == (96, 80) for _, width, height, _ in part.images)
    found = [[(o.label, o.box, o.is_crowd) for o in objects] for *_, objects in part.images]
    assert found == [[(s.label, s.box, s.marked) for s in shapes] for shapes in scenes]
    assert not any(o.is_difficult for *_, objects in part.images for o in objects)


def change(*path, to):
    def do(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = to

    return do


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change("images", to=None), "no list 'images'"),
        (change("annotations", to={}), "no list 'annotations'"),
        (change("images", 0, "file_name", to="../../a.png"), "not a path below"),
        (change("images", 0, "file_name", to=7), r"without a 'file_name' \(str\)"),
        (change("images", 0, to="a.png"), r"without a 'id' \(int\): 'a.png'"),
        (change("images", 1, "id", to=100), "two images with the id 100"),
        (change("images", 0, "width", to="96"), r"without a 'width' \(int\)"),
        (change("annotations", 0, "image_id", to=5), "of image 5, which the file does not list"),
        (change("annotations", 0, "category_id", to=1), "of category 1, which the file does not"),
        (change("annotations", 0, "bbox", to=[1, 2, 3]), r"bbox is \[1, 2, 3\]; expected"),
        (change("annotations", 0, "bbox", to=[1, 2, 3, "4"]), "expected .left, top, width"),
        (change("annotations", 0, "bbox", to=[1, 2, 3, 10**400]), "expected .left, top, width"),
        (change("categories", 0, "name", to="disc"), "two categories with one id or name"),
    ],
)
def test_files_of_another_form(given, change, message):
    file = given / "train.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        read(given)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", "7"])
def test_files_that_are_something_else(given, text):
    (given / "train.json").write_text(text)
    with pytest.raises(DataError, match=r"train\.json (is not a JSON file|has no list 'images')"):
        read(given)
