"""Labelled images for training: random-resized crops and flips, seeded by epoch and row."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.v2 import functional as pixels

from vidmoco import distributed
from vidmoco.backbones.preprocess import Preprocess
from vidmoco.errors import ConfigError
from vidmoco.evaluate.regularization import Regularization, rand_augmented, seeded, torch_seeded
from vidmoco.images.labelled import LabelledImages
from vidmoco.shapes import Int64, UInt8
from vidmoco.workers.start import SPAWN

# Range of the aspect ratio of a crop: torchvision's default, which all the papers use.
_ASPECT_RATIOS = (3 / 4, 4 / 3)

Place = tuple[int, int, int]
"""Epoch, row, and the number of the view of it, which is 0 without repeated augmentation."""


class TrainingBatch(NamedTuple):
    """Images, uint8 (n, 3, s, s), and their classes, int64 (n,)."""

    images: Tensor
    labels: Tensor


class TrainingImages(Dataset[tuple[Tensor, int]]):
    """Random crops of the images. Seed and place determine a crop, in any process."""

    def __init__(
        self,
        images: LabelledImages,
        preprocess: Preprocess,
        *,
        crop_scale: tuple[float, float],
        seed: int,
        regularization: Regularization | None = None,
    ) -> None:
        self.images, self.preprocess = images, preprocess
        self.crop_scale, self.seed = crop_scale, seed
        self.regularization = regularization

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: Place) -> tuple[UInt8[Tensor, "3 s s"], int]:
        """Return a crop of one image, resized to the backbone's input, and its class."""
        row = place[1]
        image, label = self.images[row]
        size = self.preprocess.size
        # torchvision draws from torch's generator, timm's RandAugment from Python's and NumPy's.
        seed = seed_of(self.seed, *place)
        with seeded(seed) if self.regularization is not None else torch_seeded(seed):
            top, left, height, width = RandomResizedCrop.get_params(
                image, scale=list(self.crop_scale), ratio=list(_ASPECT_RATIOS)
            )
            is_flipped = bool(torch.rand(()) < 0.5)
            crop = pixels.resized_crop(
                image, top, left, height, width, [size, size],
                interpolation=InterpolationMode(self.preprocess.interpolation), antialias=True,
            )  # fmt: skip
            crop = crop.flip(-1) if is_flipped else crop
            if self.regularization is not None:
                crop = rand_augmented(crop, self.regularization, self.preprocess)
        return crop, label

    def collate(self, samples: Sequence[tuple[Tensor, int]]) -> TrainingBatch:
        """Make a batch."""
        images, labels = zip(*samples, strict=True)
        return TrainingBatch(torch.stack(images), torch.tensor(labels, dtype=torch.int64))


def batch_size_of(num_rows: int, *, asked: int) -> int:
    """Return the batch size: at most ``asked`` and ``num_rows``, and equal for all processes.

    The processes average batch norms and gradients, so their shares must be equal.

    Raises:
        ConfigError: there are fewer images than processes.
    """
    most = min(asked, num_rows)
    size = most - most % distributed.world_size()
    if size == 0:
        raise ConfigError(
            f"Batches of {most} images cannot be shared by {distributed.world_size()} processes. "
            "Give a larger --finetune-batch-size, more images, or fewer processes."
        )
    return size


class EpochBatches(Sampler[list[Place]]):
    """This process's places in each batch of some epochs.

    An epoch is a permutation of the rows, cut into batches. The last batch is smaller, as in the
    papers' code: what remains, in equal shares of the processes. It is left out if a share has
    fewer than ``least_share`` rows. With several ``copies`` (repeated augmentation), each
    row of the first part of the permutation is taken so many times, and an epoch is as long as
    before.
    """

    def __init__(
        self,
        rows: Int64[np.ndarray, " n"],
        *,
        epochs: range,
        batch_size: int,
        seed: int,
        least_share: int = 1,
        copies: int = 1,
    ) -> None:
        self.rows, self.epochs, self.seed, self.copies = rows, epochs, seed, copies
        self.batch_size = batch_size_of(len(rows), asked=batch_size)
        share = len(rows) % self.batch_size // distributed.world_size()
        last = share * distributed.world_size() if share >= least_share else 0
        self.num_rows = len(rows) // self.batch_size * self.batch_size + last
        self.batches_per_epoch = -(-self.num_rows // self.batch_size)

    def __len__(self) -> int:
        return len(self.epochs) * self.batches_per_epoch

    def __iter__(self) -> Iterator[list[Place]]:
        for epoch in self.epochs:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
            order = order.repeat(self.copies)[: len(self.rows)]
            for start in range(0, self.num_rows, self.batch_size):
                batch = order[start : min(start + self.batch_size, self.num_rows)]
                own = distributed.shard(len(batch))
                yield [
                    (epoch, int(batch[n]), (start + n) % self.copies)
                    for n in range(own.start, own.stop)
                ]


def training_loader(
    images: TrainingImages, batches: EpochBatches, *, workers: int, pin_memory: bool
) -> DataLoader[TrainingBatch]:
    """Return the batches, read by ``workers`` processes. 0 means this process."""
    return DataLoader(
        images,  # type: ignore[arg-type]
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=images.collate,
        # Forked workers would inherit locks of torch's and pyarrow's threads, but not the threads.
        multiprocessing_context=SPAWN if workers else None,
        pin_memory=pin_memory,
    )


def seed_of(seed: int, epoch: int, number: int, copy: int = 0) -> int:
    """Return a seed for one place or step, unrelated to the seeds of others."""
    entropy = [seed, epoch, number, *([copy] if copy else [])]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
