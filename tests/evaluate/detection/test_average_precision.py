import sys
from pathlib import Path

import pytest
import torch

from vidmoco.errors import ConfigError
from vidmoco.evaluate.detection.annotations import AnnotatedImage
from vidmoco.evaluate.detection.average_precision import (
    COCO_POINTS,
    VOC_POINTS,
    Detections,
    average_precision,
    require_pycocotools,
)


def image(*boxes, labels=None, crowd=(), difficult=()):
    numbers = range(len(boxes))
    return AnnotatedImage(
        path=Path("x"),
        width=200,
        height=200,
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels or [1] * len(boxes), dtype=torch.int64),
        crowd=torch.tensor([n in crowd for n in numbers], dtype=torch.bool),
        difficult=torch.tensor([n in difficult for n in numbers], dtype=torch.bool),
    )


def found(*boxes, labels=None, scores=None):
    return Detections(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor(scores or [0.9] * len(boxes), dtype=torch.float32),
        labels=torch.tensor(labels or [1] * len(boxes), dtype=torch.int64),
    )


A, B, C = (0, 0, 40, 40), (60, 60, 100, 100), (120, 0, 160, 40)


def score(images, detections, *, num_classes=1, points=COCO_POINTS):
    return average_precision(images, detections, num_classes=num_classes)[points]


def test_perfect_detections_have_100(capsys):
    images = [image(A, B, labels=[1, 2]), image(), image(C, labels=[2])]
    detections = [found(A, B, labels=[1, 2]), found(), found(C, labels=[2])]
    for points in (COCO_POINTS, VOC_POINTS):
        result = score(images, detections, num_classes=3, points=points)
        assert (result.ap, result.ap50, result.ap75) == pytest.approx((100, 100, 100))
        assert result.per_class == (pytest.approx(100), pytest.approx(100), None)
    assert capsys.readouterr().out == ""


def test_detections_beside_their_objects():
    # Eight of 40 pixels to the right: 32 / 48 = 0.667 of the union, enough for the four overlaps
    # 0.50, 0.55, 0.60 and 0.65 of ten.
    result = score([image(A)], [found((8, 0, 48, 40))])
    assert (result.ap, result.ap50, result.ap75) == pytest.approx((40, 100, 0))
    # Six: 34 / 46 = 0.739, five of them, and not the sixth.
    result = score([image(A)], [found((6, 0, 46, 40))])
    assert (result.ap, result.ap50, result.ap75) == pytest.approx((50, 100, 0))
    # Four: 36 / 44 = 0.818, seven of them.
    result = score([image(A)], [found((4, 0, 44, 40))])
    assert (result.ap, result.ap50, result.ap75) == pytest.approx((70, 100, 100))


def test_the_two_rules_take_precisions_at_their_recalls():
    # Of three objects, right, wrong, right: precision 1 up to recall 1/3, 2/3 up to 2/3, then 0.
    images, wrong = [image(A, B, C)], (0, 150, 40, 190)
    detections = [found(A, wrong, B, scores=[0.9, 0.8, 0.7])]
    # Recalls 0, 0.01 … 0.33 are 34 of 101, and 0.34 … 0.66 are 33.
    coco = score(images, detections)
    assert coco.ap50 == pytest.approx(100 * (34 + 33 * 2 / 3) / 101)
    # 0, 0.1, 0.2, 0.3 are four of eleven, and 0.4, 0.5, 0.6 three.
    voc = score(images, detections, points=VOC_POINTS)
    assert voc.ap50 == pytest.approx(100 * (4 + 3 * 2 / 3) / 11)


def test_missed_wrong_and_twice_found():
    assert score([image(A)], [found()]).ap == 0
    assert score([image(A)], [found(A, labels=[2])], num_classes=2).ap == 0
    assert score([image(A), image()], [found(), found(A)]).ap == 0  # in the other image
    twice = score([image(A, B)], [found(A, A, B, scores=[0.9, 0.8, 0.7])])
    assert twice.ap50 == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)


@pytest.mark.parametrize("mark", ["crowd", "difficult"])
def test_marked_objects_are_neither_right_nor_wrong(mark):
    marked = image(A, B, **{mark: (1,)})
    assert score([marked], [found(A)]).ap == pytest.approx(100)
    assert score([marked], [found(B, A, scores=[0.9, 0.8])]).ap == pytest.approx(100)
    beside = found(C, A, scores=[0.9, 0.8])
    assert score([marked], [beside]).ap == pytest.approx(50)


def test_a_small_box_in_a_marked_object():
    small = found((60, 60, 70, 70), A, scores=[0.9, 0.8])
    # In a crowd it may be one of it; in one difficult object it is not that object.
    assert score([image(A, B, crowd=(1,))], [small]).ap == pytest.approx(100)
    assert score([image(A, B, difficult=(1,))], [small]).ap == pytest.approx(50)


def test_only_the_best_hundred_count():
    many = [A] * 101
    worst_is_right = found(*many[:-1], B, scores=[0.9] * 100 + [0.1])
    assert score([image(B)], [worst_is_right]).ap == 0
    assert score([image(B)], [found(*many[:-2], B, scores=[0.9] * 99 + [0.1])]).ap > 0


def test_without_pycocotools(monkeypatch):
    require_pycocotools()
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)
    with pytest.raises(ConfigError, match=r"vidmoco\[detection\]"):
        require_pycocotools()
