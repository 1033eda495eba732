import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from evaluate_runs import run as evaluate
from full_disk import no_space
from painted_videos import read_index, write_video
from PIL import Image
from rich.console import Console

from vidmoco.config.evaluation import LabelledVideosConfig
from vidmoco.errors import ConfigError, DataError
from vidmoco.evaluate import labelled_videos as module
from vidmoco.evaluate import protocols
from vidmoco.evaluate.labelled_clips import SPLITS
from vidmoco.evaluate.labelled_videos import make_frames
from vidmoco.evaluate.linear import linear_probe
from vidmoco.images.load import load_labelled_images


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Ten videos of two rooms and five days; frame i of video n spells 100 * n + i."""
    folder = tmp_path_factory.mktemp("labelled") / "videos"
    folder.mkdir()
    lines = ["path,room,day,kind,part"]
    for n in range(10):
        name = f"{n}.mp4"
        write_video(folder / name, first_index=100 * n, num_frames=20, fps=10)
        part = "test" if n % 5 == 4 else "train"
        lines.append(f"{name},{'attic' if n < 5 else 'hall'},day{n % 5},real,{part}")
    lines.append("gone.mp4,hall,day0,missing,train")
    (folder.parent / "m.csv").write_text("\n".join(lines))
    return folder


def config(videos, **options):
    names = {"label_column": "room", "group_column": "day", "where": ("kind=real",)}
    return LabelledVideosConfig(**{"labels": videos.parent / "m.csv"} | names | options)


def make(videos, folder, *, seed=0, **options):
    folder.mkdir(exist_ok=True)
    return make_frames(
        videos,
        config(videos, **options),
        folder,
        val_share=0.3,
        seed=seed,
        console=Console(file=io.StringIO()),
    )


def rows(folder, split):
    return pq.read_table(folder / f"{split}.parquet").to_pylist()


def test_frames_times_labels_and_groups(videos, tmp_path):
    made = make(videos, tmp_path, frames_per_video=3)
    train, val = rows(tmp_path, "train"), rows(tmp_path, "val")
    assert len(train) + len(val) == 30
    assert {row["group"] for row in val} == made.val_groups
    assert not {row["group"] for row in train} & made.val_groups
    assert made.left_out == []
    for row in train + val:
        n = int(row["video"].removesuffix(".mp4"))
        assert row["label"] == ("attic" if n < 5 else "hall")
        assert row["group"] == f"day{n % 5}"
        frame = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
        assert read_index(frame) == 100 * n + round(row["pts_seconds"] * 10)
    # The middles of three parts of two seconds: 0.33, 1.0 and 1.67 s, frames 3, 10 and 16.
    times = [row["pts_seconds"] for row in train if row["video"] == train[0]["video"]]
    assert times == pytest.approx([0.3, 1.0, 1.6])
    metadata = pq.read_schema(tmp_path / "val.parquet").metadata
    assert json.loads(metadata[b"classes"]) == ["attic", "hall"]


def test_the_set_is_balanced_and_the_same_again(videos, tmp_path):
    make(videos, tmp_path, frames_per_video=4, frames_per_class="min")
    train, val = load_labelled_images(tmp_path)
    assert train.classes == ("attic", "hall")
    assert train.labels.bincount().tolist() == [12, 12]
    assert val.labels.bincount().tolist() == [8, 8]  # two of five groups, two videos, four frames
    first = rows(tmp_path, "train")
    make(videos, tmp_path, frames_per_video=4, frames_per_class="min")
    assert rows(tmp_path, "train") == first
    assert sorted(p.name for p in tmp_path.glob("*.*")) == ["train.parquet", "val.parquet"]


def test_the_split_may_be_given(videos, tmp_path):
    made = make(videos, tmp_path, frames_per_video=1, split_column="part")
    assert made.val_groups == {"day4"}
    assert {row["video"] for row in rows(tmp_path, "val")} == {"4.mp4", "9.mp4"}
    with pytest.raises(DataError, match="group 'real' are in train and val"):
        make(videos, tmp_path, group_column="kind", split_column="part")


def test_videos_that_cannot_be_read_are_listed(videos, tmp_path):
    whole = (videos / "3.mp4").read_bytes()
    (videos / "3.mp4").write_bytes(b"no video")
    made = make(videos, tmp_path, where=())
    (videos / "3.mp4").write_bytes(whole)
    assert made.left_out[0] == "gone.mp4: not in the folder of videos"
    assert any(line.startswith("3.mp4: ") for line in made.left_out)
    assert "3.mp4" not in {row["video"] for split in SPLITS for row in rows(tmp_path, split)}


def test_videos_without_a_label_are_listed(videos, tmp_path):
    manifest = tmp_path / "m.csv"
    text = (videos.parent / "m.csv").read_text()
    manifest.write_text(text.replace("1.mp4,attic", "1.mp4,").replace("7.mp4,hall", "7.mp4,"))
    options = {"videos": config(videos, labels=manifest, frames_per_video=1), "linear": False}
    results, table, log = evaluate(videos, tmp_path, **options)
    expected = [f"{name}: no label in the column 'room'" for name in ("1.mp4", "7.mp4")]
    assert results["left_out"] == expected
    assert f"2 videos or classes are left out (left_out in the file). The first: {expected[0]}" in (
        table
    )
    assert f"Left out:\n  {expected[0]}\n  {expected[1]}\n" in log
    again, _, _ = evaluate(videos, tmp_path, **options)  # from the cache
    assert again["left_out"] == expected


def test_paths_in_other_forms(videos, tmp_path):
    manifest = tmp_path / "m.csv"
    first, *rest = (videos.parent / "m.csv").read_text().splitlines()
    manifest.write_text("\n".join([first, *(f"./{line}" for line in rest)]))
    made = make(videos, tmp_path / "s", labels=manifest, frames_per_video=1)
    assert {clip.path for clip in made.clips} == {f"{n}.mp4" for n in range(10)}
    manifest.write_text(manifest.read_text() + f"\n{rest[0]}")
    with pytest.raises(DataError, match=r"lists '0\.mp4' 2 times, in several forms"):
        make(videos, tmp_path / "s", labels=manifest)


def test_names_without_their_suffix(videos, tmp_path):
    manifest = tmp_path / "m.csv"
    text = (videos.parent / "m.csv").read_text().replace(".mp4", "")
    manifest.write_text(text)
    made = make(videos, tmp_path / "s", labels=manifest, frames_per_video=1, where=())
    assert {clip.path for clip in made.clips} == {f"{n}.mp4" for n in range(10)}
    assert made.left_out == ["gone: not in the folder of videos"]


def test_a_list_without_a_header(videos, tmp_path):
    manifest = tmp_path / "trainlist01.txt"
    manifest.write_text("Bus/0.mp4 1\nCar/1.mp4 2\n")
    with pytest.raises(ConfigError, match=r"'Bus/0.mp4 1', was read as .*write a line such as"):
        make(videos, tmp_path, labels=manifest)


def test_a_long_list_is_cut_and_a_name_commands_no_terminal(videos, tmp_path):
    manifest = tmp_path / "m.csv"
    names = "".join(f"{n}\x1b.mp4,hall,day9,real,train\n" for n in range(22))
    manifest.write_text((videos.parent / "m.csv").read_text() + "\n" + names)
    options = {"videos": config(videos, labels=manifest, frames_per_video=1), "linear": False}
    results, table, log = evaluate(videos, tmp_path, **options)
    assert len(results["left_out"]) == 22
    assert "Left out:\n  0\\x1b.mp4: not in the folder" in log and "0\\x1b.mp4: not in" in table
    assert "2 more, all in the results file" in log
    assert log.count(": not in the folder") == 20 and "\x1b" not in log + table


def test_pixels_that_are_not_square_become_square():
    image = np.zeros((30, 40, 3), dtype=np.uint8)
    for ratio, size in ((1.5, (60, 30)), (1.0, (40, 30))):
        assert Image.open(io.BytesIO(module._jpeg(image, sample_aspect_ratio=ratio))).size == size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_column": "rom"}, "no column 'rom'. Did you mean 'room'"),
        ({"where": ("kind=missing",)}, "No video of"),
        ({"min_videos": 6}, "Fewer than two classes"),
        ({"path_column": "day"}, "lists 'day0' 2 times"),
        ({"split_column": "kind"}, "Column 'kind' of .* has 'real' for '0.mp4'; expected one of"),
    ],
)
def test_mistakes_are_told(videos, tmp_path, options, message):
    with pytest.raises((ConfigError, DataError), match=message):
        make(videos, tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames_per_video": 0}, "--videos.frames-per-video is 0; it must be at least 1"),
        ({"frames_per_class": 0}, "--videos.frames-per-class"),
        ({"min_groups": 1}, "--videos.min-groups is 1; it must be at least 2"),
        ({"where": ("day",)}, "--videos.where"),
        ({"labels": None}, "give --videos.labels FILE too"),
    ],
)
def test_settings_that_cannot_be(videos, options, message):
    with pytest.raises(ConfigError, match=message):
        config(videos, **options)


def test_evaluate_takes_videos_and_judges_them_whole(videos, tmp_path, monkeypatch):
    options = {"videos": config(videos, frames_per_video=4), "few_shot": ()}
    results, table, _ = evaluate(videos, tmp_path, **options)
    (row,) = results["rows"]
    assert results["images"] == str(videos)
    assert (results["num_train"], results["num_val"]) == (24, 16)
    assert set(row["video_top1"]) == {"knn", "linear"}
    for ways in row["video_top1"].values():
        assert set(ways) == {"mean", "max", "vote"}
        assert all(value in (0, 25, 50, 75, 100) for value in ways.values())  # four videos
    assert "video, k-NN" in table
    assert "Intervals draw whole groups" in table
    # Four videos, two days: the interval is that of two groups and not of 16 frames.
    low, high = row["knn_interval"]["0.07"]["3"]
    assert low <= row["knn_top1"]["0.07"]["3"] <= high

    def never(*args, **others):
        raise AssertionError("read again")

    monkeypatch.setattr(module, "make_frames", never)
    again, _, _ = evaluate(videos, tmp_path, **options)
    assert again["rows"][0]["video_top1"] == row["video_top1"]
    with pytest.raises(AssertionError, match="read again"):
        evaluate(videos, tmp_path, videos=config(videos, frames_per_video=5))


def test_groups_and_no_frames_are_what_is_drawn(videos, tmp_path, monkeypatch):
    """Of one val group nothing is known of others; the probe's decay is chosen on whole groups."""
    seen = []

    def probe(bank, labels, queries, *, groups, **options):
        seen.append((len(bank), groups))
        return linear_probe(bank, labels, queries, groups=groups, **options)

    monkeypatch.setattr(protocols, "linear_probe", probe)
    given = config(videos, frames_per_video=4, split_column="part")
    (row,) = evaluate(videos, tmp_path, videos=given)[0]["rows"]
    ends = [end for by_k in row["knn_interval"].values() for end in by_k.values()]
    assert [*ends, row["linear_interval"]] == [[0.0, 100.0]] * 5  # two tau, two k, the probe
    ((num_train, groups),) = seen
    # Of four days: two rooms, a video of each a day, four frames of each.
    assert num_train == 32 and sorted(groups.bincount().tolist()) == [8, 8, 8, 8]


def test_another_label_is_another_fine_tuning(videos, tmp_path):
    """Both columns have the same videos in train and val, and so the same frames."""
    manifest = tmp_path / "m.csv"
    lines = ["path,room,floor,part"]
    for n in range(8):
        room, floor = ("attic", "hall")[n % 2], ("attic", "hall")[n // 2 % 2]
        lines.append(f"{n}.mp4,{room},{floor},{'val' if n >= 4 else 'train'}")
    manifest.write_text("\n".join(lines))
    curves = []
    for label in ("room", "floor", "room"):
        given = LabelledVideosConfig(
            labels=manifest, label_column=label, split_column="part", frames_per_video=2
        )
        options = {"finetune": ("head",), "finetune_epochs": 1, "linear": False}
        (row,) = evaluate(videos, tmp_path, videos=given, **options)[0]["rows"]
        curves.append(row["finetune"]["head"]["epochs"][0]["train_loss"])
    assert curves[0] == curves[2] != curves[1]


def test_folders_of_classes_are_split_by_video(tmp_path):
    for n in range(8):
        name = tmp_path / "v" / ("attic" if n < 4 else "hall") / f"{n}.mp4"
        name.parent.mkdir(parents=True, exist_ok=True)
        write_video(name, first_index=100 * n, num_frames=6)
    results, _, _ = evaluate(
        tmp_path / "v", tmp_path, videos=LabelledVideosConfig(frames_per_video=2), linear=False
    )
    assert results["classes"] == ["attic", "hall"]
    assert (results["num_train"], results["num_val"]) == (12, 4)
    (tmp_path / "v" / "1.mp4").write_bytes((tmp_path / "v" / "hall" / "5.mp4").read_bytes())
    with pytest.raises(DataError, match=r"videos outside of class folders, such as '1.mp4'"):
        evaluate(tmp_path / "v", tmp_path)


def test_copies_of_a_video(tmp_path):
    """A given split with a copy on each side is refused; a drawn one keeps copies together."""
    for room in ("attic", "hall"):
        for n, part in enumerate(("train", "train", "train", "Testing")):
            name = tmp_path / "v" / part / room / f"{n}.mp4"
            name.parent.mkdir(parents=True, exist_ok=True)
            write_video(name, first_index=100 * n + 50 * (room == "hall"), num_frames=6)
    copy = tmp_path / "v" / "Testing" / "hall" / "copy.mp4"
    copy.write_bytes((tmp_path / "v" / "train" / "hall" / "0.mp4").read_bytes())
    options = {"videos": LabelledVideosConfig(frames_per_video=2), "linear": False}
    told = r"1 video is in both .* such as 'train/hall/0.mp4' and 'Testing/hall/copy.mp4'"
    with pytest.raises(DataError, match=told):
        evaluate(tmp_path / "v", tmp_path, **options)
    for part in ("train", "Testing"):
        for room in ("attic", "hall"):
            (tmp_path / "w" / room).mkdir(parents=True, exist_ok=True)
            for file in (tmp_path / "v" / part / room).iterdir():
                file.rename(tmp_path / "w" / room / file.name)
    for seed in range(4):
        results, _, log = evaluate(tmp_path / "w", tmp_path, seed=seed, **options)
        assert results["equal_images"]["num_val"] == 0
        assert "is in train too" not in log


def test_frames_that_are_equal_are_told_by_their_videos(tmp_path, videos):
    """A video in another file has the same frames: its note does not speak of Parquet."""
    for part, room, n in (("train", "attic", 1), ("train", "hall", 2), ("val", "attic", 3)):
        file = tmp_path / "v" / part / room / f"{n}.mp4"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((videos / f"{n}.mp4").read_bytes())
    copy = tmp_path / "v" / "val" / "hall" / "2.mp4"
    copy.parent.mkdir(parents=True)
    copy.write_bytes((videos / "2.mp4").read_bytes() + b"\0\0\0\x08free")
    options = {"videos": LabelledVideosConfig(frames_per_video=2), "linear": False}
    _, _, log = evaluate(tmp_path / "v", tmp_path, **options)
    assert "such as a frame of val/hall/2.mp4 and a frame of train/hall/2.mp4" in log


def test_a_class_on_one_side_is_told_before_anything_is_read(videos, tmp_path):
    manifest = tmp_path / "m.csv"
    lines = ["path,room,part", "0.mp4,attic,train", "1.mp4,attic,train", "5.mp4,hall,train",
             "6.mp4,hall,val"]  # fmt: skip
    manifest.write_text("\n".join(lines))
    options = {"labels": manifest, "group_column": None, "where": (), "split_column": "part"}
    with pytest.raises(DataError, match="attic is only in train"):
        make(videos, tmp_path / "out", frames_per_class="min", **options)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_short_video_gives_each_frame_once(videos, tmp_path):
    make(videos, tmp_path, frames_per_video=50)
    by_video = {}
    for row in rows(tmp_path, "train"):
        by_video.setdefault(row["video"], []).append(row["pts_seconds"])
    assert all(len(set(times)) == len(times) == 20 for times in by_video.values())


def test_a_cache_that_is_damaged_or_cannot_be_written(videos, tmp_path, monkeypatch):
    arguments = (videos, config(videos, frames_per_video=1))
    options = {"val_share": 0.3, "seed": 0, "console": Console(file=io.StringIO())}
    folder, left_out = module.cached_frames(*arguments, **options)
    assert left_out == []
    (folder / "left_out.json").unlink()  # killed before it was whole
    again, _ = module.cached_frames(*arguments, **options)
    assert again == folder
    assert (folder / "left_out.json").read_text() == "[]"
    monkeypatch.setattr(module, "make_frames", no_space)
    with pytest.raises(ConfigError, match="No space left on device"):
        module.cached_frames(*arguments, **options, fresh=True)
