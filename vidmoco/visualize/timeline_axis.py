"""A time axis of frames: the frame at each pixel, and the ticks."""

import numpy as np

from vidmoco.features.feature_set import FeatureSet
from vidmoco.shapes import Int64
from vidmoco.visualize.drawing import round_step


class TimeAxis:
    """The time of one feature file along ``length`` pixels.

    A frame is shown until the time of the next one, the last frame for the median step.
    """

    def __init__(self, features: FeatureSet, number: int, *, length: int) -> None:
        self.times, self.length = features.files[number].times, length
        self.first_row = int(features.starts[number])
        steps = np.diff(self.times)
        last = float(np.median(steps)) if len(steps) else 1.0
        self.begin, self.end = float(self.times[0]), float(self.times[-1]) + (last or 1.0)

    @property
    def seconds(self) -> float:
        """The duration of the axis."""
        return self.end - self.begin

    def rows(self, num: int) -> Int64[np.ndarray, "{num}"]:
        """Return the rows shown in the middle of ``num`` equal parts; rows may repeat."""
        middles = self.begin + (np.arange(num) + 0.5) / num * self.seconds
        shown = np.searchsorted(self.times, middles, side="right") - 1
        return (self.first_row + shown.clip(0)).astype(np.int64)

    def pixel(self, seconds: float) -> float:
        """Return the pixel of a time, from 0 to ``length``."""
        return (seconds - self.begin) / self.seconds * self.length

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Return (pixel, seconds as text) of about ``most`` round times at most."""
        step = round_step(self.seconds, most=most)
        first, last = int(np.ceil(self.begin / step - 1e-6)), int(np.floor(self.end / step + 1e-6))
        return [(self.pixel(n * step), f"{n * step:g}") for n in range(first, last + 1)]
