import json

import pytest
import torch
from detection_material import Shape, random_shapes, write_coco, write_voc

from vidmoco.errors import ConfigError, DataError
from vidmoco.evaluate.detection.load import load_sets

SCENES = random_shapes(4)


def test_both_formats_give_the_same_boxes(tmp_path):
    scenes = [*SCENES, [], [Shape("disc", (-3, 4, 30, 90))]]
    coco, voc = write_coco(tmp_path / "c", scenes), write_voc(tmp_path / "v", scenes)
    (coco_train, coco_val), (voc_train, voc_val) = (load_sets([s], s) for s in (coco, voc))
    assert coco_train.classes == voc_train.classes == ("disc", "square")
    for ours, theirs in ((coco_train, voc_train), (coco_val, voc_val)):
        assert len(ours.images) == len(theirs.images) == 6
        assert ours.num_clipped == theirs.num_clipped == 1
        for one, other in zip(ours.images, theirs.images, strict=True):
            assert torch.equal(one.boxes, other.boxes)
            assert torch.equal(one.labels, other.labels)
            assert torch.equal(one.read(), other.read())
    assert (coco_train.format, voc_train.format) == ("coco", "voc")


def test_several_parts_are_one_set(tmp_path):
    first = write_voc(tmp_path / "2007", SCENES)
    second = write_voc(tmp_path / "2012", SCENES[:1])
    val = write_voc(tmp_path / "2007", SCENES[2:], split="test")
    train, _ = load_sets([first, second], val)
    assert len(train.images) == 5
    assert torch.equal(train.images[4].boxes, train.images[0].boxes)


def test_classes_that_only_one_part_has(tmp_path):
    squares = [[Shape("square", (1, 2, 30, 40))]]
    both = write_voc(tmp_path / "both", SCENES)
    few = write_voc(tmp_path / "few", squares)
    train, val = load_sets([both], few)
    assert train.classes == val.classes == ("disc", "square")
    assert val.images[0].labels.tolist() == [2]  # numbered as in train
    with pytest.raises(DataError, match=r"both:.* classes of .*few:trainval: it has 'disc'"):
        load_sets([few], both)
    coco = write_coco(tmp_path / "coco", SCENES)
    file = tmp_path / "coco" / "train.json"
    content = json.loads(file.read_text())
    content["categories"].append({"id": 9, "name": "ring"})
    (tmp_path / "more.json").write_text(json.dumps(content))
    more = f"{tmp_path / 'more.json'}:{tmp_path / 'coco' / 'train'}"
    with pytest.raises(DataError, match="it has 'ring' in addition"):
        load_sets([coco], more)
    with pytest.raises(DataError, match="it lacks 'ring'"):
        load_sets([more], coco)


def test_nothing_to_train_on_or_to_find(tmp_path):
    some = write_voc(tmp_path / "some", SCENES)
    marked = [[Shape("disc", (1, 2, 30, 40), marked=True)]]
    none = write_voc(tmp_path / "none", [*marked, []])
    with pytest.raises(DataError, match="No image of --val has a box"):
        load_sets([some], none)
    with pytest.raises(DataError, match="No image of --train has a box that is neither"):
        load_sets([none], none)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere", "--train is 'nowhere'; expected instances.json:IMAGES"),
        (":", "expected instances.json:IMAGES"),
        ("nowhere:trainval", "there is no folder nowhere"),
        ("no.json:images", "names no.json, which does not exist"),
        ("{}/a.json:nowhere", "does not exist"),
    ],
)
def test_parts_that_are_not_there(tmp_path, given, message):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ConfigError, match=message):
        load_sets([given.format(tmp_path)], "x:y")
