import torch
from full_disk import no_file_larger_than
from torch import nn

from vidmoco.evaluate.finetune_state import FinetuneState

CURVE = [{"epoch": 1.0, "train_loss": 2.0, "top1": 30.0}]


def trained():
    torch.manual_seed(0)
    model = nn.Linear(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return model, optimizer


def test_an_epoch_comes_back_with_model_and_optimiser():
    model, optimizer = trained()
    assert FinetuneState({"a": 1}, epochs=2).load(model, optimizer) == []
    FinetuneState({"a": 1}, epochs=2).save(model, optimizer, CURVE)
    other = nn.Linear(2, 3)
    other_optimizer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    assert FinetuneState({"a": 1}, epochs=2).load(other, other_optimizer) == CURVE
    assert torch.equal(other.weight, model.weight)
    momenta = [
        [state["momentum_buffer"] for state in o.state.values()]
        for o in (optimizer, other_optimizer)
    ]
    assert all(torch.equal(*pair) for pair in zip(*momenta, strict=True))
    assert FinetuneState({"a": 2}, epochs=2).load(other, other_optimizer) == []


def test_of_the_last_epoch_the_curve_alone_is_kept():
    state = FinetuneState({"a": 1}, epochs=2)
    state.save(*trained(), CURVE)
    state.save(*trained(), CURVE * 2)
    (file,) = state.folder.iterdir()
    assert set(torch.load(file, weights_only=True)) == {"step", "curve"}
    untouched, optimizer = nn.Linear(5, 5), torch.optim.SGD([torch.zeros(1)])
    assert state.load(untouched, optimizer) == CURVE * 2


def test_fresh_leaves_nothing_of_before():
    FinetuneState({"a": 1}, epochs=3).save(*trained(), CURVE * 3)
    fresh = FinetuneState({"a": 1}, epochs=3, fresh=True)
    fresh.save(*trained(), CURVE)
    # Killed here, it goes on from its first epoch and does not take the old end for its own.
    assert FinetuneState({"a": 1}, epochs=3).load(*trained()) == CURVE


def test_a_damaged_file_or_a_full_disk_is_told_and_no_reason_to_stop():
    said = []
    state = FinetuneState({"a": 1}, epochs=2, say=said.append)
    state.save(*trained(), CURVE)
    (file,) = state.folder.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert state.load(*trained()) == []
    assert "is damaged; the fine-tuning starts again" in said.pop()

    with no_file_larger_than(100):
        state.save(*trained(), CURVE)
    (line,) = said
    assert line.startswith(f"Epochs are not kept: {state.folder}") and "too large" in line
    assert "VIDMOCO_CACHE" in line and list(state.folder.iterdir()) == [file]
