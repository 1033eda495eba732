import pytest
import torch
from method_material import built, normed_backbone

from vidmoco import distributed
from vidmoco.config.methods import SimCLRConfig
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.runtime import EngineConfig
from vidmoco.errors import CheckpointError
from vidmoco.train.metrics import MetricsLog
from vidmoco.train.run_state import RunState, newest_checkpoint, settings_of_checkpoint


def state_of(run, seed, **engine):
    method = built(SimCLRConfig(dim=5), normed_backbone())
    torch.manual_seed(seed)  # after the weights, which have a seed of their own
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1, momentum=0.9)
    metrics = MetricsLog(run / "metrics.jsonl", log_every=1, batch_size=2, total_steps=9)
    return RunState(
        run,
        method,
        optimizer,
        torch.Generator().manual_seed(seed),
        metrics,
        PretrainConfig(engine=EngineConfig(**engine)),
    )


def test_a_resume_draws_the_numbers_that_the_run_would_have_drawn(tmp_path):
    """Those of the views, and torch's own, which dropout and stochastic depth draw."""
    first = state_of(tmp_path, 0)
    first.save(3)
    first.writer.wait()
    views, own = torch.rand(5, generator=first.augment_generator), torch.rand(5)
    second = state_of(tmp_path, 1)
    assert second.load_newest() == 3
    assert torch.equal(torch.rand(5, generator=second.augment_generator), views)
    assert torch.equal(torch.rand(5), own)
    ours, saved = second.method.state_dict(), first.method.state_dict()
    assert all(torch.equal(ours[name], saved[name]) for name in saved)


@pytest.mark.parametrize(
    ("engine", "due"),
    [({"checkpoint_steps": 2}, [2, 4]), ({"checkpoint_minutes": 1e-9}, [1, 2, 3, 4])],
)
def test_a_checkpoint_is_due_once_and_not_before_the_first_step(engine, due, tmp_path):
    state, found = state_of(tmp_path, 0, **engine), []
    for step in range(5):
        if state.is_due(step):
            found.append(step)
            state.save(step)
            assert not state.is_due(step)
    state.writer.wait()
    assert found == due
    assert state.load_newest() == 4 and not state.is_due(4)


def test_a_checkpoint_holds_its_settings(tmp_path):
    assert settings_of_checkpoint(tmp_path) is None
    first = state_of(tmp_path, 0)
    first.save(3)
    first.writer.wait()
    assert settings_of_checkpoint(tmp_path) == PretrainConfig()
    path = tmp_path / "checkpoints" / "step_00000003.pt"
    torch.save({"step": 3}, path)  # as vidmoco 0.1.0 wrote it
    assert settings_of_checkpoint(tmp_path) is None
    torch.save({"step": 3, "settings": {"sed": 1}}, path)
    with pytest.raises(CheckpointError, match="unknown key 'sed'"):
        settings_of_checkpoint(tmp_path)


def test_all_processes_take_the_checkpoint_that_the_main_one_sees(tmp_path, monkeypatch):
    """A file server may show another machine a newer or an older folder."""
    for step in (2, 3):
        (tmp_path / f"step_{step:08d}.pt").touch()
    assert newest_checkpoint(tmp_path).name == "step_00000003.pt"
    monkeypatch.setattr(distributed, "gather_objects", lambda item: ["step_00000002.pt", item])
    assert newest_checkpoint(tmp_path).name == "step_00000002.pt"
    assert newest_checkpoint(tmp_path / "not yet").name == "step_00000002.pt"
    monkeypatch.setattr(distributed, "gather_objects", lambda item: ["", item])
    assert newest_checkpoint(tmp_path) is None
