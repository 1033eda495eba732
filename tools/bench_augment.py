"""Time vidmoco's batched views of MoCo v2 and torchvision's views; prints a Markdown table.

    python tools/bench_augment.py

Both make the same views of the same frames on one CPU thread, in turn. Numbers are medians of the
CPU time of five rounds, after a warm-up round. Frames are smooth noise, because the time does not
depend on their content.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torchvision.transforms import v2

from vidmoco.augment.resample import blur_kernel_size
from vidmoco.augment.views import IMAGENET_MEAN, IMAGENET_STD, build_augment
from vidmoco.config.augment import AugmentConfig
from vidmoco.device import keep_freed_memory

ROUNDS = 5
CASES = [(64, (72, 128), 128), (224, (256, 455), 32)]  # size, canvas (height, width), pairs


def torchvision_view(config: AugmentConfig) -> Callable[[Tensor], Tensor]:
    """Return the same view of one uint8 frame (3, H, W) by torchvision's transforms."""
    jitter = v2.ColorJitter(config.brightness, config.contrast, config.saturation, config.hue)
    blur = v2.GaussianBlur(blur_kernel_size(config.size), config.blur_sigma)
    return v2.Compose(
        [
            v2.RandomResizedCrop(config.size, scale=config.crop_scale, antialias=True),
            v2.RandomApply([jitter], config.jitter_probability),
            v2.RandomGrayscale(config.grayscale_probability),
            v2.RandomApply([blur], config.blur_probability),
            v2.RandomHorizontalFlip(config.flip_probability),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )


def milliseconds_per_view(size: int, canvas: tuple[int, int], num_pairs: int) -> list[float]:
    """Return the CPU time per view in ms: batched, and one sample at a time."""
    config = AugmentConfig(size=size)
    height, width = canvas
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    coarse = torch.rand(num_pairs * 2, 3, height // 8, width // 8, generator=generator) * 255
    frames = torch.nn.functional.interpolate(coarse, canvas, mode="bicubic").clamp(0, 255).byte()
    pairs = frames.view(num_pairs, 2, 3, height, width)
    aspects = torch.full((num_pairs,), width / height)
    augment, transform = build_augment(config), torchvision_view(config)
    sides: tuple[Callable[[], object], ...] = (
        lambda: augment(pairs, aspects, generator),
        lambda: torch.stack([transform(frame) for frame in frames]),
    )
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 1):
        for taken, make in zip(times, sides, strict=True):
            began = time.process_time()
            make()
            taken.append(time.process_time() - began)
    return [1000 * median(taken[1:]) / len(frames) for taken in times]


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    keep_freed_memory(torch.device("cpu"))  # as in a training; both sides have it
    print("| view | canvas | pairs | batched, ms per view | torchvision, ms per view | ratio |")
    print("|---|---|---|---|---|---|")
    for size, (height, width), num_pairs in CASES:
        ours, theirs = milliseconds_per_view(size, (height, width), num_pairs)
        print(
            f"| {size} | {width} x {height} | {num_pairs} | {ours:.3f} | {theirs:.3f} | "
            f"{theirs / ours:.1f} |"
        )


if __name__ == "__main__":
    main()
