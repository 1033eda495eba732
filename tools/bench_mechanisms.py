"""Memory and time of the three mechanisms of contrastive learning; prints a Markdown table.

    python tools/bench_mechanisms.py [--backbone resnet18] [--size 64] [--negatives 256 1024 65536]

The mechanisms are end to end, memory bank and MoCo (He et al. 2020, figure 2), with one encoder and
random views. End to end needs a batch as large as its negatives, and is left out if that exceeds
--largest-batch; the others keep their batch. Each row is measured in its own process. Memory is its
peak (on a CPU that of the whole process, which begins with 0.6 GB); time is the median of the
steps. Compare table 3 of MoCo v2 (Chen et al. 2020): 5.0 GB and 53 hours for MoCo with a batch of
256, 7.4 GB and 65 hours for SimCLR's mechanism with 256, and 93 GB (estimated) with 4,096.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from statistics import median

INSTANCES = 100_000  # entries of the memory bank


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--negatives", type=int, nargs="+", default=[256, 1024, 65536])
    parser.add_argument("--largest-batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    print("| mechanism | negatives | batch | ms per step | samples/s | peak memory, GB |")
    print("|---|---|---|---|---|---|")
    for negatives in given.negatives:
        for mechanism in ("end_to_end", "memory_bank", "moco"):
            batch = negatives if mechanism == "end_to_end" else given.batch
            if batch > given.largest_batch:
                print(f"| {mechanism} | {negatives:,} | {batch:,} | left out | | |", flush=True)
                continue
            arguments = (
                mechanism, negatives, batch, given.backbone, given.size, given.steps, given.device
            )  # fmt: skip
            process = multiprocessing.get_context("spawn").Process(target=measure, args=arguments)
            process.start()
            process.join()
            if process.exitcode:
                sys.exit(process.exitcode)


def measure(
    mechanism: str, negatives: int, batch: int, backbone: str, size: int, steps: int, device: str
) -> None:
    """Take some steps of one mechanism, and print a row of the table."""
    import numpy as np
    import torch

    from vidmoco.config.augment import AugmentConfig
    from vidmoco.config.backbone import BackboneConfig
    from vidmoco.config.data import DataConfig
    from vidmoco.config.methods import EndToEndConfig, MemoryBankConfig, MoCoConfig
    from vidmoco.config.pretrain import PretrainConfig
    from vidmoco.device import autocast, resolve_device
    from vidmoco.optim.optimizers import build_optimizer, set_learning_rate
    from vidmoco.train.build import assemble_method
    from vidmoco.train.step import train_step

    where = resolve_device(device)
    config = PretrainConfig(
        data=DataConfig(batch_size=batch),
        augment=AugmentConfig(size=size),
        backbone=BackboneConfig(name=backbone),
        method={
            "end_to_end": EndToEndConfig(bn_splits=1),
            "memory_bank": MemoryBankConfig(loss="info_nce", num_negatives=negatives),
            "moco": MoCoConfig(head="linear", tau=0.07, queue_size=negatives, bn_splits=1),
        }[mechanism],
    )
    torch.manual_seed(0)
    method = assemble_method(config, device=where, durations=np.ones(INSTANCES)).to(where)
    optimizer = build_optimizer(method.named_parameters(), config.optim)
    set_learning_rate(optimizer, 1e-3)
    views = [
        torch.randn(batch, 3, size, size, device=where).contiguous(
            memory_format=torch.channels_last
        )
        for _ in range(2)
    ]
    ids = torch.randint(INSTANCES, (batch,), device=where)
    times = torch.zeros(batch, 2, dtype=torch.float64, device=where)
    taken = []
    for _ in range(steps + 2):
        began = time.monotonic()
        train_step(
            method,
            optimizer,
            views,
            source_ids=ids,
            times=times,
            progress=0.0,
            num_parts=1,
            clip_gradient=None,
            cast=autocast(where, config.engine.precision),
        )
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        taken.append(time.monotonic() - began)
    seconds = median(taken[2:])
    if where.type == "cuda":
        peak = torch.cuda.max_memory_allocated(where)
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"| {mechanism} | {negatives:,} | {batch:,} | {1000 * seconds:.0f} | "
        f"{batch / seconds:.0f} | {peak / 1e9:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
