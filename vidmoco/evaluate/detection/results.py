"""The content of a detection transfer's results.json."""

from collections.abc import Sequence
from typing import Any

import vidmoco
from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.config.detection import DetectionCommand
from vidmoco.evaluate.detection.annotations import AnnotatedImage, DetectionSet
from vidmoco.evaluate.detection.average_precision import COCO_POINTS, VOC_POINTS, AveragePrecision


def described_results(
    settings: DetectionCommand,
    candidate: FrozenBackbone,
    *,
    train: DetectionSet,
    val: DetectionSet,
    trained_on: Sequence[AnnotatedImage],
    scores: dict[int, AveragePrecision],
) -> dict[str, Any]:
    """Return scores in percent, and all that is needed to read or repeat them."""
    coco, voc = scores[COCO_POINTS], scores[VOC_POINTS]
    in_both = {image.path for image in trained_on} & {image.path for image in val.images}
    return {
        "vidmoco_version": vidmoco.__version__,
        "backbone": {
            "source": candidate.source,
            "name": candidate.name,
            "architecture": candidate.architecture,
            "weights_hash": candidate.weights_hash,
        },
        "detector": settings.detector,
        "ap": coco.ap,
        "ap50": coco.ap50,
        "ap75": coco.ap75,
        "voc07": {"ap": voc.ap, "ap50": voc.ap50, "ap75": voc.ap75},
        "per_class_ap": dict(zip(val.classes, coco.per_class, strict=True)),
        "train": _described(train) | {"num_images_trained_on": len(trained_on)},
        "val": _described(val),
        "num_images_in_both": len(in_both),
        "settings": settings.plain(),
    }


def _described(given: DetectionSet) -> dict[str, Any]:
    return {
        "format": given.format,
        "num_images": len(given.images),
        "num_boxes": sum(len(image.boxes) for image in given.images),
        "num_crowd": sum(int(image.crowd.sum()) for image in given.images),
        "num_difficult": sum(int(image.difficult.sum()) for image in given.images),
        "num_clipped": given.num_clipped,
        "num_dropped": given.num_dropped,
    }
