import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from painted_videos import read_index, write_audio, write_video

from vidmoco.config.limits import Limits
from vidmoco.video import container, probe
from vidmoco.video.files import FoundFile, find_videos
from vidmoco.video.probe import ProbeJob, build_probe, probe_video, refused
from vidmoco.video.sequential_reader import iter_frames
from vidmoco.video.timeline import PacketList

WIDE = (256, 192)  # wide enough for decord


def probed(path, **options):
    write_video(path, **({"size": WIDE} | options))
    return probe_video(path, root=path.parent)


def test_a_plain_video(tmp_path):
    info = probed(tmp_path / "a.mp4", num_frames=30, fps=10, gop=12)
    status = (tmp_path / "a.mp4").stat()
    assert (info.root, info.key) == (str(tmp_path), "a.mp4")
    assert (info.num_bytes, info.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert (info.container, info.codec, info.pixel_format) == ("mov", "h264", "yuv420p")
    assert (info.width, info.height, info.rotation) == (256, 192, 0)
    assert info.sample_aspect_ratio == 1.0
    assert (info.num_frames, info.duration_seconds, info.frame_rate) == (30, 3.0, 10.0)
    assert info.start_seconds == 0
    assert info.keyframe_seconds == pytest.approx(1.2)
    assert not (info.variable_rate or info.edit_list or info.leading_pictures)
    assert not info.estimated_times
    assert (info.route, info.reason) == ("decord", "")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mkv", {}),
        ("a.mov", {"gop": 100}),
        ("a.webm", {"codec": "libvpx-vp9"}),
        ("a.webm", {"codec": "libvpx"}),
        ("a.mp4", {"codec": "libsvtav1"}),
        ("a.mp4", {"rotation": 90}),
        ("a.mp4", {"times": [0, 0.1, 0.25, 0.3, 0.9]}),
        ("a.mp4", {"num_frames": 1}),
        ("a.mp4", {"with_audio": True}),
    ],
)
def test_what_decord_reads(tmp_path, name, options):
    assert probed(tmp_path / name, **options).route == "decord"


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("a.ts", {}, "mpegts"),
        ("a.mpg", {"codec": "mpeg2video", "fps": 25}, "mpeg"),
        ("a.avi", {"codec": "mpeg4", "b_frames": 0}, "avi"),
        ("a.gif", {"codec": "gif", "pixel_format": "rgb8"}, "gif"),
        ("a.mp4", {"codec": "libx265"}, "hevc"),
        ("a.mp4", {"open_gop": True}, "open GOP"),
        ("a.mkv", {"open_gop": True}, "open GOP"),
        ("a.mp4", {"hidden_frames": 5}, "edit list"),
        ("a.mp4", {"start_seconds": 5.0}, "start"),
        ("a.mp4", {"pixel_format": "yuv444p"}, "yuv444p"),
        ("a.mp4", {"pixel_format": "yuv420p10le"}, "yuv420p10le"),
        ("a.mp4", {"size": (96, 64)}, "narrower"),
        ("a.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}, "start"),
    ],
)
def test_what_pyav_reads(tmp_path, name, options, word):
    info = probed(tmp_path / name, **options)
    assert info.route == "pyav"
    assert word in info.reason


def test_turned_and_stretched_pictures(tmp_path):
    info = probed(
        tmp_path / "a.mp4", size=(320, 192), rotation=90, sample_aspect_ratio=Fraction(4, 3)
    )
    assert (info.width, info.height, info.rotation) == (192, 320, 90)
    assert info.sample_aspect_ratio == pytest.approx(3 / 4)  # of the displayed picture
    assert info.aspect_ratio == pytest.approx(192 * 0.75 / 320)


def test_an_edit_list_hides_frames(tmp_path):
    info = probed(tmp_path / "a.mp4", num_frames=30, hidden_frames=7)
    assert info.edit_list
    assert (info.num_frames, info.start_seconds, info.duration_seconds) == (23, 0.0, 2.3)


def test_a_late_start(tmp_path):
    info = probed(tmp_path / "a.mkv", num_frames=10, start_seconds=5.0)
    assert (info.start_seconds, info.duration_seconds) == (5.0, 1.0)


def test_variable_rate(tmp_path):
    info = probed(tmp_path / "a.mkv", times=[0, 0.1, 0.25, 0.3, 0.9, 1.5])
    assert info.variable_rate
    assert info.num_frames == 6
    assert 1.5 < info.duration_seconds <= 2.1


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_b_frames_in_avi_have_estimated_times(tmp_path, codec):
    info = probed(tmp_path / "a.avi", codec=codec, b_frames=2, num_frames=30)
    assert info.estimated_times
    assert (info.num_frames, info.frame_rate, info.duration_seconds) == (30, 10.0, 3.0)
    assert info.route == "pyav"


def test_times_of_decoding_are_noticed_in_any_container(tmp_path):
    """A file whose packets carry their decoding times as times of showing (no B-frame sorts)."""
    write_video(tmp_path / "a.mp4", size=WIDE, num_frames=30)
    with (
        av.open(str(tmp_path / "a.mp4")) as source,
        av.open(str(tmp_path / "b.mp4"), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.pts = packet.dts = number * 1024
                packet.stream = stream
                target.mux(packet)
    info = probe_video(tmp_path / "b.mp4", root=tmp_path)
    assert info.estimated_times
    assert info.route == "pyav"
    assert info.num_frames == 30


def test_hidden_pictures_of_vp8_are_not_counted(tmp_path):
    write_video(tmp_path / "a.webm", codec="libvpx", size=WIDE, num_frames=12)
    with (
        av.open(str(tmp_path / "a.webm")) as source,
        av.open(str(tmp_path / "b.webm"), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                data = bytearray(bytes(packet))
                if number == 5:
                    data[0] &= ~0x10  # show_frame
                hidden = av.Packet(bytes(data))
                hidden.pts, hidden.dts, hidden.time_base = packet.pts, packet.dts, packet.time_base
                hidden.is_keyframe, hidden.stream = packet.is_keyframe, stream
                target.mux(hidden)
    info = probe_video(tmp_path / "b.webm", root=tmp_path)
    with av.open(str(tmp_path / "b.webm")) as opened:
        assert len(list(opened.decode(video=0))) == 11
    assert info.num_frames == 11
    assert info.route == "pyav"


def test_a_file_cut_off(tmp_path):
    write_video(
        tmp_path / "a.mp4",
        size=WIDE,
        num_frames=60,
        container_options={"movflags": "faststart"},
        codec_options={"crf": "1"},
    )
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) * 3 // 4])
    info = probe_video(tmp_path / "a.mp4", root=tmp_path)
    assert (info.route, info.reason) == ("pyav", "damaged or cut off")
    assert 5 < info.num_frames < 55
    with av.open(str(tmp_path / "a.mp4")) as opened:
        assert opened.streams.video[0].frames == 60  # what the index promises


def test_a_file_cut_off_between_two_pictures(tmp_path):
    write_video(
        tmp_path / "a.mp4", size=WIDE, num_frames=60, container_options={"movflags": "faststart"}
    )
    with av.open(str(tmp_path / "a.mp4")) as opened:
        ends = [packet.pos + packet.size for packet in opened.demux(video=0) if packet.size]
    (tmp_path / "a.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[: ends[29]])
    info = probe_video(tmp_path / "a.mp4", root=tmp_path)
    assert (info.route, info.reason) == ("pyav", "damaged or cut off")


def refusal(path):
    info = probe_video(path, root=path.parent)
    assert info.route == "refused"
    assert info.num_frames == 0
    assert info.key == path.name
    return info


def test_refusals_say_why(tmp_path):
    (tmp_path / "zero.mp4").touch()
    assert refusal(tmp_path / "zero.mp4").reason == "the file is empty"
    (tmp_path / "text.mp4").write_text("I am a video, honestly.\n" * 50)
    assert refusal(tmp_path / "text.mp4").reason == "it is a text file"
    write_audio(tmp_path / "sound.mp4")
    assert refusal(tmp_path / "sound.mp4").reason == "it holds no video, only sound"
    write_video(tmp_path / "cut.mp4")
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "cut.mp4").read_bytes()[:1500])
    assert "broke off" in refusal(tmp_path / "cut.mp4").reason
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nothing")
    assert refusal(tmp_path / "gone.mp4").reason == "the link leads to no file"


def test_a_stream_without_pictures_is_not_too_large(tmp_path):
    """The decoder knows no size of it either, but logs none."""
    write_video(tmp_path / "a.ts", num_frames=30, with_audio=True)
    data = (tmp_path / "a.ts").read_bytes()
    pieces = [data[place : place + 188] for place in range(0, len(data), 188)]
    is_video = [int.from_bytes(piece[1:3], "big") & 0x1FFF == 0x100 for piece in pieces]
    without = b"".join(piece for piece, video in zip(pieces, is_video, strict=True) if not video)
    (tmp_path / "b.ts").write_bytes(without)
    info = refusal(tmp_path / "b.ts")
    assert (info.reason, info.limit) == ("it holds no picture", "")
    no_header = data.replace(b"\0\0\1\x67", b"\0\0\1\x6c")  # the SPS is another unit
    (tmp_path / "c.ts").write_bytes(no_header)
    info = refusal(tmp_path / "c.ts")
    assert "has no header" in info.reason and not info.limit


def test_a_size_that_only_the_decoder_knows(tmp_path):
    write_video(tmp_path / "a.ts", num_frames=5, size=(640, 360), codec="mpeg4")
    limits = Limits(max_pixels=10_000)
    info = probe_video(tmp_path / "a.ts", root=tmp_path, limits=limits)
    assert "no picture of at most 10,000 pixels" in info.reason
    assert info.limit == "max_pixels=10000"


def test_a_byte_can_be_a_picture(tmp_path):
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("rawvideo", rate=10)
        stream.width = stream.height = 1
        stream.pix_fmt = "gray"
        for pts in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((1, 1), 30 * pts, np.uint8), format="gray")
            frame.pts, frame.time_base = pts, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert probe_video(tmp_path / "a.avi", root=tmp_path).num_frames == 8


def test_dropped_frames_do_not_have_the_whole_video_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("vidmoco.video.probe._times_as_decoded", pytest.fail)
    times = [number / 30 for number in range(120) if number not in (30, 70, 71)]
    video = probed(tmp_path / "a.mp4", num_frames=len(times), times=times)
    assert (video.num_frames, video.estimated_times) == (117, False)


def test_noise_for_pictures(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=5)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    start = data.index(b"mdat") + 4
    stop = data.index(b"moov") - 4
    data[start:stop] = bytes((7 * i + 3) % 256 for i in range(stop - start))
    (tmp_path / "a.mp4").write_bytes(data)
    assert "no picture of it can be decoded" in refusal(tmp_path / "a.mp4").reason


def test_a_refused_file_is_not_tried_again_until_it_changes(tmp_path):
    (tmp_path / "zero.mp4").touch()
    assert refusal(tmp_path / "zero.mp4").mtime_ns == (tmp_path / "zero.mp4").stat().st_mtime_ns


def test_a_file_that_may_not_be_read_is_tried_again(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", num_frames=1)

    def forbidden(*args, **kwargs):
        raise av.PermissionError(13, "Permission denied", str(args[0]))

    monkeypatch.setattr(container.av, "open", forbidden)  # root may read everything
    monkeypatch.setattr(probe.os, "access", lambda path, mode: False)
    info = refusal(tmp_path / "a.mp4")
    assert info.reason == "it may not be read: permission denied"
    assert info.mtime_ns == 0  # a change of the permission does not change this time


def test_the_unexpected_ends_in_the_row_of_the_file(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", num_frames=1)

    def broken(*args, **kwargs):
        raise RuntimeError("a surprise")

    monkeypatch.setattr(probe, "_read_packets", broken)
    assert refusal(tmp_path / "a.mp4").reason == "RuntimeError: a surprise"


def test_refused_rows():
    info = refused(FoundFile("x/", problem="p"), root=Path("/r"), reason="p")
    assert (info.root, info.key, info.route, info.reason) == ("/r", "x/", "refused", "p")


def test_what_a_worker_does(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=3)
    (found,) = find_videos(tmp_path)
    probe_job = build_probe(Limits(max_frames=3))
    assert probe_job(ProbeJob(tmp_path, found)) == probe_video(tmp_path / "a.mp4", root=tmp_path)
    refusing = build_probe(Limits(max_frames=2))
    assert refusing(ProbeJob(tmp_path, found)).limit == "max_frames=2"


@pytest.mark.parametrize(
    ("limits", "words", "limit"),
    [
        (Limits(max_pixels=256 * 192 - 1), "256 x 192 has more than 49,151 pixels", "max_pixels"),
        (Limits(max_frames=29), "more than 29 frames (--max-frames)", "max_frames"),
        (
            Limits(max_duration=2.9),
            "it lasts 3 s, longer than 3 s (--max-duration)",
            "max_duration",
        ),
    ],
)
def test_limits(tmp_path, limits, words, limit):
    write_video(tmp_path / "a.mp4", size=WIDE, num_frames=30)
    info = probe_video(tmp_path / "a.mp4", root=tmp_path, limits=limits)
    assert info.route == "refused"
    assert words in info.reason
    assert info.limit.startswith(limit + "=")
    fitting = Limits(max_pixels=256 * 192, max_frames=30, max_duration=3.0)
    assert probe_video(tmp_path / "a.mp4", root=tmp_path, limits=fitting).route == "decord"


def test_a_file_of_too_many_frames_is_not_read_to_its_end(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", num_frames=50)
    seen = []
    add = PacketList.add
    monkeypatch.setattr(
        PacketList, "add", lambda *a, **options: seen.append(1) or add(*a, **options)
    )
    limits = Limits(max_frames=5)
    assert probe_video(tmp_path / "a.mp4", root=tmp_path, limits=limits).route == "refused"
    assert len(seen) == 6


def test_hunger_for_memory_is_the_callers_to_handle(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", num_frames=1)

    def hungry(*args, **kwargs):
        raise av.MemoryError(12, "Cannot allocate memory")

    monkeypatch.setattr(probe, "_read_packets", hungry)
    with pytest.raises(MemoryError):
        probe_video(tmp_path / "a.mp4", root=tmp_path)


def test_colours_are_told(tmp_path):
    write_video(
        tmp_path / "hdr.mp4",
        codec="libx265",
        pixel_format="yuv420p10le",
        codec_options={"x265-params": "log-level=none:pools=none:transfer=smpte2084:range=full"},
    )
    info = probe_video(tmp_path / "hdr.mp4", root=tmp_path)
    assert (info.hdr, info.color_range) == ("pq", "full")
    write_video(tmp_path / "sdr.mp4")
    info = probe_video(tmp_path / "sdr.mp4", root=tmp_path)
    assert info.hdr == ""


def test_the_size_as_coded(tmp_path):
    info = probed(tmp_path / "a.mp4", size=(250, 190))
    assert (info.width, info.height) == (250, 190)
    assert (info.coded_width, info.coded_height) == (256, 192)  # H.264 codes blocks of 16


def test_a_damaged_first_key_frame_does_not_move_the_times(tmp_path):
    """The first second is lost, and what comes after is shown when it always was."""
    write_video(tmp_path / "a.mp4", size=WIDE, num_frames=30, gop=10, b_frames=0)
    with av.open(str(tmp_path / "a.mp4")) as opened:
        packet = next(opened.demux(video=0))
        start, size = packet.pos, packet.size
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    data[start + size // 2 : start + size] = bytes(size - size // 2)
    (tmp_path / "a.mp4").write_bytes(data)
    info = probe_video(tmp_path / "a.mp4", root=tmp_path)
    assert (info.num_frames, info.start_seconds, info.duration_seconds) == (30, 0.0, 3.0)
    shown = [(round(t * 10), read_index(picture)) for t, picture in iter_frames(info)]
    assert shown == [(index, index) for index in range(10, 30)]


def test_the_workers_import_nothing_heavy():
    code = """
import sys
import vidmoco.video.probe
heavy = {"torch", "pyarrow", "rich", "decord", "timm"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
