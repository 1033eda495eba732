"""The settings of the commands that judge and show features; beside ``commands``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vidmoco.ranged import Ranged


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(Ranged):
    """Compare frozen backbones on labelled images: weighted k-NN and a linear probe."""

    images: Positional[Path]
    """A folder with train/ and val/ (a folder a class), or train.parquet and val.parquet."""
    backbone: tuple[str, ...]
    """Run or backbone folders, timm names, or `random` (an untrained copy of the first)."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Where to write the results (.json); default: results.json in the current folder."""
    k: tuple[int, ...] = (1, 10, 20, 100, 200)
    """Numbers of neighbours of the k-NN."""
    knn_tau: tuple[float, ...] = (0.07, 0.1)
    """Temperatures of the neighbours' weights exp(similarity / tau); the table shows the first."""
    linear: bool = True
    """Fit the linear probe too."""
    few_shot: tuple[float, ...] = ()
    """Also fit the linear probe on these shares of the training images, such as 0.01 and 0.1."""
    few_shot_draws: int = 3
    """Times that each such share is drawn; the mean and the standard deviation are shown."""
    finetune: tuple[Literal["head", "all"], ...] = ()
    """Also train a classifier on random crops by SGD, and measure it on val after every epoch: its
    linear `head` alone, on the frozen backbone (the linear classification of the MoCo papers), or
    `all` layers."""
    finetune_recipe: Literal["moco_v1", "moco_v3_resnet", "moco_v3_vit"] = "moco_v1"
    """How the head alone is trained: as in the papers of MoCo v1 and v2, or of v3."""
    finetune_epochs: int | None = None
    """Epochs of both; None: the paper's (100, 90; 60 for all layers)."""
    finetune_lr: float | None = None
    """Learning rate in place of the paper's, before it grows with the batch; for one of the two."""
    finetune_batch_size: int = 256
    """Images in a step, of all processes together."""
    size: int | None = None
    """Input size in pixels; None: each backbone's own."""
    batch_size: int = 256
    """Images in one pass through the backbone."""
    max_train_per_class: int | None = None
    """Use so many training images of each class; None: all."""
    workers: int | None = None
    """Processes that read images; 0: this process; None: one a core where reading takes long."""
    device: str = "auto"
    """`auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:1`."""
    precision: Literal["bf16", "fp32"] = "fp32"
    """Arithmetic of the backbone."""
    fresh: bool = False
    """Compute all features, also those that are kept from an earlier comparison."""
    seed: int = 0
    """Seed of the untrained backbone and of the probe's split."""

    def __post_init__(self) -> None:
        self._require(len(self.backbone) >= 1, "backbone", "at least one backbone")
        self._require(
            len(self.k) >= 1 and min(self.k) >= 1, "k", "one or more numbers of neighbours"
        )
        self._require(
            len(self.knn_tau) >= 1 and min(self.knn_tau) > 0,
            "knn_tau",
            "one or more numbers greater than 0",
        )
        self._require(
            all(0 < share < 1 for share in self.few_shot), "few_shot", "shares between 0 and 1"
        )
        self._require(self.few_shot_draws >= 1, "few_shot_draws", "at least 1")
        self._require(
            len(set(self.finetune)) == len(self.finetune), "finetune", "each of head and all once"
        )
        self._require(
            self.finetune_epochs is None or self.finetune_epochs >= 1,
            "finetune_epochs",
            "None or at least 1",
        )
        self._require(
            self.finetune_lr is None or self.finetune_lr > 0,
            "finetune_lr",
            "None or greater than 0",
        )
        self._require(
            self.finetune_lr is None or len(self.finetune) == 1,
            "finetune_lr",
            "None, unless --finetune is one of head and all: their rates are a hundred times apart",
        )
        self._require(self.finetune_batch_size >= 2, "finetune_batch_size", "at least 2")
        self._require(self.size is None or self.size >= 8, "size", "at least 8 pixels")
        self._require(self.batch_size >= 1, "batch_size", "at least 1")
        self._require(
            self.max_train_per_class is None or self.max_train_per_class >= 1,
            "max_train_per_class",
            "None or at least 1",
        )
        self._require(self.workers is None or self.workers >= 0, "workers", "None, 0 or more")
