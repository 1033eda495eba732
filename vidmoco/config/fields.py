"""Types and help texts of settings that several commands share."""

from typing import Annotated, Literal, TypeVar

from tyro.conf import arg

from vidmoco.config.frame_selection import FrameSelection
from vidmoco.config.limits import Limits

T = TypeVar("T")

KNN_K = (1, 10, 20, 100, 200)
"""Numbers of neighbours of the k-NN. It searches for the largest of them once, and ties are broken
by that search. So two measurements agree exactly only if they search for equally many."""
KNN_TAU = 0.07
"""Temperature of the neighbours' weights exp(similarity / tau) (Wu et al. 2018)."""

VAL_SHARE = 0.3
"""Share of each class that is drawn for val, of labelled images or videos without a val part."""

EXPERT = "expert"
Expert = Annotated[T, EXPERT]
"""A setting that few users change. It has a YAML key and a flag like the others, but only
``--help-all`` shows it."""

EVERYDAY = "everyday"
Everyday = Annotated[T, EVERYDAY]
"""A setting of a section that most users change. Its flag also has a short name (an alias equal to
the field's name), and ``--help`` shows it at the top."""

Device = Annotated[str, arg(help="`auto` (CUDA if available), `cpu`, `cuda` or `cuda:1`.")]
Precision = Annotated[
    Literal["bf16", "fp32"],
    arg(help="Arithmetic of the backbone. bf16 is autocast: weights stay float32."),
]
InputSize = Annotated[
    int | None, arg(help="Input size in pixels. The default is the backbone's own.")
]
CropMode = Annotated[
    Literal["center", "squash"] | None,
    arg(
        help="`center` crops the middle of each image. `squash` resizes the whole image, ignoring "
        "its aspect ratio, which suits wide frames. The default is the backbone's own."
    ),
]
MaxTrainPerClass = Annotated[
    int | None, arg(help="Maximum number of training images per class. None means all.")
]
ValShare = Annotated[
    float,
    arg(
        help="Share of each class that is drawn for val, if the images or videos come without a "
        "val part. Whole groups are drawn, and whole videos."
    ),
]
Recipe = Annotated[
    str | None,
    arg(
        help="A shipped recipe, or a YAML file such as a run's config.yaml. Flags override it. The "
        "default is vidmoco on a CPU, and vidmoco_gpu where there is a GPU."
    ),
]
ForVideos = Annotated[Limits, arg(name="")]
"""Limits whose flags have no prefix."""
ForFrames = Annotated[FrameSelection, arg(name="")]
"""A selection of frames whose flags have no prefix."""
