from collections import Counter
from pathlib import Path

import pytest
import torch
from detection_material import random_shapes, write_coco

from vidmoco.errors import DataError
from vidmoco.evaluate.detection.batches import (
    mirrored,
    read_batches,
    rows_of_step,
    seed_step,
    to_pixels,
    training_inputs,
)
from vidmoco.evaluate.detection.load import load_sets


@pytest.fixture
def images(tmp_path):
    given = write_coco(tmp_path, random_shapes(5))
    return load_sets([given], given)[0].images


def test_every_image_once_in_each_pass():
    rows = [
        row for step in range(14) for row in rows_of_step(step, batch_size=3, num_images=7, seed=0)
    ]
    passes = [tuple(rows[start : start + 7]) for start in range(0, 42, 7)]
    assert all(sorted(one) == list(range(7)) for one in passes)
    assert len(set(passes)) == 6  # each in an order of its own
    assert rows_of_step(5, batch_size=3, num_images=7, seed=0) == rows[15:18]
    assert rows_of_step(5, batch_size=3, num_images=7, seed=1) != rows[15:18]
    few = Counter(rows_of_step(0, batch_size=6, num_images=2, seed=0))
    assert few == {0: 3, 1: 3}


def test_processes_share_a_step(monkeypatch):
    whole = rows_of_step(3, batch_size=6, num_images=40, seed=0)
    monkeypatch.setattr("vidmoco.distributed.world_size", lambda: 3)
    shares = []
    for rank in range(3):
        monkeypatch.setattr("vidmoco.distributed.rank", lambda rank=rank: rank)
        shares.append(rows_of_step(3, batch_size=6, num_images=40, seed=0))
    assert shares == [whole[:2], whole[2:4], whole[4:]]


def test_batches_come_in_order(images):
    wanted = [[images[0], images[3]], [images[1]], [], [images[2]], [images[4]]]
    found = list(read_batches(wanted))
    assert [[annotated for annotated, _ in batch] for batch in found] == wanted
    assert torch.equal(found[0][1][1], images[3].read())


def test_an_image_that_cannot_be_read_is_told(images):
    Path(images[1].path).write_bytes(b"")
    batches = read_batches([[images[0]], [images[1]], [images[2]]])
    assert len(next(batches)) == 1
    with pytest.raises(DataError, match=r"001\.png: the file is empty"):
        next(batches)


def test_boxes_go_with_the_mirrored_image(images):
    image = images[0]
    read = [(image, image.read())]
    seen = set()
    for step in range(20):
        seed_step(0, step, 0)
        (pixels,), (target,) = training_inputs(read, torch.device("cpu"))
        is_plain = torch.equal(pixels, to_pixels(read[0][1], torch.device("cpu")))
        seen.add(is_plain)
        # Inside the box is no noise, which is between 90 and 150 in all channels.
        left, top, right, bottom = target["boxes"][0].int().tolist()
        middle = pixels[:, (top + bottom) // 2, left + 1 : right - 1] * 255
        assert ((middle.amax(0) > 200) & (middle.amin(0) < 70)).all()
        assert target["labels"].tolist() == image.labels.tolist()
    assert seen == {True, False}
    box = torch.tensor([[1.0, 2.0, 10.0, 12.0]])
    assert mirrored(box, width=96).tolist() == [[86, 2, 95, 12]]


def test_what_is_drawn_depends_on_seed_step_and_process():
    drawn = []
    for given in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)):
        seed_step(*given)
        drawn.append(torch.rand(()).item())
    assert len(set(drawn)) == 4
    assert drawn[0] == drawn[-1]
