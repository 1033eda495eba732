import av
import pytest
from painted_videos import write_video

from vidmoco.video.sei import without_faulty_sei

LONG = b"\x06\x05\x40" + b"a" * 20 + b"\x80"  # it claims 64 bytes


@pytest.fixture
def first(tmp_path):
    """Return the first packet's data, without its own message, and its stream's context."""
    write_video(tmp_path / "a.mp4", num_frames=3)
    with av.open(str(tmp_path / "a.mp4")) as opened:
        stream = opened.streams.video[0]
        packet = bytes(next(opened.demux(stream)))
        size = int.from_bytes(packet[:4], "big")
        assert packet[4] & 31 == 6
        yield packet[4 + size :], packet[: 4 + size], stream.codec_context


def unit(data):
    return len(data).to_bytes(4, "big") + data


def test_a_sound_message_stays(first):
    picture, message, context = first
    assert without_faulty_sei(message + picture, context, "h264") is None
    assert without_faulty_sei(picture, context, "h264") is None


def test_a_faulty_message_becomes_filler(first):
    picture, message, context = first
    data = message + unit(LONG) + picture
    changed = without_faulty_sei(data, context, "h264")
    assert len(changed) == len(data)
    assert [i for i in range(len(data)) if changed[i] != data[i]] == [len(message) + 4]
    assert changed[len(message) + 4] == 12


def test_what_follows_the_picture_is_left(first):
    """The decoder has begun the picture, which must not be decoded twice."""
    picture, _, context = first
    assert without_faulty_sei(picture + unit(LONG), context, "h264") is None


def test_messages_behind_a_picture_of_hevc(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=3, codec="libx265")
    with av.open(str(tmp_path / "a.mp4")) as opened:
        context = opened.streams.video[0].codec_context
        packet = bytes(next(opened.demux(video=0)))
    data = packet + unit(b"\x50\x01" + LONG[1:])
    changed = without_faulty_sei(data, context, "hevc", behind=True)
    assert changed == packet + unit(b"\x4c\x01" + LONG[1:])
    assert without_faulty_sei(data, context, "hevc") is None
    assert without_faulty_sei(packet, context, "hevc", behind=True) is None
