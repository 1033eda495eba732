"""A step of every recipe on the GPU: the numbers of the CPU, and no wait."""

import copy
from contextlib import nullcontext

import golden
import numpy as np
import pytest
import torch
from host_waits import no_host_waits

from vidmoco.config.recipe import shipped_recipes
from vidmoco.device import autocast, to_device
from vidmoco.methods.build import compile_encoders
from vidmoco.optim.optimizers import build_optimizer, set_learning_rate
from vidmoco.train.build import assemble_method
from vidmoco.train.step import train_step

STEPS = 3
CPU = torch.device("cpu")


def method_of(name):
    config = golden.small(name)
    torch.manual_seed(0)
    return config, assemble_method(config, device=CPU, durations=np.ones(golden.VIDEOS))


def material_of(config, step, device):
    rows = torch.arange(golden.BATCH) + golden.BATCH * (step % 3)
    views = golden.cut_views(golden.frames()[rows], config, step=step)
    times = torch.tensor([[0.0, 1.0]] * golden.BATCH, dtype=torch.float64)
    return [to_device(view.float(), device) for view in views], {
        "source_ids": to_device(rows, device), "times": to_device(times, device)
    }  # fmt: skip


def take_step(method, optimizer, config, views, inputs, step, *, cast=None):
    return train_step(
        method,
        optimizer,
        views,
        **inputs,
        progress=step / STEPS,
        num_parts=1,
        clip_gradient=config.optim.clip_gradient,
        cast=cast or nullcontext(),
    )


def train(config, method, device, *, lr=1e-3, steps=STEPS, cast=None):
    """Return the losses and the method after some steps from the same weights."""
    method = copy.deepcopy(method).to(device)
    optimizer = build_optimizer(method.named_parameters(), config.optim)
    set_learning_rate(optimizer, lr)
    losses = []
    for step in range(steps):
        views, inputs = material_of(config, step, device)
        values = take_step(method, optimizer, config, views, inputs, step, cast=cast)
        losses.append(values["loss"].item())
    return losses, method


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_gpu_computes_what_the_cpu_does(name, device):
    """In float32: losses to 1 in 10,000, weights and queue to what three steps make of it."""
    config, method = method_of(name)
    expected, on_cpu = train(config, method, CPU)
    found, on_device = train(config, method, device)
    assert found == pytest.approx(expected, rel=1e-4)
    state = on_device.state_dict()
    for key, value in on_cpu.state_dict().items():
        torch.testing.assert_close(state[key].cpu(), value, rtol=1e-2, atol=1e-3, msg=key)


@pytest.mark.parametrize("name", shipped_recipes())
def test_gradients_are_those_of_the_cpu(name, device):
    gradients = {}
    config, method = method_of(name)
    for where in (CPU, device):
        copied = copy.deepcopy(method).to(where)
        views, inputs = material_of(config, 0, where)
        copied.begin_step(0.0)
        loss, _ = copied(views, **inputs)
        loss.backward()
        gradients[where] = {
            key: p.grad.cpu() for key, p in copied.named_parameters() if p.grad is not None
        }
    assert gradients[CPU].keys() == gradients[device].keys() and gradients[CPU]
    for key, expected in gradients[CPU].items():
        scale = expected.abs().max().item()
        torch.testing.assert_close(
            gradients[device][key], expected, rtol=1e-2, atol=1e-3 * scale + 1e-7, msg=key
        )


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_host_waits_for_nothing_in_a_step(name, device):
    config, method = method_of(name)
    method = method.to(device)
    optimizer = build_optimizer(method.named_parameters(), config.optim)
    set_learning_rate(optimizer, 1e-3)
    for step in range(STEPS):
        views, inputs = material_of(config, step, device)
        if step == 0:  # libraries start, and buffers are made
            take_step(method, optimizer, config, views, inputs, step)
            continue
        # A CPU checks in every step that the loss is finite; on CUDA the log does.
        with no_host_waits(device, allowed=1):
            take_step(method, optimizer, config, views, inputs, step)


def test_a_wait_is_found(device):
    with pytest.raises((AssertionError, RuntimeError)), no_host_waits(device):
        torch.ones(3, device=device).sum().item()
    with pytest.raises((AssertionError, RuntimeError)), no_host_waits(device):
        rows = torch.ones(3, device=device)
        rows[rows > 0]


@pytest.mark.parametrize("name", ["moco_v2", "moco_v3_vit_small", "simclr", "vidmoco"])
def test_bf16_is_near_float32(name, device):
    config, method = method_of(name)
    exact, _ = train(config, method, device, steps=1)
    rough, _ = train(config, method, device, steps=1, cast=autocast(device, "bf16"))
    assert rough == pytest.approx(exact, rel=0.05) and rough != exact


@pytest.mark.gpu_only
@pytest.mark.parametrize("cuda_graphs", [False, True])
@pytest.mark.parametrize("name", ["moco_v2", "moco_v3_vit_small", "vidmoco"])
def test_compiled_encoders_compute_the_same(name, cuda_graphs, device):
    config, method = method_of(name)
    expected, _ = train(config, method, device, steps=STEPS)
    compiled = copy.deepcopy(method)
    compile_encoders(compiled, cuda_graphs=cuda_graphs)
    found, _ = train(config, compiled, device, steps=STEPS)
    assert found == pytest.approx(expected, rel=1e-3)
