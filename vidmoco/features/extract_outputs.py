"""Where the features of many videos go: a dataset, or a file each."""

import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.config.extract import ExtractCommand
from vidmoco.errors import ConfigError
from vidmoco.features.claims import Worker
from vidmoco.features.dataset import Dataset, open_or_begin
from vidmoco.features.dataset_labels import have_changed, relabel
from vidmoco.features.dataset_part import Columns, Entry
from vidmoco.features.dataset_settings import delete_dataset, is_dataset
from vidmoco.features.dataset_writer import DatasetWriter
from vidmoco.features.extract import Write, is_done, settings_of
from vidmoco.features.extraction import Extraction
from vidmoco.features.feature_file import read_sidecar, require_own_sidecar
from vidmoco.features.output_folder import OutputFolder
from vidmoco.features.stream import VideoFeatures


def id_of(name: str) -> str:
    """Return the id of a video, which follows from its name."""
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


class FileOutput:
    """A feature file for each video."""

    write: Write | None = None

    def __init__(
        self, folder: OutputFolder, worker: Worker, frozen: FrozenBackbone, command: ExtractCommand
    ) -> None:
        self._worker, self._frozen, self._overwrites = worker, frozen, command.overwrite
        self._kind = kind_of(command)
        if is_dataset(folder):
            raise ConfigError(
                f"{folder.name} holds a dataset, and no files of videos. Give another -o, or "
                "--format parquet."
            )

    def __enter__(self) -> "FileOutput":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def has(self, one: Extraction) -> bool:
        """Return whether a video is finished, and need not be extracted."""
        if self._overwrites:
            return False
        if is_done(one, settings_of(self._frozen, one.selection, **self._kind)):
            return True
        require_own_sidecar(one.output)
        return False

    def refresh(self) -> None:
        """See what other processes have finished: nothing to do, as each file is looked at."""

    def wrote(self, one: Extraction) -> None:
        """Let go of a video whose file is written."""
        if self._overwrites:  # its file does not say that it was written this time
            self._worker.close(id_of(one.name))
        else:
            self._worker.finish(id_of(one.name))

    def flush(self) -> None:
        """Finish what is under way: nothing is."""

    def damage_of(self, one: Extraction) -> Sequence[str]:
        """Return which frames of a video that was just written were left out."""
        return damage_of(one)


class DatasetOutput:
    """A dataset of all videos."""

    def __init__(
        self,
        folder: OutputFolder,
        worker: Worker,
        frozen: FrozenBackbone,
        command: ExtractCommand,
        labels: Columns,
    ) -> None:
        self._columns = labels
        worker.give_labels(hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest())
        if command.overwrite:
            worker.once("overwrite", lambda: delete_dataset(folder))
        settings = settings_of(frozen, command.frames, **kind_of(command))
        settings |= {"row_shape": list(frozen.row_shape), "labels": list(labels)}
        if command.times_file is not None:
            settings["times_file"] = True
        self.dataset: Dataset = open_or_begin(folder, settings)
        self._worker = worker
        self._damage: list[str] = []
        self._writer = DatasetWriter(
            self.dataset, worker=worker.id, on_commit=lambda ids: worker.finish(*ids)
        )

    def __enter__(self) -> "DatasetOutput":
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._writer.flush()
        self._writer.discard()

    def require_own(self, plan: Sequence[Extraction]) -> None:
        """Refuse videos that would replace others, or that are there under another name.

        Raises:
            ConfigError: there is such a video.
        """
        places, where = self.dataset.places, self.dataset.folder.name
        names = {found[0].entry.source: name for name, found in places.items()}
        for one in plan:
            if one.name in places and not self.has(one):
                known = places[one.name][0].entry.source
                one.require_same(known, where=f"{one.name!r} in {where}")
            if (name := names.get(one.source, one.name)) != one.name and one.name not in places:
                raise ConfigError(
                    f"{one.source} is in {where} as {name!r}, and would be there a second time as "
                    f"{one.name!r}. Give the folders of before, or their common parent folder with "
                    "another -o, or --overwrite."
                )

    def relabel(self, plan: Sequence[Extraction]) -> int:
        """Give the rows that are there their labels, and return the number of parts written anew.

        Features stay as they are. Videos that are gone have the names that their rows have.
        """
        labels: dict[str, dict[str, str | None]] = {
            name: {column: by_name[name] for column, by_name in self._columns.items()}
            for name in self.dataset.places
            if self._columns and all(name in by_name for by_name in self._columns.values())
        }
        labels |= {one.name: self._labels_of(one) for one in plan}
        if not have_changed(self.dataset, labels):
            return 0
        with self._worker.alone("tidy"):
            return relabel(self.dataset, labels, worker=self._worker.id)

    def _labels_of(self, one: Extraction) -> dict[str, str | None]:
        return dict(zip(self.dataset.settings["labels"], one.labels, strict=True))

    def has(self, one: Extraction) -> bool:
        """Return whether the rows of a video are there, as of the last ``refresh``."""
        known = self.dataset.identity_of(one.name)
        return known in (identity_of(one), identity_of(one, one.labels))  # the latter of 0.1.0

    def refresh(self) -> None:
        """See what other processes have finished."""
        self.dataset.refresh()

    def write(self, features: VideoFeatures, one: Extraction) -> int:
        """Write the rows of a video, and return their number."""
        video, before = features.video, self.dataset.places.get(one.name)
        entry = Entry(
            video=one.name,
            video_id=id_of(one.name),
            identity=identity_of(one),
            source=one.source,
            source_bytes=video.num_bytes,
            source_mtime_ns=0 if one.url else video.mtime_ns,
            seconds=video.duration_seconds,
            start_seconds=video.start_seconds,
            # The newer one counts, also where another machine's clock is ahead of this one's.
            labels=self._labels_of(one),
            made=max(time.time(), before[0].entry.made + 1e-3 if before else 0.0),
        )
        num_rows = self._writer.add(features, entry, named=one.named)
        self._damage = [one.named(line) for line in features.damage]
        return num_rows

    def wrote(self, one: Extraction) -> None:
        """Keep a video until its part is there: the writer lets go of it."""

    def flush(self) -> None:
        """Finish the part that is under way, so that others see it."""
        self._writer.flush()

    def damage_of(self, one: Extraction) -> Sequence[str]:
        """Return which frames of the video that was written last were left out."""
        return self._damage


def damage_of(one: Extraction) -> Sequence[str]:
    """Return which frames of a video have no features, as the sidecar of its file says."""
    sidecar = read_sidecar(one.output)
    return sidecar["damage"] if sidecar else ()


def kind_of(command: ExtractCommand) -> dict[str, Any]:
    """Return what the rows are, as keywords."""
    return {"pool": command.pool, "normalize": command.normalize, "dtype": command.dtype}


def identity_of(one: Extraction, labels: Sequence[str | None] = ()) -> str:
    """Return what decides the features of a video, beside the settings: content, times or clips."""
    video = one.video
    there = one.source if one.url else ""
    content = there or video.content or f"{video.num_bytes} {video.mtime_ns}"
    kept = one.selection.as_json()
    parts = [content, kept.get("clips", kept.get("times", [])), list(labels)]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


Output = FileOutput | DatasetOutput
