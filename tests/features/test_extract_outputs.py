"""Datasets by the command: what is there after it, and after the next one."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from full_disk import no_file_larger_than
from painted_videos import write_video

import vidmoco
from vidmoco.cli.main import main
from vidmoco.features import claims, dataset_writer, extract_outputs
from vidmoco.features import dataset as dataset_module
from vidmoco.features.claims import Worker
from vidmoco.features.extract_outputs import id_of
from vidmoco.features.output_folder import output_folder

LENGTHS = {"a.mp4": 5, "deep/b.mkv": 7, "c.mp4": 3}


@pytest.fixture
def extract(backbone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, (name, length) in enumerate(LENGTHS.items()):
        write_video(Path("v") / name, first_index=100 * number, num_frames=length)
    return lambda *words: main(["extract", *map(str, words), "--backbone", str(backbone)])


def table_of(place="feats"):
    return pyarrow.dataset.dataset(place).to_table().sort_by([("video", "ascending"),
                                                              ("frame", "ascending")])  # fmt: skip


def counts(place="feats"):
    names = table_of(place)["video"].to_pylist()
    return {name: names.count(name) for name in names}


def manifest():
    rows = pq.read_table("feats/__vidmoco__/manifest.parquet").to_pylist()
    return {row["video"]: row for row in rows}


def one_line(capsys):
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


def test_a_dataset_has_the_rows_of_the_files(extract, capsys):
    assert extract("v", "-o", "feats") == 0
    assert "feats: 3 extracted (15 rows), 0 were there already, 0 failed" in capsys.readouterr().out
    assert extract("v", "-o", "files", "--format", "npy") == 0
    table = table_of()
    for name, length in LENGTHS.items():
        rows = table.filter(pyarrow.compute.field("video") == name)
        features = np.stack(rows["feature"].to_numpy())
        np.testing.assert_array_equal(features, np.load(f"files/{name}.npy"))
        times = np.load(f"files/{name}.timestamps.npy")
        np.testing.assert_array_equal(rows["pts_seconds"].to_numpy(), times)
        assert rows["frame"].to_pylist() == list(range(length))
        assert set(rows["video_id"].to_pylist()) == {id_of(name)}
    assert {name: row["state"] for name, row in manifest().items()} == dict.fromkeys(
        LENGTHS, "extracted"
    )


@pytest.mark.parametrize(
    ("words", "frames"),
    [
        ("--every 2", [0, 2, 4]),
        ("--num-frames 2", [1, 3]),
        ("--times 0.4 0.1", [1, 4]),
        ("--start 0.2", [2, 3, 4]),
        ("--fps 5", [0, 2, 4]),
    ],
)
def test_frames_are_numbered_as_they_are_shown(extract, words, frames):
    assert extract("v/a.mp4", "-o", "feats", "--format", "parquet", *words.split()) == 0
    assert table_of()["frame"].to_pylist() == frames
    assert table_of()["pts_seconds"].to_pylist() == pytest.approx([n / 10 for n in frames])


def test_the_next_run_takes_what_is_new_or_has_changed(extract, capsys):
    Path("v/bad.mp4").write_text("this is no video")
    assert extract("v", "-o", "feats") == 1
    write_video(Path("v/a.mp4"), first_index=900, num_frames=4)
    os.utime("v/c.mp4", (1, 1))  # touched, with the same content
    write_video(Path("v/new.mp4"), num_frames=2)
    Path("v/deep/b.mkv").unlink()
    capsys.readouterr()
    assert extract("v", "-o", "feats") == 1
    printed = capsys.readouterr()
    assert "feats: 2 extracted (6 rows), 1 were there already, 1 vanished, 1 failed" in printed.out
    assert "'deep/b.mkv' is not there any more; its rows stay." in printed.err
    assert counts() == {"a.mp4": 4, "c.mp4": 3, "deep/b.mkv": 7, "new.mp4": 2}
    states = {name: row["state"] for name, row in manifest().items()}
    assert states == {"a.mp4": "extracted", "bad.mp4": "refused", "c.mp4": "extracted",
                      "deep/b.mkv": "vanished", "new.mp4": "extracted"}  # fmt: skip
    assert manifest()["bad.mp4"]["reason"] == "it is a text file"
    before = sorted(Path("feats").glob("part-*"))
    assert extract("v", "-o", "feats") == 1
    assert sorted(Path("feats").glob("part-*")) == before


@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_another_video_of_the_same_name_replaces_nothing(extract, capsys, kind):
    write_video(Path("day2/a.mp4"), first_index=500, num_frames=2)
    shutil.copy("v/c.mp4", "day2/c.mp4")  # the same content is the same video
    words = ["-o", "feats", "--format", kind]
    assert extract("v", *words) == 0
    before = {path: path.read_bytes() for path in Path("feats").rglob("*") if path.is_file()}
    assert extract("day2", *words) == 2
    error = one_line(capsys)
    assert f"has the features of {Path('v/a.mp4').absolute()}, which those of " in error
    assert f"{Path('day2/a.mp4').absolute()} would replace. Give both together" in error
    assert before == {path: path.read_bytes() for path in before}
    Path("link").symlink_to("v")
    write_video(Path("v/a.mp4"), first_index=900, num_frames=4)  # the same file, by another path
    assert extract("link", *words) == 0
    Path("v/a.mp4").unlink()  # it has moved
    assert extract("day2", *words) == 0


def test_a_video_is_not_there_under_two_names(extract, capsys):
    """Names begin with the folder's where two are equal, and so depend on all that is given."""
    write_video(Path("day2/b.mp4"), first_index=500, num_frames=2)
    assert extract("v", "day2", "-o", "feats") == 0
    write_video(Path("day2/c.mp4"), first_index=600, num_frames=2)
    assert extract("v", "day2", "-o", "feats") == 2
    error = one_line(capsys)
    assert (
        "b.mp4 is in feats as 'b.mp4', and would be there a second time as 'day2/b.mp4'." in error
    )
    assert counts() == LENGTHS | {"b.mp4": 2}
    assert extract("v", "day2", "-o", "feats", "--overwrite") == 0
    assert counts()["v/c.mp4"] == 3 and counts()["day2/c.mp4"] == 2


def test_a_clock_that_is_behind_keeps_no_old_rows(extract, monkeypatch):
    """Of the machine that extracts a changed video."""
    assert extract("v/a.mp4", "-o", "feats", "--format", "parquet") == 0
    write_video(Path("v/a.mp4"), first_index=900, num_frames=4)
    monkeypatch.setattr(extract_outputs, "time", SimpleNamespace(time=lambda: 1e6))
    assert extract("v/a.mp4", "-o", "feats", "--format", "parquet") == 0
    assert counts() == {"a.mp4": 4}


def test_other_settings_are_refused_and_overwrite_begins_anew(extract, capsys):
    assert extract("v", "-o", "feats") == 0
    capsys.readouterr()
    assert extract("v", "-o", "feats", "--every", 2) == 2
    assert (
        "feats was made with other settings: --every 1, now --every 2. Give another -o, or"
        in one_line(capsys)
    )
    assert counts() == LENGTHS
    assert extract("v/a.mp4", "v/c.mp4", "-o", "feats", "--every", 2, "--overwrite") == 0
    assert counts() == {"a.mp4": 3, "c.mp4": 2}
    assert extract("v", "-o", "feats", "--format", "npy") == 2
    assert "feats holds a dataset, and no files of videos" in one_line(capsys)


def test_one_video_is_added_to_a_dataset(extract, capsys):
    assert extract("v", "-o", "feats") == 0
    write_video(Path("new.mp4"), num_frames=2)
    assert extract("new.mp4", "-o", "feats") == 0
    assert "1 extracted (2 rows), 0 were there already, 0 failed" in capsys.readouterr().out
    assert counts() == LENGTHS | {"new.mp4": 2}
    assert extract("new.mp4", "-o", "feats/new.mp4.npy") == 2
    assert "new.mp4.npy would be in" in one_line(capsys)
    assert extract("v", "-o", "feats/files", "--format", "npy") == 2
    assert "files would be in" in one_line(capsys)
    assert counts() == LENGTHS | {"new.mp4": 2}


def test_labels_of_videos_as_they_are_given(extract, capsys, remote):
    remote.pipe_file("/shelf/get?id=1", Path("v/a.mp4").read_bytes())
    remote.pipe_file("/shelf/get?id=2", Path("v/c.mp4").read_bytes())
    urls = [f"memory://shelf/get?id={number}" for number in (1, 2)]
    Path("l.csv").write_text(
        f"path,kind\nv/a.mp4,cat\n{Path('v/c.mp4').absolute()},dog\ndeep/b.mkv,ape\n"
        f"{urls[0]},emu\nshelf/get?id=2,fox\n"
    )
    assert extract("v", *urls, "-o", "feats", "--labels", "l.csv") == 0
    kinds = {row["video"]: row["kind"] for row in table_of().to_pylist()}
    assert kinds == {"a.mp4": "cat", "c.mp4": "dog", "deep/b.mkv": "ape",
                     "shelf/get?id=1": "emu", "shelf/get?id=2": "fox"}  # fmt: skip
    twice = ["memory://shelf/a", "memory://shelf/a#1"]
    assert extract(*twice, "-o", "other") == 2
    assert f"would be called 'shelf/a': {twice[0]!r}, {twice[1]!r}. Give" in one_line(capsys)


def test_labels_become_columns(extract, capsys):
    Path("l.csv").write_text("path,kind,by\na.mp4,cat,me\ndeep/b.mkv,dog,you\n")
    assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    assert "0 failed, 1 not in l.csv" in capsys.readouterr().out
    rows = table_of().to_pylist()
    assert {(row["video"], row["kind"], row["by"]) for row in rows} == {
        ("a.mp4", "cat", "me"), ("deep/b.mkv", "dog", "you"), ("c.mp4", None, None)}  # fmt: skip
    Path("l.csv").write_text("path,kind,by\na.mp4,cat,me\ndeep/b.mkv,ape,you\n")
    assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    assert "0 extracted (0 rows), 3 were there already" in capsys.readouterr().out
    assert {row["kind"] for row in table_of().to_pylist()} == {"cat", "ape", None}
    assert extract("v", "-o", "feats") == 2
    assert "made with other settings: --labels kind by, now no --labels." in one_line(capsys)


def test_other_columns_of_labels_leave_the_features(extract, capsys, monkeypatch):
    assert extract("v", "-o", "feats") == 0
    before = table_of()
    monkeypatch.setattr(extract_outputs.DatasetOutput, "write", pytest.fail)
    for header, values in (("kind", "cat"), ("kind,by", "cat,me"), ("hue", "red"), ("hue", "blue")):
        Path("l.csv").write_text(f"path,{header}\na.mp4,{values}\n")
        assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
        printed = capsys.readouterr()
        assert "0 extracted (0 rows), 3 were there already" in printed.out
        assert "New labels in 1 part; the features stay." in printed.err
        table = table_of()
        assert table.select(before.column_names).equals(before)
        assert table.column_names == [*before.column_names, *header.split(",")]
        expected = {
            ("a.mp4", *values.split(",")),
            *((name, *[None] * len(values.split(","))) for name in ("c.mp4", "deep/b.mkv")),
        }
        found = table.select(["video", *header.split(",")]).to_pylist()
        assert {tuple(row.values()) for row in found} == expected  # fmt: skip
    parts = sorted(Path("feats").glob("part-*"))
    assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    assert parts == sorted(Path("feats").glob("part-*"))
    assert "New labels" not in capsys.readouterr().err


def test_a_labelled_dataset_of_an_earlier_version_goes_on(extract, capsys, monkeypatch):
    """Its identities have the labels."""
    identity = extract_outputs.identity_of
    Path("l.csv").write_text("path,kind\na.mp4,cat\n")
    with monkeypatch.context() as patch:
        patch.setattr(extract_outputs, "identity_of", lambda one, _=(): identity(one, one.labels))
        assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    capsys.readouterr()
    assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    assert "0 extracted (0 rows), 3 were there already" in capsys.readouterr().out


def test_labels_of_videos_that_are_gone_or_refused_are_corrected(extract):
    """Whoever has deleted the videos after the extraction may still correct their labels."""
    Path("l.csv").write_text("path,kind\na.mp4,x\nc.mp4,y\n")
    assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    Path("v/c.mp4").unlink()
    Path("l.csv").write_text("path,kind,by\na.mp4,x,me\nc.mp4,z,you\n")
    assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    found = {(row["video"], row["kind"], row["by"]) for row in table_of().to_pylist()}
    assert found == {("a.mp4", "x", "me"), ("c.mp4", "z", "you"), ("deep/b.mkv", None, None)}


def test_a_process_with_other_labels_is_refused_while_one_is_at_work(extract, capsys, monkeypatch):
    Path("l.csv").write_text("path,kind\na.mp4,x\n")
    assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    monkeypatch.setattr(claims, "_may_run", lambda state: True)  # the other one is this process
    with Worker(output_folder(Path("feats"))) as other:
        other.give_labels("those of l.csv before")
        Path("l.csv").write_text("path,kind\na.mp4,z\n")
        capsys.readouterr()
        assert extract("v", "-o", "feats", "--labels", "l.csv") == 2
        assert "Another process writes to feats with other --labels." in one_line(capsys)
    assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    assert "z" in table_of()["kind"].to_pylist()


def test_labels_are_written_by_none_while_another_merges(extract, monkeypatch):
    """A part may be replaced by one process at a time."""
    Path("l.csv").write_text("path,kind\na.mp4,x\n")
    assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    Path("l.csv").write_text("path,kind\na.mp4,y\n")
    held, merge = [], extract_outputs.Dataset.merge

    def watched(dataset, *args, **options):
        claims_ = dataset.folder.sizes(claims.CLAIMS)
        held.append("tidy" in claims_)
        return merge(dataset, *args, **options)

    monkeypatch.setattr(extract_outputs.Dataset, "merge", watched)
    assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    assert held and all(held)


def test_labels_of_videos_that_are_not_given_stay(extract, monkeypatch):
    Path("l.csv").write_text("path,kind\na.mp4,cat\nc.mp4,dog\n")
    assert extract("v", "-o", "feats", "--labels", "l.csv") == 0
    Path("l.csv").write_text("path,kind,by\na.mp4,ape,me\n")
    words = ["v/a.mp4", "-o", "feats", "--labels", "l.csv"]
    for _ in range(2):
        assert extract(*words) == 0
        rows = {(row["video"], row["kind"], row["by"]) for row in table_of().to_pylist()}
        assert rows == {("a.mp4", "ape", "me"), ("c.mp4", "dog", None), ("deep/b.mkv", None, None)}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["v", "--labels", "l.csv", "--format", "npy"], "--labels are columns of a dataset"),
        (["v", "--labels-key", "x"], "Give --labels too"),
        (["v", "--format", "parquet", "--suffix", ".npy"], "Give only one of them"),
        (["v", "--labels", "l.csv"], "has a column 'feature', which the dataset has already"),
        (["v", "--labels", "f.csv"], "has a column 'frame', which the dataset has already"),
        (["v", "--labels", "gone.csv"], "gone.csv"),
        (["v", "--labels", "none.csv"], "names none of these videos"),
    ],
)
def test_flags_that_do_not_go_together(extract, capsys, words, expected):
    Path("l.csv").write_text("path,feature\na.mp4,1\n")
    Path("f.csv").write_text("path,frame\na.mp4,1\n")
    Path("none.csv").write_text("path,kind\nx.mp4,1\n")
    assert extract(*words, "-o", "feats") == 2
    assert expected in one_line(capsys)
    assert not list(Path("feats").glob("part-*"))


def test_one_video_to_a_url_needs_the_format(extract, capsys):
    assert extract("v/a.mp4", "-o", "s3://x/feats") == 2
    assert "Give -o s3://x/feats --format parquet." in one_line(capsys)


class OwnMemory(MemoryFileSystem):
    pass


def test_what_ends_with_the_process_is_no_output_of_a_command(extract, capsys, remote):
    fsspec.register_implementation("ownmemory", OwnMemory)
    for place in ("memory://x", "ownmemory://x"):
        assert extract("v", "-o", place) == 2
        assert f"-o {place} is in the memory of this process" in one_line(capsys)
    assert not remote.find("/x")


def test_other_files_beside_a_dataset_are_refused_each_time(extract, capsys, monkeypatch):
    assert extract("v", "-o", "feats") == 0
    with monkeypatch.context() as patch:
        patch.setattr("vidmoco.features.extract_plan.open_catalog", pytest.fail)
        for name in ("x.parquet", "notes.txt", "old/x.parquet"):
            path = Path("feats", name)
            path.parent.mkdir(exist_ok=True)
            path.touch()
            for words in ([], ["--every", 2, "--overwrite"]):
                assert extract("v", "-o", "feats", *words) == 2
                error = one_line(capsys)
                assert f"feats holds other files, such as {name.split('/')[0]!r}, and" in error
                assert "Move them out of it, or give another -o." in error
            path.unlink()
    Path("feats/old").rmdir()
    Path("feats/_SUCCESS").touch()  # of Spark
    assert counts() == LENGTHS
    assert extract("v", "-o", "feats") == 0


def test_times_of_a_file_are_part_of_a_video(extract, capsys):
    Path("t.csv").write_text("video,seconds\na.mp4,0.1\nc.mp4,0\n")
    words = ["v", "-o", "feats", "--times-file", "t.csv"]
    assert extract(*words) == 0
    assert counts() == {"a.mp4": 1, "c.mp4": 1}
    Path("t.csv").write_text("video,seconds\na.mp4,0.1\na.mp4,0.3\nc.mp4,0\n")
    assert extract(*words) == 0
    assert "1 extracted (2 rows), 1 were there already, 0 failed, 1 not in t.csv" in (
        capsys.readouterr().out
    )
    assert table_of()["frame"].to_pylist() == [1, 3, 0]


def test_one_name_for_a_video_wherever_it_is_named(extract, capsys):
    """Two of the same name in different folders, one of them refused."""
    write_video(Path("day1/a.mp4"), num_frames=2)
    Path("day2").mkdir()
    Path("day2/a.mp4").write_text("no video")
    assert extract("day1", "day2", "-o", "feats") == 1
    assert "  'day2/a.mp4': it is a text file" in one_line(capsys)
    states = {name: (row["state"], row["rows"]) for name, row in manifest().items()}
    assert states == {"day1/a.mp4": ("extracted", 2), "day2/a.mp4": ("refused", 0)}
    assert counts() == {"day1/a.mp4": 2}
    shutil.copy("day1/a.mp4", "day2/a.mp4")
    assert extract("day1", "day2", "-o", "feats") == 0
    assert "1 extracted (2 rows), 1 were there already" in capsys.readouterr().out
    assert {row["state"] for row in manifest().values()} == {"extracted"}


def test_pooled_rows_and_patches(extract):
    assert extract("v", "-o", "feats", "--pool", "mean") == 0
    table = pyarrow.dataset.dataset("feats").to_table()
    assert "frame" not in table.column_names and table.num_rows == 3
    assert sorted(table["end_seconds"].to_pylist()) == pytest.approx([0.3, 0.5, 0.7])
    assert extract("v", "-o", "p", "--size", 64, "--feature", "patches", "--dtype", "float16") == 0
    rows = pyarrow.dataset.dataset("p").to_table()["feature"].to_pylist()
    assert np.array(rows).shape == (15, 4, 512)


def test_parts_are_bounded_by_size_and_not_by_video(extract, monkeypatch):
    for number in range(20):
        shutil.copy("v/c.mp4", f"v/{number}.mp4")
    assert extract("v", "-o", "feats") == 0
    assert len(list(Path("feats").glob("part-*"))) == 1
    monkeypatch.setattr(dataset_module, "PART_BYTES", 5_000)
    monkeypatch.setattr(dataset_writer, "_LONG", 3_000)
    assert extract("v", "-o", "small", "--workers", 2) == 0
    parts = list(Path("small").glob("part-*"))
    assert len(parts) > 1 and max(part.stat().st_size for part in parts) < 20_000
    assert counts("small") == counts("feats")


def test_a_full_disk_is_one_line_and_nothing_is_lost(extract, capsys, monkeypatch):
    monkeypatch.setattr(dataset_writer, "_SECONDS", 0.0)
    assert extract("v/c.mp4", "-o", "feats", "--format", "parquet") == 0
    capsys.readouterr()
    with no_file_larger_than(9_000):
        assert extract("v", "-o", "feats") == 2
    assert "File too large" in one_line(capsys)
    assert counts()["c.mp4"] == 3
    assert extract("v", "-o", "feats") == 0
    assert counts() == LENGTHS
    left = {path.name for path in Path("feats/__vidmoco__").iterdir()}
    assert left == {"dataset.json", "manifest.parquet"}


@pytest.fixture(scope="module")
def bucket():
    """A bucket of a local S3, by moto."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    settings |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        system = fsspec.filesystem("s3", skip_instance_cache=True)
        system.mkdir("shelf")
        yield system
    server.stop()


@pytest.mark.filterwarnings("ignore")  # of moto and boto
def test_an_object_store_is_a_folder(extract, bucket, capsys):
    words = ["v", "-o", "s3://shelf/feats"]
    assert extract(*words) == 0
    assert extract(*words) == 0
    assert "0 extracted (0 rows), 3 were there already" in capsys.readouterr().out
    found = sorted(bucket.find("shelf"))
    assert [name.rpartition("/")[2][:5] for name in found] == ["datas", "manif", "part-"]
    with bucket.open(found[-1]) as file:
        assert pq.read_table(file).num_rows == 15
    best, *_ = vidmoco.search("s3://shelf/feats", "v/a.mp4@0.2", min_gap=0.0, device="cpu")
    assert best["similarity"] == pytest.approx(1.0, abs=1e-5)
    assert extract(*words, "--every", 2) == 2
    assert "s3://shelf/feats was made with other settings: --every 1, now " in one_line(capsys)
    assert extract("v", "-o", "s3://nowhere/feats") == 2
    assert "s3://nowhere/feats cannot be used: " in one_line(capsys)


def test_urls_of_videos_go_into_a_dataset(extract):
    system = fsspec.filesystem("memory")
    system.pipe_file("memory://shelf/x.mp4", Path("v/a.mp4").read_bytes())
    try:
        assert extract("memory://shelf/x.mp4", "v", "-o", "feats") == 0
        assert counts() == LENGTHS | {"shelf/x.mp4": 5}
        assert manifest()["shelf/x.mp4"]["source"] == "memory://shelf/x.mp4"
        assert extract("memory://shelf/x.mp4", "v", "-o", "feats") == 0
    finally:
        system.store.clear()
    settings = json.loads(Path("feats/__vidmoco__/dataset.json").read_text())
    assert settings["dim"] == 512 and settings["row_shape"] == [512]
