import av
import pytest
from painted_videos import read_index, write_video
from remuxed_videos import write_changed

from vidmoco.video.bitstream import PacketReader
from vidmoco.video.container import codec_name, open_video, to_rgb
from vidmoco.video.first_pictures import FirstPictures


def first_of(path):
    with open_video(path) as (container, stream):
        codec = codec_name(stream)
        reader = PacketReader(stream, container=container.format.name, codec=codec)
        pictures = FirstPictures(stream, reader, codec=codec)
        for packet in container.demux(stream):
            pictures.decode(packet, reader.look(packet, unmarked=pictures.damaged))
            if pictures.first is not None:
                break
        assert pictures.first is not None
        size = (pictures.first.width, pictures.first.height)
        index = read_index(to_rgb(pictures.first, coded_size=size))
        return index, float(pictures.start * stream.time_base), pictures


def test_the_first_picture_of_a_plain_file(tmp_path):
    write_video(tmp_path / "a.mp4", start_seconds=5.0, b_frames=0)
    index, start, pictures = first_of(tmp_path / "a.mp4")
    assert (index, start, pictures.delay) == (0, 5.0, 0)
    assert pictures.in_order()


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_inside_a_group_nothing_is_shown(tmp_path, codec):
    """The decoder of MPEG-4 gives ghosts, without an error."""
    write_changed(tmp_path / "a.mkv", lambda pieces: pieces[5:], codec=codec, b_frames=0)
    index, start, _ = first_of(tmp_path / "a.mkv")
    assert (index, start) == (12, pytest.approx(1.2))


def test_a_damaged_first_key_frame_keeps_its_time(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, num_frames=30, gop=10, b_frames=0)
    with av.open(str(path)) as opened:
        packet = next(opened.demux(video=0))
        start, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    data[start + size // 2 : start + size] = bytes(size - size // 2)
    path.write_bytes(data)
    index, seconds, pictures = first_of(path)
    assert (index, seconds) == (10, 0.0)
    assert not pictures.damaged
