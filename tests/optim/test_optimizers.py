import pytest
import torch
from reference import optim as slow
from torch import nn

from vidmoco.config.optim import OptimConfig
from vidmoco.optim.optimizers import build_optimizer, set_learning_rate


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU())
        self.predictor = nn.Linear(6, 3)
        self.frozen = nn.Linear(3, 3).requires_grad_(False)

    def forward(self, x):
        return self.frozen(self.predictor(self.encoder(x))).square().mean()


@pytest.mark.parametrize(
    ("name", "decay_vectors"),
    [("sgd", True), ("sgd", False), ("adamw", True), ("adamw", False), ("lars", False)],
)
def test_fifty_steps_equal_the_slow_restatement(name, decay_vectors):
    model = Model().double()
    config = OptimConfig(
        name=name, weight_decay=0.05, decay_vectors=decay_vectors, trust_coefficient=0.02
    )
    optimizer = build_optimizer(model.named_parameters(), config)
    expected = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    states = {n: {} for n in expected}
    generator = torch.Generator().manual_seed(1)
    for step in range(50):
        lr = slow.rate(step)
        set_learning_rate(optimizer, lr)
        model(torch.randn(8, 4, generator=generator, dtype=torch.float64)).backward()
        for n, p in model.named_parameters():
            if not p.requires_grad:
                continue
            vector = p.ndim == 1
            decay = 0.05 if decay_vectors or not vector else 0.0
            if name == "lars":
                expected[n] = slow.lars(
                    expected[n], p.grad, states[n], lr=lr, momentum=0.9, decay=0.05, trust=0.02,
                    excluded=vector,
                )  # fmt: skip
            elif name == "adamw":
                expected[n] = slow.adamw(expected[n], p.grad, states[n], lr=lr, decay=decay)
            else:
                expected[n] = slow.sgd(
                    expected[n], p.grad, states[n], lr=lr, momentum=0.9, decay=decay
                )
        optimizer.step()
        optimizer.zero_grad()
        for n, p in model.named_parameters():
            if p.requires_grad:
                torch.testing.assert_close(p.detach(), expected[n], rtol=1e-6, atol=1e-9)


def test_the_predictor_keeps_its_own_learning_rate():
    model = Model()
    optimizer = build_optimizer(model.named_parameters(), OptimConfig(predictor_lr=0.1))
    set_learning_rate(optimizer, 0.025)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    found = {n: rates.get(id(p)) for n, p in model.named_parameters()}
    assert found == {
        "encoder.0.weight": 0.025, "encoder.0.bias": 0.025, "encoder.1.weight": 0.025,
        "encoder.1.bias": 0.025, "predictor.weight": 0.1, "predictor.bias": 0.1,
        "frozen.weight": None, "frozen.bias": None,
    }  # fmt: skip


def test_a_state_goes_into_an_optimizer_of_the_same_settings():
    for name in ("sgd", "lars", "adamw"):
        model = Model()
        config = OptimConfig(name=name, decay_vectors=False, predictor_lr=0.1)
        first, second = (build_optimizer(model.named_parameters(), config) for _ in range(2))
        set_learning_rate(first, 0.1)
        model(torch.ones(8, 4)).backward()
        first.step()
        second.load_state_dict(first.state_dict())
        assert second.state_dict()["param_groups"] == first.state_dict()["param_groups"]
