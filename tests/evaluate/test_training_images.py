import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as pixels

from vidmoco import distributed
from vidmoco.backbones.preprocess import Preprocess
from vidmoco.evaluate.training_images import (
    EpochBatches,
    TrainingImages,
    _seed_of,
    training_loader,
)
from vidmoco.images.labelled import load_labelled_images

PREPROCESS = Preprocess(
    size=16, crop_pct=0.875, interpolation="bilinear", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.3)
)


@pytest.fixture
def images(make_images):
    train, _ = load_labelled_images(make_images())
    return TrainingImages(train, PREPROCESS, crop_scale=(0.08, 1.0), seed=3)


def test_a_crop_is_torchvision_s_and_a_function_of_its_place(images):
    before = torch.get_rng_state()
    crop, label = images[2, 7]
    assert torch.equal(torch.get_rng_state(), before)
    again, _ = images[2, 7]
    assert torch.equal(crop, again)
    assert label == int(images.images.labels[7])
    for place in ((3, 7), (2, 8), (7, 2)):
        assert not torch.equal(images[place][0], crop)
    picture, _ = images.images[7]
    torch.manual_seed(_seed_of(3, 2, 7))
    box = RandomResizedCrop.get_params(picture, scale=[0.08, 1.0], ratio=[3 / 4, 4 / 3])
    expected = pixels.resized_crop(picture, *box, [16, 16], antialias=True)
    if torch.rand(()) < 0.5:
        expected = expected.flip(-1)
    assert torch.equal(crop, expected)


def test_half_of_the_crops_are_flipped(images):
    picture = torch.arange(32, dtype=torch.uint8).expand(3, 32, 32) * 8  # brighter to the right
    images.images = [(picture, 0)] * 400
    flipped = sum(
        int(crop[0, 0, 0] > crop[0, 0, -1]) for crop, _ in (images[0, n] for n in range(400))
    )
    assert 150 < flipped < 250  # five standard deviations


def test_an_epoch_has_every_row_once_and_another_order_than_the_next():
    rows = np.arange(10, 31)
    batches = EpochBatches(rows, epochs=range(2), batch_size=5, seed=0)
    found = list(batches)
    assert [len(batch) for batch in found] == [5, 5, 5, 5, 1] * 2 and len(batches) == 10
    first, second = ([row for batch in part for _, row in batch] for part in (found[:5], found[5:]))
    assert sorted(first) == sorted(second) == rows.tolist()  # the last batch is kept
    assert first != second
    assert {epoch for batch in found[5:] for epoch, _ in batch} == {1}
    # A batch norm cannot train on one image.
    cut = EpochBatches(rows, epochs=range(2), batch_size=5, seed=0, least_share=2)
    assert list(cut) == found[:4] + found[5:9]
    # A resumed training has the epochs it would have had.
    assert list(EpochBatches(rows, epochs=range(1, 2), batch_size=5, seed=0)) == found[5:]
    assert list(EpochBatches(rows, epochs=range(2), batch_size=5, seed=1)) != found
    # Fewer rows than a batch: all of them.
    (all_rows,) = EpochBatches(rows, epochs=range(1), batch_size=100, seed=0)
    assert sorted(row for _, row in all_rows) == rows.tolist()


def test_processes_share_a_batch_evenly(monkeypatch):
    rows = np.arange(11)
    parts = []
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    for rank in range(3):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(list(EpochBatches(rows, epochs=range(1), batch_size=8, seed=0)))
    assert [[len(batch) for batch in part] for part in parts] == [[2, 1]] * 3  # 8 is cut to 6
    assert len({row for part in parts for batch in part for _, row in batch}) == 9  # 2 are too few


@pytest.mark.slow
def test_worker_processes_give_the_same(images):
    def read(workers):
        batches = EpochBatches(np.arange(18), epochs=range(2), batch_size=6, seed=0)
        return list(training_loader(images, batches, workers=workers, pin_memory=False))

    for here, there in zip(read(0), read(1), strict=True):
        assert torch.equal(here.images, there.images)
        assert torch.equal(here.labels, there.labels)
        assert here.images.shape == (6, 3, 16, 16)
