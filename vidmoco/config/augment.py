"""The settings of the random views."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from vidmoco.config.base import Settings
from vidmoco.config.fields import Expert


@dataclass(frozen=True, kw_only=True)
class AugmentConfig(Settings):
    """The random views (defaults: MoCo v2's)."""

    SECTION: ClassVar[str] = "augment"

    size: int = 224
    """Side of the square views, in pixels."""
    crop_scale: tuple[float, float] = (0.2, 1.0)
    """Least and greatest share of the frame's area that a crop takes."""
    flip_probability: float = 0.5
    """Probability of a horizontal flip."""
    brightness: float = 0.4
    """Colour jitter: brightness factor from 1 - x to 1 + x."""
    contrast: float = 0.4
    """Colour jitter: contrast factor from 1 - x to 1 + x."""
    saturation: float = 0.4
    """Colour jitter: saturation factor from 1 - x to 1 + x."""
    hue: float = 0.1
    """Colour jitter: hue shift from -x to x turns of the colour circle (at most 0.5)."""
    jitter_probability: float = 0.8
    """Probability of the colour jitter (v1: 1)."""
    grayscale_probability: float = 0.2
    """Probability of a grey view."""
    grayscale_first: Expert[bool] = False
    """Grey before the colour jitter, as in v1; v2 has it after."""
    blur_probability: float = 0.5
    """Probability of a Gaussian blur (v1: 0)."""
    blur_sigma: Expert[tuple[float, float]] = (0.1, 2.0)
    """Least and greatest standard deviation of the blur, in pixels of the view."""
    solarize_probability: Expert[float] = 0.0
    """Probability that all above half brightness is inverted, after the blur."""
    second_blur_probability: Expert[float | None] = None
    """Probability of a blur in the second view (v3: 0.1, and 1 in the first); None: as in the first
    view."""
    second_solarize_probability: Expert[float | None] = None
    """Probability of solarizing the second view (v3: 0.2, and 0 in the first); None: as in the
    first view."""
    shared: tuple[Literal["crop", "flip"], ...] = ()
    """What the views of a video have in common: `crop` (the same box), `flip`, or both."""
    large_views: int = 2
    """Views of the full size, each of the next frame: the first, the second, and from the first
    again. More than 2 are for MoCo, as further positives of a video, and for Fast-MoCo, whose
    patches then come from several of them; as the second view is, so are they."""
    small_crops: int = 0
    """Additional small views, of the frames that come next, as in SwAV's multi-crop (there 6); all
    but size and crop as in the first view. MoCo uses the large views alone."""
    small_size: Expert[int] = 96
    """Side of the small views, in pixels."""
    small_crop_scale: Expert[tuple[float, float]] = (0.05, 0.14)
    """Least and greatest share of the frame's area that a small crop takes (SwAV's large crops:
    0.14 to 1)."""

    def __post_init__(self) -> None:
        self._at_least(8, "size", "small_size", unit=" pixels")
        for name in ("crop_scale", "small_crop_scale"):
            low, high = getattr(self, name)
            self._require(0 < low <= high <= 1, name, "two shares, 0 < least <= greatest <= 1")
        for name in ("flip", "jitter", "grayscale", "blur", "solarize"):
            probability = getattr(self, f"{name}_probability")
            self._require(0 <= probability <= 1, f"{name}_probability", "from 0 to 1")
        for name in ("second_blur_probability", "second_solarize_probability"):
            probability = getattr(self, name)
            self._require(probability is None or 0 <= probability <= 1, name, "None or from 0 to 1")
        self._require(
            len(set(self.shared)) == len(self.shared), "shared", "crop, flip, or each of them once"
        )
        self._require(2 <= self.large_views <= 16, "large_views", "from 2 to 16")
        self._require(0 <= self.small_crops <= 16, "small_crops", "from 0 to 16")
        for name in ("brightness", "contrast", "saturation"):
            self._require(0 <= getattr(self, name) <= 1, name, "from 0 to 1")
        self._require(0 <= self.hue <= 0.5, "hue", "from 0 to 0.5")
        low, high = self.blur_sigma
        self._require(0 < low <= high, "blur_sigma", "two numbers of pixels, 0 < least <= greatest")
