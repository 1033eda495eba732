"""Which videos make a batch. Pure functions of (seed, step); no video is touched here.

Opening a video and decoding up to a frame costs far more than the next frame of the same video. So
a video is *visited*: several pairs are taken at once, for several batches.

    one pair a visit      an epoch is a permutation of the videos, cut into batches
    V pairs a visit       V epochs are taken together, as a round. One permutation is cut into
                          blocks of some batches; the videos of a block go through V epochs of their
                          own, each shuffled anew, before those of the next block

        round                 block 0                   block 1
        its permutation       a b c d e f               g h i j k l
        epoch 0               [a b] [c d] [e f]         [g h] [i j] [k l]
        epoch 1               [c f] [e b] [a d]         [k h] [g l] [i j]

    steps: the three batches of epoch 0 in block 0, those of epoch 1, and then block 1

A batch never holds two pairs of one video, and each epoch takes each video once. A video keeps its
position in the batch through a round: of several processes, each of which reads some positions of
every batch, one reads the whole visit.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vidmoco.shapes import Int64

# Keep the streams of random numbers apart that share one seed (and from those of sampling.py).
_ORDER, _SHUFFLE = 1, 3

_PERMUTATIONS_KEPT = 64  # of blocks; a block needs one for each pair of a visit


class Place(NamedTuple):
    """A place in the batches of a run; places compare as the run comes to them."""

    step: int
    position: int


class Batching:
    """How the videos of an epoch are cut into batches and blocks: numbers only, nothing random."""

    def __init__(
        self,
        *,
        num_videos: int,
        batch_size: int,
        pairs_per_visit: int = 1,
        block_batches: int = 1,
        positions: range | None = None,
    ) -> None:
        """Cut ``num_videos`` into batches, and these into nearly equal blocks of a round.

        Args:
            num_videos: at least ``batch_size``.
            batch_size: pairs in a batch, each of another video. What is left over of the videos
                when the batches are full has no place in the round.
            pairs_per_visit: V, the epochs of a round.
            block_batches: greatest number of batches an epoch has in a block.
            positions: those of each batch that this process reads; None: all.
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
        """The batches that an epoch has in the largest block."""
        return max(self.num_batches(block) for block in range(len(self._edges) - 1))

    def locate(self, step: int) -> tuple[int, int, int]:
        """Return (round, block, step within the block) of a step."""
        run, within = divmod(step, self.pairs_per_visit * self.batches_per_epoch)
        block = bisect_right(self._edges, within // self.pairs_per_visit) - 1
        return run, block, within - self.pairs_per_visit * self._edges[block]

    def block_of(self, index: int) -> int | None:
        """Return the block of a place in an epoch's order; None: it is in no batch."""
        batch = index // self.batch_size
        return None if batch >= self.batches_per_epoch else bisect_right(self._edges, batch) - 1

    def first_index(self, block: int) -> int:
        """Return the first place of a block in an epoch's order."""
        return self._edges[block] * self.batch_size

    def num_batches(self, block: int) -> int:
        """Return the batches that an epoch has in a block."""
        return self._edges[block + 1] - self._edges[block]

    def num_videos_of(self, block: int) -> int:
        """Return the number of videos of a block."""
        return self.num_batches(block) * self.batch_size


class BatchOrder:
    """Which video is at each place of a run, and which places a visit serves."""

    def __init__(self, batching: Batching, *, seed: int) -> None:
        self.batching, self._seed = batching, seed
        self._base: tuple[int, Int64[np.ndarray, " num_videos"]] | None = None
        self._shuffles: dict[tuple[int, int], Int64[np.ndarray, " block_videos"]] = {}

    def epoch_and_index(self, place: Place) -> tuple[int, int]:
        """Return the epoch of a place and the place in that epoch's order."""
        cut = self.batching
        run, block, within = cut.locate(place.step)
        turn, batch = divmod(within, cut.num_batches(block))
        index = cut.first_index(block) + batch * cut.batch_size + place.position
        return run * cut.pairs_per_visit + turn, index

    def video(self, epoch: int, index: int) -> int:
        """Return the video (a row of the catalog) at ``index`` of an epoch's order."""
        run, turn = divmod(epoch, self.batching.pairs_per_visit)
        base = self._permutation(run)
        block = self.batching.block_of(index)
        if turn == 0 or block is None:
            return int(base[index])
        first = self.batching.first_index(block)
        return int(base[first + self._shuffle(epoch, block)[index - first]])

    def visits(self, steps: range) -> Iterator[list[Place]]:
        """Yield the places of each visit: of one video, in different batches, in a growing order.

        Visits come in the order in which their first places are needed; a place out of ``steps``
        is left out.
        """
        step = steps.start
        while step < steps.stop:
            _, block, within = self.batching.locate(step)
            start = step - within
            yield from self._visits_of_block(start, steps)
            step = start + self.batching.pairs_per_visit * self.batching.num_batches(block)

    def _visits_of_block(self, start: int, steps: range) -> list[list[Place]]:
        """Return the visits of the block whose first step is ``start``."""
        cut = self.batching
        run, block, _ = cut.locate(start)
        batches, size = cut.num_batches(block), cut.batch_size
        visits: list[list[Place]] = [[] for _ in range(cut.num_videos_of(block))]
        for turn in range(cut.pairs_per_visit):
            shuffle = self._shuffle(run * cut.pairs_per_visit + turn, block)
            for index, video in enumerate(shuffle.tolist()):
                batch, position = divmod(index, size)
                place = Place(start + turn * batches + batch, position)
                if place.step in steps and position in cut.positions:
                    visits[video].append(place)
        return sorted(visit for visit in visits if visit)

    def _permutation(self, run: int) -> Int64[np.ndarray, " num_videos"]:
        if self._base is None or self._base[0] != run:
            generator = np.random.default_rng((self._seed, _ORDER, run))
            self._base = (run, generator.permutation(self.batching.num_videos))
        return self._base[1]

    def _shuffle(self, epoch: int, block: int) -> Int64[np.ndarray, " block_videos"]:
        """Return which video of a block is at each of its places in an epoch."""
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
