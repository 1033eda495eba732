"""SimCLR on pairs of frames with PyTorch Lightning.

    pip install lightning
    python examples/lightning_module.py videos/

Lightning's DataLoader stays without workers: vidmoco has its own, which a damaged video may kill.
On several GPUs each process gets its share of every batch, and of its views. SimCLR's batch norms
look at the whole batch, so they are synchronised there.
"""

import sys
from pathlib import Path
from typing import Any

import timm
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

import vidmoco
from vidmoco import distributed
from vidmoco.augment.views import build_augment
from vidmoco.config.augment import AugmentConfig
from vidmoco.config.methods import SimCLRConfig
from vidmoco.methods.build import build_method
from vidmoco.methods.protocol import Inputs


class Pretraining(LightningModule):
    """A method of vidmoco as a LightningModule."""

    def __init__(self, size: int) -> None:
        super().__init__()
        backbone = timm.create_model("resnet18", num_classes=0)
        config = SimCLRConfig(dim=64, projector_layers=2)
        self.method = build_method(config, backbone, Inputs())
        self.augment = build_augment(AugmentConfig(size=size))
        self.generator = torch.Generator().manual_seed(0)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Return the loss of a batch of ``FramePairs``."""
        aspect_ratios = distributed.gather_rows(batch["aspect_ratios"])  # of the whole batch
        own = distributed.shard(len(aspect_ratios))  # or all processes would draw the same crops
        views = self.augment(batch["frames"], aspect_ratios, self.generator, own=own)
        loss, stats = self.method(views, source_ids=batch["source_ids"], times=batch["pts_seconds"])
        self.log_dict({"loss": loss, "top1": stats["top1"]}, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(self.method.parameters(), lr=1e-3)


def main(videos: Path, *, batch_size: int = 64, size: int = 64, **trainer: Any) -> Pretraining:
    """Train, and return the module; ``trainer`` are arguments of Lightning's Trainer."""
    module = Pretraining(size)
    with vidmoco.FramePairs(videos, batch_size=batch_size, short_side=size, max_gap=1.5) as pairs:
        Trainer(**trainer).fit(module, DataLoader(pairs, batch_size=None, num_workers=0))
    return module


if __name__ == "__main__":
    main(Path(sys.argv[1]), max_epochs=10, sync_batchnorm=torch.cuda.is_available())
