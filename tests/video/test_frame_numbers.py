"""All kinds of videos are in test_selected_frames.py; here is why a rate does not suffice."""

from wide_videos import info_of

from vidmoco.video.frame_numbers import FrameNumbers
from vidmoco.video.sequential_reader import numbered_frames


def test_gaps_that_differ_a_little_add_up(tmp_path):
    """In the middle, the rate would name another frame."""
    times = [n * 0.098 for n in range(60)] + [59 * 0.098 + n * 0.102 for n in range(1, 60)]
    video = info_of(tmp_path / "a.mp4", num_frames=119, times=times)
    assert not video.variable_rate
    numbers = FrameNumbers(video)
    assert [numbers.at(seconds) for seconds, *_ in numbered_frames(video)] == list(range(119))
    assert numbers.at(times[60] + 4e-7) == 60  # times may be rounded
