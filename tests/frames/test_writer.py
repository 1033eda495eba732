import dataclasses
import io
import tarfile
import zlib

import numpy as np
import pytest
from painted_videos import read_index, write_video
from wide_videos import damaged, info_of

from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.errors import VideoError
from vidmoco.frames import jpeg
from vidmoco.frames import writer as frame_writer
from vidmoco.frames.selection import Selection
from vidmoco.frames.writer import FrameSettings, PrepareJob, write_frames
from vidmoco.video.probe import probe_video
from vidmoco.video.sequential_reader import iter_frames


def settings(**changes):
    given = {"fps": None, "short_side": 96, "quality": 90, "selection": Selection()}
    return FrameSettings(**(given | changes))


def write(tmp_path, video, **changes):
    piece = tmp_path / "piece.tar"
    return write_frames(PrepareJob(video, "a/b.mp4", piece), settings(**changes), DEFAULT_LIMITS)


def pictures_of(tmp_path, prepared):
    data = (tmp_path / "piece.tar").read_bytes()
    assert len(data) == prepared.num_bytes
    files = [
        data[offset : offset + length]
        for offset, length in zip(prepared.offsets, prepared.lengths, strict=True)
    ]
    assert [zlib.crc32(data) for data in files] == prepared.checksums
    return [jpeg.decode(data) for data in files]


def test_every_frame_is_a_member_of_a_tar_file(tmp_path):
    prepared = write(tmp_path, info_of(tmp_path / "a.mp4"))
    pictures = pictures_of(tmp_path, prepared)
    assert [read_index(picture.permute(1, 2, 0).numpy()) for picture in pictures] == list(range(40))
    assert {picture.shape for picture in pictures} == {(3, 96, 128)}  # 192 x 256
    assert prepared.pts_seconds == pytest.approx(np.arange(40) / 10)
    with tarfile.open(tmp_path / "piece.tar") as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == [f"a/b.mp4/{n:06d}.jpg" for n in range(40)]
        assert [member.offset_data for member in members] == prepared.offsets
        assert tar.extractfile(members[3]).read(2) == b"\xff\xd8"


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.webm"])
@pytest.mark.parametrize("fps", [0.3, 2, 3, 7, 10, 25])
def test_frames_at_a_rate_are_those_of_extract(tmp_path, name, fps):
    """Whichever reader takes them."""
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    video = info_of(tmp_path / name, codec=codec)
    prepared = write(tmp_path, video, fps=fps)
    expected = [seconds for seconds, _ in iter_frames(video, fps=fps)]
    assert prepared.pts_seconds == expected
    shown = [read_index(p.permute(1, 2, 0).numpy()) for p in pictures_of(tmp_path, prepared)]
    assert shown == [round(seconds * 10) for seconds in expected]


def test_varying_rate(tmp_path):
    write_video(tmp_path / "a.mkv", times=[0.0, 0.1, 0.13, 0.4, 0.41, 0.9, 1.0, 1.5], size=(96, 64))
    video = probe_video(tmp_path / "a.mkv", root=tmp_path)
    for fps in (1, 4, 9):
        expected = [seconds for seconds, _ in iter_frames(video, fps=fps)]
        assert write(tmp_path, video, fps=fps).pts_seconds == expected


def test_small_frames_stay_as_they_are_and_turned_ones_are_turned(tmp_path):
    video = info_of(tmp_path / "a.mp4", size=(96, 64), rotation=90, num_frames=3)
    (first, *_) = pictures_of(tmp_path, write(tmp_path, video))
    assert first.shape == (3, 96, 64)
    assert read_index(first.permute(1, 2, 0).numpy()) == 0


def test_what_is_dropped_is_counted(tmp_path):
    prepared = write(tmp_path, info_of(tmp_path / "a.mp4"), selection=Selection(min_change=255))
    assert len(prepared.offsets) == 1
    assert prepared.dropped == {"unchanged": 39}


@pytest.mark.parametrize("fps", [None, 5])
def test_damage_costs_the_frames_it_spoils(tmp_path, fps):
    video = damaged(tmp_path / "a.mp4", share=0.5)
    prepared = write(tmp_path, video, fps=fps)
    assert 1 < len(prepared.offsets) < 40
    assert "damaged frames left out" in prepared.damage
    for seconds, picture in zip(prepared.pts_seconds, pictures_of(tmp_path, prepared), strict=True):
        assert read_index(picture.permute(1, 2, 0).numpy()) == round(seconds * 10)


def test_a_video_without_a_good_frame(tmp_path):
    video = info_of(tmp_path / "a.mp4")
    noise = damaged(tmp_path / "a.mp4", share=0.0)
    assert noise.route == "refused"
    with pytest.raises(VideoError, match="no frame of it can be decoded"):
        write(tmp_path, dataclasses.replace(noise, num_frames=video.num_frames, route="pyav"))


def test_a_full_disk_is_not_the_videos_fault(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    video = info_of(tmp_path / "a.mp4", num_frames=3)
    job = PrepareJob(video, "a.mp4", tmp_path / "none" / "piece.tar")
    prepared = write_frames(job, settings(), DEFAULT_LIMITS)
    assert "No such file" in prepared.cannot_write
    monkeypatch.setattr(frame_writer, "_write_frame", lambda file, *args: Full().write(b""))
    assert "No space left on device" in write(tmp_path, video).cannot_write
