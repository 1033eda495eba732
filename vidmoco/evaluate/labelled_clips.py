"""Choose the frames of labelled videos for an image set: classes, train and val, and balance.

A split is by group (what belongs together, such as the clips of one place and day), never by frame:
frames of one video are near-copies, and a split between them measures memory.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vidmoco.csv_file import header_is_row, read_csv
from vidmoco.errors import ConfigError, DataError, no_column
from vidmoco.images.draw import draw_val
from vidmoco.images.folders import TRAIN, VAL
from vidmoco.text import counted

SPLITS = ("train", "val")
_SPLIT_NAMES = dict.fromkeys(TRAIN, "train") | dict.fromkeys(VAL, "val")
"""Names of splits in folders and manifests, in any case, and the split that each means."""


@dataclass(frozen=True)
class Clip:
    """A labelled video."""

    path: str
    label: str
    group: str
    split: str = ""
    """`train` or `val`, or empty if it is not decided yet."""


def read_manifest(
    manifest: Path,
    *,
    path: str,
    label: str,
    group: str | None,
    where: Sequence[str],
    split: str | None = None,
) -> tuple[list[Clip], list[str]]:
    """Return the labelled rows of a CSV that meet all conditions, and the paths without a label.

    Args:
        manifest: A CSV file with a row per video.
        path: Column of the path below the folder of videos.
        label: Column of the class.
        group: Column of the group that must stay together. None means each video is a group.
        where: Conditions ``COLUMN=VALUE``.
        split: Column of train and val, by any name of a part, or None: not decided yet.

    Raises:
        ConfigError: the file or a column is missing.
        DataError: there are no such rows, a video is listed twice, or a row lacks group or split.
    """
    rows, columns = read_csv(manifest, what="manifest")
    conditions = [condition.partition("=")[::2] for condition in where]
    wanted = (path, label, group, split, *(column for column, _ in conditions))
    _require_columns(
        [column for column in wanted if column is not None], columns, manifest=manifest
    )
    for row in rows:  # what a spreadsheet leaves around a word; the name of a file may have spaces
        words = {one: text for one, text in row.items() if one != path and isinstance(text, str)}
        row |= {one: text.strip() for one, text in words.items()}
    rows = [row for row in rows if all(row[column] == value for column, value in conditions)]
    unlabelled = [row[path] or "a row without a path" for row in rows if not row[label]]
    rows = [row for row in rows if row[label]]
    parts = [(row[split] or "").lower() if split else "" for row in rows]
    odd = [row for row, part in zip(rows, parts, strict=True) if part not in _SPLIT_NAMES]
    if split is not None and odd:
        raise DataError(
            f"Column {split!r} of {manifest} has {odd[0][split]!r} for {odd[0][path]!r}; expected "
            f"one of {', '.join(_SPLIT_NAMES)}. Leave out other rows with --videos.where."
        )
    vals = [name for name in VAL if name in parts]
    if len(vals) > 1:
        raise DataError(
            f"Column {split!r} of {manifest} has both {' and '.join(vals)}; expected one of them. "
            "Leave out one with --videos.where, or name another column."
        )
    clips = [
        Clip(
            row[path] or "",  # None in a row that is too short
            row[label],
            row[path if group is None else group] or "",
            _SPLIT_NAMES.get(part, ""),
        )
        for row, part in zip(rows, parts, strict=True)
    ]
    if not clips:
        raise DataError(f"No row of {manifest} has a label and {' and '.join(where) or 'a path'}.")
    video, times = Counter(clip.path for clip in clips).most_common(1)[0]
    if times > 1:
        raise DataError(
            f"{manifest} lists {video!r} {times} times; expected one row per video. Delete the "
            "other rows, or leave them out with --videos.where."
        )
    nameless = [clip.path for clip in clips if not clip.group]
    if nameless:
        raise DataError(
            f"{counted(len(nameless), 'row')} of {manifest} without a {group or path!r} (the first "
            f"is {nameless[0]!r}), so their group is unknown. Fill the column, or leave out these "
            "rows with --videos.where."
        )
    return clips, unlabelled


def _require_columns(wanted: Sequence[str], columns: Sequence[str], *, manifest: Path) -> None:
    """Raise ``ConfigError`` if the first line of the manifest lacks a wanted column."""
    if not columns:
        raise ConfigError(
            f"{manifest} is empty; expected a CSV whose first line names the columns "
            f"{', '.join(wanted)}, followed by a row per video."
        )
    for column in wanted:
        if column not in columns:
            raise ConfigError(no_column(manifest, column, columns) + header_is_row(columns))


def clips_of_folders(keys: Sequence[str], *, folder: Path) -> list[Clip]:
    """Return labelled videos of CLASS/x.mp4, or of train/CLASS/x.mp4 and val/CLASS/y.mp4.

    Each video is its own group. As for images, the parts may have other names, and the folders
    beside the two parts are left out.

    Args:
        keys: Paths of videos below ``folder``.
        folder: Named in errors.

    Raises:
        DataError: the videos are not in folders of classes.
    """
    parts = {key: key.split("/") for key in keys if not key.endswith("/")}
    there = {names[0].lower() for names in parts.values()}
    val = next((name for name in VAL if name in there), "")
    train = next((name for name in TRAIN if name in there), "")
    is_split = bool(parts) and (there <= _SPLIT_NAMES.keys() or {train, val} <= there)
    if is_split:
        parts = {key: names for key, names in parts.items() if names[0].lower() in (train, val)}
    depth = 3 if is_split else 2
    bare = [key for key, names in parts.items() if len(names) < depth]
    if bare or not parts:
        found = f"videos outside of class folders, such as {bare[0]!r}" if parts else "no videos"
        raise DataError(
            f"{folder} has {found}; expected CLASS/x.mp4, or train/CLASS/x.mp4 and "
            "val/CLASS/y.mp4, or a CSV with a row per video (--videos.labels)."
        )
    if is_split:
        return [Clip(key, n[1], key, _SPLIT_NAMES[n[0].lower()]) for key, n in parts.items()]
    return [Clip(key, n[0], key) for key, n in parts.items()]


def given_splits(clips: Sequence[Clip]) -> dict[str, str]:
    """Return the split of every group whose clips state one.

    Raises:
        DataError: clips of one group are in both splits.
    """
    splits: dict[str, str] = {}
    for clip in clips:
        if clip.split and splits.setdefault(clip.group, clip.split) != clip.split:
            raise DataError(
                f"Videos of group {clip.group!r} are in train and val, such as {clip.path!r}, so "
                "similar frames would be in both. Put each group into one split, or leave out "
                "--videos.split-column to have the groups split."
            )
    return splits


def drop_small_classes(
    clips: Sequence[Clip], *, min_videos: int, min_groups: int
) -> tuple[list[Clip], list[str]]:
    """Return the clips of classes that are large enough, and a line for each other class."""
    by_class = clips_by(clips, "label")
    dropped = []
    for name, members in sorted(by_class.items()):
        num_groups = len({clip.group for clip in members})
        if len(members) < min_videos or num_groups < min_groups:
            sizes = f"{counted(len(members), 'video')} of {counted(num_groups, 'group')}"
            dropped.append(f"{name}: {sizes}")
            del by_class[name]
    if len(by_class) < 2:
        raise DataError(
            f"Fewer than two classes have {min_videos} videos and {min_groups} groups: "
            f"{'; '.join(dropped)}. Lower --videos.min-videos or --videos.min-groups, or add "
            "videos of other classes."
        )
    return [clip for clip in clips if clip.label in by_class], dropped


def val_groups(clips: Sequence[Clip], *, share: float, seed: int) -> set[str]:
    """Return the groups for val: about ``share`` of each class's groups, at least one.

    Raises:
        DataError: all groups of a class fell into one split.
    """
    groups_of = {name: {c.group for c in some} for name, some in clips_by(clips, "label").items()}
    val = draw_val(groups_of, share=share, seed=seed)
    for name, groups in sorted(groups_of.items()):
        if groups <= val or not groups & val:
            raise DataError(
                f"All groups of {name} are shared with other classes and fell into one split. Give "
                "another --seed, or raise --min-groups."
            )
    return val


def choose_frames(
    clips: Sequence[Clip], *, per_video: int, per_class: int | Literal["min"] | None, seed: int
) -> dict[Clip, list[int]]:
    """Return the chosen ones of each clip's ``per_video`` frames, at most ``per_class`` a class.

    ``min`` takes as many of each class as the rarest class has, so that classes are balanced. If
    there are too many, the most different frames are taken: first one frame of one video of each
    group, then one of each group's next video, and so on.
    """
    generator = np.random.default_rng(seed)
    ranked: dict[str, list[tuple[Clip, int]]] = {}
    for name, clips_of_class in sorted(clips_by(clips, "label").items()):
        by_group = clips_by(clips_of_class, "group")
        order = []
        for rank, group in enumerate(generator.permutation(sorted(by_group)).tolist()):
            members = sorted(by_group[group], key=lambda clip: clip.path)
            for turn, member in enumerate(generator.permutation(len(members)).tolist()):
                frames = generator.permutation(per_video).tolist()
                order += [(i, turn, rank, members[member], f) for i, f in enumerate(frames)]
        order.sort(key=lambda entry: entry[:3])
        ranked[name] = [(clip, frame) for *_, clip, frame in order]
    limit = min(map(len, ranked.values())) if per_class == "min" else per_class
    chosen: dict[Clip, list[int]] = defaultdict(list)
    for frames in ranked.values():
        for clip, frame in frames[:limit]:
            chosen[clip].append(frame)
    return {clip: sorted(chosen[clip]) for clip in sorted(chosen, key=lambda clip: clip.path)}


def clips_by(clips: Sequence[Clip], attribute: str) -> dict[str, list[Clip]]:
    """Return the clips by the value of an attribute."""
    parts: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        parts[getattr(clip, attribute)].append(clip)
    return dict(parts)
