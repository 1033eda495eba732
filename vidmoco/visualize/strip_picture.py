"""Draw the coloured strip: the first three principal components of the features over time."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.features.feature_set import FeatureSet
from vidmoco.shapes import Float32, UInt8
from vidmoco.text import in_ascii
from vidmoco.visualize.display import MARGIN, MARK, QUIET, SPACE, TEXT
from vidmoco.visualize.drawing import font, shortened
from vidmoco.visualize.layout import principal_components
from vidmoco.visualize.shots import Shot
from vidmoco.visualize.thumbnails import thumbnails
from vidmoco.visualize.timeline_axis import TimeAxis

_WIDTH, _BAR = 1200, 30
_MOST_PICTURES = 8
_BOX = _WIDTH // _MOST_PICTURES - 6, 84
_ROW = 20 + _BAR + 20 + _BOX[1] + 2 * SPACE
_HEAD = 76


def draw_strip(
    features: FeatureSet,
    numbers: Sequence[int],
    shots: Sequence[Shot],
    sample: Float32[np.ndarray, "n d"],
    *,
    limits: Limits = DEFAULT_LIMITS,
    on_read: Callable[[int], None] = lambda _: None,
) -> Image.Image:
    """Return a row for each file of ``numbers``: its colours over time, and frames below them.

    Args:
        features: the files.
        numbers: of the files to draw.
        shots: candidates, drawn as marks above the colours.
        sample: features from which the principal components are computed, for all rows.
        limits: of the videos.
        on_read: see ``thumbnails``.
    """
    colour = colours_of(sample)
    size = _WIDTH + 2 * MARGIN, 2 * MARGIN + _HEAD + _ROW * len(numbers)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 6), "Features over time", TEXT, font(20))
    caption = (
        "Colours: the first three principal components of all features as red, green and blue. "
        "Similar colours mean similar features, in all rows."
    )
    draw.text((MARGIN, MARGIN + 22), caption, QUIET, font())
    draw.line((MARGIN + 4, MARGIN + 45, MARGIN + 4, MARGIN + 57), MARK, width=2)
    draw.text((MARGIN + 14, MARGIN + 42), "candidate of a new shot", QUIET, font())
    axes = [TimeAxis(features, number, length=_WIDTH) for number in numbers]
    shown = [axis.rows(min(_MOST_PICTURES, len(axis.times))) for axis in axes]
    pictures = iter(
        thumbnails(features, np.concatenate(shown), box=_BOX, limits=limits, on_read=on_read)
    )
    for n, (number, axis, rows) in enumerate(zip(numbers, axes, shown, strict=True)):
        top = MARGIN + _HEAD + n * _ROW
        name = shortened(in_ascii(features.files[number].name), _WIDTH - 200)
        draw.text((MARGIN, top), name, TEXT, font())
        facts = f"{len(axis.times):,} frames, {axis.seconds:.1f} s"
        draw.text((MARGIN + _WIDTH, top), facts, QUIET, font(), anchor="ra")
        top += 20
        bar = colour(features.take(axis.rows(_WIDTH)))[None].repeat(_BAR, axis=0)
        sheet.paste(Image.fromarray(bar), (MARGIN, top))
        own = range(axis.first_row, axis.first_row + len(axis.times))
        for shot in shots:
            if shot.row in own:
                x = MARGIN + axis.pixel(float(features.times[shot.row]))
                draw.line((x, top - 5, x, top + _BAR + 4), MARK, width=2)
        for place, text in axis.ticks(16):
            x = MARGIN + place
            draw.line((x, top + _BAR, x, top + _BAR + 3), QUIET)
            draw.text((x, top + _BAR + 4), text, QUIET, font(11), anchor="ma")
        for place in range(len(rows)):
            picture = next(pictures)  # centred below its part of the time
            left = round((place + 0.5) / len(rows) * _WIDTH - picture.width / 2)
            sheet.paste(picture, (MARGIN + left, top + _BAR + 20))
    return sheet


def colours_of(
    sample: Float32[np.ndarray, "n d"],
) -> Callable[[Float32[np.ndarray, "m d"]], UInt8[np.ndarray, "m 3"]]:
    """Return a function from features to colours.

    A channel is 0 below the second percentile of the sample, and 255 above the 98th.
    """
    mean, axes = principal_components(sample, 3)
    low, high = np.percentile((sample - mean) @ axes.T, [2, 98], axis=0)
    is_flat = high - low < 1e-6  # only rounding errors
    scale = np.where(is_flat, 1, high - low)

    def colour(features: Float32[np.ndarray, "m d"]) -> UInt8[np.ndarray, "m 3"]:
        shares = np.where(is_flat, 0.5, ((features - mean) @ axes.T - low) / scale)
        return (255 * shares.clip(0, 1)).round().astype(np.uint8)

    return colour
