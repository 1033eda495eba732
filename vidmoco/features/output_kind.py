"""What the output of ``vidmoco extract`` is: a file, or a folder, which may be at a URL."""

from pathlib import Path

import fsspec

from vidmoco.config.extract import ExtractCommand
from vidmoco.errors import ConfigError
from vidmoco.features.dataset_settings import is_dataset, require_outside_of_datasets
from vidmoco.features.feature_file import SUFFIXES, require_known_suffix, require_own_files
from vidmoco.features.output_folder import output_folder
from vidmoco.urls import is_list, is_url, url_of
from vidmoco.video.fetch import name_of_url

# Others may be a part of a folder's name, such as a version, a date, or a tag of timm's.
_SUFFIXES_OF_FILES = {
    *(*SUFFIXES, ".npz", ".csv", ".json", ".jsonl", ".h5", ".hdf5", ".pt", ".pth", ".pkl"),
    *(".pickle", ".safetensors", ".txt", ".tsv", ".arrow", ".feather", ".mat", ".zarr", ".lance"),
}


def holds_many(command: ExtractCommand) -> bool:
    """Return whether the output is a folder.

    Raises:
        ConfigError: the output is not what the videos need.
    """
    video, output = command.videos[0], command.output
    several = (
        len(command.videos) > 1 or is_list(video) or video.is_dir() or video.suffix == ".parquet"
    )
    _require_place(output)
    is_many = several or command.format == "parquet" or _is_folder(command)
    if command.labels is not None and not (is_many and command.writes_dataset):
        raise ConfigError("--labels are columns of a dataset. Add --format parquet.")
    if command.engine != "local" and not is_many:
        engine = f"--engine {command.engine}"
        raise ConfigError(f"{engine} is for many videos, and {url_of(video)} is one. Leave it out.")
    if is_url(output):
        _require_dataset(command, is_many=is_many)
    if is_many:
        if output.suffix.lower() in _SUFFIXES_OF_FILES and not output.is_dir():
            what = "--format parquet writes a folder"
            if several:
                kind = "list" if is_list(video) else "folder" if video.is_dir() else "catalog"
                what = f"{video} is a {kind} of videos, whose features go to a folder"
            if len(command.videos) > 1:
                what = f"{len(command.videos)} paths are given, whose features go to a folder"
            raise ConfigError(
                f"{what}, and -o {output} reads as one file. Give a folder"
                + (", with --format npy for a file per video." if several else ".")
            )
        return True
    advice = "Or add --format parquet (a dataset) or npy (a file per video) for a folder."
    if output.is_dir():
        name = name_of_url(url_of(video)) if is_url(video) else video.name
        raise ConfigError(
            f"-o {output} is a folder, and {url_of(video)} one video. Give a file: "
            f"{output / (Path(name).name + command.file_suffix)}. {advice}"
        )
    try:
        require_known_suffix(output)
    except ConfigError as error:
        raise ConfigError(f"{error} {advice}") from None
    require_own_files(output, overwrites=command.overwrite)
    return False


def _require_place(output: Path) -> None:
    """Refuse an output within a dataset, and one that is almost a URL.

    Raises:
        ConfigError: it is one of them.
    """
    if is_url(output):
        return
    protocol, sign, _ = str(output).partition(":")
    if sign and protocol in fsspec.available_protocols():
        raise ConfigError(
            f"-o {output} begins like a URL, and is none that can be written to. Give a URL such "
            "as s3://bucket/feats, or the absolute path of a folder."
        )
    require_outside_of_datasets(output)


def _require_dataset(command: ExtractCommand, *, is_many: bool) -> None:
    """Refuse a URL for anything else than the folder of a dataset, and say which would do.

    Raises:
        ConfigError: it is for single files, or reads as one.
    """
    url = place = url_of(command.output)
    is_file = command.output.suffix.lower() in _SUFFIXES_OF_FILES
    is_of_dataset = is_many and command.writes_dataset
    if is_of_dataset and not is_file:
        return
    if is_file:
        place = place[: -len(command.output.suffix)]
    given = "--suffix" if command.suffix else "--format npy" if command.format == "npy" else ""
    raise ConfigError(
        f"-o {url} is a URL{' that reads as one file' * is_file}, and at a URL features are a "
        f"dataset, which is a folder. Give -o {place}"
        + " --format parquet" * (not is_of_dataset)
        + f" in place of {given}" * bool(given)
        + "."
    )


def _is_folder(command: ExtractCommand) -> bool:
    """Return whether the output is a folder even of one video: a dataset, or one of files."""
    output = command.output
    if command.writes_dataset:
        return output.is_dir() and is_dataset(output_folder(output))
    return output.suffix.lower() not in _SUFFIXES_OF_FILES
