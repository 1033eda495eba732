"""Images with boxes that the tests make themselves, in COCO's format and in VOC's."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("disc", "square")
COLOURS = {"disc": (40, 220, 60), "square": (230, 40, 40)}


@dataclass(frozen=True)
class Shape:
    """One object: left, top, right, bottom in whole pixels, the last ones not its own."""

    label: str
    box: tuple[int, int, int, int]
    marked: bool = False
    """COCO's ``iscrowd``, VOC's ``difficult``."""


def random_shapes(num_images, *, width=96, height=80, seed=0):
    """One or two shapes an image, which do not touch."""
    rng = np.random.default_rng(seed)
    scenes = []
    for _ in range(num_images):
        shapes = []
        for half in range(int(rng.integers(1, 3))):
            side = int(rng.integers(28, 44))
            left = int(rng.integers(half * width // 2, half * width // 2 + width // 2 - side + 1))
            top = int(rng.integers(0, height - side + 1))
            shapes.append(Shape(CLASSES[rng.integers(2)], (left, top, left + side, top + side)))
        scenes.append(shapes)
    return scenes


def picture(shapes, *, width=96, height=80, seed=0):
    """Shapes on noise."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 150, (height, width, 3), dtype=np.uint8)
    ys, xs = np.mgrid[:height, :width]
    for shape in shapes:
        left, top, right, bottom = shape.box
        inside = (xs >= left) & (xs < right) & (ys >= top) & (ys < bottom)
        if shape.label == "disc":
            middle_x, middle_y = (left + right - 1) / 2, (top + bottom - 1) / 2
            inside &= (xs - middle_x) ** 2 + (ys - middle_y) ** 2 <= ((right - left) / 2) ** 2
        image[inside] = COLOURS[shape.label]
    return image


def write_coco(folder: Path, scenes, *, width=96, height=80, name="train") -> str:
    """Write NAME.json and a folder NAME of images; return what the tool is given."""
    images = folder / name
    images.mkdir(parents=True)
    content = {
        "images": [],
        "annotations": [],
        # Ids with gaps and out of order, as COCO's own have them.
        "categories": [{"id": 7, "name": "square"}, {"id": 3, "name": "disc"}],
    }
    ids = {"square": 7, "disc": 3}
    for number, shapes in enumerate(scenes):
        file = f"{number:03d}.png"
        pixels = picture(shapes, width=width, height=height, seed=number)
        Image.fromarray(pixels).save(images / file)
        content["images"].append(
            {"id": 100 + number, "file_name": file, "width": width, "height": height}
        )
        for shape in shapes:
            left, top, right, bottom = shape.box
            content["annotations"].append(
                {
                    "id": len(content["annotations"]),
                    "image_id": 100 + number,
                    "category_id": ids[shape.label],
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": int(shape.marked),
                }
            )
    (folder / f"{name}.json").write_text(json.dumps(content))
    return f"{folder / name}.json:{images}"


def write_voc(folder: Path, scenes, *, width=96, height=80, split="trainval") -> str:
    """Write JPEGImages, Annotations and ImageSets; return what the tool is given."""
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    names = [f"{split}.{number:03d}" for number in range(len(scenes))]
    for number, (name, shapes) in enumerate(zip(names, scenes, strict=True)):
        pixels = picture(shapes, width=width, height=height, seed=number)
        Image.fromarray(pixels).save(folder / "JPEGImages" / f"{name}.png")
        objects = "".join(voc_object(shape) for shape in shapes)
        (folder / "Annotations" / f"{name}.xml").write_text(voc_xml(objects, width, height))
    (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return f"{folder}:{split}"


def voc_object(shape):
    """VOC counts pixels from 1, and the last one is the object's own."""
    left, top, right, bottom = shape.box
    return (
        f"<object><name>{shape.label}</name><difficult>{int(shape.marked)}</difficult>"
        f"<bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
    )


def voc_xml(objects, width=96, height=80):
    """An annotation file."""
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>other.jpg</filename>{size}{objects}</annotation>"
