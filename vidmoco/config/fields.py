"""Settings that several commands have: their types and help texts, once."""

from typing import Annotated, Literal, TypeVar

from tyro.conf import arg

from vidmoco.config.limits import Limits

T = TypeVar("T")

KNN_K = (1, 10, 20, 100, 200)
"""Numbers of neighbours that the k-NN looks for. Of equally near neighbours it takes those that it
found, so that who wants the same numbers looks for as many."""
KNN_TAU = 0.07
"""Temperature of the neighbours' weights exp(similarity / tau) (Wu et al. 2018)."""

EXPERT = "expert"
Expert = Annotated[T, EXPERT]
"""A setting that a recipe states once and hardly anyone turns. It has its key in YAML and its flag;
``--help`` leaves it out, and ``--help-all`` shows it."""

EVERYDAY = "everyday"
Everyday = Annotated[T, EVERYDAY]
"""A setting of a section that everyone uses. Its flag has a short name too (an alias that is the
field's name), and ``--help`` shows it at the top."""

Device = Annotated[str, arg(help="`auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:1`.")]
Precision = Annotated[
    Literal["bf16", "fp32"],
    arg(help="Arithmetic of the backbone. bf16: autocast; weights stay float32."),
]
InputSize = Annotated[int | None, arg(help="Input size in pixels; None: the backbone's own.")]
CropMode = Annotated[
    Literal["center", "squash"] | None,
    arg(
        help="`center`: the middle of each image; `squash`: the whole of it, its aspect changed "
        "(for wide frames); None: the backbone's own."
    ),
]
MaxTrainPerClass = Annotated[
    int | None, arg(help="Use so many training images of each class; None: all.")
]
Recipe = Annotated[
    str,
    arg(
        help="A shipped recipe, or a YAML file (a run's config.yaml is one). Other flags override "
        "it."
    ),
]
ForVideos = Annotated[Limits, arg(name="")]
"""Limits whose flags have no prefix."""
