"""From settings to batches of pairs: the same for a run and for its preview."""

from collections.abc import Callable, Generator

from vidmoco.config import DataConfig, LimitsConfig
from vidmoco.video.batches import PairBatch
from vidmoco.video.catalog import Catalog, build_limits
from vidmoco.video.loader import canvas_size, cut_batches, default_workers, load_pairs
from vidmoco.video.order import Batching
from vidmoco.video.quarantine import Quarantine
from vidmoco.video.sampling import SINGLE_FRAME, PairRule


def pair_rule(config: DataConfig) -> PairRule:
    """Return how the times of a pair are drawn; the single-frame control overrides the rest."""
    if config.single_frame:
        return SINGLE_FRAME
    return PairRule(
        min_gap=config.min_gap,
        max_gap=config.max_gap,
        same_frame_probability=config.same_frame_probability,
    )


def build_batching(
    config: DataConfig, catalog: Catalog, *, batch_size: int | None = None
) -> Batching:
    """Return how the videos of a catalog are cut into batches (of another size, if one is given).

    Raises:
        ConfigError: there are too few videos, or there is too little memory.
    """
    return cut_batches(
        num_videos=len(catalog),
        batch_size=batch_size or config.batch_size,
        canvas=canvas_size(catalog, short_side=config.short_side),
        pairs_per_visit=config.pairs_per_visit,
        block_gib=config.block_gib,
    )


def build_pairs(
    config: DataConfig,
    catalog: Catalog,
    batching: Batching,
    *,
    seed: int,
    steps: range,
    limits: LimitsConfig,
    quarantine: Quarantine | None = None,
    pin_memory: bool = False,
    stopped: Callable[[], bool] = bool,
) -> Generator[PairBatch]:
    """Yield the batches of ``steps`` of a run; the arguments are those of ``load_pairs``."""
    return load_pairs(
        catalog,
        batching,
        rule=pair_rule(config),
        seed=seed,
        canvas=canvas_size(catalog, short_side=config.short_side),
        steps=steps,
        workers=default_workers() if config.workers is None else config.workers,
        limits=build_limits(limits),
        decoder=config.decoder,
        quarantine=quarantine,
        pin_memory=pin_memory,
        stopped=stopped,
    )
