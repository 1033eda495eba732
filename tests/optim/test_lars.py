import pytest
import torch

from vidmoco.optim.lars import Lars


def lars(*parameters):
    group = {"params": list(parameters), "lr": 0.5, "weight_decay": 0.1, "adapts": True}
    return Lars([group], momentum=0.9, trust_coefficient=0.01)


def test_a_step_is_in_proportion_to_the_norm():
    """Whatever the gradient's size, the first step has lr * trust * |p|."""
    for scale in (1e-3, 1e3):
        p = torch.nn.Parameter(torch.tensor([[3.0, 4.0]]))
        before = p.detach().clone()
        p.grad = torch.tensor([[1.0, -2.0]]) * scale
        lars(p).step()
        assert (p - before).norm().item() == pytest.approx(0.5 * 0.01 * 5, rel=1e-4)


def test_a_norm_of_zero_gives_a_plain_step():
    p = torch.nn.Parameter(torch.zeros(1, 2))
    p.grad = torch.tensor([[1.0, -2.0]])
    optimizer = lars(p, torch.nn.Parameter(torch.ones(2, 2)))  # the other has no gradient
    optimizer.step()
    assert p.tolist() == [[-0.5, 1.0]]
    with pytest.raises(ValueError, match="closure"):
        optimizer.step(lambda: 0.0)
