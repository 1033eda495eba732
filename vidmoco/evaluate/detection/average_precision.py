"""Average precision of detections by pycocotools: COCO's rule and VOC 2007's."""

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
"""Number of recalls at which precisions are averaged, in COCO's API and in VOC 2007's rule.
detectron2, and so MoCo's authors, apply VOC 2007's rule at each of COCO's overlaps."""
MAX_DETECTIONS = 100  # the best ones of an image; COCO's rule

# Area of a difficult object, which makes COCO's API ignore it: the API ignores areas outside the
# given range, which begins at 0. Its flag for crowds would change how overlap is computed.
_NO_AREA = -1.0


@dataclass(frozen=True, kw_only=True)
class Detections:
    """The detections in one image, on the CPU."""

    boxes: Float32[Tensor, "n 4"]
    """Left, top, right, bottom in pixels."""
    scores: Float32[Tensor, " n"]
    labels: Int64[Tensor, " n"]
    """From 1."""


@dataclass(frozen=True, kw_only=True)
class AveragePrecision:
    """In percent."""

    ap: float
    """Mean over overlaps of 0.50, 0.55 … 0.95 and over classes with objects."""
    ap50: float
    """At an overlap (intersection over union) of 0.50."""
    ap75: float
    per_class: tuple[float | None, ...]
    """AP of each class in the order of labels; None for a class without objects."""


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
    """Return COCO's AP and VOC 2007's AP, by their number of recalls.

    A detection of a crowd or of a difficult object, and of no other object, counts neither as right
    nor as wrong.

    NOTE: VOC's own program ignores any number of detections on a difficult object, and counts
    pixels at both ends of an overlap. As in COCO's API, this ignores one, and boxes are continuous.

    Args:
        images: some object must be neither crowd nor difficult.
        detections: of the same images, in the same order.
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
        "annotations": _with_ids([o for n, image in enumerate(images) for o in _objects(n, image)]),
    }
    found.dataset = {
        "images": numbers,
        "categories": categories,
        "annotations": _with_ids(
            [d for n, found_in in enumerate(detections) for d in _detections(n, found_in)]
        ),
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints each of its steps
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
            # (overlaps, recalls, classes); -1 for a class without objects
            results[points] = _summary(evaluation.eval["precision"][:, :, :, 0, 0])
    return results


def _summary(precision: np.ndarray) -> AveragePrecision:
    values = 100 * precision.mean(axis=1)  # (overlaps, classes)
    has_objects = values[0] >= 0
    present = values[:, has_objects]
    return AveragePrecision(
        ap=float(present.mean()),
        ap50=float(present[0].mean()),
        ap75=float(present[5].mean()),  # overlaps are 0.50, 0.55 …
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
    """Number entries from 1: COCO's API treats a match with number 0 as no match."""
    return [{"id": number, **entry} for number, entry in enumerate(entries, start=1)]
