"""Every kind of video that is read, painted: each picture read is the one that was asked for."""

import dataclasses
import itertools
import random
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from painted_videos import paint, read_index, write_audio, write_video

from vidmoco.errors import VideoError
from vidmoco.video.decode import read_frames
from vidmoco.video.forward_reader import ForwardReader, reads_forward
from vidmoco.video.probe import probe_video
from vidmoco.video.sequential_reader import iter_frames

NUM = 60
WIDE = {"size": (256, 192)}  # wide enough for decord
VARYING = [0.1 * i + 0.02 * (i * i % 5) for i in range(NUM)]
MJPEG = {"codec": "mjpeg", "pixel_format": "yuvj420p"}
MPEG2 = {"codec": "mpeg2video", "fps": 25}
FASTSTART = {"container_options": {"movflags": "faststart"}}
FRAGMENTS = {"container_options": {"movflags": "frag_keyframe+empty_moov+default_base_moof"}}
NO_SHIFT = {"container_options": {"avoid_negative_ts": "disabled"}}


@dataclasses.dataclass(frozen=True)
class Kind:
    """How a video is written, and what the scan must say of it."""

    options: dict
    route: str = "pyav"
    facts: dict = dataclasses.field(default_factory=dict)
    """Fields of its row; start_seconds is 0 unless it stands here."""


def decord(options, **facts):
    return Kind(WIDE | options, "decord", facts)


def pyav(options, **facts):
    return Kind(options, "pyav", facts)


ESTIMATED = {"estimated_times": True}
KINDS = {
    "closed.mp4": decord({}),
    "closed.mov": decord({}),
    "closed.mkv": decord({}),
    "no-b-frames.mp4": decord({"b_frames": 0}),
    "with-audio.mp4": decord({"with_audio": True}),
    "faststart.mp4": decord(FASTSTART),
    "small.mp4": pyav({}, reason="narrower than 192 pixels"),
    "small.mkv": pyav({}),
    "closed.ts": pyav(WIDE, start_seconds=0.2),
    "closed.avi": pyav(WIDE, **ESTIMATED),
    "closed.flv": pyav({}, start_seconds=0.2),
    "fragments.mp4": pyav(WIDE | FRAGMENTS, start_seconds=0.2),
    "open.mp4": pyav(WIDE | {"open_gop": True}, leading_pictures=True),
    "open.mkv": pyav(WIDE | {"open_gop": True}, leading_pictures=True),
    "open.ts": pyav({"open_gop": True}, start_seconds=0.2),
    "open.avi": pyav({"open_gop": True}, **ESTIMATED),
    # Key frames that no picture leads, while what follows them leans on what was before them.
    "open-unled.mp4": pyav({"open_gop": True, "gop": 10}, leading_pictures=False),
    "open-unled.mkv": pyav({"open_gop": True, "gop": 10}, leading_pictures=False),
    "open-unled.ts": pyav({"open_gop": True, "gop": 10}, start_seconds=0.2),
    "open-led.mp4": pyav({"open_gop": True, "gop": 16, "b_frames": 1}, leading_pictures=True),
    "open-deep.mp4": pyav({"open_gop": True, "gop": 10, "b_frames": 3}, leading_pictures=True),
    "hevc.mp4": pyav({"codec": "libx265"}, codec="hevc"),
    "hevc.mkv": pyav(WIDE | {"codec": "libx265"}),
    "hevc.ts": pyav({"codec": "libx265"}, start_seconds=0.2),
    "hevc-10.mp4": pyav({"codec": "libx265", "pixel_format": "yuv420p10le"}),
    "hevc-open.mp4": pyav({"codec": "libx265", "gop": 10, "open_gop": True}),
    "hevc-open.mkv": pyav({"codec": "libx265", "gop": 10, "open_gop": True}),
    "h264-10.mp4": pyav(WIDE | {"pixel_format": "yuv420p10le"}),
    "h264-444.mp4": pyav(WIDE | {"pixel_format": "yuv444p"}),
    "vp9.webm": decord({"codec": "libvpx-vp9"}),
    "vp9.mp4": decord({"codec": "libvpx-vp9"}),
    "vp8.webm": decord({"codec": "libvpx"}),
    "av1.mp4": decord({"codec": "libsvtav1"}),
    "av1.mkv": decord({"codec": "libsvtav1"}),
    "mpeg4-b.avi": pyav({"codec": "mpeg4", "b_frames": 2}, **ESTIMATED),
    "mpeg4.avi": pyav(WIDE | {"codec": "mpeg4", "b_frames": 0}, estimated_times=False),
    "mpeg4.mp4": pyav(WIDE | {"codec": "mpeg4"}),
    "mpeg2.ts": pyav(MPEG2, start_seconds=0.04),
    "mpeg2.mpg": pyav(MPEG2, start_seconds=None),
    "mjpeg.avi": pyav(MJPEG),
    "mjpeg.mkv": pyav(WIDE | MJPEG),
    "mjpeg.mov": pyav(WIDE | MJPEG),
    "varying.mp4": decord({"times": VARYING}, variable_rate=True),
    "varying.mkv": decord({"times": VARYING}, variable_rate=True),
    "varying.ts": pyav({"times": VARYING}, variable_rate=True, start_seconds=None),
    "trimmed.mp4": pyav(WIDE | {"hidden_frames": 17}, edit_list=True),
    "trimmed-small.mov": pyav({"hidden_frames": 5, "gop": 1000}, edit_list=True),
    "turned-0.mp4": decord({"rotation": 0}, rotation=0, width=256, height=192),
    "turned-90.mp4": decord({"rotation": 90}, rotation=90, width=192, height=256),
    "turned-180.mp4": decord({"rotation": 180}, rotation=180, width=256, height=192),
    "turned-270.mkv": decord({"rotation": 270}, rotation=270, width=192, height=256),
    "turned-90-small.mp4": pyav({"rotation": 90}, rotation=90, width=64, height=96),
    "turned-270-small.mov": pyav({"rotation": 270}, rotation=270, width=64, height=96),
    "late.mp4": pyav(WIDE | {"start_seconds": 5.0}, start_seconds=5.0),
    "late.mkv": pyav(WIDE | {"start_seconds": 5.0}, start_seconds=5.0),
    "late.ts": pyav({"start_seconds": 5.0}, start_seconds=5.0),
    "early.ts": pyav({"start_seconds": -1.0} | NO_SHIFT, start_seconds=-1.0),
    "wide-pixels.mp4": decord({"sample_aspect_ratio": Fraction(4, 3)}, sample_aspect_ratio=4 / 3),
    "high-pixels.mkv": decord({"sample_aspect_ratio": Fraction(3, 4)}, sample_aspect_ratio=3 / 4),
    "odd-444.mp4": pyav({"size": (97, 65), "pixel_format": "yuv444p"}, width=97, height=65),
    "odd.avi": pyav(MJPEG | {"size": (97, 65)}, width=97, height=65),
    "odd-vp9.webm": decord({"codec": "libvpx-vp9", "size": (201, 121)}, width=201, height=121),
    "odd-vp8.webm": decord({"codec": "libvpx", "size": (201, 121)}, width=201, height=121),
    "odd-rows.mp4": decord({"size": (426, 240)}),
    "one.mp4": decord({"num_frames": 1}),
    "one.webm": decord({"num_frames": 1, "codec": "libvpx-vp9"}),
    "one.mkv": pyav({"num_frames": 1}),
    "one.ts": pyav({"num_frames": 1}, start_seconds=None),
    "one.avi": pyav({"num_frames": 1}, **ESTIMATED),
    "endless-gop.mp4": decord({"gop": 9999}, keyframe_seconds=NUM / 10),
    "endless-gop.mkv": decord({"gop": 9999}),
    "endless-gop.ts": pyav({"gop": 9999}, start_seconds=0.2),
    "ntsc.mp4": decord({"fps": 29.97}),
    "ntsc.mkv": decord({"fps": 29.97}),
    "one-a-second.mp4": decord({"fps": 1}),
}
ON_DECORD = [name for name, kind in KINDS.items() if kind.route == "decord"]


@dataclasses.dataclass(frozen=True)
class Written:
    """A painted video, its row, and what it shows: the indices and when each begins."""

    video: object
    indices: list[int]
    times: list[float]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a function that writes a kind at its first use."""
    folder = tmp_path_factory.mktemp("kinds")
    done = {}

    def write(name):
        if name not in done:
            options = {"num_frames": NUM} | KINDS[name].options
            times = write_video(folder / name, **options)
            hidden = options.get("hidden_frames", 0)
            indices = list(range(hidden, options["num_frames"]))
            video = probe_video(folder / name, root=folder)
            done[name] = Written(video, indices, times[hidden:])
        return done[name]

    return write


def by_decord(pool, video, calls):
    """Return decord's frames for each list of growing times."""
    reports = list(pool.map([(video, times) for times in calls]))
    assert [report.failure for report in reports] == [""] * len(calls)
    assert all(report.value is not None for report in reports), "decord declines"
    return [report.value for report in reports]


def tick_of(video):
    """Return the length of a tick; of estimated times, which are computed, next to nothing."""
    return 1e-9 if video.estimated_times else 1 / video.ticks_per_second


def asked_for(made, position):
    """Return a time at which a frame is shown: a clock of milliseconds may round its begin up."""
    return made.times[position] + min(1.001 * tick_of(made.video), 0.01)


def shuffled(written, seed):
    order = list(range(len(written.indices)))
    random.Random(seed).shuffle(order)
    return order


@pytest.mark.parametrize("name", KINDS)
def test_the_scan_tells_the_truth(written, name):
    kind, made = KINDS[name], written(name)
    video = made.video
    assert video.route == kind.route, video.reason
    facts = {"start_seconds": 0.0} | kind.facts
    for key, value in facts.items():
        if isinstance(value, float):
            assert getattr(video, key) == pytest.approx(value, abs=tick_of(video)), key
        elif value is not None:
            assert getattr(video, key) == value, key
    assert video.estimated_times == facts.get("estimated_times", False)
    assert video.edit_list == facts.get("edit_list", False)
    assert video.variable_rate == facts.get("variable_rate", False)
    assert video.num_frames == len(made.indices)
    assert video.last_seconds == pytest.approx(made.times[-1], abs=1.001 * tick_of(video))
    assert video.last_seconds < video.duration_seconds


@pytest.mark.parametrize("name", KINDS)
def test_in_order(written, name):
    made = written(name)
    damage = []
    shown = list(iter_frames(made.video, damage=damage))
    assert not damage
    assert [read_index(picture) for _, picture in shown] == made.indices
    times = [seconds for seconds, _ in shown]
    assert times == pytest.approx(made.times, rel=0, abs=1.001 * tick_of(made.video))
    assert (times[0], times[-1]) == (0.0, made.video.last_seconds)
    if made.video.estimated_times:
        assert times == [index / made.video.frame_rate for index in range(len(times))]
    if name not in ("one.mp4", "one.webm", "one.mkv", "one.ts", "one.avi"):
        assert all(a < b for a, b in itertools.pairwise(times))
    shape = (made.video.height, made.video.width, 3)
    assert {picture.shape for _, picture in shown} == {shape}


@pytest.mark.parametrize("name", KINDS)
def test_at_random(written, name):
    """Every frame by a call of its own, in shuffled order, at the time that it was painted for."""
    made = written(name)
    for position in shuffled(made, name):
        frames = read_frames(made.video, [asked_for(made, position)])
        assert read_index(frames.images[0]) == made.indices[position], position
        assert frames.pts_seconds[0] == pytest.approx(
            made.times[position], abs=1.001 * tick_of(made.video)
        )


@pytest.mark.parametrize("name", KINDS)
def test_in_one_call(written, name):
    made = written(name)
    order = shuffled(made, f"{name} at once")
    frames = read_frames(made.video, [asked_for(made, position) for position in order])
    assert [read_index(image) for image in frames.images] == [made.indices[i] for i in order]
    assert frames.pts_seconds.tolist() == pytest.approx(
        [made.times[i] for i in order], rel=0, abs=1.001 * tick_of(made.video)
    )


def by_forward(video, times):
    """Return what the forward reader gives: all that is its own but one unusual kind."""
    frames = ForwardReader().read(video, np.array(times))
    assert (frames is not None) == reads_forward(video) or video.key.startswith("open-unled")
    return frames


@pytest.mark.parametrize("name", KINDS)
def test_forward(written, name):
    """Frame by frame, and many in one call: the same times and pixels as the exact reader's."""
    made = written(name)
    shown = [seconds for seconds, _ in iter_frames(made.video)]
    order = shuffled(made, f"{name} forward")
    for position in order[:30]:
        frames = by_forward(made.video, [shown[position]])
        if frames is not None:
            assert read_index(frames.images[0]) == made.indices[position]
            assert frames.pts_seconds[0] == shown[position]
    for share in (1, 3, 12):
        some = sorted(order[: 1 + len(order) // share])
        times = [asked_for(made, position) for position in some]
        frames = by_forward(made.video, times)
        if frames is not None:
            exact = read_frames(made.video, times)
            assert [read_index(image) for image in frames.images] == [made.indices[i] for i in some]
            assert frames.pts_seconds.tolist() == exact.pts_seconds.tolist()
            np.testing.assert_array_equal(frames.images, exact.images)


@pytest.mark.parametrize("name", ON_DECORD)
def test_decord_at_random(written, decord_pool, name):
    made = written(name)
    shown = [seconds for seconds, _ in iter_frames(made.video)]
    order = shuffled(made, f"{name} by decord")[:30]
    calls = by_decord(decord_pool, made.video, [[shown[position]] for position in order])
    assert [read_index(frames.images[0]) for frames in calls] == [made.indices[i] for i in order]
    assert [frames.pts_seconds[0] for frames in calls] == [shown[i] for i in order]  # bit for bit


@pytest.mark.parametrize("name", ON_DECORD)
def test_decord_agrees_with_pyav(written, decord_pool, name):
    """One call for a third of the frames: the same times bit for bit, the same pictures."""
    made = written(name)
    shown = list(iter_frames(made.video))
    some = sorted(shuffled(made, f"{name} on both")[: 1 + len(shown) // 3])
    times = [shown[position][0] for position in some]
    (frames,) = by_decord(decord_pool, made.video, [times])
    exact = read_frames(made.video, times)  # without decord
    assert frames.pts_seconds.tolist() == exact.pts_seconds.tolist() == times
    assert frames.images.shape == exact.images.shape
    difference = np.abs(frames.images.astype(np.int16) - exact.images)
    assert difference.mean(axis=(1, 2, 3)).max() < 2


def two_streams(path, *, sizes):
    """Two videos in one file; stream n spells 100 * n, 100 * n + 1, ..."""
    with av.open(str(path), "w") as output:
        streams = []
        for size in sizes:
            stream = output.add_stream("libx264", rate=10, options={"threads": "1", "bf": "0"})
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            streams.append(stream)
        for number in range(20):
            for index, stream in enumerate(streams):
                picture = paint(100 * index + number, size=sizes[index])
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    return probe_video(path, root=path.parent)


@pytest.mark.parametrize("name", ["two.mp4", "two.mkv", "two.ts"])
@pytest.mark.parametrize("sizes", [[(256, 192), (512, 384)], [(512, 384), (256, 192)]])
def test_of_several_videos_one_is_read(tmp_path, decord_pool, name, sizes):
    """All ways of reading take the same stream."""
    video = two_streams(tmp_path / name, sizes=sizes)
    assert (video.width, video.height) in sizes
    assert video.num_frames == 20
    first = 100 * sizes.index((video.width, video.height))
    shown = list(iter_frames(video))
    assert [read_index(picture) for _, picture in shown] == list(range(first, first + 20))
    times = [seconds for seconds, _ in shown]
    for index in (19, 3, 11):
        assert read_index(read_frames(video, [times[index]]).images[0]) == first + index
    if video.route == "decord":
        (frames,) = by_decord(decord_pool, video, [times])
        assert [read_index(image) for image in frames.images] == list(range(first, first + 20))


def with_cover(path, *, num_frames):
    """A video of ``num_frames`` and a larger cover picture that spells 999."""
    with av.open(str(path), "w") as output:
        cover = output.add_stream("mjpeg", rate=10)
        cover.width, cover.height, cover.pix_fmt = 512, 384, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        stream = output.add_stream("libx264", rate=10, options={"threads": "1", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 256, 192, "yuv420p"
        pictures = [(cover, paint(999, size=(512, 384)), 0)]
        pictures += [(stream, paint(index, size=(256, 192)), index) for index in range(num_frames)]
        for target, picture, number in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(target.encode(frame))
        output.mux(stream.encode(None))


def test_a_cover_picture_is_no_video(tmp_path, decord_pool):
    with_cover(tmp_path / "a.mp4", num_frames=20)
    with av.open(str(tmp_path / "a.mp4")) as opened:
        assert any(s.disposition & Disposition.attached_pic for s in opened.streams.video)
    video = probe_video(tmp_path / "a.mp4", root=tmp_path)
    assert (video.codec, video.width, video.num_frames) == ("h264", 256, 20)
    shown = list(iter_frames(video))
    assert [read_index(picture) for _, picture in shown] == list(range(20))
    for index in (19, 0, 7):
        assert read_index(read_frames(video, [shown[index][0]]).images[0]) == index
    if video.route == "decord":
        (frames,) = by_decord(decord_pool, video, [[0.0, 1.5]])
        assert [read_index(image) for image in frames.images] == [0, 15]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "aac"), ("a.mkv", "aac"), ("a.mp3", "libmp3lame"), ("a.ts", "aac")],
)
def test_sound_is_no_video(tmp_path, name, codec):
    write_audio(tmp_path / name, codec=codec)
    video = probe_video(tmp_path / name, root=tmp_path)
    assert (video.route, video.reason) == ("refused", "it holds no video, only sound")
    with pytest.raises(VideoError, match="only sound"):
        next(iter_frames(video))
    with pytest.raises(VideoError, match="only sound"):
        read_frames(video, [0.0])


@pytest.mark.parametrize("matrix", ["GBR", "YCgCo", "bt2020c", "smpte2085", "ICtCp"])
def test_colours_that_are_not_converted_cost_no_picture(tmp_path, matrix):
    """As in Dolby Vision; libswscale refuses most of them."""
    options = {"x264-params": f"colormatrix={matrix}"}
    write_video(tmp_path / "a.mp4", num_frames=20, codec_options=options)
    video = probe_video(tmp_path / "a.mp4", root=tmp_path)
    shown = list(iter_frames(video))
    assert [read_index(picture) for _, picture in shown] == list(range(20))
    for frames in (read_frames(video, [1.5]), ForwardReader().read(video, np.array([1.5]))):
        assert read_index(frames.images[0]) == 15


def packets_of(path):
    """Return (position, size) of the packets of a video."""
    with av.open(str(path)) as opened:
        return [(packet.pos, packet.size) for packet in opened.demux(video=0) if packet.size]


def right_frames(path, times):
    """Read a damaged file in all ways; return the indices of its frames, each of which is right.

    A frame that cannot be read is left out or an error. None is moved in time.
    """
    video = probe_video(path, root=path.parent)
    assert video.route != "decord" or video.num_frames == len(times)
    if video.route == "refused":
        return []
    good = {}
    for seconds, picture in iter_frames(video):
        index = read_index(picture)
        assert seconds == pytest.approx(times[index], abs=0.002)
        assert index not in good
        good[index] = seconds
    for index in random.Random(path.name).sample(range(len(times)), 20):
        try:
            frames = read_frames(video, [good.get(index, times[index] + 0.002)])
        except VideoError as error:
            assert str(path) in str(error)
            assert index not in good, f"{index} can be read in order: {error}"
            continue
        shown = read_index(frames.images[0])
        assert frames.pts_seconds[0] == pytest.approx(times[shown], abs=0.002)
        # After the end, or in a gap of the file: the frame before is shown for longer.
        assert shown == index or not any(shown < other <= index for other in good)
    return list(good)


GRAIN = {"grain": 60, "codec_options": {"crf": "10"}}  # pictures, not headers, make up the file
CUT = {
    "cut.mp4": FASTSTART,
    "cut-fragments.mp4": FRAGMENTS,
    "cut.mkv": {},
    "cut.webm": {"codec": "libvpx-vp9"},
    "cut.ts": {},
    "cut-mpeg2.ts": MPEG2,
    "cut.avi": {"codec": "mpeg4", "b_frames": 0},
    "cut-b.avi": {},
    "cut-mjpeg.avi": MJPEG,
}


@pytest.mark.parametrize("share", [0.35, 0.9])
@pytest.mark.parametrize("name", CUT)
def test_a_file_that_is_cut_off(tmp_path, name, share):
    times = write_video(tmp_path / name, num_frames=NUM, **(GRAIN | CUT[name]))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    right = right_frames(tmp_path / name, times)
    assert right == sorted(right)
    assert NUM * share - 15 < len(right) <= NUM * share + 5


VLC = {"codec_options": {"crf": "10", "coder": "vlc"}}
NOISY = {
    "noisy.mp4": VLC,
    "noisy.mkv": VLC,
    "noisy-open.mp4": VLC | {"open_gop": True},
    "noisy.ts": VLC,
    "noisy-b.avi": VLC,
    "noisy-mpeg4.avi": {"codec": "mpeg4", "b_frames": 0},
    "noisy-mpeg4.mov": {"codec": "mpeg4"},
    "noisy.mov": MJPEG,
}
HEADLESS = {
    "headless.mp4": {},
    "headless.mkv": {},
    "headless-open.mp4": {"open_gop": True},
    "headless-hevc.mp4": {"codec": "libx265"},
    "headless-hevc-open.mkv": {"codec": "libx265", "open_gop": True},
    "headless-b.avi": {},
    "headless-mpeg2.mkv": MPEG2,
    "headless-vp9.webm": {"codec": "libvpx-vp9"},
    "headless-vp8.webm": {"codec": "libvpx"},
    "headless-av1.mp4": {"codec": "libsvtav1"},
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", NOISY | HEADLESS)
def test_broken_pictures_are_not_shown(tmp_path, name, seed):
    """Two pictures are overwritten: but for the start with noise, or at the start (the headers).

    Only such damage can be noticed. Of noise in arithmetic codes (CABAC of H.264 and HEVC) the
    decoders make a picture like any other, and so of a single flipped bit.
    """
    times = write_video(tmp_path / name, num_frames=NUM, **(GRAIN | (NOISY | HEADLESS)[name]))
    rng = random.Random(f"{name} {seed}")
    data = bytearray((tmp_path / name).read_bytes())
    for position, size in rng.sample(packets_of(tmp_path / name)[1:], 2):
        if name in NOISY:
            start, noise = position + size // 8, rng.randbytes(size - size // 8)
        else:
            start, noise = position, b"\xff" * 12
        data[start : start + len(noise)] = noise
    (tmp_path / name).write_bytes(data)
    assert 1 <= len(right_frames(tmp_path / name, times)) < NUM
