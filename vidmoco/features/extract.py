"""Extraction: videos to feature files, decoded in other processes while the model works."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from errno import EILSEQ, ENAMETOOLONG
from typing import Any, Literal

import vidmoco
from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.config.extract import ExtractCommand
from vidmoco.config.frame_selection import FrameSelection, selection_of
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.config.plain import from_python
from vidmoco.errors import ConfigError, VideoError
from vidmoco.features.dataset_settings import changed_settings, require_outside_of_datasets
from vidmoco.features.extraction import Extraction
from vidmoco.features.feature_file import (
    feature_writer,
    read_sidecar,
    require_known_suffix,
    require_own_files,
)
from vidmoco.features.kept_settings import changes_in_words
from vidmoco.features.stream import Pool, VideoFeatures, stream_features
from vidmoco.urls import absolute_paths
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import open_videos

FileType = Literal["float32", "float16"]


Write = Callable[[VideoFeatures, Extraction], int]
"""Computes the features, keeps them, and returns the number of rows."""


def extract_video(
    frozen: FrozenBackbone,
    video: VideoInfo | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    selection: FrameSelection | None = None,
    pool: Pool = "none",
    normalize: bool = False,
    dtype: FileType = "float32",
    batch_size: int | None = None,
    limits: Limits | dict[str, Any] = DEFAULT_LIMITS,
    **frames: Any,
) -> int:
    """Write the features of the frames of ``video`` to ``output``, and return their number.

    Memory does not grow with the video. A process of its own decodes and resizes. For many videos
    use ``extract_videos``, which starts it once.

    Args:
        frozen: the backbone, on its device; its ``row_shape`` is that of a row: (D,) or (P, D).
        video: a path, or a row of the catalog.
        output: a file whose suffix is `.npy` or `.parquet`.
        selection: the frames to take, in place of ``frames``.
        pool: one row for the video, or for each shot with ``scenes="all"``.
        normalize: divide each feature by its length, after pooling.
        dtype: of the features in the file.
        batch_size: frames in one pass. The default is 64 on a CPU, and as many as fit on CUDA.
        limits: what the video may be, and what reading it may cost: ``{"max_duration": 9e4}``.
        **frames: the frames to take, as ``FrameSelection`` has them: ``fps``, ``every``,
            ``num_frames``, ``keyframes``, ``scenes``, ``times``, ``start``, ``end``. Times are
            seconds, or texts such as ``1:02.5`` and ``1:02:03``.

    Raises:
        VideoError: no frame can be read, or the decoder hangs or crashes. A video damaged on the
            way gives the frames that can be; the sidecar's ``damage`` says how many are missing.
        ConfigError: a setting cannot be used, there is no such video, or the output would replace
            a file that is none of vidmoco's.
    """
    if not isinstance(frozen, FrozenBackbone):
        raise ConfigError(
            f"frozen is of type {type(frozen).__name__}. Give what load_frozen returns."
        )
    if selection is not None and frames:
        raise ConfigError(
            f"selection says which frames, and {' and '.join(frames)} too. Give only one of them."
        )
    if selection is None:
        selection = selection_of(frames, call=extract_video)
    command = from_python(  # it knows what each may be
        ExtractCommand,
        {
            "videos": ["-"],
            "output": output,
            "frames": selection,
            "pool": pool,
            "normalize": normalize,
            "dtype": dtype,
            "batch_size": batch_size,
            "limits": limits,
        },
    )
    require_known_suffix(command.output)
    require_outside_of_datasets(command.output)
    require_own_files(command.output)
    if not isinstance(video, VideoInfo):
        paths = absolute_paths(video)
        if len(paths) != 1:
            raise ConfigError(
                f"extract_video takes one video, and {len(paths)} are given. Give them to "
                "vidmoco.extract, which takes several."
            )
        (video,) = open_videos(paths, limits=command.limits)
    ((_, result),) = extract_videos(
        frozen,
        [Extraction(video, command.output, command.frames)],
        pool=command.pool,
        normalize=command.normalize,
        dtype=command.dtype,
        batch_size=command.batch_size,
        limits=command.limits,
        workers=1,
    )
    if isinstance(result, VideoError):
        raise result
    return result


def extract_videos(
    frozen: FrozenBackbone,
    todo: Iterable[Extraction],
    *,
    pool: Pool = "none",
    normalize: bool = False,
    dtype: FileType = "float32",
    batch_size: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    workers: int | None = None,
    write: Write | None = None,
) -> Generator[tuple[Extraction, int | VideoError], None, None]:
    """Extract videos in order; yield each with the number of its rows, or why there are none.

    Args:
        frozen: as for ``extract_video``, and so are the others.
        todo: what is extracted. It is asked for as it is read.
        pool: see there.
        normalize: see there.
        dtype: see there.
        batch_size: see there.
        limits: see there.
        workers: processes that decode, a video each. The default is one per two cores, 4 at most.
        write: where the features go. The default is the ``output`` of each, a feature file.
    """
    under_way: deque[Extraction] = deque()

    def asked() -> Iterator[tuple[VideoInfo, FrameSelection]]:
        for extraction in todo:
            under_way.append(extraction)
            yield extraction.video, extraction.selection

    stream = stream_features(
        frozen,
        asked(),
        pool=pool,
        normalize=normalize,
        batch_size=batch_size,
        limits=limits,
        workers=workers,
        numbered=write is not None,
    )
    with closing(stream):
        for features in stream:
            extraction = under_way.popleft()
            result: int | VideoError
            try:
                if write is not None:
                    result = write(features, extraction)
                else:
                    settings = settings_of(
                        frozen, extraction.selection, pool=pool, normalize=normalize, dtype=dtype
                    )
                    result = _write_features(features, extraction, settings)
            except VideoError as error:
                result = VideoError(extraction.named(str(error)))
            except ConfigError as error:
                if getattr(error.__cause__, "errno", 0) not in (ENAMETOOLONG, EILSEQ):
                    raise
                result = VideoError(str(error))  # of this file alone
            yield extraction, result


def _write_features(
    features: VideoFeatures, extraction: Extraction, settings: dict[str, Any]
) -> int:
    video = features.video
    *patches, dim = features.row_shape
    with feature_writer(
        extraction.output, dim=dim, dtype=settings["dtype"], num_patches=sum(patches)
    ) as writer:
        for piece in features.pieces:
            writer.append(piece.features, piece.times)
        return writer.finish(
            {
                **settings,
                "source": extraction.source,
                **({"name": extraction.full_name} if extraction.full_name else {}),
                "source_bytes": video.num_bytes,
                **({} if extraction.url else {"source_mtime_ns": video.mtime_ns}),
                "decoder": "pyav",
                "start_seconds": video.start_seconds,
                "damage": [extraction.named(line) for line in features.damage],
                **({"end_seconds": features.ends} if features.ends else {}),
                "vidmoco_version": vidmoco.__version__,
            }
        )


def is_done(extraction: Extraction, settings: dict[str, Any]) -> bool:
    """Return whether the features are finished, for this video as it is now.

    Those of a URL are, whatever there is at the URL by now.

    Raises:
        ConfigError: they were made with other settings, or of another video that is still there.
    """
    output, video = extraction.output, extraction.video
    sidecar = read_sidecar(output)
    if sidecar is None:
        return False
    if changed := changed_settings(sidecar, settings):
        raise ConfigError(
            f"{output} was made with other settings: "
            f"{changes_in_words(sidecar, settings, changed)}. Give another -o, or --overwrite."
        )
    if extraction.url:
        done = sidecar.get("source") == extraction.source
    else:
        known = sidecar.get("source_bytes"), sidecar.get("source_mtime_ns")
        done = known == (video.num_bytes, video.mtime_ns)
    if not done:
        extraction.require_same(str(sidecar.get("source")), where=str(output))
    return done


def settings_of(
    frozen: FrozenBackbone,
    selection: FrameSelection,
    *,
    pool: Pool,
    normalize: bool,
    dtype: str,
) -> dict[str, Any]:
    """Return what decides the rows of a file, as its sidecar keeps it: defaults are left out."""
    return {
        **frozen.provenance,
        **selection.as_json(),
        **({} if pool == "none" else {"pool": pool}),
        **({"normalize": True} if normalize else {}),
        "dtype": dtype,
        "dim": frozen.dim,
    }
