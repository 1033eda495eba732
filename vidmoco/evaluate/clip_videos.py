"""Find the videos that a list of labelled videos means, and those that are there twice."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from vidmoco.csv_file import called_so
from vidmoco.errors import DataError
from vidmoco.evaluate.labelled_clips import Clip
from vidmoco.frames.labels import calls_of
from vidmoco.text import counted
from vidmoco.video.files import VIDEO_SUFFIXES
from vidmoco.video.info import VideoInfo

# Seconds of a clip, as Kinetics' files are called: ID_000010_000020.mp4.
_SECONDS = re.compile(r"_\d{6}_\d{6}$")


def with_keys(
    clips: Sequence[Clip], catalog: Mapping[str, VideoInfo]
) -> tuple[list[Clip], dict[str, str]]:
    """Return the clips with the keys of their videos as paths, and why others have no video.

    A path that is no video's may lack the suffix or the folder, or have another suffix, or be a
    Kinetics ID. It means the only video that it fits, unless another row has the name of that one.
    """
    calls = calls_of(catalog)
    found = [next(iter(called_so(clip.path, calls)), None) for clip in clips]
    named = {key for key in found if key is not None}
    fitting: dict[str, set[str]] = defaultdict(set)
    for key in (key for key in catalog if not key.endswith("/")):
        for form in (posixpath.splitext(key)[0], PurePosixPath(key).stem):
            fitting[form].add(key)
            fitting[_SECONDS.sub("", form)].add(key)
    missing: dict[str, str] = {}
    for row, clip in enumerate(clips):
        if found[row] is not None:
            continue
        path = posixpath.normpath(clip.path.replace("\\", "/"))
        stem, suffix = posixpath.splitext(path)
        forms = (path, stem) if suffix.lower() in VIDEO_SUFFIXES else (path,)
        keys = next((sorted(fitting[form]) for form in forms if form in fitting), [])
        if len(keys) == 1 and keys[0] not in named:
            found[row] = keys[0]
        elif len(keys) > 1:
            missing[clip.path] = f"fits {len(keys)} videos, such as {keys[0]} and {keys[1]}"
        else:
            missing[clip.path] = "not in the folder of videos"
    return [
        clip if key is None else replace(clip, path=key)
        for clip, key in zip(clips, found, strict=True)
    ], missing


def with_copies_together(clips: Sequence[Clip], catalog: Mapping[str, VideoInfo]) -> list[Clip]:
    """Return the clips with one group for all groups that have the same video, by content."""
    joined: dict[str, str] = {}

    def first(group: str) -> str:
        while group in joined:
            group = joined[group]
        return group

    for copies in _by_content(clips, catalog).values():
        groups = sorted({first(clip.group) for clip in copies})
        joined |= dict.fromkeys(groups[1:], groups[0])
    return [replace(clip, group=first(clip.group)) for clip in clips]


def require_no_copies(
    clips: Sequence[Clip], splits: Mapping[str, str], catalog: Mapping[str, VideoInfo]
) -> None:
    """Refuse videos that are in both parts, by content.

    Args:
        clips: The videos.
        splits: The part of each group.
        catalog: The videos by their paths.

    Raises:
        DataError: there is one.
    """
    pairs = []
    for copies in _by_content(clips, catalog).values():
        first = {splits[clip.group]: clip.path for clip in reversed(copies)}
        if len(first) > 1:
            pairs.append((first["train"], first["val"]))
    if pairs:
        raise DataError(
            f"{counted(len(pairs), 'video')} {'is' if len(pairs) == 1 else 'are'} in both train "
            f"and val, by content, such as {pairs[0][0]!r} and {pairs[0][1]!r}. The same frames "
            "would be in both, and the accuracy would measure memory. Delete one of each, or leave "
            "out its row."
        )


def _by_content(clips: Sequence[Clip], catalog: Mapping[str, VideoInfo]) -> dict[str, list[Clip]]:
    found: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if content := catalog[clip.path].content:
            found[content].append(clip)
    return found
