"""Load the training and validation images that the flags name, with one list of classes."""

from collections.abc import Sequence
from pathlib import Path

from vidmoco.config.detection import split_source
from vidmoco.errors import DataError
from vidmoco.evaluate.detection.annotations import DetectionSet, Part, build_set
from vidmoco.evaluate.detection.coco_format import read_coco
from vidmoco.evaluate.detection.voc_format import read_voc
from vidmoco.text import first_of


def load_sets(train: Sequence[str], val: str) -> tuple[DetectionSet, DetectionSet]:
    """Return the training images, from one or more parts, and the validation images.

    Args:
        train: Parts as ``FILE.json:FOLDER`` or ``FOLDER:SPLIT``.
        val: One such part.

    Raises:
        ConfigError: a part has another form, or does not exist.
        DataError: annotations cannot be used, or the parts have different classes. (VOC's files
            declare no classes, so a part of that format may lack objects of some.)
    """
    parts = [_read(source, flag="--train") for source in train]
    val_part = _read(val, flag="--val")
    declared = [part for part in parts if part.format == "coco"]
    names = sorted({name for part in parts for name in part.classes})
    classes = declared[0].classes if declared else tuple(names)
    for part in [*parts, val_part]:
        missing = set(classes) - set(part.classes) if part.format == "coco" else set()
        unknown = set(part.classes) - set(classes)
        if missing or unknown:
            what = [f"lacks {first_of(sorted(missing), 5)}"] * bool(missing)
            what += [f"has {first_of(sorted(unknown), 5)} in addition"] * bool(unknown)
            raise DataError(
                f"{part.source} does not have the classes of {parts[0].source}: it "
                f"{' and '.join(what)}. Give parts of the same classes."
            )
    training, validation = build_set(parts, classes), build_set([val_part], classes)
    for given, flag in ((training, "--train"), (validation, "--val")):
        if not any((~(image.crowd | image.difficult)).any() for image in given.images):
            raise DataError(f"No image of {flag} has a box that is neither crowd nor difficult.")
    return training, validation


def _read(source: str, *, flag: str) -> Part:
    path, rest = split_source(source, flag=flag)
    if path.is_dir():
        return read_voc(path, rest, source=source)
    return read_coco(path, Path(rest), source=source)
