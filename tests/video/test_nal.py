import av
from painted_videos import write_video

from vidmoco.video.nal import Bits, NalUnits, parse_sps


def extradata_of(path):
    with av.open(str(path)) as opened:
        return bytes(opened.streams.video[0].codec_context.extradata)


def test_numbers():
    bits = Bits(bytes([0b1_010_011_0, 0b0100_1_000]))
    assert [bits.ue() for _ in range(5)] == [0, 1, 2, 3, 0]
    assert bits.u(3) == 0
    assert bits.u(8) == 0  # behind the end
    assert bits.ue() == 0


def test_units_by_length_and_by_start_code():
    data = b"\0\0\0\2\x67a\0\0\0\3\x65bc"
    by_length = NalUnits("h264", b"\1\x64\0\x1f\xff\xe0")
    assert [(kind, data[a:b]) for kind, a, b in by_length.units(data)] == [
        (7, b"\x67a"),
        (5, b"\x65bc"),
    ]
    codes = b"\0\0\0\1\x67a\0\0\1\x65bc"
    by_code = NalUnits("h264", b"")
    assert [kind for kind, _, _ in by_code.units(codes)] == [7, 5]
    assert list(by_code.units(b"no unit")) == []
    assert by_length.joined(b"\x65bc") == data[6:]
    assert by_code.joined(b"a") == b"\0\0\1a"


def test_a_unit_that_claims_more_than_there_is():
    data = b"\0\0\0\x99\x65bc"
    (unit,) = NalUnits("h264", b"\1\x64\0\x1f\xff\xe0").units(data)
    assert unit == (5, 4, 4 + 0x99)


def test_a_parameter_set(tmp_path):
    for name, options in {
        "a.mp4": {},
        "444.mp4": {"pixel_format": "yuv444p"},
        "list.mp4": {"codec_options": {"x264-params": "cqm=jvt"}},
    }.items():
        write_video(tmp_path / name, num_frames=2, **options)
        extradata = extradata_of(tmp_path / name)
        ((kind, unit),) = NalUnits("h264", extradata).in_extradata(extradata)
        sps = parse_sps(unit)
        assert kind == 7
        assert sps is not None
        assert sps.only_frames
        assert 4 <= sps.frame_num_bits <= 16
    write_video(tmp_path / "i.mp4", num_frames=2, codec_options={"flags": "+ildct"})
    extradata = extradata_of(tmp_path / "i.mp4")
    ((_, unit),) = NalUnits("h264", extradata).in_extradata(extradata)
    assert not parse_sps(unit).only_frames
    assert parse_sps(b"\x67") is None


def test_where_a_decoder_can_start(tmp_path):
    for name, codec in (("a.mp4", "libx264"), ("b.mp4", "libx265")):
        write_video(tmp_path / name, num_frames=8, gop=4, codec=codec)
        with av.open(str(tmp_path / name)) as opened:
            nals = NalUnits("h264" if codec == "libx264" else "hevc", extradata_of(tmp_path / name))
            packets = [p for p in opened.demux(video=0) if p.size]
            for packet in packets:
                key = packet.is_keyframe
                assert nals.start_of(bytes(packet)) == (key, key)
    assert nals.start_of(b"") == (None, False)
