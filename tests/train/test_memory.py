import gc
import weakref

import pytest
import torch

from vidmoco import distributed
from vidmoco.cli.main import main
from vidmoco.config.recipe import load_recipe, with_settings
from vidmoco.errors import TrainingError
from vidmoco.methods.moco import MoCo
from vidmoco.train.memory import naming_the_batch_that_fits

CPU = torch.device("cpu")


def answer(config, *, most, error=None):
    """What is said where ``most`` pairs fit, and the numbers that were tried."""
    tried = []

    def attempt(num):
        tried.append(num)
        if num > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.zeros((), requires_grad=True) * 1

    with (
        pytest.raises(TrainingError) as refused,
        naming_the_batch_that_fits(config, CPU, attempt),
    ):
        raise error or torch.OutOfMemoryError("CUDA out of memory")
    return str(refused.value), tried


def test_a_queue_takes_the_same_batch_in_parts():
    text, tried = answer(load_recipe("moco_v2"), most=70)
    assert tried == [128, 64]
    assert text.startswith("256 pairs at once need more memory than cpu has left. 64 fit. Give ")
    assert "--optim.accumulate 4, which trains the same batch in parts, or --batch-size 64" in text


def test_negatives_of_the_batch_need_a_smaller_batch():
    text, _ = answer(load_recipe("simclr"), most=2000)
    assert "--batch-size 1024" in text or "--batch-size 2048" in text
    assert "accumulate" not in text


def test_parts_of_parts():
    config = with_settings(load_recipe("moco_v2"), {"optim": {"accumulate": 4}})
    text, tried = answer(config, most=32)
    assert tried == [32] and "--optim.accumulate 8" in text and "--batch-size 128" in text


def test_nothing_fits():
    text, tried = answer(load_recipe("tiny_cpu"), most=0)
    assert tried[-1] == 2
    assert "Not even 2 fit. Give a smaller --augment.size, or another --backbone.name." in text


def test_several_processes_try_nothing(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    text, tried = answer(load_recipe("tiny_cpu"), most=100)
    assert tried == []
    assert text.startswith("64 pairs at once need more memory") and "--batch-size 64" in text


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 TiB")]
)
def test_a_cpu_runs_out_too(error):
    assert "fit" in answer(load_recipe("tiny_cpu"), most=8, error=error)[0]


def test_other_errors_stay():
    with (
        pytest.raises(RuntimeError, match="shapes"),
        naming_the_batch_that_fits(load_recipe("tiny_cpu"), CPU, torch.zeros),
    ):
        raise RuntimeError("shapes differ")
    with naming_the_batch_that_fits(load_recipe("tiny_cpu"), CPU, torch.zeros):
        pass


def test_a_training_says_which_batch_fits(scanned, tmp_path, monkeypatch, capsys):
    whole = MoCo.forward

    def forward(method, views, **options):
        if len(views[0]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return whole(method, views, **options)

    monkeypatch.setattr(MoCo, "forward", forward)
    words = (
        "--recipe demo --steps 2 --data.batch-size 16 --method.queue-size 16 --augment.size 32 "
        f"--data.short-side 32 --workers 1 --run {tmp_path / 'run'}"
    )
    assert main(["pretrain", str(scanned / "videos"), *words.split()]) == 2
    error = capsys.readouterr().err
    assert "16 pairs at once need more memory than cpu has left. 4 fit." in error
    assert "--optim.accumulate 4" in error and "--batch-size 4" in error
    assert "Traceback" not in error


def test_nothing_is_held_while_smaller_batches_are_tried():
    """The frames of the error hold the activations that did not fit."""
    held = []

    class Activations:
        pass

    def step():
        here = Activations()
        held.append(weakref.ref(here))
        raise torch.OutOfMemoryError("CUDA out of memory")

    def attempt(num):
        gc.collect()
        assert held[0]() is None
        return torch.zeros((), requires_grad=True) * 1

    with (
        pytest.raises(TrainingError, match="fit"),
        naming_the_batch_that_fits(load_recipe("moco_v2"), CPU, attempt),
    ):
        step()
