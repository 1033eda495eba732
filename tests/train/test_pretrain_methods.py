"""Every method through the whole command: a run stopped in the middle is the run in one go."""

import json
import tarfile

import numpy as np
import pytest
import torch
from tiny_run import numbers, signal_in

from vidmoco.backbones.build import load_backbone
from vidmoco.cli.main import main
from vidmoco.config.methods import METHOD_CONFIGS

SMALL = """
steps: 4
data: {batch_size: 8, short_side: 64, workers: 0}
augment: {size: 64, small_crops: 1, small_size: 32, second_blur_probability: 0.1}
backbone: {name: %s}
method: {%s}
optim: {%s, warmup_epochs: 1, update_every: step}
engine: {log_every: 1, threads: 1}
"""
RESNET, VIT = "test_resnet", "test_vit"
RUNS = {
    "moco, symmetric": (
        RESNET,
        "name: moco, queue_size: 40, bn_splits: 2, symmetric: true, same_video: masked",
        "name: sgd, lr: 0.5",
    ),
    "moco, four frames": (
        RESNET,
        "name: moco, queue_size: 40, bn_splits: 2, symmetric: true",
        "name: sgd, lr: 0.5, accumulate: 2",
    ),
    "moco_v3": (
        RESNET,
        "name: moco_v3, dim: 8, hidden_dim: 16",
        "name: lars, lr: 9, decay_vectors: false",
    ),
    "moco_v3, transformer": (
        VIT + ", freeze_patches: true",
        "name: moco_v3, dim: 8, hidden_dim: 16, projector_layers: 3, predictor_norm: true",
        "name: adamw, lr: 0.01",
    ),
    "fast_moco": (
        RESNET,
        "name: fast_moco, dim: 8, hidden_dim: 16, predictor_hidden_dim: 8",
        "name: sgd, lr: 0.5, predictor_lr: 0.1, clip_gradient: 1",
    ),
    "fast_moco, transformer": (
        VIT,
        "name: fast_moco, dim: 8, hidden_dim: 16, predictor_hidden_dim: 8",
        "name: adamw, lr: 0.01",
    ),
    "simclr": (RESNET, "name: simclr, dim: 8", "name: lars, lr: 9, decay_vectors: false"),
    "end_to_end": (RESNET, "name: end_to_end, dim: 8, bn_splits: 2", "name: sgd, lr: 0.5"),
    "memory_bank": (
        RESNET,
        "name: memory_bank, dim: 8, num_negatives: 12",
        "name: sgd, lr: 0.5, accumulate: 2",
    ),
}


def test_every_method_is_run():
    missing = METHOD_CONFIGS.keys() - {name.split(",")[0] for name in RUNS}
    assert not missing, f"RUNS has no run of {missing}."


@pytest.mark.parametrize("name", RUNS)
def test_a_run_in_two_parts_is_the_run_in_one(name, videos, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL % RUNS[name])
    words = ["pretrain", str(videos), "--recipe", "small.yaml"]
    if "four frames" in name:
        words += ["--data.frames-per-video", "4", "--augment.large-views", "4"]
    words += ["--run"]
    assert main([*words, "whole"]) == 0
    whole = numbers(tmp_path / "whole")
    assert len(whole) == 4
    assert all(np.isfinite(value) for line in whole for value in line.values())
    assert {"loss_minus_chance", "top1", "positive", "spread", "effective_rank"} <= whole[0].keys()
    with signal_in(2):
        assert main([*words, "parts"]) == 143
    assert main(["pretrain", "--run", "parts", "--resume"]) == 0
    assert numbers(tmp_path / "parts") == whole
    one, other = (load_backbone(tmp_path / run).state_dict() for run in ("whole", "parts"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    text = (tmp_path / "whole" / "backbone" / "config.json").read_text()
    assert json.loads(text)["vidmoco"]["method"] == name.split(",")[0]


def test_pairs_without_a_gap_are_the_image_method_bit_for_bit(videos, tmp_path):
    """Frames of videos at gap zero, the same as single frames, the same as image files."""
    # One frame a video, as a JPEG file in a shard; then the same files by themselves.
    assert (
        main(["prepare", str(videos), "-o", "frames", "--fps", "0.1", "--workers", "1"]) == 1
    )  # text.mp4
    for shard in (tmp_path / "frames" / "shards").iterdir():
        with tarfile.open(shard) as tar:
            for member in tar:
                path = tmp_path / "images" / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(tar.extractfile(member).read())
    (tmp_path / "small.yaml").write_text(SMALL % RUNS["moco, symmetric"])
    ways = {
        "gap": ["frames", "--data.max-gap", "0"],
        "single": ["frames", "--data.single-frame"],
        "files": ["images"],
    }
    for name, words in ways.items():
        run = ["--recipe", "small.yaml", "--run", name]
        assert main(["pretrain", *words, *run]) == 0
    assert numbers(tmp_path / "gap") == numbers(tmp_path / "single") == numbers(tmp_path / "files")
    states = [load_backbone(tmp_path / name).state_dict() for name in ways]
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]) and torch.equal(value, states[2][key])
