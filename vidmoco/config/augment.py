"""The settings of the random views."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from vidmoco.config.base import Settings
from vidmoco.config.fields import Expert


@dataclass(frozen=True, kw_only=True)
class AugmentConfig(Settings):
    """The random views. The defaults are those of MoCo v2."""

    SECTION: ClassVar[str] = "augment"

    size: int = 224
    """Side of the square views, in pixels."""
    crop_scale: tuple[float, float] = (0.2, 1.0)
    """Smallest and largest area of a crop, as a fraction of the frame's area."""
    flip_probability: float = 0.5
    """Probability of a horizontal flip."""
    brightness: float = 0.4
    """Colour jitter: the brightness factor is drawn from 1 - x to 1 + x."""
    contrast: float = 0.4
    """Colour jitter: the contrast factor is drawn from 1 - x to 1 + x."""
    saturation: float = 0.4
    """Colour jitter: the saturation factor is drawn from 1 - x to 1 + x."""
    hue: float = 0.1
    """Colour jitter: the hue shift is drawn from -x to x turns of the colour wheel. At most 0.5."""
    jitter_probability: float = 0.8
    """Probability of the colour jitter (1 in MoCo v1)."""
    grayscale_probability: float = 0.2
    """Probability of converting a view to greyscale."""
    grayscale_first: Expert[bool] = False
    """Convert to greyscale before the colour jitter, as in MoCo v1. MoCo v2 does it afterwards."""
    blur_probability: float = 0.5
    """Probability of a Gaussian blur (0 in MoCo v1)."""
    blur_sigma: Expert[tuple[float, float]] = (0.1, 2.0)
    """Smallest and largest standard deviation of the blur, in pixels of the view."""
    solarize_probability: Expert[float] = 0.0
    """Probability of solarizing a view after the blur: values above one half are inverted."""
    second_blur_probability: Expert[float | None] = None
    """Probability of blurring the second view (0.1 in MoCo v3, which always blurs the first). None
    means the same as for the first view."""
    second_solarize_probability: Expert[float | None] = None
    """Probability of solarizing the second view (0.2 in MoCo v3, which never solarizes the first).
    None means the same as for the first view."""
    shared: tuple[Literal["crop", "flip"], ...] = ()
    """Parameters that all views of a video share: `crop` (the same box), `flip`, or both."""
    large_views: int = 2
    """Number of full-size views of a video. They take its frames in turn, and start again at the
    first frame when there are more views than frames. Views after the second are augmented like
    the second. Only MoCo (as more positives) and Fast-MoCo (as sources of patches) use more than
    2."""
    small_crops: int = 0
    """Number of additional small views, as in SwAV's multi-crop, which has 6. They take the frames
    that follow those of the large views, and are augmented like the first view except for size and
    crop. The papers of MoCo have none."""
    small_size: Expert[int] = 96
    """Side of the small views, in pixels."""
    small_crop_scale: Expert[tuple[float, float]] = (0.05, 0.14)
    """Smallest and largest area of a small crop, as a fraction of the frame's area. (SwAV's large
    crops take 0.14 to 1.)"""

    def __post_init__(self) -> None:
        self._at_least(8, "size", "small_size", unit=" pixels")
        for name in ("crop_scale", "small_crop_scale"):
            low, high = getattr(self, name)
            self._require(0 < low <= high <= 1, name, "two fractions, 0 < low <= high <= 1")
        self._fraction("flip_probability", "jitter_probability", "grayscale_probability")
        self._fraction("blur_probability", "solarize_probability")
        self._fraction("second_blur_probability", "second_solarize_probability")
        self._require(
            len(set(self.shared)) == len(self.shared), "shared", "crop, flip, or each of them once"
        )
        self._require(2 <= self.large_views <= 16, "large_views", "from 2 to 16")
        self._require(0 <= self.small_crops <= 16, "small_crops", "from 0 to 16")
        self._fraction("brightness", "contrast", "saturation")
        self._require(0 <= self.hue <= 0.5, "hue", "from 0 to 0.5")
        low, high = self.blur_sigma
        self._require(0 < low <= high, "blur_sigma", "two numbers of pixels, 0 < low <= high")
