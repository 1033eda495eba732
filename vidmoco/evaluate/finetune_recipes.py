"""The published ways to train a classifier on a backbone: of the head alone, or of all layers."""

from dataclasses import dataclass
from typing import Literal

Rule = Literal["head", "all"]
"""What is trained: a linear classifier on the frozen backbone, or both."""


@dataclass(frozen=True, kw_only=True)
class FinetuneRecipe:
    """SGD with momentum 0.9 on random-resized crops and flips, and what the papers differ in."""

    source: str
    """Where the numbers are from."""
    lr: float
    scale_lr: Literal["linear", "none"]
    """Whether the rate is for a batch of 256 and grows with the batch, or for every batch."""
    epochs: int
    schedule: Literal["cosine", "step"]
    update_every: Literal["epoch", "step"]
    milestones: tuple[float, ...] = ()
    """Shares of the training after which the rate falls to a tenth."""
    nesterov: bool = False
    crop_scale: tuple[float, float] = (0.08, 1.0)


# The decay is zero in all of them.
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
# NOTE: SimCLR's fine-tuning says no schedule; a cosine to zero, as in its linear evaluation.
ALL_LAYERS = FinetuneRecipe(
    source="Chen et al. 2020 (SimCLR), appendix B.5",
    lr=0.05,
    scale_lr="linear",
    epochs=60,
    schedule="cosine",
    update_every="step",
    nesterov=True,
)
