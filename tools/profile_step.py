"""Measure the share of each part of a training step; prints a Markdown table.

    python tools/profile_step.py VIDEOS [--recipe tiny_cpu] [--steps 10] [--trace trace.json]

It runs the step of ``bench_step`` on a batch in memory under torch's profiler, and counts the time
of one thread on a CPU, or of the kernels on CUDA. ``--trace`` writes a file for chrome://tracing
and Perfetto.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bench_step import Training, training_on
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe
from vidmoco.video.open_catalog import open_catalog

WHOLE, METHOD, VIEWS = "whole step", "method", "views"
ENCODERS = {
    "encoder_q": "forward of the query encoder",
    "encoder_k": "forward of the key encoder",
    "encoder": "forward of the encoder",
}
MOMENTUM = ("aten::_foreach_lerp_", "aten::lerp_")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--recipe", default="tiny_cpu")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--trace", type=Path)
    given = parser.parse_args()
    config = load_recipe(given.recipe)
    assert isinstance(config, PretrainConfig)
    training = training_on(config, open_catalog([given.videos]).readable())
    torch.set_num_threads(1)
    times = profiled(training, steps=given.steps, trace=given.trace)
    total = times[WHOLE]
    print(f"{given.recipe} on {training.device}, {1e-3 * total / given.steps:.0f} ms a step\n")
    print("| | share of the step |")
    print("|---|---|")
    for name, time in shares(times).items():
        print(f"| {name} | {100 * time / total:.1f} % |")


def profiled(training: Training, *, steps: int, trace: Path | None) -> dict[str, float]:
    """Return the microseconds of all steps by the names of this file's and torch's ranges."""
    method = training.method
    ranges = {METHOD: method}
    ranges |= {
        ENCODERS[name]: module for name, module in method.named_children() if name in ENCODERS
    }
    activities = [ProfilerActivity.CPU]
    on_cuda = training.device.type == "cuda"
    if on_cuda:
        activities.append(ProfilerActivity.CUDA)
    for name, module in ranges.items():
        mark(module, name)
    views = training.views(training.resident)
    for _ in range(3):
        training.step(views, training.resident.source_ids)
    with profile(activities=activities) as profiler:
        for _ in range(steps):
            with record_function(WHOLE):
                with record_function(VIEWS):
                    views = training.views(training.resident)
                training.step(views, training.resident.source_ids)
        if on_cuda:
            torch.cuda.synchronize(training.device)
    if trace is not None:
        profiler.export_chrome_trace(str(trace))
    events = profiler.key_averages()
    if not on_cuda:
        return {event.key: event.cpu_time_total for event in events}
    times = {event.key: event.device_time_total for event in events}
    # Another thread starts the kernels of the backward pass, outside of the ranges.
    kernels = [event for event in events if not event.is_user_annotation]
    return times | {WHOLE: sum(event.self_device_time_total for event in kernels)}


def mark(module: nn.Module, name: str) -> None:
    """Record the forward pass of a module as a range."""
    forward: Callable[..., Any] = module.forward

    def marked(*args: Any, **kwargs: Any) -> Any:
        with record_function(name):
            return forward(*args, **kwargs)

    module.forward = marked  # type: ignore[method-assign]


def shares(times: dict[str, float]) -> dict[str, float]:
    """Return the time of each part of the step; the parts add up to the whole."""
    parts = {VIEWS: times[VIEWS]}
    parts |= {name: times[name] for name in ENCODERS.values() if name in times}
    encoders = sum(parts.values()) - parts[VIEWS]
    momentum = sum(times.get(name, 0.0) for name in MOMENTUM)
    optimizer = sum(time for name, time in times.items() if name.startswith("Optimizer.step#"))
    parts["backward"] = times[WHOLE] - times[VIEWS] - times[METHOD] - optimizer
    parts["optimiser"] = optimizer
    parts["momentum update"] = momentum
    parts["loss, queue and diagnostics"] = times[METHOD] - encoders - momentum
    return parts


if __name__ == "__main__":
    main()
