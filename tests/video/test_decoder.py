import av
import av.logging
from painted_videos import read_index, write_video

from vidmoco.video.container import open_video, to_rgb
from vidmoco.video.decoder import decode_listening, decode_packet, is_clean_start, packets

WIDE = (256, 192)


def complain():
    av.logging.log(av.logging.INFO, "decoder", "all is well")
    av.logging.log(av.logging.ERROR, "decoder", "a fault")
    return []


def patch_up():
    av.logging.log(av.logging.INFO, "decoder", "concealing 12 DC, 12 AC, 12 MV errors in P frame\n")
    return []


def test_a_picture_that_is_patched_up_is_a_fault():
    assert decode_listening(patch_up, to_log=True)[1].startswith("concealing 12 DC")


def test_a_fault_that_is_only_logged_counts_each_time():
    """Asked for nothing else, PyAV would drop the second message: it is the same as the first."""
    for _ in range(3):
        assert decode_listening(complain, to_log=True) == ([], "a fault")
    assert decode_listening(complain, to_log=False) == ([], "")


def note():
    av.logging.log(av.logging.ERROR, "decoder", "SEI type 5 size 64 truncated at 24")
    return []


def test_a_fault_of_a_message_is_none_of_the_picture():
    assert decode_listening(note, to_log=True) == ([], "")


def test_a_decoder_that_is_stuck_goes_on(tmp_path):
    """After packets that it cannot decode, VP9's takes no more data until it is flushed."""
    write_video(tmp_path / "a.webm", codec="libvpx-vp9", num_frames=30, size=WIDE)
    shown = []
    with open_video(tmp_path / "a.webm") as (container, stream):
        for number, (packet, _) in enumerate(packets(container, stream)):
            if number >= 3:
                shown += decode_packet(stream, packet)[0]
    indices = [read_index(to_rgb(frame, coded_size=WIDE)) for frame in shown]
    assert indices == list(range(12, 30))
    assert [is_clean_start(frame) for frame in shown] == [i % 12 == 0 for i in indices]


def test_the_places_in_an_avi_are_its_times(tmp_path):
    write_video(tmp_path / "a.avi", num_frames=12, b_frames=0)
    with open_video(tmp_path / "a.avi") as (container, stream):
        times = [packet.pts for packet, _ in packets(container, stream) if packet is not None]
    assert times == list(range(12))
