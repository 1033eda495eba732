import importlib.util
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from painted_videos import write_video

spec = importlib.util.spec_from_file_location(
    "labelled_frames", Path(__file__).parents[2] / "tools" / "labelled_frames.py"
)
tool = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = tool  # where tyro looks for the help of the flags
spec.loader.exec_module(tool)


@pytest.fixture
def videos(tmp_path, monkeypatch):
    for n in range(4):
        name = tmp_path / "videos" / ("attic" if n < 2 else "hall") / f"{n}.mp4"
        name.parent.mkdir(parents=True, exist_ok=True)
        write_video(name, first_index=100 * n, num_frames=6)
    return tmp_path / "videos"


def test_it_writes_a_set_and_prints_what_is_in_it(videos, tmp_path, capsys):
    words = [str(videos), "-o", str(tmp_path / "out"), "--videos.frames-per-video", "3"]
    assert tool.main(words) == 0
    for split in ("train", "val"):
        table = pq.read_table(tmp_path / "out" / f"{split}.parquet")
        assert table.column("label").to_pylist() == ["attic"] * 3 + ["hall"] * 3
    assert "attic" in capsys.readouterr().out
    (videos / "hall" / "4.mp4").write_bytes(b"no video")
    assert tool.main(words) == 1
    assert "left out: hall/4.mp4: " in capsys.readouterr().err


def test_no_folder_of_others_is_written_into(videos, tmp_path, capsys):
    words = [str(videos), "-o", str(tmp_path / "out"), "--videos.frames-per-video", "1"]
    (tmp_path / "out").mkdir()
    mine = tmp_path / "out" / "train.parquet"
    mine.write_text("my own")
    assert tool.main(words) == 2
    assert "it lacks labelled_frames.json. Give a new or an empty folder" in capsys.readouterr().err
    assert mine.read_text() == "my own"
    assert [entry.name for entry in mine.parent.iterdir()] == ["train.parquet"]
    mine.unlink()
    assert tool.main(words) == 0  # it is there, and empty
    names = ["labelled_frames.json", "train.parquet", "val.parquet"]
    assert sorted(entry.name for entry in mine.parent.iterdir()) == names
    assert tool.main(words) == 0  # its own


def test_mistakes_are_one_line(videos, tmp_path, capsys):
    words = [str(videos), "-o", str(tmp_path / "out")]
    assert tool.main([*words, "--videos.min-videos", "9"]) == 2
    assert "Fewer than two classes have 9 videos" in capsys.readouterr().err
    assert tool.main([*words, "--videos.labels", str(tmp_path / "no.csv")]) == 2
    assert "Cannot read the manifest" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        tool.main([*words, "--seed", "-1"])
    assert "--seed is -1" in capsys.readouterr().err
