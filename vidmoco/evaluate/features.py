"""Features of a frozen backbone for labelled images, on one process or all of a torchrun launch."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vidmoco import distributed
from vidmoco.backbones.frozen import FrozenBackbone, features_of
from vidmoco.backbones.preprocess import Preprocess, resize_and_crop
from vidmoco.cores import num_cores
from vidmoco.errors import CheckpointError, DataError
from vidmoco.images.labelled import LabelledImages
from vidmoco.shapes import Bool, Float, Int64, UInt8
from vidmoco.workers.start import SPAWN

# Measured: a worker process takes 5 s to start (it imports torch), 20 s on a busy machine.
_SECONDS_WORTH_WORKERS = 30.0
_MOST_WORKERS = 16


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An image that could not be read."""

    split: str
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ImageBatch:
    """Some rows of the images, ready for the backbone; those of refused images are zero."""

    rows: Int64[Tensor, " n"]
    images: UInt8[Tensor, "n 3 s s"]
    is_read: Bool[Tensor, " n"]
    refused: list[Refusal]

    def pin_memory(self) -> "ImageBatch":
        """Return the batch with its images in page-locked memory; the DataLoader asks for it."""
        return replace(self, images=self.images.pin_memory())


class PreprocessedImages(Dataset[tuple[int, Tensor | Refusal]]):
    """The images of several splits, one after the other, resized and cropped for a backbone."""

    def __init__(self, splits: Sequence[LabelledImages], preprocess: Preprocess) -> None:
        self.splits, self.preprocess = list(splits), preprocess

    def __len__(self) -> int:
        return sum(len(split) for split in self.splits)

    def __getitem__(self, row: int) -> tuple[int, Tensor | Refusal]:
        """Return the row number with a uint8 (3, S, S) image, or with why there is none."""
        index = row
        for split in self.splits:
            if index < len(split):
                break
            index -= len(split)
        try:
            image, _ = split[index]
        except DataError as error:
            return row, Refusal(split=split.split, name=split.names[index], reason=str(error))
        return row, resize_and_crop(image, self.preprocess)

    def collate(self, samples: Sequence[tuple[int, Tensor | Refusal]]) -> ImageBatch:
        """Make a batch."""
        size = self.preprocess.size
        blank = torch.zeros(3, size, size, dtype=torch.uint8)
        return ImageBatch(
            rows=torch.tensor([row for row, _ in samples], dtype=torch.int64),
            images=torch.stack([blank if isinstance(x, Refusal) else x for _, x in samples]),
            is_read=torch.tensor([not isinstance(x, Refusal) for _, x in samples]),
            refused=[x for _, x in samples if isinstance(x, Refusal)],
        )


def image_loader(
    splits: Sequence[LabelledImages],
    preprocess: Preprocess,
    *,
    batch_size: int,
    workers: int,
    pin_memory: bool = False,
) -> DataLoader[ImageBatch]:
    """Return batches of this process's share of the images, in order.

    It can be passed through again and again; its worker processes are started once.
    """
    images = PreprocessedImages(splits, preprocess)
    return DataLoader(
        images,  # type: ignore[arg-type]
        batch_size=batch_size,
        sampler=distributed.shard(len(images)),
        num_workers=workers,
        collate_fn=images.collate,
        # Spawned: a forked worker inherits the threads and locks of torch and pyarrow half-alive.
        multiprocessing_context=SPAWN if workers else None,
        persistent_workers=workers > 0,
        pin_memory=pin_memory,
    )


def default_workers(splits: Sequence[LabelledImages], *, passes: int) -> int:
    """Return 0 where this process reads the images quickly, else its share of the cores.

    The first images are read to see how long one takes. Whatever comes out, the features are the
    same.
    """
    num_read, began = 0, time.perf_counter()
    for split in splits:
        for index in range(min(len(split), 8)):
            with suppress(DataError):  # a damaged one is listed when its turn comes
                split[index]
            num_read += 1
    seconds = (time.perf_counter() - began) / num_read * sum(map(len, splits)) * passes
    if seconds < _SECONDS_WORTH_WORKERS:
        return 0
    share = num_cores() // distributed.local_world_size()
    return max(1, min(_MOST_WORKERS, share))


@dataclass(frozen=True, kw_only=True)
class Features:
    """Features of the images that could be read."""

    values: Float[Tensor, "n d"]
    """float32, on the CPU."""
    rows: Int64[Tensor, " n"]
    """Which image of the loader each is."""
    refused: list[Refusal]


def compute_features(
    frozen: FrozenBackbone,
    loader: DataLoader[ImageBatch] | Sequence[ImageBatch],
    *,
    on_batch: Callable[[int], None] = lambda num_images: None,
) -> Features:
    """Return the features of all images, computed in evaluation mode and without gradient.

    Args:
        frozen: The backbone, on its device; it is set to evaluation mode.
        loader: From ``image_loader`` with the backbone's preprocessing, or its batches, where they
            are kept.
        on_batch: Is told the number of images of each batch done, over all processes.

    Returns:
        On every process, the rows of all processes.

    Raises:
        CheckpointError: Features are not finite.
    """
    frozen.backbone.eval()
    if isinstance(loader, DataLoader):
        num_rows = len(loader.sampler)  # type: ignore[arg-type]
    else:
        num_rows = sum(len(batch.rows) for batch in loader)
    values, rows = torch.zeros(num_rows, frozen.dim), torch.zeros(num_rows, dtype=torch.int64)
    is_read = torch.zeros(num_rows, dtype=torch.bool)
    refused: list[Refusal] = []
    start = 0
    for batch, features in features_of(frozen, loader):
        here = slice(start, start + len(batch.rows))
        values[here], rows[here], is_read[here] = features, batch.rows, batch.is_read
        refused += batch.refused
        start = here.stop
        on_batch(len(batch.rows) * distributed.world_size())
    values, rows, is_read = (distributed.gather_rows(x) for x in (values, rows, is_read))
    refused = [one for some in distributed.gather_objects(refused) for one in some]
    if not is_read.all():
        values, rows = values[is_read], rows[is_read]
    num_bad = int((~torch.isfinite(values).all(dim=1)).sum())
    if num_bad:
        raise CheckpointError(
            f"Backbone {frozen.name} gives features that are not finite for {num_bad} of "
            f"{len(values)} images: its weights are damaged, or --precision bf16 is too little "
            "for it."
        )
    return Features(values=values, rows=rows, refused=refused)


def require_every_class(
    rows: Int64[Tensor, " n"],
    refused: Sequence[Refusal],
    train: LabelledImages,
    val: LabelledImages,
) -> None:
    """Refuse a set in which damaged images took a class of train away, or all of val.

    Args:
        rows: Those that could be read.
        refused: Those that could not.
        train: The training images, which come first.
        val: The validation images. A class without any is only a possible wrong answer.

    Raises:
        DataError: no image of a class of train, or none of val, could be read.
    """
    is_train = rows < len(train)
    found = set(train.labels[rows[is_train]].unique().tolist())
    gone = [name for label, name in enumerate(train.classes) if label not in found]
    for images, what in (
        (train, f"of {', '.join(map(repr, gone[:8]))} in {train.split}" if gone else ""),
        (val, f"in {val.split}" if is_train.all() else ""),
    ):
        if what:
            mine = [refusal for refusal in refused if refusal.split == images.split]
            raise DataError(
                f"No image {what} could be read; {len(mine)} are damaged, the first: "
                f"{mine[0].name}: {mine[0].reason}."
            )
