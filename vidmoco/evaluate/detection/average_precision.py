"""Average precision of detections, by pycocotools: COCO's, and that of VOC 2007."""

import contextlib
import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from vidmoco.errors import ConfigError
from vidmoco.evaluate.detection.annotations import AnnotatedImage
from vidmoco.shapes import Float32, Int64

COCO_POINTS, VOC_POINTS = 101, 11
"""Recalls at which precisions are averaged: COCO's API; VOC 2007's rule, which detectron2 applies
to VOC 2007 at each of COCO's overlaps, and so MoCo's authors too."""
MAX_DETECTIONS = 100  # of an image, the best ones; COCO's rule

# Of an object to ignore. COCO's API has a flag for crowds only, whose overlap is another; it also
# ignores what is not of the asked range of areas, of which 0 is the least.
_NO_AREA = -1.0


@dataclass(frozen=True, kw_only=True)
class Detections:
    """What a detector found in one image, on the CPU."""

    boxes: Float32[Tensor, "n 4"]
    """Left, top, right, bottom in pixels."""
    scores: Float32[Tensor, " n"]
    labels: Int64[Tensor, " n"]
    """From 1."""


@dataclass(frozen=True, kw_only=True)
class AveragePrecision:
    """In percent."""

    ap: float
    """Mean over overlaps of 0.50, 0.55 … 0.95 and over classes that have objects."""
    ap50: float
    """At an overlap (intersection over union) of 0.50."""
    ap75: float
    per_class: tuple[float | None, ...]
    """AP of each class, in the order of their labels; None: it has no object."""


def require_pycocotools() -> None:
    """Raise ``ConfigError`` if pycocotools is not installed."""
    try:
        import pycocotools.cocoeval  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"AP needs {error.name}. Install it with: pip install 'vidmoco[detection]'"
        ) from error


def average_precision(
    images: Sequence[AnnotatedImage], detections: Sequence[Detections], *, num_classes: int
) -> dict[int, AveragePrecision]:
    """Return COCO's AP and VOC 2007's, by their number of recalls.

    Detections in a crowd, or on a difficult object that no other object explains, count neither as
    right nor as wrong.

    NOTE: VOC's own program lets any number of detections lie on a difficult object, and counts
    pixels at both ends of an overlap. Here one may, as in COCO's API, and boxes are continuous.

    Args:
        images: with at least one object that is neither crowd nor difficult.
        detections: of the same images, in their order.
        num_classes: labels are from 1 to this.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = COCO(), COCO()
    numbers = [{"id": number} for number in range(len(images))]
    categories = [{"id": label} for label in range(1, num_classes + 1)]
    truth.dataset = {
        "images": numbers,
        "categories": categories,
        "annotations": _with_ids([e for n, image in enumerate(images) for e in _objects(n, image)]),
    }
    found.dataset = {
        "images": numbers,
        "categories": categories,
        "annotations": _with_ids(
            [e for n, one in enumerate(detections) for e in _detections(n, one)]
        ),
    }
    with contextlib.redirect_stdout(io.StringIO()):  # it tells of each of its steps
        truth.createIndex()
        found.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.params.areaRng = [[0.0, 1e10]]  # COCO's "all"
        evaluation.params.areaRngLbl = ["all"]
        evaluation.evaluate()
        results = {}
        for points in (COCO_POINTS, VOC_POINTS):
            params = copy.deepcopy(evaluation.params)
            params.recThrs = np.linspace(0, 1, points)
            evaluation.accumulate(params)
            # (overlaps, recalls, classes); -1 where a class has no object
            results[points] = _summary(evaluation.eval["precision"][:, :, :, 0, 0])
    return results


def _summary(precision: np.ndarray) -> AveragePrecision:
    values = 100 * precision.mean(axis=1)  # (overlaps, classes)
    has_objects = values[0] >= 0
    present = values[:, has_objects]
    return AveragePrecision(
        ap=float(present.mean()),
        ap50=float(present[0].mean()),
        ap75=float(present[5].mean()),  # of 0.50, 0.55 …
        per_class=tuple(
            float(column.mean()) if has else None
            for column, has in zip(values.T, has_objects, strict=True)
        ),
    )


def _objects(number: int, image: AnnotatedImage) -> list[dict[str, Any]]:
    rows = zip(
        _corner_and_size(image.boxes),
        image.labels.tolist(),
        image.crowd.tolist(),
        image.difficult.tolist(),
        strict=True,
    )
    return [
        {
            "image_id": number,
            "category_id": label,
            "bbox": box,
            "area": _NO_AREA if difficult else box[2] * box[3],
            "iscrowd": int(crowd),
        }
        for box, label, crowd, difficult in rows
    ]


def _detections(number: int, found: Detections) -> list[dict[str, Any]]:
    rows = zip(
        _corner_and_size(found.boxes), found.labels.tolist(), found.scores.tolist(), strict=True
    )
    return [
        {
            "image_id": number,
            "category_id": label,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
            "score": score,
        }
        for box, label, score in rows
    ]


def _corner_and_size(boxes: Tensor) -> list[list[float]]:
    return [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in boxes.tolist()]


def _with_ids(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Number entries from 1: to COCO's API, what is matched with number 0 is not matched."""
    return [{"id": number, **entry} for number, entry in enumerate(entries, start=1)]
