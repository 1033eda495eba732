import torch
from torch import nn

from vidmoco.methods.random_state import RandomState


def test_a_module_that_is_loaded_draws_on(tmp_path):
    first, second = (nn.ModuleDict({"random": RandomState(seed)}) for seed in (1, 2))
    torch.rand(3, generator=first["random"].generator)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    draws = [torch.rand(5, generator=one["random"].generator) for one in (first, second)]
    assert torch.equal(*draws)


def test_the_seed_decides():
    a, b, c = (torch.rand(5, generator=RandomState(seed).generator) for seed in (3, 3, 4))
    assert torch.equal(a, b) and not torch.equal(a, c)
