import pytest
import torch
from timm import create_model
from timm.scheduler import CosineLRScheduler
from torch import nn

from vidmoco.evaluate.finetune import Classifier
from vidmoco.evaluate.finetune_optimizer import build_optimizer, rate_of
from vidmoco.evaluate.finetune_recipes import ALL_LAYERS_RECIPES

DEIT = ALL_LAYERS_RECIPES["deit"]


def test_the_rates_of_deit_are_those_of_its_code():
    """Its main.py steps timm's schedule after each epoch, with the number of that epoch."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=5e-4)
    scheduler = CosineLRScheduler(
        optimizer, t_initial=20, lr_min=1e-5, warmup_t=5, warmup_lr_init=1e-6
    )
    for epoch in range(20):
        expected = optimizer.param_groups[0]["lr"]
        for step in (3 * epoch, 3 * epoch + 2):
            found = rate_of(step, DEIT, base_lr=5e-4, epochs=20, num_batches=3)
            assert found == pytest.approx(expected, rel=1e-9)
        scheduler.step(epoch)


def test_deit_decays_neither_vectors_nor_tokens_nor_positions():
    vit = create_model("vit_tiny_patch16_224", img_size=32, num_classes=0)
    model = Classifier(vit, dim=192, num_classes=3, is_frozen=False)
    optimizer = build_optimizer(model, DEIT)
    assert isinstance(optimizer, torch.optim.AdamW)
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert set(decay.values()) == {0.0, 0.05}
    for name, parameter in model.named_parameters():
        spared = parameter.ndim == 1 or name.endswith(("pos_embed", "cls_token"))
        assert decay[id(parameter)] == (0.0 if spared else 0.05), name
