import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.optim.schedule import learning_rate, scaled_learning_rate


def at(step, **options):
    settings = {"total_steps": 2000, "steps_per_epoch": 10, "base_lr": 0.03, "schedule": "cosine"}
    return learning_rate(step, **(settings | options))


def test_cosine_of_moco_v2_changes_once_an_epoch():
    # adjust_learning_rate of the paper: lr * 0.5 * (1 + cos(pi * epoch / epochs)), 200 epochs
    for epoch in (0, 1, 57, 199):
        expected = 0.03 * 0.5 * (1 + math.cos(math.pi * epoch / 200))
        for step in (epoch * 10, epoch * 10 + 9):
            assert at(step) == pytest.approx(expected, rel=1e-12)


def test_steps_of_moco_v1_at_epochs_120_and_160():
    rates = [
        at(epoch * 10, schedule="step", milestones=(0.6, 0.8))
        for epoch in (0, 119, 120, 159, 160, 199)
    ]
    assert rates == pytest.approx([0.03, 0.03, 0.003, 0.003, 0.0003, 0.0003], rel=1e-9)


def test_per_step_cosine_is_torchs():
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], lr=0.03)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2000)
    for step in range(300):
        assert at(step, update_every="step") == pytest.approx(theirs.get_last_lr()[0], rel=1e-6)
        optimizer.step()
        theirs.step()


def test_warmup_is_linear_from_zero_and_meets_the_schedule():
    rates = [at(step, warmup_epochs=2, update_every="step") for step in range(21)]
    assert rates[0] == 0
    assert rates[10] == pytest.approx(0.015)
    assert rates[19] < rates[20] == 0.03  # the cosine begins where the warm-up ends


def test_cosine_of_moco_v3_runs_from_the_warmup_to_the_end():
    # adjust_learning_rate there: lr * 0.5 * (1 + cos(pi * (e - w) / (E - w))), by parts of epochs
    for step in (400, 777, 1999):
        epoch = step / 10
        expected = 0.03 * 0.5 * (1 + math.cos(math.pi * (epoch - 40) / (200 - 40)))
        assert at(step, warmup_epochs=40, update_every="step") == pytest.approx(expected)


def test_warmup_of_fast_moco_starts_at_a_quarter():
    rates = [at(step, warmup_epochs=1, warmup_start=0.25, update_every="step") for step in (0, 5)]
    assert rates == pytest.approx([0.0075, 0.01875])


@given(st.integers(0, 1999), st.sampled_from(["cosine", "step"]), st.floats(0, 20))
def test_rate_stays_between_zero_and_base(step, schedule, warmup):
    rate = at(step, schedule=schedule, milestones=(0.6, 0.8), warmup_epochs=warmup)
    assert 0 <= rate <= 0.03


def test_rate_grows_with_the_batch():
    assert scaled_learning_rate(0.03, batch_size=256) == 0.03
    assert scaled_learning_rate(0.03, batch_size=128) == 0.015  # the paper's own example
    assert scaled_learning_rate(0.075, batch_size=4096, scale="sqrt") == pytest.approx(4.8)
    assert scaled_learning_rate(0.1, batch_size=512, scale="none") == 0.1
