"""The packets of a stream, and whether their times can be those of its pictures."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

_MAX_DELAY = 17  # codecs delay a picture by at most 16 others
# assumption: if few gaps differ by more than this share from the usual one, times may be wrong.
_ODD, _MAX_FEW = 0.4, 0.1
_MAX_GAP = 4  # usual gaps: a group of pictures with a wider one may have a wrong time


@dataclass
class PacketList:
    """The packets of a stream in decoding order. Times are in ticks of the file's clock."""

    pts: list[int | None] = field(default_factory=list)
    """Display time of each packet's picture, or None if unknown."""
    dts: list[int | None] = field(default_factory=list)
    """Decoding time of each packet, or None if unknown."""
    durations: list[int] = field(default_factory=list)
    """Duration of each packet, or 0 if unknown."""
    keys: list[bool] = field(default_factory=list)
    """Whether decoding can start at the packet."""
    shown: list[bool] = field(default_factory=list)
    """Whether the packet is neither hidden nor cut off."""
    num_hidden: int = 0
    """Number of packets that are decoded but not shown."""
    num_damaged: int = 0
    """Number of packets that are damaged or cut off, plus 1 if the file ends early."""
    in_order: bool = True
    """Whether the pictures so far are shown in decoding order."""
    most_gap: int = 0
    """A key frame that comes so many ticks late begins another recording; 0: none does."""
    jumps: bool = False
    """Whether times go back past an earlier key frame, or far ahead, as in joined recordings."""
    leading: bool = False
    """Whether a picture is shown before the last key frame that is decoded before it."""
    size_changes: bool = False
    """Whether a new decoder configuration comes in the middle."""
    _key: int | None = None
    _key_before: int | None = None
    _latest: int | None = None

    def add(
        self,
        *,
        pts: int | None,
        duration: int,
        key: bool,
        dts: int | None = None,
        hidden: bool = False,
        damaged: bool = False,
        cut_off: bool = False,
    ) -> None:
        """Add the next packet. A damaged one is still shown unless it is cut off."""
        if pts is not None:
            last = self.pts[-1] if self.pts else None
            self.in_order &= last is None or last < pts
            self.jumps |= self._key_before is not None and pts < self._key_before
            if key:
                self.jumps |= self._key is not None and pts <= self._key
                self.jumps |= self._latest is not None and 0 < self.most_gap < pts - self._latest
                self._key_before, self._key = self._key, pts
            self._latest = pts if key or self._latest is None else max(self._latest, pts)
            self.leading |= self._key is not None and pts < self._key
        self.num_hidden += hidden
        self.num_damaged += damaged or cut_off
        self.pts.append(pts)
        self.dts.append(dts)
        self.durations.append(duration)
        self.keys.append(key)
        self.shown.append(not hidden and not cut_off)

    def add_second_field(self, duration: int) -> None:
        """Add a packet that completes the picture of the packet before it."""
        if self.durations and self.durations[-1]:
            self.durations[-1] += duration

    def of_shown(self, times: list[int | None]) -> list[int | None]:
        """Return the times of the shown pictures, in decoding order."""
        if all(self.shown):
            return times
        return [time for time, shown in zip(times, self.shown, strict=True) if shown]

    def known(self) -> list[int]:
        """Return the known display times of the shown pictures, in decoding order."""
        times = self.of_shown(self.pts)
        return [time for time in times if time is not None]

    def delayed(self, delay: int) -> list[int | None]:
        """Return the times in display order, where those of the packets are times of decoding.

        A picture is shown when the decoder returns it, which is ``delay`` packets later.
        """
        known = sorted(self.known())
        delay = min(max(delay, 0), max(len(known) - 1, 0))
        step = max(1, round(float(np.median(np.diff(known))))) if len(known) > 1 else 1
        known += [known[-1] + step * (n + 1) for n in range(delay)]
        shown = [time - known[delay] + known[0] for time in known[delay:]]
        return [*shown, *[None] * (self.num_shown - len(shown))]

    def joined(self) -> list[int]:
        """Return the times in display order of recordings put end to end, or none if any is odd.

        Each group of pictures is sorted by itself, as it has no pictures of another clock. Where
        the clock jumps ahead, the next recording follows at once.
        """
        groups: list[list[int]] = [[]]
        for pts, key, shown in zip(self.pts, self.keys, self.shown, strict=True):
            if not shown:
                continue
            if pts is None:
                return []
            if key:
                groups.append([])
            groups[-1].append(pts)
        groups = [sorted(group) for group in groups if group]
        gaps = [b - a for group in groups for a, b in pairwise(group)]
        if gaps and (min(gaps) < 1 or max(gaps) > _MAX_GAP * float(np.median(gaps))):
            return []
        step, ahead = max(1, round(float(np.median(gaps)))) if gaps else 1, 0
        times = groups[0][:] if groups else []
        for before, group in pairwise(groups):
            gap = group[0] - before[-1]
            ahead += gap - step if 0 < self.most_gap < gap else 0
            times += [pts - ahead for pts in group]
        return times

    def is_doubtful(self, *, reorders: bool) -> bool:
        """Return whether the times of the packets may not be those of their pictures.

        Args:
            reorders: whether the codec shows pictures in another order than it decodes them.
        """
        if self.in_order and None not in self.pts:
            return False
        known = self.known()
        if len(set(known)) < self.num_shown or not reorders:
            return True
        times = np.array(known, np.int64)
        decoding = self.of_shown(self.dts)
        if None not in decoding and (times < np.array(decoding, np.int64)).any():
            return True
        order = np.argsort(times, kind="stable")
        if np.abs(order - np.arange(len(order))).max() > _MAX_DELAY:
            return True
        gaps = np.diff(times[order])
        median = float(np.median(gaps)) if len(gaps) else 0.0
        odd = np.abs(gaps - median) > _ODD * median
        # A dropped picture leaves a wide gap alone. One with a wrong time also comes to stand close
        # to another, or at an end.
        moved = bool((odd & (gaps < median)).any() or (len(odd) and (odd[0] or odd[-1])))
        return moved and int(odd.sum()) <= max(_MAX_FEW * len(gaps), 4)

    @property
    def num_shown(self) -> int:
        """Number of pictures that are shown."""
        return sum(self.shown)
