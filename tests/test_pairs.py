import pytest

from vidmoco import pairs
from vidmoco.config import DataConfig, LimitsConfig
from vidmoco.errors import ConfigError
from vidmoco.pairs import build_batching, build_pairs, pair_rule
from vidmoco.video.limits import Limits
from vidmoco.video.sampling import SINGLE_FRAME, PairRule
from vidmoco.video.scan import scan_videos


@pytest.fixture
def catalog(video_folder):
    return scan_videos([video_folder], workers=1, progress=False)


def test_the_control_overrides_the_gaps():
    assert pair_rule(DataConfig(single_frame=True, min_gap=1.0)) == SINGLE_FRAME
    config = DataConfig(min_gap=1.0, max_gap=2.0, same_frame_probability=0.5)
    assert pair_rule(config) == PairRule(min_gap=1.0, max_gap=2.0, same_frame_probability=0.5)


def test_batching_follows_the_settings(catalog):
    config = DataConfig(batch_size=2, short_side=32, pairs_per_visit=3, block_gib=1.0)
    batching = build_batching(config, catalog)
    assert (batching.num_videos, batching.batch_size, batching.pairs_per_visit) == (6, 2, 3)
    assert batching.largest_block == 3  # all of an epoch
    small = DataConfig(batch_size=2, short_side=32, pairs_per_visit=3, block_gib=3 * 2**-15)
    assert build_batching(small, catalog).largest_block == 1
    assert build_batching(config, catalog, batch_size=6).batch_size == 6
    with pytest.raises(ConfigError, match=r"--data\.batch-size is 7"):
        build_batching(config, catalog, batch_size=7)


def test_settings_reach_the_loader(catalog, monkeypatch):
    given = {}

    def noted(*args, **options):
        given.update(options)
        yield from ()

    monkeypatch.setattr(pairs, "load_pairs", noted)
    config = DataConfig(batch_size=2, short_side=40, workers=3, decoder="pyav", max_gap=1.5)
    limits = LimitsConfig(max_seconds=7, max_memory_per_worker=2)
    batching = build_batching(config, catalog)
    assert not list(
        build_pairs(config, catalog, batching, seed=5, steps=range(3, 9), limits=limits)
    )
    assert given["limits"] == Limits(max_seconds=7, max_memory=2 * 2**30)
    assert given["decoder"] == "pyav"
    assert given["workers"] == 3
    assert given["canvas"][0] == 40
    assert given["rule"] == PairRule(max_gap=1.5)
    assert (given["seed"], given["steps"]) == (5, range(3, 9))


def test_batches_come_from_the_videos(catalog):
    config = DataConfig(batch_size=3, short_side=32, workers=0, pairs_per_visit=2)
    batching = build_batching(config, catalog)
    batches = list(
        build_pairs(config, catalog, batching, seed=0, steps=range(4), limits=LimitsConfig())
    )
    assert [batch.frames.shape[:2] for batch in batches] == [(3, 2)] * 4
    assert batches[0].frames.shape[3] == 32
