"""Look at the files of annotated images before a training, which would end hours later at one."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from vidmoco import distributed
from vidmoco.errors import DataError
from vidmoco.evaluate.detection.annotations import AnnotatedImage
from vidmoco.images.decode import decode_image, glance

_THREADS = 8  # for disks far away: 118,000 images of a near one take 6 s with one thread (measured)


def require_usable(images: Sequence[AnnotatedImage], *, flag: str) -> None:
    """Refuse images that are missing, cut off, of no known type, or of another size than annotated.

    Only the header and the last bytes of a file are read. A file that ends in another way than a
    whole JPEG or PNG is decoded. With several processes each looks at its share.

    Raises:
        DataError: some cannot be used; the message has their number and the first of them. All
            processes raise it.
    """
    own = [images[row] for row in distributed.shard(len(images))]
    # Threads that silence warnings for themselves would end in any order.
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as threads:
        warnings.simplefilter("ignore")
        found = list(threads.map(_problem, own))
    problems = [
        problem for part in distributed.gather_objects(found) for problem in part if problem
    ]
    if problems:
        such, them = (", such as", "them") if len(problems) > 1 else (":", "it")
        raise DataError(
            f"{len(problems)} of the {len(images)} images of {flag} cannot be used{such} "
            f"{problems[0]} Replace {them}, correct the annotations, or take {them} out of these."
        )


def _problem(image: AnnotatedImage) -> str:
    """Return a sentence on why an image cannot be used, or an empty string."""
    try:
        with image.path.open("rb") as file:
            width, height, has_end = glance(file)
        if (width, height) != (image.width, image.height):
            return image.other_size(width, height)
        if not has_end:
            decode_image(image.path.read_bytes())
    except FileNotFoundError:
        return f"{image.path} does not exist."
    except OSError as error:
        return f"{image.path}: {error.strerror}."
    except DataError as error:
        return f"{image.path}: {error}."
    return ""
