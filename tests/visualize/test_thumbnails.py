import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from explore_features import random_features, write_features
from painted_videos import read_index, write_video

from vidmoco.features.feature_set import open_features
from vidmoco.video.open_catalog import open_catalog
from vidmoco.visualize import thumbnails as thumbnails_module
from vidmoco.visualize.thumbnails import gone_line, grey_tile, thumbnails

GREY = (213, 216, 220)


def is_grey(picture):
    return picture.getpixel((0, 0)) == GREY


@pytest.fixture
def videos(tmp_path):
    """Three painted videos and features of all their frames, of wide, turned and other pixels."""
    kinds = {
        "a.mp4": {"first_index": 100, "size": (160, 64)},
        "b.mp4": {"first_index": 200, "rotation": 90},
        "c.mkv": {"first_index": 300, "sample_aspect_ratio": Fraction(2)},
    }
    for name, options in kinds.items():
        times = write_video(tmp_path / "videos" / name, num_frames=20, **options)
        path = tmp_path / "feats" / f"{name}.npy"
        write_features(path, random_features(20), times, source=tmp_path / "videos" / name)
    return tmp_path


def test_pixels_spell_the_frame_of_each_row(videos):
    features = open_features(videos / "feats")
    rows = np.array([47, 3, 59, 0, 3, 25, 19, 20, 40])
    read = []
    pictures = thumbnails(features, rows, box=(64, 48), on_read=read.append)
    indices = [read_index(np.asarray(picture)) for picture in pictures]
    assert indices == [100 * (row // 20 + 1) + row % 20 for row in rows.tolist()]
    sizes = {row // 20: picture.size for row, picture in zip(rows.tolist(), pictures, strict=True)}
    # 160 x 64; 96 x 64 turned; 96 x 64 of pixels twice as wide as high.
    assert sizes == {0: (64, 26), 1: (32, 48), 2: (64, 21)}
    assert sum(read) == 8  # one row came twice


def test_what_cannot_be_had_is_a_grey_tile(videos):
    (videos / "videos" / "a.mp4").unlink()
    os.utime(videos / "videos" / "b.mp4", ns=(0, 0))
    features = open_features(videos / "feats")
    gone, changed, there = thumbnails(features, np.array([0, 20, 40]), box=(64, 48))
    assert is_grey(gone) and is_grey(changed) and gone.size == changed.size == (64, 48)
    assert read_index(np.asarray(there)) == 300
    assert gone.tobytes() != changed.tobytes()  # they say why
    assert gone_line(features.files) == (
        "There are no pictures of 2 of 3 videos. The first: 'a.mp4', the video is not there any "
        f"more. Put it back as {videos}/videos/a.mp4, or extract again with --overwrite."
    )
    assert "1 of 2 videos. The first: 'b.mp4', the video has changed since the" in gone_line(
        features.files[1:] * 2
    )
    assert gone_line(features.files[2:]) == ""


def test_a_video_at_a_url_has_no_pictures(tmp_path):
    url = Path("https://example.com/a.mp4")
    write_features(tmp_path / "a.npy", random_features(2), source=url)
    line = gone_line(open_features(tmp_path / "a.npy").files)
    assert line.endswith("the video is at a URL. Extract local files to see them.")


def test_a_damaged_frame_costs_its_own_picture_only(tmp_path):
    path = tmp_path / "a.mp4"
    times = write_video(path, num_frames=30, gop=10, b_frames=0, first_index=500)
    with av.open(str(path)) as opened:
        packet = [packet for packet in opened.demux(video=0) if packet.size][14]
    data = bytearray(path.read_bytes())
    data[packet.pos + 8 : packet.pos + packet.size] = bytes(packet.size - 8)
    path.write_bytes(data)
    write_features(tmp_path / "a.npy", random_features(30), times, source=path)
    pictures = thumbnails(open_features(tmp_path), np.arange(30))
    lost = [n for n, picture in enumerate(pictures) if is_grey(picture)]
    assert 14 in lost and set(lost) <= set(range(14, 20))
    for n in set(range(30)) - set(lost):
        assert read_index(np.asarray(pictures[n])) == 500 + n


def test_a_time_between_two_frames_is_none_of_them(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, num_frames=5)
    write_features(tmp_path / "a.npy", random_features(2), [0.1, 0.15], source=path)
    right, wrong = thumbnails(open_features(tmp_path), np.array([0, 1]))
    assert read_index(np.asarray(right)) == 1
    assert is_grey(wrong)


def test_a_sidecar_of_a_stranger_opens_no_folder_and_no_text(tmp_path, monkeypatch):
    (tmp_path / "text.mp4").write_text("#EXTM3U\nfile:///etc/passwd")
    folder = tmp_path / "folder"
    folder.mkdir()
    for n, source in enumerate((folder, tmp_path / "text.mp4", Path("/\ud800.mp4"))):
        about = {}
        if source.exists():
            status = source.stat()
            about = {"source_bytes": status.st_size, "source_mtime_ns": status.st_mtime_ns}
        write_features(tmp_path / f"{n}.npy", random_features(1), source=source, about=about)
    looked_at = []

    def scan(sources, **options):
        looked_at.extend(sources)
        return open_catalog(sources, **options)

    monkeypatch.setattr(thumbnails_module, "open_catalog", scan)
    pictures = thumbnails(open_features(tmp_path), np.arange(3))
    assert all(map(is_grey, pictures))
    assert looked_at == [tmp_path / "text.mp4"]  # not all that is in the folder


def test_tiles_hold_words_of_any_length():
    assert grey_tile("ü" * 3000, (40, 30)).size == (40, 30)
    assert len(set(grey_tile("why", (160, 120)).get_flattened_data())) > 1
