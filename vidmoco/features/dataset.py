"""A dataset of features: a folder of parts, and what they hold together.

    part-000001-1f2e3d4c.parquet     rows; its footer says of which videos (``dataset_part``)
    __vidmoco__/dataset.json         the settings, written first
    __vidmoco__/manifest.parquet     all videos, written last and made from the footers
    __vidmoco__/workers, claims      who is at work (``claims``)

Nothing else is recorded, so nothing can disagree. After a kill there may be parts that do not
count: pieces of a long video without the last one, and parts whose rows another part has too.
``tidy`` deletes them.
"""

import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vidmoco.errors import ConfigError
from vidmoco.features.dataset_part import (
    Entry,
    Labels,
    Part,
    PartFile,
    read_part,
    relabelled,
    schema_of,
    with_labels,
)
from vidmoco.features.dataset_settings import (
    FORMAT,
    PART,
    SETTINGS,
    changed_settings,
    hash_of,
    parts_in,
    read_settings,
    require_no_other_files,
)
from vidmoco.features.kept_settings import changes_in_words
from vidmoco.features.output_folder import OutputFolder
from vidmoco.features.remote_folder import INTERNAL

PART_BYTES = 128 * 2**20
"""Most bytes of the rows of a part, before compression. Parts whose files have less than half are
merged, into files of at most this."""
_NONE: Labels = {}
_READERS = 8  # assumption: footers of an object store are read at once


@dataclass(frozen=True)
class Place:
    """Rows of a video in a part."""

    part: str
    start: int
    entry: Entry


class Dataset:
    """What the parts of a folder hold, as of the last ``refresh``."""

    def __init__(self, folder: OutputFolder, settings: dict[str, Any]) -> None:
        self.folder, self.settings = folder, settings
        self.schema = schema_of(settings)
        self.parts: dict[str, Part] = {}
        self.refresh()

    @property
    def settings_hash(self) -> str:
        """A hash of all that decides the rows, beside the videos."""
        return hash_of(self.settings)

    def refresh(self) -> None:
        """See which parts there are."""
        while True:
            sizes = parts_in(self.folder)
            if sizes.keys() == self.parts.keys():
                return
            new = [name for name in sorted(sizes) if name not in self.parts]
            with ThreadPoolExecutor(_READERS) as threads:
                read = list(threads.map(self._read, new, [sizes[name] for name in new]))
            found = {name: part for name, part in self.parts.items() if name in sizes}
            found |= {part.name: part for part in read if part is not None}
            self.parts = dict(sorted(found.items()))
            self.__dict__.pop("places", None)
            if None not in read:  # else its rows are in a part that was not there before
                return

    def _read(self, name: str, size: int) -> Part | None:
        try:
            with self.folder.open(name) as file:
                return read_part(name, file, size, self.schema)
        except FileNotFoundError:  # it has just been merged with others
            return None

    @cached_property
    def places(self) -> dict[str, list[Place]]:
        """Where the rows of each video are that count, by its name, in the order of the rows."""
        superseded = {name for part in self.parts.values() for name in part.replaces}
        found: defaultdict[str, defaultdict[float, dict[int, Place]]]
        found = defaultdict(lambda: defaultdict(dict))
        for part in self.parts.values():
            if part.name not in superseded:
                for start, entry in zip(part.starts, part.entries, strict=False):
                    place = Place(part.name, start, entry)
                    found[entry.video][entry.made].setdefault(entry.piece, place)
        chosen = {}
        for video, by_time in found.items():
            for made in sorted(by_time, reverse=True):
                pieces = [by_time[made][number] for number in sorted(by_time[made])]
                if pieces[-1].entry.is_last and pieces[-1].entry.piece == len(pieces) - 1:
                    chosen[video] = pieces
                    break
        return chosen

    def identity_of(self, video: str) -> str | None:
        """Return the identity of the video whose rows are there, or None."""
        places = self.places.get(video)
        return places[0].entry.identity if places else None

    def add(self, part: Part) -> None:
        """Take in a part that this process has written."""
        self.parts[part.name] = part
        self.__dict__.pop("places", None)

    def delete(self, names: Iterable[str]) -> None:
        """Delete parts."""
        names = list(names)
        self.folder.delete(*names)
        for name in names:
            self.parts.pop(name, None)
        self.__dict__.pop("places", None)

    def new_file(self, worker: str) -> tuple[str, PartFile]:
        """Return a new part under its name."""
        numbers = [int(found[1]) for name in self.parts if (found := PART.fullmatch(name))]
        name = f"part-{max(numbers, default=0) + 1:06d}-{uuid.uuid4().hex[:8]}.parquet"
        return name, PartFile(self.folder.temporary(f"{name}.{worker}"), self.schema)

    def commit(
        self,
        name: str,
        file: PartFile,
        entries: Sequence[Entry],
        *,
        worker: str,
        replaces: Sequence[str] = (),
    ) -> None:
        """Finish a part and put it into the folder, at one moment.

        Raises:
            ConfigError: another process has begun the dataset anew, or the folder takes no more.
        """
        try:
            file.close(entries, worker=worker, replaces=replaces)
            size = file.path.stat().st_size
            self.folder.put(file.path, name)
        except BaseException:
            file.discard()
            raise
        self._require_same_settings(name)  # after it: what is put before is deleted with the others
        self.add(Part(name, size, worker, frozenset(replaces), tuple(entries), self.schema))

    def _require_same_settings(self, *put: str) -> None:
        """Delete what was just put where another process has begun the dataset anew, and stop."""
        known = read_settings(self.folder)
        if known is None or changed_settings(known, self.settings):
            self.folder.delete(*put)
            raise ConfigError(
                f"Another process has begun {self.folder.name} anew (--overwrite), or given it "
                "other --labels. Wait for it, or give another -o."
            )

    def merge(self, names: Sequence[str], *, worker: str, labels: Labels = _NONE) -> None:
        """Replace parts by one that has those of their rows that count, with new ``labels``.

        If another process has merged one of them, which took the process that wrote it for dead,
        all stay as they are.
        """
        counted = {(p.part, p.start) for places in self.places.values() for p in places}
        new, file = self.new_file(worker)
        entries: list[Entry] = []
        try:
            for name in names:
                part = self.parts[name]
                starts = part.starts
                kept = [(name, start) in counted for start in starts[:-1]]
                own = [relabelled(one, self.settings["labels"], labels) for one in part.entries]
                owners = np.repeat(np.arange(len(own)), np.diff(starts))
                mask = np.array(kept, bool)[owners]
                with self.folder.open(name) as opened, pq.ParquetFile(opened) as source:
                    first = 0
                    for group in range(source.num_row_groups):
                        table = source.read_row_group(group)
                        rows = slice(first, first := first + table.num_rows)
                        here = mask[rows]
                        table = with_labels(table, self.schema, own, owners[rows])
                        file.append(table if here.all() else table.filter(pa.array(here)))
                entries += [entry for entry, keep in zip(own, kept, strict=True) if keep]
        except FileNotFoundError:
            file.discard()
            self.refresh()
            return
        except BaseException:
            file.discard()
            raise
        if not entries:
            file.discard()
        else:
            self.commit(new, file, entries, worker=worker, replaces=names)
        self.delete(names)

    def merge_small(self, names: Iterable[str], *, worker: str, rest: bool) -> None:
        """Merge parts of less than half the size into whole ones, with ``rest`` all of them."""
        bunch: list[str] = []
        size = 0
        for name in names:
            num_bytes = self.parts[name].num_bytes if name in self.parts else PART_BYTES
            if num_bytes >= PART_BYTES // 2:
                continue
            if size + num_bytes > PART_BYTES:
                self.merge(bunch, worker=worker)
                bunch, size = [], 0
            bunch.append(name)
            size += num_bytes
        if rest and len(bunch) > 1:
            self.merge(bunch, worker=worker)

    def tidy(
        self, *, worker: str, living: Collection[str], is_alive: Callable[[str], bool]
    ) -> None:
        """Delete what does not count, and merge small parts. One process at a time may do so.

        Args:
            worker: this process.
            living: other processes that write parts, whose parts are left alone.
            is_alive: whether a process, by its name, may still write to a temporary file.

        Raises:
            ConfigError: another process has begun the dataset anew, or the folder takes no more.
        """
        self._require_same_settings()
        self.refresh()
        superseded = {name for part in self.parts.values() for name in part.replaces}
        self.delete([name for name in self.parts if name in superseded])
        counted = {(p.part, p.start) for places in self.places.values() for p in places}
        own = [part for part in self.parts.values() if part.worker not in living]
        for part in own:
            if not all((part.name, start) in counted for start in part.starts[:-1]):
                self.merge([part.name], worker=worker)
        mine = [part.name for part in self.parts.values() if part.worker not in living]
        self.merge_small(mine, worker=worker, rest=True)
        for name in self.folder.sizes(INTERNAL):
            writer = name.removesuffix(".part").rpartition(".")[2]
            if name.endswith(".part") and not is_alive(writer):
                self.folder.delete(f"{INTERNAL}/{name}")


def open_or_begin(folder: OutputFolder, settings: dict[str, Any]) -> Dataset:
    """Return the dataset of a folder, which is begun if there is none.

    It has the labels of ``settings``; ``relabel`` gives them to the folder.

    Raises:
        ConfigError: the folder holds something else, or a dataset of other settings, or one with
            labels, and there are none in ``settings``.
    """
    settings = {"format": FORMAT, **settings}
    text = json.dumps(settings, indent=2) + "\n"
    settings = json.loads(text)  # a tuple is a list
    known = read_settings(folder)
    if known is None:
        require_no_other_files(folder)
        known = settings if folder.create(SETTINGS, text.encode()) else read_settings(folder)
    known = known or settings
    labels = {"labels": settings["labels"]} if settings["labels"] else {}
    if changed := changed_settings(known | labels, settings):
        raise ConfigError(
            f"{folder.name} was made with other settings: "
            f"{changes_in_words(known, settings, changed)}. Give another -o, or --overwrite."
        )
    return Dataset(folder, known | labels)
