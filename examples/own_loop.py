"""MoCo on pairs of frames in a training loop of one's own, stopped and resumed.

    python examples/own_loop.py videos/

Pairs, views, backbone and method are vidmoco's; the loop, and all that is around it, is yours.
"""

import sys
from pathlib import Path

import timm
import torch

import vidmoco
from vidmoco.augment.views import build_augment
from vidmoco.config.augment import AugmentConfig
from vidmoco.config.methods import MoCoConfig
from vidmoco.methods.build import build_method
from vidmoco.methods.protocol import Inputs


def main(
    videos: Path, checkpoint: Path, *, steps: int = 200, batch_size: int = 64, size: int = 64
) -> list[float]:
    """Train for ``steps`` steps in all, going on from ``checkpoint``; return the losses."""
    backbone = timm.create_model("resnet18", num_classes=0)
    config = MoCoConfig(queue_size=16 * batch_size, momentum=0.99, bn_splits=1)
    method = build_method(config, backbone, Inputs())
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-3)
    augment = build_augment(AugmentConfig(size=size, blur_probability=0.0))
    generator = torch.Generator().manual_seed(0)
    losses = []
    with vidmoco.FramePairs(videos, batch_size=batch_size, short_side=size, max_gap=1.5) as pairs:
        if checkpoint.exists():
            state = torch.load(checkpoint, weights_only=True)
            method.load_state_dict(state["method"])
            optimizer.load_state_dict(state["optimizer"])
            generator.set_state(state["views"])
            pairs.load_state_dict(state["pairs"])
        while pairs.step < steps:
            for batch in pairs:  # an epoch
                views = augment(batch["frames"], batch["aspect_ratios"], generator)
                # The steps before this batch; here the key encoder follows.
                method.begin_step(progress=(pairs.step - 1) / steps)
                loss, _ = method(views, source_ids=batch["source_ids"], times=batch["pts_seconds"])
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                method.end_step()  # the keys enter the queue
                losses.append(loss.item())
                if pairs.step == steps:
                    break
    state = {
        "method": method.state_dict(),
        "optimizer": optimizer.state_dict(),
        "views": generator.get_state(),
        "pairs": pairs.state_dict(),
    }
    torch.save(state, checkpoint)
    folder = checkpoint.with_name(f"{checkpoint.stem}_backbone")  # for vidmoco.embed, evaluate, …
    vidmoco.save_backbone(method.backbone, folder, size=size)
    return losses


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path("own_loop.pt"))[-1])
