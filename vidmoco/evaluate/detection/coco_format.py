"""Read COCO's format: one JSON file of images, boxes and categories, and a folder of images."""

from pathlib import Path
from typing import Any

from vidmoco.errors import DataError
from vidmoco.evaluate.detection.annotations import Object, Part, inside
from vidmoco.json_text import parse_json


def read_coco(file: Path, folder: Path, *, source: str) -> Part:
    """Return the images and boxes of an ``instances`` file.

    Classes are in the order of their ids. Images without boxes are kept.

    Args:
        file: with ``images`` (``id``, ``file_name``, ``width``, ``height``), ``annotations``
            (``image_id``, ``category_id``, ``bbox``, ``iscrowd``), ``categories`` (``id``,
            ``name``).
        folder: of the images.
        source: file and folder as the user gave them, for errors.

    Raises:
        DataError: the file is damaged or of another format, names an image outside ``folder``, or
            has an annotation of an image or category that it does not list.
    """
    content = _content(file)
    categories = {
        _value(entry, "id", int, file=file): _value(entry, "name", str, file=file)
        for entry in content["categories"]
    }
    if len(set(categories.values())) < len(content["categories"]):
        raise DataError(f"{file} has two categories with one id or name; each needs its own.")
    objects: dict[int, list[Object]] = {}
    part = Part(
        source=source, format="coco", classes=tuple(name for _, name in sorted(categories.items()))
    )
    for entry in content["images"]:
        number = _value(entry, "id", int, file=file)
        name = _value(entry, "file_name", str, file=file)
        if number in objects:
            raise DataError(f"{file} has two images with the id {number}; each needs its own.")
        objects[number] = []
        width, height = (_value(entry, side, int, file=file) for side in ("width", "height"))
        part.images.append((inside(folder, name, source=file), width, height, objects[number]))
    for entry in content["annotations"]:
        image_id = _value(entry, "image_id", int, file=file)
        category_id = _value(entry, "category_id", int, file=file)
        if image_id not in objects or category_id not in categories:
            kind, number = (
                ("image", image_id) if image_id not in objects else ("category", category_id)
            )
            raise DataError(
                f"An annotation in {file} is of {kind} {number}, which the file does not list. Add "
                "it, or delete the annotation."
            )
        left, top, width, height = _bbox(entry, file=file)
        objects[image_id].append(
            Object(
                label=categories[category_id],
                box=(left, top, left + width, top + height),
                is_crowd=bool(entry.get("iscrowd", 0)),
            )
        )
    return part


def _content(file: Path) -> dict[str, list[Any]]:
    try:
        content = parse_json(file.read_bytes())
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror}.") from error
    except ValueError as error:
        raise DataError(f"{file} is not a JSON file: {error}.") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(
                f"{file} has no list {key!r}. Expected COCO's format for detection: images, "
                "annotations and categories, as in instances_val2017.json."
            )
    return content  # type: ignore[no-any-return]


def _value(entry: Any, key: str, kind: type[Any], *, file: Path) -> Any:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        shown = repr(entry)[:80]
        raise DataError(f"{file} has an entry without a {key!r} ({kind.__name__}): {shown}.")
    return value


def _bbox(entry: dict[str, Any], *, file: Path) -> list[float]:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(x) for x in box):
        raise DataError(
            f"{file} has an annotation (id {entry.get('id')!r}) whose bbox is {box!r}; expected "
            "[left, top, width, height]."
        )
    return [float(x) for x in box]


def _is_number(value: Any) -> bool:
    # float() fails for an integer of a thousand digits.
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**53)
