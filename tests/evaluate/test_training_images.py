import random

import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as pixels

from vidmoco import distributed
from vidmoco.backbones.preprocess import Preprocess
from vidmoco.evaluate.regularization import Regularization
from vidmoco.evaluate.training_images import (
    EpochBatches,
    TrainingImages,
    seed_of,
    training_loader,
)
from vidmoco.images.load import load_labelled_images

PREPROCESS = Preprocess(
    size=16, crop_pct=0.875, interpolation="bilinear", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.3)
)


@pytest.fixture
def images(make_images):
    train, _ = load_labelled_images(make_images())
    return TrainingImages(train, PREPROCESS, crop_scale=(0.08, 1.0), seed=3)


def test_a_crop_is_torchvision_s_and_a_function_of_its_place(images):
    before = torch.get_rng_state()
    crop, label = images[2, 7, 0]
    assert torch.equal(torch.get_rng_state(), before)
    again, _ = images[2, 7, 0]
    assert torch.equal(crop, again)
    assert label == int(images.images.labels[7])
    for place in ((3, 7, 0), (2, 8, 0), (7, 2, 0), (2, 7, 1)):
        assert not torch.equal(images[place][0], crop)
    picture, _ = images.images[7]
    torch.manual_seed(seed_of(3, 2, 7))
    box = RandomResizedCrop.get_params(picture, scale=[0.08, 1.0], ratio=[3 / 4, 4 / 3])
    expected = pixels.resized_crop(picture, *box, [16, 16], antialias=True)
    if torch.rand(()) < 0.5:
        expected = expected.flip(-1)
    assert torch.equal(crop, expected)


def test_half_of_the_crops_are_flipped(images):
    picture = torch.arange(32, dtype=torch.uint8).expand(3, 32, 32) * 8  # brighter to the right
    images.images = [(picture, 0)] * 400
    flipped = sum(
        int(crop[0, 0, 0] > crop[0, 0, -1]) for crop, _ in (images[0, n, 0] for n in range(400))
    )
    assert 150 < flipped < 250  # five standard deviations


def test_an_epoch_has_every_row_once_and_another_order_than_the_next():
    rows = np.arange(10, 31)
    batches = EpochBatches(rows, epochs=range(2), batch_size=5, seed=0)
    found = list(batches)
    assert [len(batch) for batch in found] == [5, 5, 5, 5, 1] * 2 and len(batches) == 10
    first, second = (
        [row for batch in part for _, row, _ in batch] for part in (found[:5], found[5:])
    )
    assert sorted(first) == sorted(second) == rows.tolist()  # the last batch is kept
    assert first != second
    assert {epoch for batch in found[5:] for epoch, _, _ in batch} == {1}
    # A batch norm cannot train on one image.
    cut = EpochBatches(rows, epochs=range(2), batch_size=5, seed=0, least_share=2)
    assert list(cut) == found[:4] + found[5:9]
    # A resumed training has the epochs it would have had.
    assert list(EpochBatches(rows, epochs=range(1, 2), batch_size=5, seed=0)) == found[5:]
    assert list(EpochBatches(rows, epochs=range(2), batch_size=5, seed=1)) != found
    # Fewer rows than a batch: all of them.
    (all_rows,) = EpochBatches(rows, epochs=range(1), batch_size=100, seed=0)
    assert sorted(row for _, row, _ in all_rows) == rows.tolist()


def test_processes_share_a_batch_evenly(monkeypatch):
    rows = np.arange(11)
    parts = []
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    for rank in range(3):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(list(EpochBatches(rows, epochs=range(1), batch_size=8, seed=0)))
    assert [[len(batch) for batch in part] for part in parts] == [[2, 1]] * 3  # 8 is cut to 6
    read = [row for part in parts for batch in part for _, row, _ in batch]
    assert len(set(read)) == len(read) == 9  # 2 are too few for a batch


def test_repeated_augmentation_takes_several_views_of_fewer_images():
    rows = np.arange(10, 31)
    batches = list(EpochBatches(rows, epochs=range(2), batch_size=6, seed=0, copies=3))
    first, second = (
        [place for batch in part for place in batch] for part in (batches[:4], batches[4:])
    )
    assert len(first) == 21 and len({row for _, row, _ in first}) == 7
    assert [copy for _, _, copy in first] == [0, 1, 2] * 7
    assert [row for _, row, _ in first[::3]] == [row for _, row, _ in first[2::3]]
    assert {row for _, row, _ in first} != {row for _, row, _ in second}


def test_rand_augment_is_a_function_of_the_place_too(images):
    plain, _ = images[2, 7, 1]
    images.regularization = Regularization()

    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    changed = [images[2, 7, copy][0] for copy in range(8)]
    assert states() == before
    random.seed(5)
    np.random.seed(5)
    assert all(torch.equal(images[2, 7, n][0], one) for n, one in enumerate(changed))
    assert not torch.equal(changed[1], plain)
    assert changed[0].shape == plain.shape and changed[0].dtype == torch.uint8


@pytest.mark.slow
def test_worker_processes_give_the_same(images):
    def read(workers):
        batches = EpochBatches(np.arange(18), epochs=range(2), batch_size=6, seed=0)
        return list(training_loader(images, batches, workers=workers, pin_memory=False))

    for here, there in zip(read(0), read(1), strict=True):
        assert torch.equal(here.images, there.images)
        assert torch.equal(here.labels, there.labels)
        assert here.images.shape == (6, 3, 16, 16)
