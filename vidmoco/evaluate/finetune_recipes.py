"""Published recipes to train a classifier on a backbone: only the head, or all layers."""

from dataclasses import dataclass
from typing import Literal

from vidmoco.evaluate.regularization import Regularization

Rule = Literal["head", "all"]
"""`head` trains a linear classifier on the frozen backbone, `all` trains both."""


@dataclass(frozen=True, kw_only=True)
class FinetuneRecipe:
    """How a classifier is trained on random-resized crops and flips."""

    source: str
    """The paper or code of the numbers."""
    lr: float
    scale_lr: Literal["linear", "none"]
    """`linear`: ``lr`` is for a batch of 256 and grows with the batch. `none`: for every batch."""
    epochs: int
    schedule: Literal["cosine", "step", "deit"]
    update_every: Literal["epoch", "step"]
    milestones: tuple[float, ...] = ()
    """Shares of the training after which the learning rate is divided by ten."""
    nesterov: bool = False
    optimizer: Literal["sgd", "lars", "adamw"] = "sgd"
    """`sgd` and `lars` have momentum 0.9; `lars` adapts all parameters with a trust coefficient of
    0.001. `adamw` decays neither vectors nor position embeddings and class tokens."""
    weight_decay: float = 0.0
    batch_size: int = 256
    """Of the paper, or 256 where the learning rate grows with the batch and no more is known."""
    crop_scale: tuple[float, float] = (0.08, 1.0)
    regularization: Regularization | None = None
    head_std: float = 0.01
    """Standard deviation of the classifier's first weights."""


HEAD_RECIPES = {
    "moco_v1": FinetuneRecipe(
        source="He et al. 2020, section 4.1, and the released main_lincls.py",
        lr=30.0,
        scale_lr="none",
        epochs=100,
        schedule="step",
        update_every="epoch",
        milestones=(0.6, 0.8),
    ),
    "moco_v3_resnet": FinetuneRecipe(
        source="Chen, Xie and He 2021, released main_lincls.py",
        lr=0.1,
        scale_lr="linear",
        epochs=90,
        schedule="cosine",
        update_every="epoch",
    ),
    "moco_v3_vit": FinetuneRecipe(
        source="Chen, Xie and He 2021, released CONFIG.md",
        lr=3.0,
        scale_lr="linear",
        epochs=90,
        schedule="cosine",
        update_every="epoch",
    ),
    "simclr": FinetuneRecipe(
        source="Chen et al. 2020 (SimCLR), appendix B.6, and the released README",
        lr=0.1,
        scale_lr="linear",
        epochs=90,
        schedule="cosine",
        update_every="step",
        nesterov=True,
        batch_size=4096,
    ),
    "swav": FinetuneRecipe(
        source="Caron et al. 2020 (SwAV), released eval_linear.py",
        lr=0.3,
        scale_lr="none",
        epochs=100,
        schedule="cosine",
        update_every="epoch",
        weight_decay=1e-6,
    ),
    "simsiam": FinetuneRecipe(
        source="Chen and He 2021 (SimSiam), released main_lincls.py --lars",
        lr=0.1,
        scale_lr="linear",
        epochs=90,
        schedule="cosine",
        update_every="epoch",
        optimizer="lars",
        batch_size=4096,
    ),
    "fast_moco": FinetuneRecipe(
        source="Ci et al. 2022 (Fast-MoCo), released linear configuration",
        lr=0.8,
        scale_lr="none",
        epochs=90,
        schedule="cosine",
        update_every="step",
        optimizer="lars",
        batch_size=4096,
    ),
}
ALL_LAYERS_RECIPES = {
    # NOTE: SimCLR states no schedule for fine-tuning; this is its linear evaluation's.
    "simclr": FinetuneRecipe(
        source="Chen et al. 2020 (SimCLR), appendix B.5",
        lr=0.05,
        scale_lr="linear",
        epochs=60,
        schedule="cosine",
        update_every="step",
        nesterov=True,
    ),
    "deit": FinetuneRecipe(
        source="Touvron et al. 2021 (DeiT), released main.py, for 150 epochs as MoCo v3's README",
        lr=2.5e-4,
        scale_lr="linear",
        epochs=150,
        schedule="deit",
        update_every="epoch",
        optimizer="adamw",
        weight_decay=0.05,
        batch_size=1024,
        regularization=Regularization(),
        head_std=0.02,
    ),
}
