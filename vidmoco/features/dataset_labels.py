"""Labels of a dataset: columns that a later command may change, while the features stay.

The footer of a part says the labels of each video, so what is to be written anew follows from it.
A part is replaced at one moment, as in a merge: after a kill some parts have the labels of before,
and the same command goes on with these.
"""

import json
from collections.abc import Sequence

from vidmoco.features.dataset import Dataset
from vidmoco.features.dataset_part import Labels, Part
from vidmoco.features.dataset_settings import SETTINGS, read_settings


def have_changed(dataset: Dataset, labels: Labels) -> bool:
    """Return whether the settings or a part have other labels than these."""
    known = read_settings(dataset.folder)
    names = dataset.settings["labels"]
    stale = any(_is_stale(part, names, labels) for part in dataset.parts.values())
    return stale or (known is not None and known["labels"] != names)


def relabel(dataset: Dataset, labels: Labels, *, worker: str) -> int:
    """Write labels into the settings and the parts, and return the number of parts.

    One process at a time may do so, while no other one gives other labels. The settings come first,
    so that the same command goes on after a kill.

    Args:
        dataset: its settings have the columns that are wanted.
        labels: of videos, by their names. Others keep theirs.
        worker: this process.
    """
    names, known = dataset.settings["labels"], read_settings(dataset.folder)
    if known is not None and known["labels"] != names:
        text = json.dumps(known | {"labels": names}, indent=2) + "\n"
        dataset.folder.write(SETTINGS, text.encode())
    dataset.refresh()
    stale = [part.name for part in dataset.parts.values() if _is_stale(part, names, labels)]
    for name in stale:
        dataset.merge([name], worker=worker, labels=labels)
    return len(stale)


def _is_stale(part: Part, names: Sequence[str], labels: Labels) -> bool:
    return part.labels != list(names) or any(
        entry.video in labels and entry.labels != labels[entry.video] for entry in part.entries
    )
