"""The order of sources: which of them form a batch, as pure functions of (seed, step).

A source is a video, or a part of a long one (sources.py). Opening a video and seeking to a frame
costs far more than decoding the next frame. So each *visit* to a source takes several pairs, for
several batches.

    1 pair per visit      an epoch is a permutation of the sources, cut into batches
    V pairs per visit     V epochs form a round. One permutation is cut into blocks of several
                          batches. The sources of a block go through V epochs, each with a new
                          shuffle, before those of the next block

        round                 block 0                   block 1
        permutation           a b c d e f               g h i j k l
        epoch 0               [a b] [c d] [e f]         [g h] [i j] [k l]
        epoch 1               [c f] [e b] [a d]         [k h] [g l] [i j]

    steps: the three batches of epoch 0 in block 0, those of epoch 1, and then block 1

A batch never holds two pairs of one source, and each epoch has each source once. Where a batch is
larger than the number of sources, an epoch is 8 batches, which have each source about equally
often. A source keeps its position in the batch throughout a round. So if several processes share
every batch by position, a visit belongs to one process.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vidmoco.shapes import Int64

# Distinguish the streams of random numbers that share one seed (sampling.py has another).
_ORDER, _SHUFFLE = 1, 3

_PERMUTATIONS_KEPT = 64  # a block needs one per pair of a visit
# Of an epoch with fewer sources than a batch has pairs, and about the fewest steps of an epoch of
# the schedules: else a training on twice the videos could be an eighth as long.
_LEAST_BATCHES = 8


class Place(NamedTuple):
    """A place in the batches of a run. Places are ordered as the run reaches them."""

    step: int
    position: int


class Batching:
    """How the pairs of an epoch are cut into batches and blocks. Nothing here is random."""

    def __init__(
        self,
        *,
        num_sources: int,
        batch_size: int,
        pairs_per_visit: int = 1,
        block_batches: int = 1,
        positions: range | None = None,
    ) -> None:
        """Cut a pair of each source into batches, and the batches into nearly equal blocks.

        Args:
            num_sources: at least 1.
            batch_size: pairs in a batch. Pairs that do not fill a batch are left out of the round.
            pairs_per_visit: V, the epochs of a round.
            block_batches: maximum number of batches that an epoch has in a block.
            positions: the positions of each batch that this process reads. None means all.
        """
        if num_sources < 1:
            raise ValueError(f"{num_sources = }, expected 1 or more")
        self.num_sources, self.batch_size = num_sources, batch_size
        least = 1 if num_sources >= batch_size else _LEAST_BATCHES * batch_size
        self.pairs_per_source = -(-least // num_sources)
        self.pairs_per_epoch = num_sources * self.pairs_per_source
        self.positions = range(batch_size) if positions is None else positions
        self.pairs_per_visit = pairs_per_visit
        self.batches_per_epoch = self.pairs_per_epoch // batch_size
        num_blocks = -(-self.batches_per_epoch // block_batches)
        self._edges = [
            self.batches_per_epoch * block // num_blocks for block in range(num_blocks + 1)
        ]

    @property
    def steps_per_epoch(self) -> int:
        """The steps of an epoch as schedules count it: of several passes over few batches."""
        return self.batches_per_epoch * max(1, _LEAST_BATCHES // self.batches_per_epoch)

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

    def num_pairs_of(self, block: int) -> int:
        """Return the number of pairs per epoch in a block."""
        return self.num_batches(block) * self.batch_size


class BatchOrder:
    """The source at each place of a run, and the places that each visit fills."""

    def __init__(self, batching: Batching, *, seed: int) -> None:
        self.batching, self._seed = batching, seed
        self._base: tuple[int, Int64[np.ndarray, " pairs_per_epoch"]] | None = None
        self._shuffles: dict[tuple[int, int], Int64[np.ndarray, " block_pairs"]] = {}

    def epoch_and_index(self, place: Place) -> tuple[int, int]:
        """Return the epoch of a place, and its index in that epoch's order."""
        batching = self.batching
        round_, block, within = batching.locate(place.step)
        turn, batch = divmod(within, batching.num_batches(block))
        index = batching.first_index(block) + batch * batching.batch_size + place.position
        return round_ * batching.pairs_per_visit + turn, index

    def source(self, epoch: int, index: int) -> int:
        """Return the source at ``index`` of an epoch's order."""
        round_, turn = divmod(epoch, self.batching.pairs_per_visit)
        base = self._permutation(round_)
        block = self.batching.block_of(index)
        if turn == 0 or block is None:
            return int(base[index])
        first = self.batching.first_index(block)
        return int(base[first + self._shuffle(epoch, block)[index - first]])

    def visits(self, steps: range) -> Iterator[list[Place]]:
        """Yield the places of each visit, which are of one source and in increasing order.

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
        visits: list[list[Place]] = [[] for _ in range(batching.num_pairs_of(block))]
        for turn in range(batching.pairs_per_visit):
            shuffle = self._shuffle(round_ * batching.pairs_per_visit + turn, block)
            for index, item in enumerate(shuffle.tolist()):
                batch, position = divmod(index, batching.batch_size)
                place = Place(start + turn * num_batches + batch, position)
                if place.step in steps and position in batching.positions:
                    visits[item].append(place)
        return sorted(visit for visit in visits if visit)

    def _permutation(self, round_: int) -> Int64[np.ndarray, " pairs_per_epoch"]:
        if self._base is None or self._base[0] != round_:
            generator = np.random.default_rng((self._seed, _ORDER, round_))
            num_sources = self.batching.num_sources
            each = [
                generator.permutation(num_sources) for _ in range(self.batching.pairs_per_source)
            ]
            self._base = (round_, np.concatenate(each))
        return self._base[1]

    def _shuffle(self, epoch: int, block: int) -> Int64[np.ndarray, " block_pairs"]:
        """Return the order of a block's pairs in an epoch, as indices into the block."""
        num_pairs = self.batching.num_pairs_of(block)
        if epoch % self.batching.pairs_per_visit == 0:
            return np.arange(num_pairs)
        if (epoch, block) not in self._shuffles:
            if len(self._shuffles) >= _PERMUTATIONS_KEPT:
                self._shuffles.pop(next(iter(self._shuffles)))
            generator = np.random.default_rng((self._seed, _SHUFFLE, epoch, block))
            pairs = np.arange(num_pairs).reshape(-1, self.batching.batch_size)
            self._shuffles[epoch, block] = generator.permuted(pairs, axis=0).reshape(-1)
        return self._shuffles[epoch, block]
