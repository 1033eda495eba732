"""Read Pascal VOC's format: a folder with JPEGImages, Annotations and ImageSets/Main."""

from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

from vidmoco.errors import DataError, nearest
from vidmoco.evaluate.detection.annotations import Object, Part, inside

_SUFFIXES = (".jpg", ".jpeg", ".png")


def read_voc(folder: Path, split: str, *, source: str) -> Part:
    """Return the images and boxes that ``ImageSets/Main/SPLIT.txt`` lists.

    VOC counts pixels from 1 and its boxes include their last pixel, so (1, 1, W, H) is the whole
    image. The result has (0, 0, W, H) for it, as in detectron2.

    Args:
        folder: such as VOCdevkit/VOC2007.
        split: such as trainval.
        source: folder and split as the user gave them, for errors.

    Raises:
        DataError: a file is missing, damaged or of another format, or has a document type.
    """
    lists = folder / "ImageSets" / "Main"
    file = lists / f"{split}.txt"
    try:
        names = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        known = sorted(path.stem for path in lists.glob("*.txt")) if lists.is_dir() else []
        raise DataError(
            f"There is no readable list {file}.{nearest(split, known)} Expected a folder such as "
            "VOCdevkit/VOC2007, with JPEGImages, Annotations and ImageSets/Main."
        ) from error
    images = [_image(folder, name, listed_in=file) for name in names if name]
    classes = sorted({obj.label for *_, objects in images for obj in objects})
    return Part(source=source, format="voc", classes=tuple(classes), images=images)


def _image(folder: Path, name: str, *, listed_in: Path) -> tuple[Path, float, float, list[Object]]:
    file = inside(folder / "Annotations", f"{name}.xml", source=listed_in)
    root = _parse(file)
    width, height = (_number(root, f"size/{side}", file=file) for side in ("width", "height"))
    objects = []
    for element in root.findall("object"):
        left, top, right, bottom = (
            _number(element, f"bndbox/{side}", file=file)
            for side in ("xmin", "ymin", "xmax", "ymax")
        )
        objects.append(
            Object(
                label=_text(element, "name", file=file),
                box=(left - 1, top - 1, right, bottom),
                is_difficult=(element.findtext("difficult") or "0").strip() == "1",
            )
        )
    return _image_file(folder / "JPEGImages", name), width, height, objects


def _image_file(folder: Path, name: str) -> Path:
    """Return the image's path. Sets that only copy VOC's format may have PNG files."""
    # Not with_suffix: names may contain dots.
    candidates = [folder / f"{name}{suffix}" for suffix in _SUFFIXES]
    return next((path for path in candidates if path.is_file()), candidates[0])


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a document type, whose entities can fill the memory."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        """Refuse; the parser calls this for a document type."""
        raise DataError("has a document type (DOCTYPE), which no annotation needs; delete it")


def _parse(file: Path) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_NoDoctype())
    try:
        return ElementTree.fromstring(file.read_bytes(), parser=parser)
    except OSError as error:
        raise DataError(f"Cannot read the annotation {file}: {error.strerror}.") from error
    except DataError as error:
        raise DataError(f"{file} {error}.") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{file} is not an XML file: {error}.") from error


def _text(element: ElementTree.Element, tag: str, *, file: Path) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise DataError(f"{file} has no {tag} in its <{element.tag}>.")
    return text


def _number(element: ElementTree.Element, path: str, *, file: Path) -> float:
    text = _text(element, path, file=file)
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{file}: {path} is {text!r}; expected a number.") from error
