import pytest

from vidmoco.config.augment import AugmentConfig
from vidmoco.config.data import DataConfig
from vidmoco.config.methods import (
    METHOD_CONFIGS,
    EndToEndConfig,
    FastMoCoConfig,
    MemoryBankConfig,
    MoCoConfig,
    MoCoV3Config,
    SimCLRConfig,
)
from vidmoco.config.optim import OptimConfig
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import dump_recipe, parse_recipe
from vidmoco.errors import ConfigError

KINDS = tuple(METHOD_CONFIGS.values())


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        *(
            (kind, {"tau": 0.0}, "--method.tau is 0.0; it must be greater than 0")
            for kind in KINDS
            if "tau" in vars(kind())
        ),
        *((kind, {"dim": 0}, "--method.dim is 0; it must be at least 1") for kind in KINDS),
        (MoCoConfig, {"queue_size": 0}, "--method.queue-size is 0"),
        (MoCoConfig, {"queue_from": 1.5}, "--method.queue-from is 1.5; it must be from 0 to 1"),
        (MoCoConfig, {"queue_from": 0.5}, "0 without --method.batch-negatives"),
        (MoCoConfig, {"momentum": 1.1}, "--method.momentum is 1.1; it must be from 0 to 1"),
        *(
            (kind, {"bn_splits": 0}, "--method.bn-splits is 0")
            for kind in (MoCoConfig, EndToEndConfig)
        ),
        (MoCoConfig, {"same_video_seconds": 1.0}, "None while --method.same-video is negative"),
        (MoCoConfig, {"same_video": "masked", "same_video_seconds": -1.0}, "0 or more seconds"),
        (MoCoV3Config, {"momentum": -0.1}, "--method.momentum"),
        (MoCoV3Config, {"projector_layers": 0}, "--method.projector-layers is 0"),
        (FastMoCoConfig, {"divide": 9}, "--method.divide is 9; it must be from 1 to 8"),
        (FastMoCoConfig, {"combine": 5}, "from 1 to the number of patches (4)"),
        (FastMoCoConfig, {"momentum": 2.0}, "--method.momentum"),
        (SimCLRConfig, {"projector_layers": 0}, "--method.projector-layers is 0"),
        (MemoryBankConfig, {"num_negatives": 0}, "--method.num-negatives is 0"),
        (MemoryBankConfig, {"momentum": -1.0}, "--method.momentum"),
    ],
)
def test_values_out_of_range_are_refused_by_their_flag(kind, values, words):
    with pytest.raises(ConfigError) as refused:
        kind(**values)
    assert words in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_goes_into_a_recipe_and_back(kind):
    config = PretrainConfig(method=kind(dim=64), data=DataConfig(batch_size=64))
    assert parse_recipe(dump_recipe(config), source="test") == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("method: {name: moco_v3, queue_size: 9}", "unknown key 'method.queue_size'"),
        ("method: {name: moco_v4}", "Did you mean 'moco_v3'?"),
        ("method: {name: 3}", "'method.name' is 3"),
        ("method: 3", "'method' is 3"),
        ("method: {}", None),  # MoCo
    ],
)
def test_a_method_by_name(text, words):
    if words is None:
        assert parse_recipe(text, source="test").method == MoCoConfig()
        return
    with pytest.raises(ConfigError) as refused:
        parse_recipe(text, source="test")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("method", "others", "words"),
    [
        (MoCoV3Config(), {"optim": OptimConfig(accumulate=2)}, "moco_v3 takes its negatives from"),
        (SimCLRConfig(), {"optim": OptimConfig(accumulate=2)}, "--optim.accumulate is 2"),
        (MoCoConfig(), {"optim": OptimConfig(predictor_lr=0.1)}, "moco has no predictor"),
        (FastMoCoConfig(divide=3), {"augment": AugmentConfig(size=64)}, "--augment.size is 64"),
        (
            MoCoConfig(bn_splits=8),
            {"data": DataConfig(batch_size=12)},
            "each part. Give --data.batch-size 16 or --method.bn-splits 6.",
        ),
        (
            MoCoConfig(bn_splits=8),
            {"data": DataConfig(batch_size=70)},
            "or --method.bn-splits 7.",
        ),
        (
            MoCoConfig(bn_splits=4),
            {"data": DataConfig(batch_size=9), "optim": OptimConfig(accumulate=2)},
            "in each part. Give --data.batch-size 16.",
        ),
        (
            MoCoConfig(bn_splits=1),
            {"data": DataConfig(batch_size=9), "optim": OptimConfig(accumulate=2)},
            "a multiple of --optim.accumulate (2), of the recipe where you give none, with",
        ),
        (MoCoV3Config(), {"augment": AugmentConfig(large_views=3)}, "but moco_v3 takes 2"),
        (
            SimCLRConfig(),
            {"data": DataConfig(frames_per_video=4)},
            "there are only 2 views to show them",
        ),
        (
            MoCoConfig(queue_size=64),
            {"data": DataConfig(batch_size=128)},
            "--method.queue-size is 64, and a step has 128 keys: ",
        ),
        (
            MoCoConfig(queue_size=200, symmetric=True),
            {"data": DataConfig(batch_size=128)},
            "a step has 256 keys: --data.batch-size 128 times 2 key views. Give",
        ),
        (
            MoCoConfig(batch_negatives=True, bn_splits=1),
            {"optim": OptimConfig(accumulate=2)},
            "moco takes its negatives from the batch",
        ),
        (
            FastMoCoConfig(),
            {"data": DataConfig(frames_per_video=3), "augment": AugmentConfig(large_views=6)},
            "Fast-MoCo needs an even number of frames",
        ),
        (FastMoCoConfig(), {"augment": AugmentConfig(large_views=10)}, "at most 8 views"),
    ],
)
def test_what_a_method_cannot_use_is_refused(method, others, words):
    with pytest.raises(ConfigError) as refused:
        PretrainConfig(method=method, **others)
    assert words in str(refused.value)


def test_frames_and_views_that_go_together():
    few = AugmentConfig(large_views=2, small_crops=2)
    PretrainConfig(method=SimCLRConfig(), data=DataConfig(frames_per_video=4), augment=few)
    PretrainConfig(method=FastMoCoConfig(), augment=AugmentConfig(large_views=4))
    DataConfig(frames_per_video=3, gap_law="segments")
    with pytest.raises(
        ConfigError, match=r"frames-per-video is 3; it must be 2 for --data.gap-law segments"
    ):
        DataConfig(frames_per_video=3, gap_law="segments", max_gap=2.0)
