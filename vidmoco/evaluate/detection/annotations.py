"""Images with boxes, whatever the format of their annotation file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

import torch
from torch import Tensor

from vidmoco.errors import DataError
from vidmoco.images.decode import decode_image
from vidmoco.shapes import Bool, Float32, Int64, UInt8

# In pixels. Assumption: thinner boxes are mistakes of an annotator. They may lose their area in
# float32 or by a resize, and torchvision refuses to train on boxes without area.
_MIN_SIDE = 0.01
_MAX_SIDE = 65535  # pixels, of a JPEG file


@dataclass(frozen=True, kw_only=True)
class Object:
    """One object as its file states it."""

    label: str
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels; the image's corner is (0, 0)."""
    is_crowd: bool = False
    """A region of many objects (COCO's ``iscrowd``)."""
    is_difficult: bool = False
    """Hard to recognise (VOC's ``difficult``)."""


@dataclass(frozen=True, kw_only=True)
class AnnotatedImage:
    """One image and its objects."""

    path: Path
    width: int
    height: int
    boxes: Float32[Tensor, "n 4"]
    """Left, top, right, bottom in pixels, inside the image."""
    labels: Int64[Tensor, " n"]
    """From 1; 0 is torchvision's background."""
    crowd: Bool[Tensor, " n"]
    difficult: Bool[Tensor, " n"]

    def read(self) -> UInt8[Tensor, "3 h w"]:
        """Decode the image; raise ``DataError`` if it is damaged or not of the annotated size."""
        try:
            image = decode_image(self.path.read_bytes())
        except OSError as error:
            raise DataError(f"Cannot read {self.path}: {error.strerror}.") from error
        except DataError as error:
            raise DataError(
                f"Cannot read {self.path}: {error}. Replace it, or take it out of the annotations."
            ) from error
        height, width = image.shape[1:]
        if (width, height) != (self.width, self.height):
            raise DataError(
                f"{self.other_size(width, height)} Correct it, or take it out of the annotations."
            )
        return image

    def other_size(self, width: int, height: int) -> str:
        """Return a sentence on a file that has another size in pixels, turned by its EXIF tag."""
        turned = (width, height) == (self.height, self.width)
        why = " (the EXIF orientation of the file counts)" if turned else ""
        return (
            f"{self.path} has {width} x {height} pixels, but its annotation is for {self.width} x "
            f"{self.height}{why}, so its boxes would be wrong."
        )


@dataclass(kw_only=True)
class Part:
    """The content of one annotation file (COCO) or one list of annotation files (VOC)."""

    source: str
    """As the user gave it."""
    format: str
    """`coco` or `voc`."""
    classes: tuple[str, ...]
    """Names that the file declares (COCO), or those of its objects in sorted order (VOC)."""
    images: list[tuple[Path, float, float, list[Object]]] = field(default_factory=list)
    """Path, width and height in pixels, objects; numbers are as in the file."""


@dataclass(frozen=True, kw_only=True)
class DetectionSet:
    """Annotated images of one list of classes."""

    format: str
    classes: tuple[str, ...]
    """Name of each label from 1 on."""
    images: Sequence[AnnotatedImage]
    num_clipped: int
    """Boxes that were clipped at the edge of their image."""
    num_dropped: int
    """Boxes that were left out because they have no area inside their image."""

    def trainable(self, *, difficult: bool) -> list[AnnotatedImage]:
        """Return the images with boxes to train on: no crowds, ``difficult`` ones if asked.

        Images without boxes are left out, as in detectron2. Left-out objects of an image count as
        background.
        """
        kept = []
        for image in self.images:
            chosen = ~image.crowd if difficult else ~(image.crowd | image.difficult)
            if chosen.any():
                of_object = ("boxes", "labels", "crowd", "difficult")
                changed = {name: getattr(image, name)[chosen] for name in of_object}
                kept.append(replace(image, **changed))
        return kept


def build_set(parts: Sequence[Part], classes: tuple[str, ...]) -> DetectionSet:
    """Return the images of some parts with boxes clipped at the edges and classes as numbers.

    Raises:
        DataError: a box is not finite, an image is listed twice, or a part has none.
    """
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    images: list[AnnotatedImage] = []
    num_clipped = num_dropped = 0
    for part in parts:
        if not part.images:
            raise DataError(f"{part.source} has no images.")
        for path, given_width, given_height, objects in part.images:
            width, height = (
                _whole(side, of=path, source=part.source) for side in (given_width, given_height)
            )
            kept: list[Object] = []
            boxes: list[list[float]] = []
            for obj in objects:
                if not all(map(math.isfinite, obj.box)):
                    raise DataError(
                        f"A box of {obj.label!r} in {path.name} is {list(obj.box)}; expected "
                        f"four finite numbers. Correct it in {part.source}."
                    )
                limits = (width, height, width, height)
                box = [min(max(x, 0.0), float(m)) for x, m in zip(obj.box, limits, strict=True)]
                if box[2] - box[0] < _MIN_SIDE or box[3] - box[1] < _MIN_SIDE:
                    num_dropped += 1
                    continue
                num_clipped += box != list(obj.box)
                kept.append(obj)
                boxes.append(box)
            images.append(
                AnnotatedImage(
                    path=path,
                    width=width,
                    height=height,
                    boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                    labels=torch.tensor([numbers[o.label] for o in kept], dtype=torch.int64),
                    crowd=torch.tensor([o.is_crowd for o in kept], dtype=torch.bool),
                    difficult=torch.tensor([o.is_difficult for o in kept], dtype=torch.bool),
                )
            )
    _require_once([image.path for image in images])
    formats = {part.format for part in parts}
    return DetectionSet(
        format=formats.pop() if len(formats) == 1 else "mixed",
        classes=classes,
        images=images,
        num_clipped=num_clipped,
        num_dropped=num_dropped,
    )


def inside(folder: Path, name: str, *, source: Path) -> Path:
    """Return ``folder / name``, or refuse a ``name`` that leads out of ``folder``."""
    paths = PurePosixPath(name), PureWindowsPath(name)
    if (
        not name
        or not name.isprintable()
        or any(path.is_absolute() or path.drive or ".." in path.parts for path in paths)
    ):
        raise DataError(
            f"{source} names the image {name!r}, which is not a path below {folder}. Expected "
            "names such as 000001.jpg."
        )
    return folder / name


def _whole(side: float, *, of: Path, source: str) -> int:
    if not 1 <= side <= _MAX_SIDE or side != int(side):
        raise DataError(
            f"{source} says that a side of {of.name} has {side} pixels; expected a whole number "
            f"from 1 to {_MAX_SIDE}."
        )
    return int(side)


def _require_once(paths: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for path in paths:
        if path in seen:
            raise DataError(f"The image {path} is listed twice; list it once, with all its boxes.")
        seen.add(path)
