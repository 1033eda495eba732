"""The keys that MoCo's queries are contrasted with: the queue, with options for video."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vidmoco import distributed
from vidmoco.methods.feature_queue import FeatureQueue
from vidmoco.methods.losses import Stats
from vidmoco.shapes import Bool, Float, Float64, Int64

SameVideo = Literal["negative", "masked", "positive"]


@dataclass(frozen=True)
class Negatives:
    """The K keys that N queries are contrasted with, as ``info_nce`` takes them."""

    keys: Float[Tensor, "k c"]
    masked: Bool[Tensor, "n k"] | None = None
    """Which keys are left out for which query."""
    positives: Bool[Tensor, "n k"] | None = None
    """Which keys are positives too, for which query."""


def keys_of_queue(
    queue: FeatureQueue,
    source_ids: Int64[Tensor, " n"],
    times: Float64[Tensor, " n"],
    *,
    same_video: SameVideo,
    within: float | None,
) -> tuple[Negatives, Stats]:
    """Return the keys of the queue, their mean age, and the percentage from the query's own video.

    Args:
        queue: the queue of keys.
        source_ids: the video of each query.
        times: the time of each query's frame, in seconds.
        same_video: role of keys from the query's own video: negatives like all others (the papers),
            masked out, or positives (Han et al. 2020, "Self-supervised Co-training for Video
            Representation Learning").
        within: only keys within this many seconds of the query's frame count as the same video.
            None means the whole video.
    """
    stats = {"queue_age": queue.mean_age()}
    if same_video == "negative":
        return Negatives(queue.keys), stats
    own = queue.same_video(source_ids, times, within=within)
    stats["same_video"] = own.float().mean() * 100
    if same_video == "masked":
        return Negatives(queue.keys, masked=own), stats
    return Negatives(queue.keys, positives=own), stats


def with_keys_of_batch(
    negatives: Negatives, keys: Sequence[Float[Tensor, "n c"]], source_ids: Int64[Tensor, " n"]
) -> tuple[Negatives, Stats]:
    """Add the batch's keys of all processes, with those of the query's own video masked.

    The mask is the block matrix of VINCE (Gordon et al. 2020, "Watching the World Go By",
    section 3). ``keys`` (of each key view) and ``source_ids`` are those of this process.
    """
    gathered = [distributed.gather_rows(key) for key in keys]
    ids = distributed.gather_rows(source_ids).repeat(len(keys))
    own = source_ids[:, None] == ids
    none = torch.zeros(
        len(source_ids), len(negatives.keys), dtype=torch.bool, device=source_ids.device
    )
    positives = negatives.positives
    if positives is not None:
        positives = torch.cat([positives, torch.zeros_like(own)], dim=1)
    masked = torch.cat([none if negatives.masked is None else negatives.masked, own], dim=1)
    both = Negatives(torch.cat([negatives.keys, *gathered]), masked, positives)
    return both, {"same_video_in_batch": own.float().mean() * 100}
