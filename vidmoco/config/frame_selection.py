"""Which frames of a video are taken."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal

from tyro.constructors import PrimitiveConstructorSpec

from vidmoco.config.base import Settings
from vidmoco.config.plain import from_python, to_plain
from vidmoco.errors import ConfigError
from vidmoco.text import seconds_of

MOST_FPS = 1000.0  # assumption: a higher rate is a request for every frame
TOLERANCE = 1e-6
"""Seconds. Times that differ by less are the same, and a frame that begins so soon after a time is
shown at it: times are rounded when they are written and computed."""
RATES = f"greater than 0 and at most {MOST_FPS:g} (frames per second)"
Seconds = Annotated[
    float,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="TIME",
        instance_from_str=lambda words: seconds_of(words[0]),
        is_instance=lambda value: isinstance(value, int | float),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""A time of a video: seconds, or as a text also ``m:ss`` or ``h:mm:ss``."""
_ALWAYS_KEPT = ("fps", "every")


@dataclass(frozen=True, kw_only=True)
class FrameSelection(Settings):
    """The frames to take; by default all. Times are in seconds from the first shown frame."""

    fps: float | None = None
    """Frames per second to take. None means every frame."""
    every: int = 1
    """Take every n-th frame."""
    num_frames: int | None = None
    """Take this many frames, in the middles of equal parts of the video. A short video has fewer:
    each frame is taken once."""
    keyframes: bool = False
    """Take the key frames. Other frames are not decoded where the decoder can skip them."""
    scenes: Literal["first", "middle", "all"] | None = None
    """Take the `first` or the `middle` frame of each shot. `all` takes every frame (or those of
    --fps, --every or --keyframes), and --pool then gives a row per shot."""
    times: tuple[Seconds, ...] = ()
    """Take the frames that are shown at these times, in seconds or as m:ss or h:mm:ss; one row per
    time, in ascending order."""
    start: Seconds = 0.0
    """Leave out frames that are shown before this time, in seconds or as m:ss or h:mm:ss."""
    end: Seconds | None = None
    """Leave out frames that begin at this time or later, in seconds or as m:ss or h:mm:ss."""

    def __post_init__(self) -> None:
        self._require(
            self.fps is None or 0 < self.fps <= MOST_FPS,
            "fps",
            f"{RATES}, or left out for every frame",
        )
        self._at_least(1, "every", "num_frames")
        self._require(
            all(0 <= time < math.inf for time in self.times), "times", "0 or more seconds each"
        )
        self._require(0 <= self.start < math.inf, "start", "0 or more seconds")
        self._require(
            self.end is None or self.end > self.start, "end", "left out or later than --start"
        )
        require_one(self.ways)

    @property
    def ways(self) -> list[str]:
        """The flags given that choose frames. At most one is allowed."""
        given = {name: getattr(self, name) != _DEFAULTS[name] for name in _WAYS}
        given["scenes"] &= self.scenes != "all" or self.num_frames is not None or bool(self.times)
        return [f"--{name.replace('_', '-')}" for name, is_given in given.items() if is_given]

    def times_between(self, start: float, end: float) -> list[float]:
        """Return the times of a range, in seconds, at which ``num_frames`` or ``fps`` takes one."""
        if self.num_frames is not None:
            part = (end - start) / self.num_frames
            return [start + (i + 0.5) * part for i in range(self.num_frames)]
        assert self.fps is not None
        number = max(1, math.ceil((end - start) * self.fps - TOLERANCE))
        return [start + i / self.fps for i in range(number)]

    def as_json(self) -> dict[str, Any]:
        """Return it as sidecars keep it: the rate, and what else is not the default."""
        kept = {
            name: value
            for name, value in asdict(self).items()
            if name in _ALWAYS_KEPT or value != _DEFAULTS.get(name)
        }
        return kept | ({"times": list(self.times)} if self.times else {})


@dataclass(frozen=True, kw_only=True)
class ClipSelection(FrameSelection):
    """Frames of clips of one video: what ``fps`` or ``num_frames`` takes of each, in time order."""

    clips: tuple[tuple[float, float | None], ...]
    """When each clip begins and ends, in seconds; None is the end of the video. A clip ends at the
    latest where the video ends."""

    def as_json(self) -> dict[str, Any]:
        """Return it as sidecars keep it, with the clips as they were given."""
        return super().as_json() | {"clips": [list(clip) for clip in self.clips]}


def selection_of(
    given: Mapping[str, Any], *, call: Callable[..., Any] | None = None
) -> FrameSelection:
    """Return the selection of settings as Python has them. Times may be texts, as flags are.

    ``call`` is the function that they are given to.

    Raises:
        ConfigError: a name is unknown, or a value has the wrong type or is out of range.
    """
    times = {
        name: _read(value, name)
        for name, value in given.items()
        if name in ("times", "start", "end")
    }
    return from_python(FrameSelection, {**given, **times}, call=call)


def _read(value: Any, name: str) -> Any:
    """Return a value with seconds in place of each text."""
    value = to_plain(value)
    if isinstance(value, list):
        return [_read(one, name) for one in value]
    if not isinstance(value, str):
        return value
    try:
        return seconds_of(value)
    except ValueError:
        raise ConfigError(
            f"{name!r} is {value!r}; it must be seconds, or m:ss or h:mm:ss."
        ) from None


def require_one(flags: list[str]) -> None:
    """Raise ``ConfigError`` if there are several flags of which one may be given."""
    if len(flags) > 1:
        raise ConfigError(f"{flags[0]} and {flags[1]} are both given. Give only one.")


_WAYS = ("fps", "every", "num_frames", "keyframes", "scenes", "times")
_DEFAULTS = {field.name: field.default for field in fields(FrameSelection)}
SELECTION_KEYS = tuple(_DEFAULTS)
"""Keys that a selection may have in a sidecar."""
EVERY_FRAME = FrameSelection()
