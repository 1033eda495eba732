from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from dataset_folders import begin, entry_of, features_of, rows_of, values_of, writer_of
from full_disk import no_file_larger_than

from vidmoco.errors import ConfigError, VideoError
from vidmoco.features import dataset as dataset_module
from vidmoco.features import dataset_part, dataset_writer
from vidmoco.features.dataset_part import PartFile
from vidmoco.features.output_folder import INTERNAL


def frames_of(dataset, video):
    return [frame for name, frame, _ in rows_of(dataset) if name == video]


def test_short_videos_share_a_part_and_are_let_go_when_it_is_there(tmp_path):
    dataset, committed = begin(tmp_path / "f"), []
    writer = writer_of(dataset, committed=committed)
    for name in ("a", "b"):
        assert writer.add(features_of(values_of(5)), entry_of(name)) == 5
    assert committed == [] and dataset.folder.sizes() == {}
    writer.flush()
    assert committed == ["id of a", "id of b"] and len(dataset.folder.sizes()) == 1


def test_parts_are_bounded_whatever_a_video_is(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_module, "PART_BYTES", 3000)
    monkeypatch.setattr(dataset_writer, "_LONG", 1000)
    dataset, committed = begin(tmp_path / "f"), []
    writer = writer_of(dataset, committed=committed)
    for name, rows in (("a", 5), ("long", 500), ("b", 5)):
        writer.add(features_of(values_of(rows)), entry_of(name))
    assert committed == ["id of long"]  # it does not wait for others
    writer.flush()
    assert max(sum(e.rows for e in part.entries) for part in dataset.parts.values()) < 60
    assert [frames_of(dataset, name) for name in ("a", "long", "b")] == [
        list(range(5)), list(range(500)), list(range(5))]  # fmt: skip


def test_a_part_is_finished_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_writer, "_SECONDS", 0.0)
    dataset, committed = begin(tmp_path / "f"), []
    writer_of(dataset, committed=committed).add(features_of(values_of(2)), entry_of("a"))
    assert committed == ["id of a"]


def test_a_long_video_holds_no_rows_back(tmp_path, monkeypatch):
    dataset, committed = begin(tmp_path / "f"), []
    writer = writer_of(dataset, committed=committed)
    writer.add(features_of(values_of(2)), entry_of("a"))
    monkeypatch.setattr(dataset_writer, "_SECONDS", 0.0)
    long = features_of(values_of(6))

    def pieces():
        for number, piece in enumerate(long.pieces):
            assert committed == ["id of a"] * bool(number)
            yield piece

    writer.add(replace(long, pieces=pieces()), entry_of("long"))
    assert committed == ["id of a", "id of long"]
    assert frames_of(dataset, "long") == list(range(6))


@pytest.mark.parametrize("appended", [0, 1, 2])
def test_ctrl_c_in_the_middle_of_a_video_writes_no_half_of_it(appended, tmp_path, monkeypatch):
    dataset, committed = begin(tmp_path / "f"), []
    writer = writer_of(dataset, committed=committed)
    writer.add(features_of(values_of(2)), entry_of("a"))
    writer.flush()
    writer.add(features_of(values_of(2)), entry_of("b"))
    honest, left = PartFile.append, [appended]

    def append(file, table):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        honest(file, table)

    monkeypatch.setattr(PartFile, "append", append)
    with pytest.raises(KeyboardInterrupt):
        writer.add(features_of(values_of(6)), entry_of("c"))
    monkeypatch.undo()
    writer.flush()
    writer.discard()
    assert committed == ["id of a"]
    assert set(dataset.folder.sizes(INTERNAL)) == {"dataset.json"}
    writer.add(features_of(values_of(2)), entry_of("c"))  # a notebook goes on
    writer.flush()
    assert {video for video, *_ in rows_of(dataset)} == {"a", "c"}


def test_ctrl_c_between_the_columns_of_a_row_group(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_part, "_GROUP_BYTES", 1)
    dataset = begin(tmp_path / "f")
    writer = writer_of(dataset)
    writer.add(features_of(values_of(2)), entry_of("a"))
    _, file = writer._shared
    honest = file._file

    class Interrupted:
        """A file whose second write after this is interrupted."""

        closed, num_writes = False, 0

        def write(self, data):
            self.num_writes += 1
            if self.num_writes == 2:
                raise KeyboardInterrupt
            return honest.write(data)

        def __getattr__(self, name):
            return getattr(honest, name)

    file._writer = pq.ParquetWriter(Interrupted(), dataset.schema)
    with pytest.raises(KeyboardInterrupt):
        writer.add(features_of(values_of(40)), entry_of("b"))
    writer.flush()
    writer.discard()
    assert dataset.folder.sizes() == {}
    assert set(dataset.folder.sizes(INTERNAL)) == {"dataset.json"}


@pytest.mark.parametrize("rows", [5, 500])
def test_a_video_that_fails_leaves_no_row(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_module, "PART_BYTES", 3000)
    monkeypatch.setattr(dataset_writer, "_LONG", 1000)
    dataset = begin(tmp_path / "f")
    writer = writer_of(dataset)
    writer.add(features_of(values_of(3)), entry_of("a"))
    with pytest.raises(VideoError):
        writer.add(features_of(values_of(rows), failure=VideoError("broken")), entry_of("bad"))
    writer.flush()
    assert frames_of(dataset, "a") == [0, 1, 2] and frames_of(dataset, "bad") == []
    assert set(dataset.folder.sizes(INTERNAL)) == {"dataset.json"}


def test_a_full_disk_costs_what_is_not_finished(tmp_path):
    dataset, committed = begin(tmp_path / "f"), []
    writer = writer_of(dataset, committed=committed)
    writer.add(features_of(values_of(5)), entry_of("a"))
    writer.flush()
    writer.add(features_of(values_of(5)), entry_of("b"))
    with no_file_larger_than(100), pytest.raises(ConfigError, match="finished videos are kept"):
        writer.flush()
    writer.discard()
    assert committed == ["id of a"] and frames_of(dataset, "a") == [0, 1, 2, 3, 4]
    assert set(dataset.folder.sizes(INTERNAL)) == {"dataset.json"}
