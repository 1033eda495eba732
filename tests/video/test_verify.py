import dataclasses
import os
import signal

import av
import numpy as np
import pytest
from painted_videos import paint, write_video
from wide_videos import WIDE, info_of

from vidmoco.cli.main import main
from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.video import verify
from vidmoco.video.decode import read_frames
from vidmoco.video.frames import Frames
from vidmoco.video.open_catalog import open_catalog
from vidmoco.video.verify import build_verify, verify_video, verify_videos


class Right:
    """Reads as PyAV does."""

    def read(self, video, times):
        return read_frames(video, times.tolist())


class Neighbour:
    """Shows the frame after the one asked for."""

    def read(self, video, times):
        return Frames(read_frames(video, (times + 0.1).tolist()).images, times)


class Late:
    """Shows the right frame, and says another time."""

    def read(self, video, times):
        return Frames(read_frames(video, times.tolist()).images, times + 0.1)


class Declining:
    def read(self, video, times):
        return None


def found(video, reader=Right()):  # noqa: B008
    return verify_video(video, reader, DEFAULT_LIMITS)


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.webm"])
@pytest.mark.parametrize("reader", [Right(), Declining()])
def test_a_video_as_scanned(tmp_path, name, reader):
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    finding = found(info_of(tmp_path / name, num_frames=30, codec=codec), reader)
    assert (finding.num_frames, finding.findings) == (30, ())


@pytest.mark.parametrize("reader", [Neighbour(), Late()])
def test_a_decoder_that_shows_another_frame_or_time(tmp_path, reader):
    findings = found(info_of(tmp_path / "a.mp4", num_frames=30), reader).findings
    assert 2 <= len(findings) <= 8  # of the 8 frames; the last may be asked beyond the end
    assert all(text.startswith("decord shows another frame at ") for text in findings)
    other = info_of(tmp_path / "a.ts", num_frames=30)
    assert found(other, reader).findings == ()  # it does not read this one


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_frames": 31}, "30 frames are decoded, but the scan counts 31"),
        ({"last_seconds": 2.8}, "its last frame is shown at 2.900000 s, but at 2.80"),
        ({"start_seconds": -0.5}, "its first frame is shown at 0.500000 s, not at zero"),
        ({"width": 128}, "its pictures have the sizes 256 x 192"),
    ],
)
def test_a_scan_that_is_wrong(tmp_path, change, words):
    right = info_of(tmp_path / "a.ts", num_frames=30)
    if "start_seconds" in change:
        change = {"start_seconds": right.start_seconds + change["start_seconds"]}
    video = dataclasses.replace(right, **change)
    assert any(words in text for text in found(video).findings)


def test_damage_is_found_and_remembered(tmp_path, capsys):
    folder = tmp_path / "videos"
    for name in ("bad.mp4", "good.mp4", "good.ts"):
        write_video(folder / name, num_frames=30, size=WIDE, gop=10, b_frames=0)
    with av.open(str(folder / "bad.mp4")) as opened:
        packet = [packet for packet in opened.demux(video=0) if packet.size][10]
    data = bytearray((folder / "bad.mp4").read_bytes())
    middle = packet.pos + packet.size // 2
    data[middle : packet.pos + packet.size] = bytes(packet.pos + packet.size - middle)
    (folder / "bad.mp4").write_bytes(data)

    assert main(["scan", str(folder)]) == 0
    assert open_catalog([folder]).column("route").tolist() == ["decord", "decord", "pyav"]
    capsys.readouterr()
    assert main(["scan", str(folder), "--verify", "--workers", "1"]) == 1
    printed = capsys.readouterr().out
    assert "  bad.mp4: damaged frames: 10, the first at 1.000 s: " in printed
    assert "Verified: 3 videos, 80 frames decoded in" in printed
    assert "1 differ from the scan" in printed
    bad, good, _ = open_catalog([folder]).rows()
    assert (bad.route, good.route) == ("pyav", "decord")
    assert bad.reason.startswith("damaged frames: 10")
    assert main(["scan", str(folder / "good.mp4"), "--verify", "--workers", "1"]) == 0


def build_fragile_verify(limits):
    do = build_verify(limits)

    def verify_or_die(video):
        if video.key == "evil.mp4":
            os.kill(os.getpid(), signal.SIGSEGV)
        return do(video)

    return verify_or_die


def test_a_video_that_kills_its_decoder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "build_verify", build_fragile_verify)
    for name in ("a.mp4", "evil.mp4"):
        write_video(tmp_path / name, num_frames=3)
    catalog = open_catalog([tmp_path], progress=False)
    rows = dict(
        (video.key, (video.route, finding.findings))
        for video, finding in verify_videos(catalog, workers=1, limits=DEFAULT_LIMITS)
    )
    assert rows["a.mp4"] == ("pyav", ())
    assert rows["evil.mp4"] == ("refused", ("its decoder crashed (SIGSEGV)",))


def test_nothing_to_verify(tmp_path):
    (tmp_path / "a.mp4").touch()
    catalog = open_catalog([tmp_path], progress=False)
    assert list(verify_videos(catalog, workers=1, limits=DEFAULT_LIMITS)) == []


def test_the_painted_neighbours_differ_by_more_than_is_allowed():
    near = [np.abs(paint(i).astype(int) - paint(i + 1)).mean() for i in range(30)]
    assert min(near) > verify._MAX_DIFFERENCE
