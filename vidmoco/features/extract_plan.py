"""What ``vidmoco extract`` extracts, and where to."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from vidmoco.ahead import libraries_meanwhile
from vidmoco.config.extract import ExtractCommand
from vidmoco.errors import ConfigError, VideoError
from vidmoco.features.dataset_part import Columns
from vidmoco.features.dataset_settings import require_no_other_files
from vidmoco.features.extraction import Extraction
from vidmoco.features.output_folder import OutputFolder, output_folder
from vidmoco.features.output_kind import holds_many
from vidmoco.features.times_file import read_selections
from vidmoco.frames.labels import labels_of, names_of, read_labels
from vidmoco.run_folder import make_writable_folder
from vidmoco.text import first_of
from vidmoco.urls import expand_lists, is_there, is_url, url_of
from vidmoco.video.catalog import Catalog
from vidmoco.video.fetch import name_of_url
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import open_catalog
from vidmoco.video.scan import require_videos
from vidmoco.workers.start import start_fork_server

# ".timestamps.npy" in place of the suffix, and ".12345678.part" while it is written.
_ADDED_BYTES = 32
_COLUMNS = {"video", "video_id", "frame", "pts_seconds", "end_seconds", "feature"}  # of a dataset


@dataclass(frozen=True)
class Plan:
    """What a command extracts, and where to."""

    is_many: bool
    """Whether the output is a folder."""
    refused: Sequence[Extraction]
    todo: Sequence[Extraction]
    num_without_times: int
    """Videos that --times-file leaves out."""
    folder: OutputFolder
    labels: Columns
    """The columns that --labels adds."""


def plan_of(command: ExtractCommand, *, progress: bool = True) -> Plan:
    """Return what a command extracts. Libraries are imported while the videos are looked at.

    With ``progress`` a bar shows how many videos are looked at.

    Raises:
        ConfigError: there is no video, or the output cannot be used.
        VideoError: the only video is refused.
    """
    if command.engine == "ray":
        _require_ray()
    is_many = holds_many(command)
    labels = {}
    if command.labels is not None:
        labels = read_labels(command.labels, key=command.labels_key, reserved=_COLUMNS)
    sources = expand_lists(command.videos)
    urls = list(dict.fromkeys(url_of(source) for source in sources if is_url(source)))
    local = [source for source in sources if not is_url(source)]
    catalog = Catalog.from_rows([])
    require_videos(local, follow_links=command.limits.follow_links)
    folder = output_folder(command.output)
    if is_many and command.writes_dataset:
        require_no_other_files(folder)
    if command.engine != "ray":  # else other machines decode
        start_fork_server()
    with libraries_meanwhile():
        if local:
            catalog = open_catalog(
                local, workers=command.workers, progress=progress, limits=command.limits
            )
        if not is_many and len(catalog.refused()):
            raise VideoError(f"{command.videos[0]}: {catalog[0].reason}")
        todo, num_without_times = planned(command, catalog, urls, is_many=is_many)
        if labels:
            todo = _with_labels(todo, labels, command)
        if is_many:
            folder.make()
        else:
            make_writable_folder(command.output.parent, flag="-o")
    return Plan(is_many, _split(catalog)[1], todo, num_without_times, folder, labels)


def _require_ray() -> None:
    """Raise ``ConfigError`` if Ray is not installed."""
    if find_spec("ray") is None:
        raise ConfigError(
            "--engine ray needs a package that is not installed: pip install 'vidmoco[ray]', on "
            "all nodes. Or leave it out."
        )


def planned(
    command: ExtractCommand, catalog: Catalog, urls: Sequence[str], *, is_many: bool
) -> tuple[list[Extraction], int]:
    """Return what is to be extracted, and the number of videos that --times-file leaves out.

    The video of a URL is only a name until it is fetched.
    """
    plan, refused = _split(catalog)
    for url in urls:
        name = name_of_url(url)
        video = VideoInfo(root="/", key=name, num_bytes=0, mtime_ns=0)
        plan.append(Extraction(video, Path(), name=name, url=url))
    names = Counter(one.name for one in plan + refused)
    for one in plan:
        if names[one.name] > 1:
            where = command.output / (one.name + command.file_suffix)
            what = f"called {one.name!r}" if command.writes_dataset else f"written to {where}"
            sources = [other.source for other in plan + refused if other.name == one.name]
            raise ConfigError(
                f"{len(sources)} of these videos would be {what}: {first_of(sources)}. Give each "
                "its own -o."
            )
    num_all = len(plan)
    if command.times_file is not None:
        found = read_selections(command.times_file, _called(plan + refused), command.frames)
        plan = [replace(one, selection=found[one.name]) for one in plan if one.name in found]
    else:
        plan = [replace(one, selection=command.frames) for one in plan]
    num_without_times = num_all - len(plan)
    if not is_many:
        return [replace(one, output=command.output) for one in plan], num_without_times
    if command.writes_dataset:
        return plan, num_without_times
    return [_with_output(one, command) for one in plan], num_without_times


def _split(catalog: Catalog) -> tuple[list[Extraction], list[Extraction]]:
    """Return the videos that can be read and those that are refused, named by one rule."""
    named = [
        Extraction(video, Path(), name=name)
        for name, video in zip(names_of(catalog), catalog.rows(), strict=True)
    ]
    refused = [one for one in named if one.video.route == "refused"]
    return [one for one in named if one.video.route != "refused"], refused


def _called(plan: Sequence[Extraction]) -> dict[str, list[str]]:
    """Return the names of the videos by what a user may call them: a name, a path or a URL."""
    called: dict[str, list[str]] = defaultdict(list)
    for one in plan:
        for call in {one.name, one.video.key, one.source, one.url or one.source}:
            called[call].append(one.name)
    return called


def _with_labels(
    plan: Sequence[Extraction], labels: dict[str, dict[str, str]], command: ExtractCommand
) -> list[Extraction]:
    assert command.labels is not None
    labels = labels_of(labels, _called(plan), path=command.labels, key=command.labels_key)
    return [
        replace(one, labels=tuple(by_name.get(one.name) for by_name in labels.values()))
        for one in plan
    ]


def _with_output(one: Extraction, command: ExtractCommand) -> Extraction:
    # The suffix of the video stays, and keeps clip.mp4 and clip.avi apart.
    output = output_of(command.output, one.name, command.file_suffix)
    is_cut = output != command.output / (one.name + command.file_suffix)
    return replace(one, output=output, full_name=one.name * is_cut)


def output_of(folder: Path, name: str, suffix: str) -> Path:
    """Return the file for the features of a video.

    A name that leaves no room for the suffixes of this program is cut, and gets a hash of the whole
    name, which the sidecar has.
    """
    path = PurePosixPath(name)
    most = _longest_name(folder) - _ADDED_BYTES
    data = os.fsencode(path.name)
    if len(data) > most:
        kind = path.suffix if len(os.fsencode(path.suffix)) <= 8 else ""
        digest = hashlib.sha256(data).hexdigest()[:16]
        kept = data[: max(0, most - len(digest) - len(kind) - 1)].decode("utf-8", "ignore")
        path = path.with_name(f"{kept}~{digest}{kind}")
    return folder / f"{path}{suffix}"


def _longest_name(folder: Path) -> int:
    """Return how many bytes a name may have where a folder is or will be."""
    there = next(one for one in (folder, *folder.absolute().parents) if is_there(one))
    try:
        return os.pathconf(there, "PC_NAME_MAX")
    except (OSError, ValueError):
        return 255
