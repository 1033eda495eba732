"""Published recipes to train a classifier on a backbone: only the head, or all layers."""

from dataclasses import dataclass
from typing import Literal

Rule = Literal["head", "all"]
"""`head` trains a linear classifier on the frozen backbone, `all` trains both."""


@dataclass(frozen=True, kw_only=True)
class FinetuneRecipe:
    """Settings of SGD with momentum 0.9 on random-resized crops and flips."""

    source: str
    """The paper or code of the numbers."""
    lr: float
    scale_lr: Literal["linear", "none"]
    """`linear`: ``lr`` is for a batch of 256 and grows with the batch. `none`: for every batch."""
    epochs: int
    schedule: Literal["cosine", "step"]
    update_every: Literal["epoch", "step"]
    milestones: tuple[float, ...] = ()
    """Shares of the training after which the learning rate is divided by ten."""
    nesterov: bool = False
    crop_scale: tuple[float, float] = (0.08, 1.0)


# The weight decay is zero in all of them.
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
}
# NOTE: SimCLR states no schedule for fine-tuning; this is its linear evaluation's, cosine to zero.
ALL_LAYERS = FinetuneRecipe(
    source="Chen et al. 2020 (SimCLR), appendix B.5",
    lr=0.05,
    scale_lr="linear",
    epochs=60,
    schedule="cosine",
    update_every="step",
    nesterov=True,
)
