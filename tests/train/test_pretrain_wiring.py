"""What ``pretrain`` hands to each step: a recorder stands before the real ``train_step``."""

import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from rich.console import Console
from torch import Tensor

from vidmoco import distributed
from vidmoco.backbones.build import load_backbone
from vidmoco.config.recipe import parse_recipe
from vidmoco.data import order
from vidmoco.data.source import open_source
from vidmoco.errors import TrainingError
from vidmoco.json_lines import read_metrics
from vidmoco.train import pretrain as pretrain_module
from vidmoco.train.pretrain import learning_rate_of, pretrain
from vidmoco.train.step import train_step

STEPS, STEPS_PER_EPOCH = 6, 2  # 16 videos, batches of 8

RECIPE = """
videos: [%s]
seed: 3
steps: 6
data: {batch_size: 8, short_side: 64, workers: 0}
augment: {size: 64}
backbone: {name: resnet10t}
engine: {log_every: 1, device: cpu, threads: 1, precision: %s}
"""
FAST_MOCO = """
method: {name: fast_moco, dim: 8, hidden_dim: 16, predictor_hidden_dim: 8}
optim:
  {name: sgd, lr: 0.64, predictor_lr: 0.3, clip_gradient: 0.7, warmup_epochs: 1, warmup_start: 0.25,
   schedule: cosine, update_every: step}
"""
MEMORY_BANK = """
method: {name: memory_bank, dim: 8, num_negatives: 12}
optim:
  {name: lars, lr: 0.64, decay_vectors: false, accumulate: 2, schedule: step,
   milestones: [0.3], update_every: epoch}
"""
# Of the rate, at each step: by hand, so that what ``learning_rate_of`` passes on is held too.
COSINE = [0.25, 0.625, *(0.5 + 0.5 * math.cos(math.pi * n / 4) for n in range(4))]
RUNS = {
    "bf16": (FAST_MOCO, COSINE),
    "fp32": (MEMORY_BANK, [1, 1, 0.1, 0.1, 0.1, 0.1]),
}


@dataclass
class Step:
    """What one step was given, and the rate that each parameter had in the optimiser."""

    options: dict
    precision: str
    rates: dict[str, float]
    weights: dict[str, Tensor]
    watched: str | None


@pytest.fixture(scope="module", params=RUNS)
def recorded(request, scanned, tmp_path_factory):
    """A finished run: its config, its folder, and its steps as they were recorded."""
    text, shares = RUNS[request.param]
    config = parse_recipe(RECIPE % (scanned / "videos", request.param) + text, source="test.yaml")
    folder = tmp_path_factory.mktemp("run")
    steps = []
    watched: list[str | None] = [None]

    @contextmanager
    def watching(what):
        watched.append(what)
        yield
        watched.append(None)

    def record(method, optimizer, views, **options):
        rate_of = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
        trained = {n: p for n, p in method.named_parameters() if p.requires_grad}
        with options["cast"]:
            enabled = torch.is_autocast_enabled("cpu")
            name = str(torch.get_autocast_dtype("cpu")) if enabled else "none"
        rates = {n: rate_of[id(p)] for n, p in trained.items()}
        weights = {n: p.detach().clone() for n, p in trained.items()}
        steps.append(Step(options, name, rates, weights, watched[-1]))
        return train_step(method, optimizer, views, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("VIDMOCO_CACHE", str(scanned / "cache"))
        patch.setattr(pretrain_module, "train_step", record)
        patch.setattr(distributed, "ends_soon", watching)
        patch.setattr(order, "_LEAST_BATCHES", STEPS_PER_EPOCH)
        quiet = Console(quiet=True)
        assert pretrain(config, run=folder / "run", console=quiet).step == STEPS
        source = open_source(config, resume=None, console=quiet)
        batches = list(source.batches(source.batching(), range(STEPS)))
    *reading, saving = [what for what in watched if what][::2]
    assert reading == [f"reading the frames of step {number}" for number in range(1, STEPS + 1)]
    assert saving == f"saving step {STEPS}"
    return config, folder / "run", steps, batches, shares


def test_each_step_gets_its_batch(recorded):
    _, _, steps, batches, _ = recorded
    assert len(steps) == len(batches) == STEPS
    for step, batch in zip(steps, batches, strict=True):
        assert torch.equal(step.options["source_ids"], batch.source_ids)
        assert torch.equal(step.options["times"], batch.pts_seconds)
        assert len(set(batch.source_ids.tolist())) == 8 and batch.pts_seconds.max() > 0
    assert len({str(batch.pts_seconds) for batch in batches}) == STEPS


def test_a_step_that_hangs_is_noticed(recorded):
    """By its process; the frames were read before it, and that too is watched."""
    _, _, steps, _, _ = recorded
    for number, step in enumerate(steps, 1):
        assert step.watched == f"taking step {number}, or waiting for one that is"


def test_each_step_gets_what_the_config_says(recorded):
    config, _, steps, _, _ = recorded
    for number, step in enumerate(steps):
        assert step.options["progress"] == number / STEPS
        assert step.options["clip_gradient"] == config.optim.clip_gradient
        assert step.options["num_parts"] == config.optim.accumulate
        assert step.precision == {"bf16": "torch.bfloat16", "fp32": "none"}[config.engine.precision]


def test_the_optimiser_has_the_rate_of_the_schedule_at_each_step(recorded):
    config, _, steps, _, shares = recorded
    for number, (step, share) in enumerate(zip(steps, shares, strict=True)):
        rate = learning_rate_of(config, number, STEPS, STEPS_PER_EPOCH)
        assert rate == pytest.approx(0.64 * 8 / 256 * share)
        constant = {n for n in step.rates if n.startswith("predictor.")}
        assert bool(constant) == (config.method.name == "fast_moco")
        for name, found in step.rates.items():
            assert found == (config.optim.predictor_lr if name in constant else rate), name


def test_the_logged_rate_is_the_optimisers_and_every_step_moves_the_weights(recorded):
    _, run, steps, _, _ = recorded
    logged = [line["lr"] for line in read_metrics(run / "metrics.jsonl")]
    trunk = next(n for n in steps[0].weights if n.endswith("conv1.0.weight"))
    assert logged == [step.rates[trunk] for step in steps]
    matrices = [n for n, weight in steps[0].weights.items() if weight.ndim > 1]
    for before, after in pairwise(steps):
        assert all((before.weights[n] != after.weights[n]).any() for n in matrices)
    saved = load_backbone(run).state_dict()
    at_the_start = steps[0].weights
    prefix = trunk.removesuffix("conv1.0.weight")
    for name in (n for n in matrices if n.startswith(prefix)):
        assert (saved[name.removeprefix(prefix)] != at_the_start[name]).any(), name


def test_weights_that_the_last_step_spoils_are_not_saved(videos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def spoil(method, *args, **options):
        values = train_step(method, *args, **options)
        with torch.no_grad():
            next(method.backbone.parameters()).fill_(math.inf)
        return values

    monkeypatch.setattr(pretrain_module, "train_step", spoil)
    config = parse_recipe(RECIPE % (videos, "fp32") + MEMORY_BANK, source="test.yaml")
    with pytest.raises(TrainingError, match=r"weights conv1.*are not finite"):
        pretrain(replace(config, steps=1), run=tmp_path / "run", console=Console(quiet=True))
    assert not (tmp_path / "run" / "backbone").exists()
    assert not list((tmp_path / "run" / "checkpoints").glob("*"))
