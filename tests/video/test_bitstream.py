import av
import pytest
from painted_videos import write_video

from vidmoco.video.bitstream import Facts, PacketReader
from vidmoco.video.container import codec_name, open_video

CODECS = {
    "h264.mp4": {},
    "h264.ts": {},
    "hevc.mp4": {"codec": "libx265"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "msmpeg4v2.avi": {"codec": "msmpeg4v2"},
    "msmpeg4v3.avi": {"codec": "msmpeg4"},
    "wmv1.asf": {"codec": "wmv1"},
    "wmv2.asf": {"codec": "wmv2"},
    "h263.avi": {"codec": "h263", "size": (176, 144)},
    "h263p.avi": {"codec": "h263p", "size": (180, 100)},
    "flv1.flv": {"codec": "flv"},
    "mpeg1.mkv": {"codec": "mpeg1video", "fps": 25},
    "mpeg2.ts": {"codec": "mpeg2video", "fps": 25},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mp4": {"codec": "libsvtav1"},
}


@pytest.mark.parametrize("name", CODECS)
def test_intra_coded_packets_are_told_as_decoders_do(tmp_path, name):
    write_video(tmp_path / name, num_frames=30, **CODECS[name])
    with open_video(tmp_path / name) as (container, stream):
        codec = codec_name(stream)
        reader = PacketReader(stream, container="", codec=codec)
        intra = [reader.is_intra(packet) for packet in container.demux(stream) if packet.size]
    with av.open(str(tmp_path / name)) as opened:
        keys = sum(frame.key_frame for frame in opened.decode(video=0))
    assert keys >= 2
    assert intra[0] is True
    assert (intra.count(True), intra.count(None)) == (keys, 0)


def test_an_unknown_codec_is_left_to_the_container(tmp_path):
    write_video(tmp_path / "a.mov", codec="prores_ks", pixel_format="yuv422p10le", num_frames=2)
    with open_video(tmp_path / "a.mov") as (container, stream):
        reader = PacketReader(stream, container="mov", codec="prores")
        packet = next(container.demux(stream))
        assert reader.is_intra(packet) is None
        assert reader.look(packet) == Facts(key=True, shown=True)
        assert not reader.marks_wrong


def looked_at(path, *, data, codec="h264", container="mov", key=False):
    with open_video(path) as (_, stream):
        reader = PacketReader(stream, container=container, codec=codec)
        packet = av.Packet(data)
        packet.is_keyframe = key
        return reader.look(packet), reader.marks_wrong


def test_packets_without_a_picture(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=2)
    nothing = Facts(key=False, shown=False)
    assert not nothing.any_picture
    assert looked_at(tmp_path / "a.mp4", data=b"\0\0\0\2\x09\x10")[0] == nothing
    # Damaged data are taken for a picture, which is then missed.
    for data in (b"\0\0\0\x22\x09\x10", b"\xff" * 20, b"\0\0\0\2\x1f\x10"):
        assert looked_at(tmp_path / "a.mp4", data=data)[0].shown
    avi = {"codec": "mpeg4", "container": "avi"}
    assert looked_at(tmp_path / "a.mp4", data=b"\x7f", **avi)[0] == nothing
    assert looked_at(tmp_path / "a.mp4", data=b"\x7f", codec="vp9")[0].shown


def test_marks_are_checked(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=2)
    p_slice, idr = b"\0\0\0\4\x41\x9a\x00\x00", b"\0\0\0\4\x65\x88\x80\x00"
    assert looked_at(tmp_path / "a.mp4", data=p_slice, key=True) == (
        Facts(key=False, shown=True),
        True,
    )
    assert looked_at(tmp_path / "a.mp4", data=idr, key=True) == (Facts(key=True, shown=True), False)
    i_slice = b"\0\0\0\4\x41\xb8\x00\x00"  # it may be followed by pictures that need earlier ones
    assert looked_at(tmp_path / "a.mp4", data=i_slice, key=True) == (
        Facts(key=True, shown=True),
        True,
    )


def mpeg2(structure, number=1):
    header = b"\0\0\1\0\0\x0f\xff\xf8" + b"\0\0\1\xb5\x8f\xff" + bytes([0xF0 | structure])
    return header * number + b"\0\0\1\1"


def test_fields_of_mpeg2_are_counted_by_picture(tmp_path):
    write_video(tmp_path / "a.mkv", num_frames=2, codec="mpeg2video", fps=25)
    with open_video(tmp_path / "a.mkv") as (_, stream):
        reader = PacketReader(stream, container="mpegts", codec="mpeg2video")
        fields = [1, 2, 3, 2, 1, 1, 2]
        seen = [reader.look(av.Packet(mpeg2(field))) for field in fields]
        assert [facts.second_field for facts in seen] == [
            *(False, True, False, False),
            *(True, False, True),
        ]
        assert [facts.shown for facts in seen] == [not facts.second_field for facts in seen]
        assert reader.look(av.Packet(mpeg2(1, number=2))).shown
        assert reader.look(av.Packet(mpeg2(2))).shown
