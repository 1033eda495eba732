"""k-NN accuracy on labelled images, equal to that of ``evaluate`` for the same weights."""

import torch
from rich.console import Console

from vidmoco import distributed
from vidmoco.backbones.preprocess import Preprocess
from vidmoco.config.fields import KNN_K
from vidmoco.config.monitor import MonitorConfig
from vidmoco.console import say
from vidmoco.errors import ConfigError
from vidmoco.evaluate.features import (
    ImageBatch,
    default_workers,
    image_loader,
    require_every_class,
)
from vidmoco.evaluate.knn import knn_predictions
from vidmoco.evaluate.scores import share_right
from vidmoco.images.class_notes import notes_of
from vidmoco.images.labelled import LabelledImages
from vidmoco.images.load import load_labelled_images
from vidmoco.train.monitor_backbone import FrozenCopy


class KnnProbe:
    """Measures k-NN accuracy. This process's images are in memory, resized, in uint8."""

    def __init__(
        self,
        config: MonitorConfig,
        preprocess: Preprocess,
        *,
        device: torch.device,
        console: Console,
    ) -> None:
        """Read the images of ``config.images``.

        Raises:
            ConfigError: there is no such folder, or its images take too much memory.
            DataError: there is only one class, or a class without readable images.
        """
        assert config.images is not None
        self._config, self._device = config, device
        self._train, self._val = load_labelled_images(
            config.images, max_train_per_class=config.max_train_per_class, seed=config.seed
        )
        val = self._val
        say(console, *notes_of(self._train, val))
        gib = _require_memory(config, self._train, self._val, size=preprocess.size)
        say(
            console,
            f"Monitor: k-NN (k {config.k}) on {len(self._train):,} train and {len(self._val):,} "
            f"{self._val.split} images of {len(self._train.classes)} classes; {gib:.2g} GiB of "
            "memory",
        )
        self._batches = _read([self._train, self._val], preprocess, config.batch_size)
        rows = torch.cat([batch.rows[batch.is_read] for batch in self._batches])
        refused = [one for batch in self._batches for one in batch.refused]
        rows = distributed.gather_rows(rows)
        refused = [one for some in distributed.gather_objects(refused) for one in some]
        require_every_class(rows, refused, self._train, self._val)
        if refused:
            say(
                console,
                f"  {len(refused)} cannot be read and are left out. The first is "
                f"{refused[0].name}: {refused[0].reason}",
            )
        if config.k > (num_train := int((rows < len(self._train)).sum())):
            say(console, f"  k is more than the {num_train} training images, so all of them vote.")

    def __call__(self, frozen: FrozenCopy) -> dict[str, float]:
        """Return ``knn_top1`` in percent on the main process, else an empty dict."""
        features = frozen.features(self._batches)
        if not distributed.is_main():
            return {}
        is_train = features.rows < len(self._train)
        labels = torch.cat([self._train.labels, self._val.labels])[features.rows]
        k, tau = self._config.k, self._config.tau
        predicted, _ = knn_predictions(
            features.values[is_train].to(self._device),
            labels[is_train].to(self._device),
            features.values[~is_train].to(self._device),
            # As `evaluate` does by default: with the same largest k, a tie has the same end.
            k=tuple({k, *KNN_K}),
            tau=(tau,),
            num_classes=len(self._train.classes),
        )
        return {"knn_top1": share_right(predicted[tau, k] == labels[~is_train])}


def _read(
    splits: list[LabelledImages], preprocess: Preprocess, batch_size: int
) -> list[ImageBatch]:
    loader = image_loader(
        splits, preprocess, batch_size=batch_size, workers=default_workers(splits, passes=1)
    )
    with torch.random.fork_rng(devices=[]):  # a DataLoader draws a seed from torch's generator
        return list(loader)


def _require_memory(
    config: MonitorConfig, train: LabelledImages, val: LabelledImages, *, size: int
) -> float:
    """Return the GiB that the images of all processes take; refuse more than ``max_gib``."""
    gib = (len(train) + len(val)) * 3 * size**2 / 2**30
    if gib > config.max_gib:
        raise ConfigError(
            f"The {len(train):,} train and {len(val):,} {val.split} images of {config.images} take "
            f"{gib:.3g} GiB at {size} px, and --monitor.max-gib is {config.max_gib:g}. Give a "
            "larger one, or a smaller --monitor.max-train-per-class."
        )
    return gib
