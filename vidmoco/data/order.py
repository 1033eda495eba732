"""The order of videos: which videos form a batch, as pure functions of (seed, step).

Opening a video and seeking to a frame costs far more than decoding the next frame. So each *visit*
to a video takes several pairs, for several batches.

    1 pair per visit      an epoch is a permutation of the videos, cut into batches
    V pairs per visit     V epochs form a round. One permutation of the videos is cut into blocks of
                          several batches. The videos of a block go through V epochs, each with a
                          new shuffle, before those of the next block

        round                 block 0                   block 1
        permutation           a b c d e f               g h i j k l
        epoch 0               [a b] [c d] [e f]         [g h] [i j] [k l]
        epoch 1               [c f] [e b] [a d]         [k h] [g l] [i j]

    steps: the three batches of epoch 0 in block 0, those of epoch 1, and then block 1

A batch never holds two pairs of one video, and each epoch has each video once. A video keeps its
position in the batch throughout a round. So if several processes share every batch by position, a
visit belongs to one process.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vidmoco.shapes import Int64

# Distinguish the streams of random numbers that share one seed (sampling.py has another).
_ORDER, _SHUFFLE = 1, 3

_PERMUTATIONS_KEPT = 64  # a block needs one per pair of a visit


class Place(NamedTuple):
    """A place in the batches of a run. Places are ordered as the run reaches them."""

    step: int
    position: int


class Batching:
    """How the videos of an epoch are cut into batches and blocks. Nothing here is random."""

    def __init__(
        self,
        *,
        num_videos: int,
        batch_size: int,
        pairs_per_visit: int = 1,
        block_batches: int = 1,
        positions: range | None = None,
    ) -> None:
        """Cut ``num_videos`` into batches, and the batches into nearly equal blocks.

        Args:
            num_videos: at least ``batch_size``.
            batch_size: pairs in a batch, each from a different video. Videos that do not fill a
                batch are left out of the round.
            pairs_per_visit: V, the epochs of a round.
            block_batches: maximum number of batches that an epoch has in a block.
            positions: the positions of each batch that this process reads. None means all.
        """
        self.num_videos, self.batch_size = num_videos, batch_size
        self.positions = range(batch_size) if positions is None else positions
        self.pairs_per_visit = pairs_per_visit
        self.batches_per_epoch = num_videos // batch_size
        if not self.batches_per_epoch:
            raise ValueError(f"{num_videos = } is less than {batch_size = }")
        num_blocks = -(-self.batches_per_epoch // block_batches)
        self._edges = [
            self.batches_per_epoch * block // num_blocks for block in range(num_blocks + 1)
        ]

    @property
    def largest_block(self) -> int:
        """The number of batches per epoch in the largest block."""
        return max(self.num_batches(block) for block in range(len(self._edges) - 1))

    def locate(self, step: int) -> tuple[int, int, int]:
        """Return (round, block, step within the block) of a step."""
        round_, within = divmod(step, self.pairs_per_visit * self.batches_per_epoch)
        block = bisect_right(self._edges, within // self.pairs_per_visit) - 1
        return round_, block, within - self.pairs_per_visit * self._edges[block]

    def block_of(self, index: int) -> int | None:
        """Return the block of an index in an epoch's order, or None if it is in no batch."""
        batch = index // self.batch_size
        return None if batch >= self.batches_per_epoch else bisect_right(self._edges, batch) - 1

    def first_index(self, block: int) -> int:
        """Return the first index of a block in an epoch's order."""
        return self._edges[block] * self.batch_size

    def num_batches(self, block: int) -> int:
        """Return the number of batches per epoch in a block."""
        return self._edges[block + 1] - self._edges[block]

    def num_videos_of(self, block: int) -> int:
        """Return the number of videos of a block."""
        return self.num_batches(block) * self.batch_size


class BatchOrder:
    """The video at each place of a run, and the places that each visit fills."""

    def __init__(self, batching: Batching, *, seed: int) -> None:
        self.batching, self._seed = batching, seed
        self._base: tuple[int, Int64[np.ndarray, " num_videos"]] | None = None
        self._shuffles: dict[tuple[int, int], Int64[np.ndarray, " block_videos"]] = {}

    def epoch_and_index(self, place: Place) -> tuple[int, int]:
        """Return the epoch of a place, and its index in that epoch's order."""
        batching = self.batching
        round_, block, within = batching.locate(place.step)
        turn, batch = divmod(within, batching.num_batches(block))
        index = batching.first_index(block) + batch * batching.batch_size + place.position
        return round_ * batching.pairs_per_visit + turn, index

    def video(self, epoch: int, index: int) -> int:
        """Return the video (a row of the catalog) at ``index`` of an epoch's order."""
        round_, turn = divmod(epoch, self.batching.pairs_per_visit)
        base = self._permutation(round_)
        block = self.batching.block_of(index)
        if turn == 0 or block is None:
            return int(base[index])
        first = self.batching.first_index(block)
        return int(base[first + self._shuffle(epoch, block)[index - first]])

    def visits(self, steps: range) -> Iterator[list[Place]]:
        """Yield the places of each visit, which are of one video and in increasing order.

        Visits come in the order in which their first places are needed. Places outside ``steps``
        are left out.
        """
        step = steps.start
        while step < steps.stop:
            _, block, within = self.batching.locate(step)
            start = step - within
            yield from self._visits_of_block(start, steps)
            step = start + self.batching.pairs_per_visit * self.batching.num_batches(block)

    def _visits_of_block(self, start: int, steps: range) -> list[list[Place]]:
        """Return the visits of the block whose first step is ``start``."""
        batching = self.batching
        round_, block, _ = batching.locate(start)
        num_batches = batching.num_batches(block)
        visits: list[list[Place]] = [[] for _ in range(batching.num_videos_of(block))]
        for turn in range(batching.pairs_per_visit):
            shuffle = self._shuffle(round_ * batching.pairs_per_visit + turn, block)
            for index, video in enumerate(shuffle.tolist()):
                batch, position = divmod(index, batching.batch_size)
                place = Place(start + turn * num_batches + batch, position)
                if place.step in steps and position in batching.positions:
                    visits[video].append(place)
        return sorted(visit for visit in visits if visit)

    def _permutation(self, round_: int) -> Int64[np.ndarray, " num_videos"]:
        if self._base is None or self._base[0] != round_:
            generator = np.random.default_rng((self._seed, _ORDER, round_))
            self._base = (round_, generator.permutation(self.batching.num_videos))
        return self._base[1]

    def _shuffle(self, epoch: int, block: int) -> Int64[np.ndarray, " block_videos"]:
        """Return the order of a block's videos in an epoch, as indices into the block."""
        num_videos = self.batching.num_videos_of(block)
        if epoch % self.batching.pairs_per_visit == 0:
            return np.arange(num_videos)
        if (epoch, block) not in self._shuffles:
            if len(self._shuffles) >= _PERMUTATIONS_KEPT:
                self._shuffles.pop(next(iter(self._shuffles)))
            generator = np.random.default_rng((self._seed, _SHUFFLE, epoch, block))
            videos = np.arange(num_videos).reshape(-1, self.batching.batch_size)
            self._shuffles[epoch, block] = generator.permuted(videos, axis=0).reshape(-1)
        return self._shuffles[epoch, block]
