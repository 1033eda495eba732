"""Files that players show and whose containers lie: all frames, in order, at their times."""

import random
from itertools import product

import numpy as np
import pytest
from painted_videos import read_index, write_video
from remuxed_videos import write_changed

from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.errors import VideoError
from vidmoco.video.decode import read_frames
from vidmoco.video.forward_reader import ForwardReader
from vidmoco.video.probe import probe_video
from vidmoco.video.sequential_reader import iter_frames
from vidmoco.video.verify import verify_video

NUM = 60


def read_all(path, *, decord=None):
    """Return (seconds, index) of each frame in order; every reader gives the same at random."""
    video = probe_video(path, root=path.parent)
    assert video.route != "refused", video.reason
    damage = []
    shown = list(iter_frames(video, damage=damage))
    assert not damage
    assert video.num_frames == len(shown)
    times = [seconds for seconds, _ in shown]
    assert times == sorted(set(times))
    order = random.Random(path.name).sample(range(len(shown)), min(12, len(shown)))
    forward = ForwardReader()
    for position in order:
        seconds, picture = shown[position]
        answers = [read_frames(video, [seconds]), forward.read(video, np.array([seconds]))]
        for frames in answers:
            if frames is not None:
                assert frames.pts_seconds.tolist() == [seconds]
                np.testing.assert_array_equal(frames.images[0], picture)
    if decord is not None and video.route == "decord":
        for report in decord.map([(video, [times[position]]) for position in order]):
            assert not report.failure
            if report.value is not None:
                assert report.value.pts_seconds[0] in times
                place = times.index(report.value.pts_seconds[0])
                assert read_index(report.value.images[0]) == read_index(shown[place][1])
    found = verify_video(video, forward, DEFAULT_LIMITS)
    assert (found.num_frames, found.findings) == (len(shown), ())
    return video, [(seconds, read_index(picture)) for seconds, picture in shown]


def marks(name):
    """Return what changes the marks of key frames."""

    def change(pieces):
        keys = [number for number, piece in enumerate(pieces) if piece.key]
        for number, piece in enumerate(pieces):
            piece.key = {
                "all": True,
                "none": False,
                "first": number == 0,
                "late": number in [0, *(key + 1 for key in keys[1:])],
                "some": number in keys or number % 7 == 3,
            }[name]

    return change


CODECS = {
    "h264.mp4": {},
    "h264.mkv": {"b_frames": 0},
    "hevc.mkv": {"codec": "libx265"},
    "mpeg4.mp4": {"codec": "mpeg4", "b_frames": 0},
    "mpeg4-b.mkv": {"codec": "mpeg4"},
    "mpeg2.mp4": {"codec": "mpeg2video", "fps": 25},
    "msmpeg4v2.avi": {"codec": "msmpeg4v2", "source": "avi"},
    "msmpeg4v3.avi": {"codec": "msmpeg4", "source": "avi"},
    "h263.avi": {"codec": "h263", "source": "avi", "size": (176, 144)},
    "wmv2.avi": {"codec": "wmv2", "source": "avi"},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.mp4": {"codec": "libvpx-vp9"},
    "av1.mkv": {"codec": "libsvtav1"},
}


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("marked", ["all", "none", "first", "late", "some"])
def test_marks_of_key_frames_are_claims(tmp_path, decord_pool, name, marked):
    times = write_changed(tmp_path / name, marks(marked), **CODECS[name])
    _, shown = read_all(tmp_path / name, decord=decord_pool)
    assert [index for _, index in shown] == list(range(NUM))
    assert [seconds for seconds, _ in shown] == pytest.approx(times, abs=0.002)


def fault(name, place):
    """Return what changes the time of the frame at a place."""

    def change(pieces):
        (piece,) = (piece for piece in pieces if piece.place == place)
        neighbour = place - 1 if place else 1
        (other,) = (piece for piece in pieces if piece.place == neighbour)
        step = abs(piece.pts - other.pts)
        for number, one in enumerate(pieces):
            one.dts = number - 100_000  # Matroska does not write it, but wants it before the other
        if name == "repeated":
            piece.pts = other.pts
        elif name == "zero":
            piece.pts = 0
        else:
            piece.pts += {"back": -5, "high": 1000}[name] * step // 2

    return change


@pytest.mark.parametrize("codec", [{}, {"codec": "mpeg4", "b_frames": 0}, {"codec": "libx265"}])
@pytest.mark.parametrize("place", [1, 9, 31, 52, NUM - 1])
@pytest.mark.parametrize("name", ["repeated", "zero", "back", "high"])
def test_one_wrong_time_costs_no_other(tmp_path, codec, name, place):
    times = write_changed(tmp_path / "a.mkv", fault(name, place), start_seconds=3.0, **codec)
    video, shown = read_all(tmp_path / "a.mkv")
    assert [index for _, index in shown] == list(range(NUM))
    assert video.filled_times <= 1
    for index, (seconds, _) in enumerate(shown):
        if index != place:
            assert seconds == pytest.approx(times[index], abs=0.002)
    if (name, place) != ("high", NUM - 1):  # which may be a late last frame
        assert video.frame_rate == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("cut", [2, 5, 13, 30])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.ts", {}),
        ("a.mkv", {}),
        ("b.mkv", {"codec": "libx265"}),
        ("c.mkv", {"codec": "mpeg4", "b_frames": 0}),
        ("d.mp4", {"codec": "mpeg4"}),
        ("e.ts", {"codec": "mpeg2video", "fps": 25}),
        ("f.webm", {"codec": "libvpx"}),
        ("g.webm", {"codec": "libvpx-vp9"}),
    ],
)
def test_a_file_that_begins_inside_a_group(tmp_path, name, options, cut):
    """Time zero is the first frame that can be shown."""
    path, first = tmp_path / name, []

    def change(pieces):
        left = pieces[cut:]
        first.append(next(piece.place for piece in left if piece.key))
        return left

    times = write_changed(path, change, **options)
    _, shown = read_all(path)
    assert [index for _, index in shown] == list(range(first[0], NUM))
    wanted = [seconds - times[first[0]] for seconds in times[first[0] :]]
    assert [seconds for seconds, _ in shown] == pytest.approx(wanted, abs=0.002)


@pytest.mark.parametrize("starts", [(0, 20), (0, 36_000, 72_000), (3, 0)])
def test_recordings_put_end_to_end(tmp_path, starts):
    """``cat a.ts b.ts``: the clock jumps ahead or back, and the video goes on at once."""
    data = b""
    for number, start in enumerate(starts):
        options = {"num_frames": 20, "start_seconds": start, "first_index": 20 * number}
        write_video(tmp_path / "one.ts", **options)
        data += (tmp_path / "one.ts").read_bytes()
    (tmp_path / "a.ts").write_bytes(data)
    _, shown = read_all(tmp_path / "a.ts")
    assert [index for _, index in shown] == list(range(20 * len(starts)))
    assert [seconds for seconds, _ in shown] == pytest.approx(np.arange(len(shown)) / 10)


def test_a_gap_in_a_file_with_an_index_stays(tmp_path):
    times = [*(number / 10 for number in range(20)), *(40 + number / 10 for number in range(20))]
    for name in ("a.mp4", "a.mkv"):
        write_video(tmp_path / name, times=times, num_frames=40)
        _, shown = read_all(tmp_path / name)
        assert [seconds for seconds, _ in shown] == pytest.approx(times, abs=0.002)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *product(["a.ts", "a.mkv", "a.mp4", "shifted.mkv"], ["libx264", "libx265"]),
        ("a.flv", "libx264"),
    ],
)
def test_a_file_that_begins_at_an_open_group(tmp_path, name, codec):
    """The leading pictures lean on what was cut off: HEVC drops them, and H.264 raises errors."""
    path, first = tmp_path / name, []

    def change(pieces):
        keys = [number for number, piece in enumerate(pieces) if piece.key]
        left = pieces[keys[1] :]
        first.append(left[0].place)
        assert left[1].place < left[0].place  # else the video does not test anything
        start = left[0].pts if name == "shifted.mkv" else 0  # Matroska drops times below zero
        for piece in left:
            piece.pts, piece.dts = piece.pts - start, piece.dts - start
        return left

    options = {"use_editlist": "0"} if name.endswith(".mp4") else {}
    source = "ts" if name == "a.ts" else "mkv"  # which repeats the parameters, as a cut needs
    times = write_changed(
        path, change, source=source, codec=codec, options=options, open_gop=True, fps=25
    )
    _, shown = read_all(path)
    assert [index for _, index in shown] == list(range(first[0], NUM))
    wanted = [seconds - times[first[0]] for seconds in times[first[0] :]]
    assert [seconds for seconds, _ in shown] == pytest.approx(wanted, abs=0.002)


H264_FAULTS = [b"\x06\x05\x40" + b"a" * 20 + b"\x80", b"\x06\x05\x02ab\x80", b"\x06\xff\xff\xff"]


@pytest.mark.parametrize("start", [0, 10])
@pytest.mark.parametrize("message", H264_FAULTS)
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libx265 behind"])
def test_a_faulty_message_is_no_fault_of_the_picture(tmp_path, codec, message, start):
    if codec != "libx264":
        message = (b"\x50\x01" if "behind" in codec else b"\x4e\x01") + message[1:]
    unit = len(message).to_bytes(4, "big") + message

    def change(pieces):
        for piece in pieces[start:]:
            piece.data = piece.data + unit if "behind" in codec else unit + piece.data

    times = write_changed(tmp_path / "a.mp4", change, codec=codec.split()[0])
    _, shown = read_all(tmp_path / "a.mp4")
    assert [index for _, index in shown] == list(range(NUM))
    assert [seconds for seconds, _ in shown] == pytest.approx(times, abs=0.002)


def test_a_packet_without_a_picture_is_no_frame(tmp_path):
    def change(pieces):
        step = (pieces[1].pts - pieces[0].pts) // 2
        for number in (41, 20, 7):
            delimiter = type(pieces[0])(
                b"\0\0\0\2\x09\x10", pieces[number].pts + step, None, False, 0
            )
            pieces.insert(number + 1, delimiter)
        for piece in pieces:
            piece.dts = piece.pts

    times = write_changed(tmp_path / "a.mkv", change, b_frames=0)
    _, shown = read_all(tmp_path / "a.mkv")
    assert [index for _, index in shown] == list(range(NUM))
    assert [seconds for seconds, _ in shown] == pytest.approx(times, abs=0.002)


# Number of frames, the first index, the last time.
REPORTS = {
    "a_dup.mkv": (16, 0, 20.3),
    "b_null_h264b.avi": (40, 0, 1.76),
    "b_null_h264nob.avi": (40, 0, 1.76),
    "d_cut110_hevc.ts": (60, 250, 59 / 60),
    "d_cut90_a.ts": (60, 250, 59 / 60),
    "field_each.mkv": (48, 0, 1.88),
    "field_each.mp4": (48, 0, 1.88),
    "field_each.ts": (48, 0, 1.88),
    "i_idr_noflag.mkv": (60, 0, 5.9),
    "i_idr_stss1.mp4": (60, 0, 5.9),
    "i_idrb_stss1.mp4": (60, 0, 5.9),
    "k_nokey_mpeg4.mkv": (60, 0, 5.9),
    "k_nokey_vp9.mkv": (60, 0, 5.9),
    "k_nostss_mpeg2.mp4": (60, 0, 2.36),
    "k_nostss_mpeg4.mp4": (60, 0, 5.9),
    "m_pes2_b0.ts": (80, 0, 3.16),
    "m_pes2_hevc.ts": (80, 0, 3.16),
    "q_sei_type5.mp4": (40, 0, 3.9),
    "q_sei_unreg2.mp4": (40, 0, 3.9),
}


@pytest.mark.parametrize("name", REPORTS)
def test_files_made_after_public_reports(real_data, decord_pool, name):
    number, first, last = REPORTS[name]
    _, shown = read_all(real_data / "reports" / name, decord=decord_pool)
    assert [index for _, index in shown] == list(range(first, first + number))
    assert shown[-1][0] == pytest.approx(last, abs=0.002)


def test_ghosts_are_found(tmp_path, monkeypatch):
    """Where a reader shows another picture at random than in order, the verification says so."""
    write_changed(tmp_path / "a.mp4", marks("all"), codec="mpeg4", b_frames=0)
    video = probe_video(tmp_path / "a.mp4", root=tmp_path)
    monkeypatch.setattr("vidmoco.video.bitstream._IS_INTRA", {})
    monkeypatch.setattr("vidmoco.video.frame_stream.is_clean_start", lambda frame: True)
    with pytest.raises(ValueError, match="unreadable"):
        read_index(read_frames(video, [2.0]).images[0])
    findings = verify_video(video, ForwardReader(), DEFAULT_LIMITS).findings
    assert any("a seek shows another frame" in text for text in findings)
    monkeypatch.setattr("vidmoco.video.verify.read_frames", _fail)
    findings = verify_video(video, ForwardReader(), DEFAULT_LIMITS).findings
    assert any("is not read at random: it fails" in text for text in findings)


def _fail(video, times, **options):
    raise VideoError(f"{video.path}: it fails.")
