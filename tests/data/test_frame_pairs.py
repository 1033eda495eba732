import multiprocessing
import pickle
import shutil
import subprocess
import sys
import threading
from itertools import chain
from types import ModuleType

import pytest
import torch
from child_processes import launch
from painted_videos import read_index, write_video, write_videos
from torch.utils.data import DataLoader, IterableDataset

from vidmoco import distributed
from vidmoco.cli.main import main
from vidmoco.config.limits import Limits
from vidmoco.data.batches import Batches
from vidmoco.data.frame_pairs import FramePairs
from vidmoco.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_videos(folder, 7)
    return folder


def pairs_of(videos, **settings):
    return FramePairs(
        videos, **({"batch_size": 3, "short_side": 64, "workers": 0, "max_gap": 0.5} | settings)
    )


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_pass_is_an_epoch_of_pairs(videos):
    pairs = pairs_of(videos)
    assert len(pairs) == 2
    batches = list(pairs)
    assert len(batches) == 2
    for batch in batches:
        assert batch["frames"].shape == (3, 2, 3, 64, 96)
        assert (batch["pts_seconds"].diff(dim=1).abs() <= 0.6).all()
        columns = (batch[name] for name in ("frames", "rows", "pts_seconds"))
        for frames, row, times in zip(*columns, strict=True):
            spelled = [read_index(frame.permute(1, 2, 0).numpy()) for frame in frames]
            assert spelled == [100 * int(row) + round(10 * t) for t in times.tolist()]
            assert pairs.name(int(row)) == f"{int(row):02d}.mp4"
    assert not same(batches[0], next(iter(pairs)))  # the next epoch


@pytest.mark.parametrize("workers", [0, 1])
def test_it_goes_on_from_any_state(videos, workers):
    whole = pairs_of(videos)
    expected = [batch for _ in range(3) for batch in whole]
    first = pairs_of(videos, workers=workers)
    iterator = iter(first)
    next(iterator)
    state = first.state_dict()
    assert state["step"] == 1
    first.close()
    second = pairs_of(videos, workers=workers)
    second.load_state_dict(state)
    rest = [batch for _ in range(3) for batch in second]
    second.close()
    assert len(rest) == 5 and all(map(same, rest, expected[1:]))
    second.load_state_dict({**state, "step": 4})  # also after it has begun
    assert same(next(iter(second)), expected[4])
    second.close()


def test_within_a_data_loader(videos):
    loader = DataLoader(pairs_of(videos), batch_size=None, num_workers=0)
    assert len(loader) == 2
    assert all(map(same, loader, pairs_of(videos)))


def reads():
    return [thread for thread in threading.enumerate() if thread.name == "load pairs"]


def test_a_with_block_ends_what_it_began(videos):
    expected = list(pairs_of(videos))
    with pairs_of(videos, workers=1) as pairs:
        iterator = iter(pairs)
        assert same(next(iterator), expected[0]) and reads()
    assert not reads()
    assert next(iterator, None) is None and not reads()  # a pass is over too
    assert pairs.step == 1 and pairs.name(0) == "00.mp4"
    with pytest.raises(ZeroDivisionError), pairs:
        for batch in pairs:  # after the block as before it
            assert same(batch, expected[1]) and reads()
            raise ZeroDivisionError
    assert not reads() and pairs.step == 2


def test_a_with_block_ends_the_pass_of_a_thread(videos, monkeypatch):
    waits, taken = threading.Event(), []

    def is_ready(batches, step):
        if step == 1:
            waits.set()
        return step == 0 and all_read(batches, step)

    all_read = Batches.is_ready
    monkeypatch.setattr(Batches, "is_ready", is_ready)
    with pairs_of(videos, workers=1) as pairs:
        thread = threading.Thread(target=lambda: taken.extend(pairs))
        thread.start()
        waits.wait()
    thread.join()
    assert len(taken) == 1 and not reads()


def test_threads_share_the_batches(videos):
    expected = [batch for pairs in [pairs_of(videos)] for _ in range(6) for batch in pairs]
    taken = []
    with pairs_of(videos, workers=1) as pairs:

        def take():
            while pairs.step < 8:
                taken.extend(pairs)

        threads = [threading.Thread(target=take) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(taken) == pairs.step
    assert all(sum(same(one, other) for other in taken) == 1 for one in expected[: len(taken)])


def test_it_is_not_saved_itself(videos):
    with pytest.raises(ConfigError, match=r"To save how far it is, save its state_dict\(\)"):
        pickle.dumps(pairs_of(videos))


@pytest.mark.parametrize("options", [{}, {"batch_size": 2}, {"batch_size": 3, "drop_last": True}])
def test_batches_of_batches_are_refused(videos, options):
    pairs = pairs_of(videos)
    with pytest.raises(ConfigError, match="gives whole batches, and this DataLoader would make"):
        list(DataLoader(pairs, **options))
    assert pairs.step == 0


class _Rows(IterableDataset):
    def __init__(self, pairs):
        self.pairs = pairs

    def __iter__(self):
        return chain.from_iterable(map(self.rows, self.pairs))

    def rows(self, batch):
        return [{name: batch[name][n] for name in batch} for n in range(len(batch["rows"]))]


def test_batches_that_a_loader_rightly_makes(videos):
    expected = list(pairs_of(videos))
    first = DataLoader(pairs_of(videos), collate_fn=lambda batches: batches[0])
    assert all(map(same, first, expected))
    again = DataLoader(_Rows(pairs_of(videos)), batch_size=3)
    assert all(map(same, again, expected))


# What accelerate does with an IterableDataset of several processes, or its main process with all.
ACCELERATE = """
from torch.utils.data import IterableDataset
class IterableDatasetShard(IterableDataset):
    def __init__(self, dataset):
        self.dataset = dataset
    def __iter__(self):
        for number, element in enumerate(self.dataset):
            if number % 2 == 0:
                yield element
class DataLoaderDispatcher:
    def __init__(self, loader):
        self.loader = loader
    def __iter__(self):
        yield from self.loader
"""


def test_a_second_share_of_a_share_is_refused(videos, monkeypatch):
    accelerate = ModuleType("accelerate.data_loader")
    exec(ACCELERATE, vars(accelerate))
    shard, dispatcher = accelerate.IterableDatasetShard, accelerate.DataLoaderDispatcher
    assert len(list(dispatcher(DataLoader(pairs_of(videos), batch_size=None)))) == 2
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    pairs = pairs_of(videos)
    for loader in (
        DataLoader(shard(pairs), batch_size=None),
        dispatcher(DataLoader(pairs, batch_size=None)),
    ):
        with pytest.raises(ConfigError, match=r"prepare\(\) the method and the optimizer only"):
            next(iter(loader))
    assert len(list(pairs)) == 2


RANK = """
import sys
import torch
from vidmoco import distributed
from vidmoco.data.frame_pairs import FramePairs
torch.set_num_threads(1)
pairs = [
    FramePairs(sys.argv[1], batch_size=3, short_side=64, workers=1, max_gap=0.5) for _ in range(2)
]
next(iter(pairs[1]))  # a look at a batch, before the ranks have met
with distributed.processes_from_environment():
    torch.save([list(one) for one in pairs], f"{sys.argv[2]}/{distributed.rank()}.pt")
for one in pairs:
    one.close()
"""


def test_ranks_that_meet_after_it_was_made_share_every_batch(videos, tmp_path):
    launch(["-c", RANK, str(videos), str(tmp_path)], world_size=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    expected = list(pairs_of(videos))
    for number, whole in enumerate([expected, expected[1:]]):
        shares = list(zip(*(rank[number] for rank in ranks), strict=True))
        assert len(shares) == len(whole)
        for parts, batch in zip(shares, whole, strict=True):
            assert [len(part["rows"]) for part in parts] == [1, 2]
            assert same({key: torch.cat([p[key] for p in parts]) for key in batch}, batch)


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("used", [True, False])
def test_a_data_loader_with_processes_is_refused(videos, context, used):
    pairs = pairs_of(videos, workers=1)
    if used:
        next(iter(pairs))
    loader = DataLoader(pairs, batch_size=None, num_workers=1, multiprocessing_context=context)
    with pytest.raises(ConfigError, match="num_workers=0, and FramePairs workers=N"):
        next(iter(loader))
    pairs.close()


def _first_of(iterator, answers):
    try:
        next(iterator)
    except ConfigError as error:
        answers.put(str(error))


def test_a_fork_is_refused(videos):
    pairs = pairs_of(videos, workers=1)
    iterator = iter(pairs)
    next(iterator)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=_first_of, args=(iterator, answers))
    process.start()
    assert "was made in another process" in answers.get()
    process.join()
    next(iterator)
    pairs.close()


@pytest.mark.parametrize("prepared", [True, False])
def test_python_ends_in_the_middle_of_a_pass(videos, tmp_path, prepared):
    source = videos
    if prepared:
        source = tmp_path / "frames"
        assert main(["prepare", str(videos), "-o", str(source), "--short-side", "64"]) == 0
    code = f"""
import vidmoco
iterator = iter(vidmoco.FramePairs({str(source)!r}, batch_size=3, short_side=64, workers=1))
next(iterator)
print("end")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("end\n", "")


@pytest.mark.parametrize("workers", [0, 1])
def test_after_an_interrupt_it_goes_on_with_the_same_batch(videos, workers, monkeypatch):
    """As by the stop button of a notebook, whose cell then runs again."""
    expected = list(pairs_of(videos))
    pairs, take = pairs_of(videos, workers=workers), Batches.take

    def interrupted(batches, step):
        if step == 1:
            raise KeyboardInterrupt
        return take(batches, step)

    found = []
    with monkeypatch.context() as patch:
        patch.setattr(Batches, "take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            found.extend(pairs)
    found.extend(pairs)
    pairs.close()
    assert len(found) == 2 and all(map(same, found, expected))


def test_a_state_of_other_videos_of_the_same_number_is_refused(videos, tmp_path):
    state = pairs_of(videos).state_dict()
    shutil.copytree(videos, tmp_path / "moved")
    other = pairs_of(tmp_path / "moved")
    other.load_state_dict(state)
    other.load_state_dict({name: value for name, value in state.items() if name != "content"})
    write_video(tmp_path / "moved" / "00.mp4", num_frames=10, first_index=3000)
    with pytest.raises(CheckpointError, match="with another content, and would go on with others"):
        pairs_of(tmp_path / "moved").load_state_dict(state)


def test_a_state_of_other_pairs_is_refused(videos):
    state = pairs_of(videos).state_dict()
    with pytest.raises(CheckpointError, match="pairs with another seed, and would"):
        pairs_of(videos, seed=3).load_state_dict(state)
    with pytest.raises(CheckpointError, match="another batch_size"):
        pairs_of(videos, batch_size=2).load_state_dict(state)
    with pytest.raises(CheckpointError, match="another max_gap"):
        pairs_of(videos, max_gap=0.2).load_state_dict(state)
    pairs_of(videos, workers=1, decoder="pyav").load_state_dict(state)


def test_what_cannot_be_used(videos, tmp_path):
    with pytest.raises(ConfigError, match="unknown key 'max_gaps'"):
        pairs_of(videos, max_gaps=3)
    with pytest.raises(ConfigError, match="max-gap"):
        pairs_of(videos, max_gap=-1.0)
    with pytest.raises(ConfigError, match="No video file in"):
        pairs_of(tmp_path)
    with pytest.raises(ConfigError, match=r"min-gap is 100 s, and the longest video lasts 1.2 s"):
        pairs_of(videos, min_gap=100.0, max_gap=None)


def test_gaps_longer_than_the_videos_are_told(videos, capsys):
    pairs_of(videos, max_gap=50.0)
    assert "No video is as long as --data.max-gap (50 s)" in capsys.readouterr().err


def test_more_frames_of_a_video(videos):
    pairs = FramePairs(videos, batch_size=4, frames_per_video=3, workers=0)
    batch = next(iter(pairs))
    assert batch["frames"].shape[:2] == batch["pts_seconds"].shape == (4, 3)


def test_limits_refuse_videos(videos, capsys):
    with pytest.raises(ConfigError):
        pairs_of(videos, limits={"max_frames": 3})
    assert "04.mp4: it has more than 3 frames (--max-frames)" in capsys.readouterr().err
    assert len(pairs_of(videos, limits=Limits(max_frames=30))) == 2
