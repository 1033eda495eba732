import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from painted_videos import read_index, write_video
from PIL import Image

from vidmoco.evaluate.images import load_labelled_images

spec = importlib.util.spec_from_file_location(
    "labelled_frames", Path(__file__).parents[2] / "tools" / "labelled_frames.py"
)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


@pytest.fixture(scope="module")
def labelled_videos(tmp_path_factory):
    """Ten videos of two rooms and five days; frame i of video n spells 100 * n + i."""
    tmp_path = tmp_path_factory.mktemp("labelled")
    folder = tmp_path / "videos"
    folder.mkdir()
    lines = ["path,room,day,kind"]
    for n in range(10):
        name = f"{n}.mp4"
        write_video(folder / name, first_index=100 * n, num_frames=20, fps=10)
        lines.append(f"{name},{'attic' if n < 5 else 'hall'},day{n % 5},real")
    lines.append("gone.mp4,hall,day0,missing")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDMOCO_CACHE", str(tmp_path / "cache"))
        yield folder


def run(labelled_videos, *words):
    output = labelled_videos.parent / "out"
    flags = ["--label", "room", "--group", "day", "--min-videos", "5", "-o", str(output)]
    code = tool.main([str(labelled_videos), str(labelled_videos.parent / "m.csv"), *flags, *words])
    return code, output


def rows(output, split):
    return pq.read_table(output / f"{split}.parquet").to_pylist()


def test_frames_times_labels_and_groups(labelled_videos, capsys):
    code, output = run(labelled_videos, "--where", "kind=real", "--per-video", "3")
    assert code == 0
    train, val = rows(output, "train"), rows(output, "val")
    assert len(train) + len(val) == 30
    assert not {row["group"] for row in train} & {row["group"] for row in val}
    for row in train + val:
        n = int(row["video"].removesuffix(".mp4"))
        assert row["label"] == ("attic" if n < 5 else "hall")
        assert row["group"] == f"day{n % 5}"
        frame = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
        assert read_index(frame) == 100 * n + round(row["pts_seconds"] * 10)
    # The middles of three parts of two seconds: 0.33, 1.0 and 1.67 s, frames 3, 10 and 16.
    times = [row["pts_seconds"] for row in train if row["video"] == train[0]["video"]]
    assert times == pytest.approx([0.3, 1.0, 1.6])
    assert json.loads(pq.read_schema(output / "val.parquet").metadata[b"classes"]) == [
        "attic",
        "hall",
    ]
    assert "attic" in capsys.readouterr().out


def test_the_set_can_be_evaluated_and_is_the_same_again(labelled_videos):
    _, output = run(labelled_videos, "--where", "kind=real", "--per-class", "min")
    train, val = load_labelled_images(output)
    assert train.classes == ("attic", "hall")
    assert train.labels.bincount().tolist() == [12, 12]
    assert val.labels.bincount().tolist() == [8, 8]  # two of five groups, two videos, four frames
    first = rows(output, "train")
    run(labelled_videos, "--where", "kind=real", "--per-class", "min")
    assert rows(output, "train") == first
    assert sorted(path.name for path in output.iterdir()) == ["train.parquet", "val.parquet"]


def test_videos_that_cannot_be_read_are_listed(labelled_videos, capsys):
    whole = (labelled_videos / "3.mp4").read_bytes()
    (labelled_videos / "3.mp4").write_bytes(b"no video")
    code, output = run(labelled_videos)
    (labelled_videos / "3.mp4").write_bytes(whole)
    assert code == 1
    errors = capsys.readouterr().err
    assert "left out: gone.mp4: not in the folder of videos" in errors
    assert "left out: 3.mp4: " in errors
    assert "3.mp4" not in {row["video"] for split in tool.SPLITS for row in rows(output, split)}


def test_pixels_that_are_not_square_become_square(tmp_path):
    image = np.zeros((30, 40, 3), dtype=np.uint8)
    assert Image.open(io.BytesIO(tool.jpeg(image, sample_aspect_ratio=1.5))).size == (60, 30)
    assert Image.open(io.BytesIO(tool.jpeg(image, sample_aspect_ratio=1.0))).size == (40, 30)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--per-video", "0"], "--per-video must be at least 1"),
        (["--per-class", "few"], "--per-class must be a number"),
        (["--min-groups", "1"], "--min-groups must be at least 2"),
        (["--val-share", "1"], "--val-share must be between"),
        (["--label", "rom"], "no column 'rom'. Did you mean 'room'"),
        (["--where", "kind=missing"], "Fewer than two classes"),
        (["--path", "day"], "names a video twice"),
        (["--path", "kind", "--where", "path=0.mp4"], "Fewer than two classes"),
    ],
)
def test_mistakes_are_one_line(labelled_videos, capsys, words, message):
    code, _ = run(labelled_videos, *words)
    assert code == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_other_videos(labelled_videos, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    write_video(other / "x.mp4", num_frames=3)
    manifest = labelled_videos.parent / "m.csv"
    flags = ["--label", "room", "--group", "day", "--min-videos", "5", "-o", str(tmp_path / "out")]
    assert tool.main([str(other), str(manifest), *flags]) == 2
    assert "No video of" in capsys.readouterr().err
