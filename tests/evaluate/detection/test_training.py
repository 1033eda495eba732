from contextlib import nullcontext

import pytest
import torch
from detection_material import random_shapes, write_coco
from torch import nn

from vidmoco.errors import TrainingError
from vidmoco.evaluate.detection.load import load_sets
from vidmoco.evaluate.detection.training import build_optimizer, detect, measure_norms, train_step


class Toy(nn.Module):
    """Stands for a detector: a convolution and a batch norm over a batch of images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        self.bn = nn.BatchNorm2d(2)

    def forward(self, images, targets):
        out = self.bn(self.conv(torch.stack(images)))
        return {"first": out.square().mean(), "second": (out - 1).square().mean()}


def batches(count):
    generator = torch.Generator().manual_seed(0)
    return [
        ([torch.rand(3, 4, 4, generator=generator) for _ in range(3)], []) for _ in range(count)
    ]


def test_batch_norms_have_no_decay():
    model = Toy()
    optimizer = build_optimizer(model, momentum=0.9, weight_decay=1e-4)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decays == {
        id(model.conv.weight): 1e-4,
        id(model.conv.bias): 1e-4,
        id(model.bn.weight): 0.0,
        id(model.bn.bias): 0.0,
    }
    model.bn.requires_grad_(False)
    optimizer = build_optimizer(model, momentum=0.9, weight_decay=1e-4)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2]


def test_a_step_is_that_of_sgd_on_the_sum_of_the_losses():
    model = Toy()
    optimizer = build_optimizer(model, momentum=0.9, weight_decay=0.0)
    ((images, targets),) = batches(1)
    before = model.bn.bias.detach().clone()
    losses = model(images, targets)
    (gradient,) = torch.autograd.grad(sum(losses.values()), [model.bn.bias])
    values = train_step(model, optimizer, images, targets, lr=0.1, cast=nullcontext())
    assert values["loss"] == pytest.approx(sum(loss.item() for loss in losses.values()))
    assert values["first"] == pytest.approx(losses["first"].item())
    assert torch.allclose(model.bn.bias, before - 0.1 * gradient)


def test_a_loss_that_is_not_finite_ends_the_run_before_its_step():
    model = Toy()
    optimizer = build_optimizer(model, momentum=0.9, weight_decay=0.0)
    before = model.conv.weight.detach().clone()
    images = [torch.full((3, 4, 4), float("inf"))]
    with pytest.raises(TrainingError, match=r"The loss is nan.*lower --lr"):
        train_step(model, optimizer, images, [], lr=0.1, cast=nullcontext())
    assert torch.equal(model.conv.weight, before)


def test_measured_statistics_are_means_over_the_batches():
    model = Toy().train()
    model(*batches(1)[0])  # statistics that must be forgotten
    weights = [parameter.clone() for parameter in model.parameters()]
    given = batches(5)
    measure_norms(model, given, cast=nullcontext())
    outputs = [model.conv(torch.stack(images)) for images, _ in given]
    means = torch.stack([out.mean((0, 2, 3)) for out in outputs])
    variances = torch.stack([out.var((0, 2, 3)) for out in outputs])
    assert torch.allclose(model.bn.running_mean, means.mean(0))
    assert torch.allclose(model.bn.running_var, variances.mean(0))
    assert model.bn.momentum == 0.1
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))


def test_each_image_is_looked_at_by_itself(tmp_path):
    given = write_coco(tmp_path, random_shapes(3))
    images = load_sets([given], given)[1].images
    seen = []

    class Counter(nn.Module):
        def forward(self, pixels):
            seen.append(pixels)
            boxes = torch.full((1, 4), float(len(seen)))
            return [{"boxes": boxes, "scores": torch.ones(1), "labels": torch.ones(1).long()}]

    found = detect(Counter(), images, device=torch.device("cpu"), cast=nullcontext())
    assert [one.boxes[0, 0].item() for one in found] == [1, 2, 3]
    for image, pixels in zip(images, seen, strict=True):
        (one,) = pixels
        assert torch.equal((one * 255).round().to(torch.uint8), image.read())
