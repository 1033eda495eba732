"""Axes of figures: scales, round ticks, and formatted numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vidmoco.visualize.drawing import round_step


@dataclass(frozen=True)
class Scale:
    """A linear scale: ``low`` is at pixel ``start``, ``high`` at pixel ``end``."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def round_ticks(low: float, high: float) -> list[float]:
    """Return evenly spaced round numbers; the first is <= low and the last >= high.

    There are at most about four intervals; one more may be needed.
    """
    if low == high:  # a constant line is drawn in the middle
        around = abs(low) / 2 or 1.0
        low, high = low - around, high + around
    step = round_step(high - low, most=4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, last + 1)]


def inner_ticks(low: float, high: float, *, most: int) -> list[float]:
    """Return round numbers within ``low`` and ``high``, or ``low`` if there are none."""
    if low == high:
        return [low]
    step = round_step(high - low, most=most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)] or [low]


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Return the ticks of an axis as text, with as many decimals as their distance needs.

    Ticks that are not round have more: each is right to three digits, and no two are alike.
    """
    step = min((b - a for a, b in pairwise(ticks)), default=abs(ticks[0]) or 1)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    while any(_is_off(value, decimals) for value in ticks):
        decimals += 1
    in_powers = step < 1e-4 and max(map(abs, ticks)) < 0.01
    return [_tick(value, step, decimals, in_powers=in_powers) for value in ticks]


def _is_off(value: float, decimals: int) -> bool:
    """Return whether rounding changes a value by more than rounding to three digits does."""
    allowed = abs(float(f"{value:.3g}") - value) + 1e-9 * abs(value)
    return abs(round(value, decimals) - value) > allowed


def _tick(value: float, step: float, decimals: int, *, in_powers: bool) -> str:
    if abs(value) < step / 2:
        return "0"
    if in_powers:
        digits = max(0, decimals + math.floor(math.log10(abs(value)) + 1e-9))
        return _short_power(f"{value:.{digits}e}")
    return signed(f"{value:,.{decimals}f}")


def number(value: float, unit: str = "") -> str:
    """Return a measured number with three or four digits and its unit."""
    if unit == " %" and math.isfinite(value):
        return signed(f"{value:.1f} %")
    return f"{_number(value)}{unit}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    size = abs(value)
    if size >= 1000 or value == round(value):
        return signed(f"{value:,.0f}")
    if size >= 100:
        return signed(f"{value:.1f}")
    if size >= 0.1:
        return signed(f"{value:.2f}" if size >= 10 else f"{value:.3f}")
    return _short_power(f"{value:.3g}")


def _short_power(text: str) -> str:
    return signed(text.replace("e-0", "e-"))


def signed(text: str) -> str:
    """Return a number with a typographic minus sign, which is as wide as a digit."""
    return text.replace("-", "\u2212", 1) if text.startswith("-") else text
