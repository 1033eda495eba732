"""Files from a stranger that want other files, all memory, all time, or the terminal."""

import os
import struct
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from painted_videos import paint, write_video

from vidmoco.cli.main import main
from vidmoco.config.limits import Limits
from vidmoco.errors import ConfigError, VideoError
from vidmoco.video.decode import read_frames
from vidmoco.video.files import look_at
from vidmoco.video.probe import ProbeJob, build_probe, probe_video
from vidmoco.video.scan import scan_videos
from vidmoco.video.sequential_reader import iter_frames
from vidmoco.workers.pool import WorkerPool


def scanned(*sources, **options):
    catalog = scan_videos(list(sources), workers=1, progress=False, **options)
    return {video.key: video for video in catalog.rows()}


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\n{}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "dash": "<?xml version='1.0'?>\n<MPD><BaseURL>{}</BaseURL></MPD>\n",
    "pls": "[playlist]\nFile1={}\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".avi"])
def test_a_playlist_is_not_followed(tmp_path, kind, suffix):
    secret = tmp_path / "secret.ts"
    write_video(secret, num_frames=5)
    before = secret.stat().st_atime_ns
    os.utime(secret, ns=(1, secret.stat().st_mtime_ns))  # reading it would move this time on
    assert before != 1
    listed = tmp_path / "folder" / f"list{suffix}"
    listed.parent.mkdir()
    listed.write_text(PLAYLISTS[kind].format(secret))
    video = probe_video(listed, root=listed.parent)
    assert video.route == "refused"
    assert "playlist" in video.reason
    with pytest.raises(VideoError, match="playlist"):
        next(iter_frames(video))
    with pytest.raises(VideoError, match="playlist"):
        read_frames(video, [0.0])
    assert secret.stat().st_atime_ns == 1


@pytest.mark.parametrize("url", ["http://localhost:9/a.mp4", "rtsp://localhost:9/a", "file:///a"])
def test_a_url_is_to_be_downloaded(url):
    with pytest.raises(ConfigError, match="Download it first"):
        scan_videos([Path(url)], progress=False)


def most_memory():
    """Return the most memory that this process ever held, in bytes.

    Not by getrusage, whose maximum counts what the parent held when it started this process.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def build_measured_probe(limits):
    """Return what a worker does: its row of a file, and by how much memory the process grew."""
    probe = build_probe(limits)
    before = most_memory()
    return lambda job: (probe(job), most_memory() - before)


@pytest.fixture(scope="module")
def measured(request):
    """Return a function from a file to its row and the growth of the process so far."""
    if sys.platform != "linux":
        pytest.skip("only Linux tells the most memory of a process")
    limits = Limits()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(request.config.rootpath))  # there it finds this module
        with WorkerPool(
            build_measured_probe,
            (limits,),
            workers=1,
            max_memory=limits.max_memory,
            max_seconds=60.0,
        ) as pool:

            def measure(path):
                (report,) = pool.map([ProbeJob(path.parent, look_at(path, root=path.parent))])
                assert not report.failure
                return report.value

            yield measure


def with_size(path, width, height):
    """Write an MJPEG AVI whose headers and pictures claim another size than they hold."""
    write_video(path, num_frames=2, codec="mjpeg", pixel_format="yuvj420p")
    data = path.read_bytes()
    old, new = struct.pack("<II", 96, 64), struct.pack("<II", width, height)
    assert data.count(old) == 2  # of the file and of the stream
    jpeg = b"\x08" + struct.pack(">HH", 64, 96)
    assert data.count(jpeg) == 2  # of each picture
    data = data.replace(old, new).replace(jpeg, b"\x08" + struct.pack(">HH", height, width))
    path.write_bytes(data)


def test_a_bomb_of_a_picture_is_not_unpacked(tmp_path, measured):
    with_size(tmp_path / "bomb.avi", 16000, 16000)
    video, growth = measured(tmp_path / "bomb.avi")
    assert video.route == "refused"
    assert growth < 200 * 2**20  # one picture alone would take 384 MB


def test_a_size_that_only_the_pictures_tell(tmp_path, measured):
    """The header lies: it says 96 x 64."""
    with_size(tmp_path / "bomb.avi", 16000, 16000)
    data = (tmp_path / "bomb.avi").read_bytes()
    huge, small = struct.pack("<II", 16000, 16000), struct.pack("<II", 96, 64)
    (tmp_path / "bomb.avi").write_bytes(data.replace(huge, small))
    video, growth = measured(tmp_path / "bomb.avi")
    assert video.route == "refused"
    assert growth < 200 * 2**20


def test_a_picture_just_too_large(tmp_path):
    write_video(tmp_path / "a.mp4", size=(320, 240), num_frames=2)
    video = probe_video(tmp_path / "a.mp4", root=tmp_path, limits=Limits(max_pixels=320 * 240 - 1))
    assert (video.route, video.limit) == ("refused", "max_pixels=76799")
    video = probe_video(tmp_path / "a.mp4", root=tmp_path, limits=Limits(max_pixels=320 * 240))
    assert video.route == "decord"
    with pytest.raises(VideoError, match="--max-pixels"):
        read_frames(video, [0.0], limits=Limits(max_pixels=1000))
    with pytest.raises(VideoError, match="--max-pixels"):
        next(iter_frames(video, limits=Limits(max_pixels=1000)))


def test_h264_of_8192_by_8192(tmp_path, measured):
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        options = {"preset": "ultrafast", "threads": "1", "bf": "0"}
        stream = output.add_stream("libx264", rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 8192, 8192, "yuv420p"
        frame = av.VideoFrame(8192, 8192, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts, frame.time_base = 0, Fraction(1, 10)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    video, growth = measured(tmp_path / "a.mp4")
    assert video.route == "refused"
    assert "8192 x 8192" in video.reason
    assert growth < 200 * 2**20


def test_ten_hours_in_a_few_frames(tmp_path):
    write_video(tmp_path / "a.mkv", times=[0.0, 1.0, 36000.0], size=(256, 192))
    video = scanned(tmp_path)["a.mkv"]
    assert video.route == "refused"
    assert "--max-duration" in video.reason
    video = scanned(tmp_path, limits=Limits(max_duration=12 * 3600.0))["a.mkv"]
    assert video.route != "refused"
    assert [seconds for seconds, _ in iter_frames(video)] == [0.0, 1.0, 36000.0]


def test_too_many_frames(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=40)
    path = tmp_path / "a.mp4"
    video = probe_video(path, root=tmp_path, limits=Limits(max_frames=39))
    assert (video.route, video.limit) == ("refused", "max_frames=39")
    assert probe_video(path, root=tmp_path, limits=Limits(max_frames=40)).num_frames == 40


def write_magicyuv(path, *, after_h264):
    """Write a MagicYUV video, or one in H.264 with a MagicYUV stream behind it."""
    with av.open(str(path), "w") as output:
        streams = []
        for codec in ["libx264", "magicyuv"] if after_h264 else ["magicyuv"]:
            stream = output.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 256, 192, "yuv420p"
            streams.append(stream)
        for stream in streams:
            for number in range(5):
                picture = np.ascontiguousarray(paint(number, size=(256, 192)))
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))


@pytest.mark.parametrize("name", ["a.avi", "a.mov"])
def test_magicyuv_is_refused(tmp_path, name):
    write_magicyuv(tmp_path / name, after_h264=False)
    video = probe_video(tmp_path / name, root=tmp_path)
    assert video.route == "refused"
    assert "magicyuv" in video.reason


@pytest.mark.parametrize("name", ["a.mov", "a.avi"])
def test_magicyuv_behind_h264_is_kept_from_decord(tmp_path, name):
    write_magicyuv(tmp_path / name, after_h264=True)
    video = probe_video(tmp_path / name, root=tmp_path)
    assert video.route == "pyav"
    assert "magicyuv" in video.reason or name == "a.avi"  # no AVI is given to decord
    assert len(list(iter_frames(video))) == 5


def test_links_out_of_the_folder(tmp_path):
    write_video(tmp_path / "private" / "a.mp4", num_frames=3)
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "file.mp4").symlink_to(tmp_path / "private" / "a.mp4")
    (folder / "up").symlink_to("../private")
    rows = scanned(folder)
    assert set(rows) == {"file.mp4", "up/"}
    for video in rows.values():
        assert video.route == "refused"
        assert "leads out of the folder" in video.reason
    rows = scanned(folder, limits=Limits(follow_links=True))
    assert [video.num_frames for video in rows.values()] == [3]


def test_a_loop_of_links_ends(tmp_path):
    write_video(tmp_path / "deep" / "a.mp4", num_frames=3)
    (tmp_path / "deep" / "again").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    for follow_links in (False, True):
        assert list(scanned(tmp_path, limits=Limits(follow_links=follow_links))) == ["deep/a.mp4"]


def test_a_file_that_is_exchanged_after_the_scan(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=10)
    video = scanned(tmp_path)["a.mp4"]
    write_video(tmp_path / "b" / "other.mp4", num_frames=12)
    (tmp_path / "b" / "other.mp4").replace(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="has changed since it was scanned"):
        read_frames(video, [0.0])


EVIL = ["[bold red]x.mp4", "a\nb.mp4", "\x1b[2J\x1b]0;owned\x07.mp4", "\u202egnp.mp4", "\r.mp4"]


def test_names_cannot_write_on_the_terminal(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in EVIL:
        (folder / name).touch()
    monkeypatch.chdir(tmp_path)
    main(["scan", "videos"])
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert "\x1b[2J" not in text
    assert "\x1b]0" not in text
    assert not {"\x07", "\r", "\u202e"} & set(text)
    assert "a\nb.mp4" not in text
    assert "[bold red]x.mp4" in text
    assert "a\\nb.mp4" in text


def test_an_empty_file(tmp_path):
    (tmp_path / "a.mp4").touch()
    video = scanned(tmp_path)["a.mp4"]
    assert (video.route, video.reason) == ("refused", "the file is empty")


def test_a_pipe_and_a_device_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    rows = {}
    thread = threading.Thread(
        target=lambda: rows.update(scanned(tmp_path, limits=Limits(follow_links=True))), daemon=True
    )
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it hangs"
    assert set(rows) == {"pipe.mp4", "zero.mp4"}
    for video in rows.values():
        assert (video.route, video.reason) == ("refused", "it is not a regular file")
