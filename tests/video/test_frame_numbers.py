"""All kinds of videos are in test_selected_frames.py; here is who needs to read the packets."""

import pytest
from wide_videos import info_of

from vidmoco.video.frame_numbers import FrameNumbers
from vidmoco.video.sequential_reader import numbered_frames


@pytest.mark.parametrize(
    ("options", "reads"),
    [({}, False), ({"times": [n / 10 + (n % 3) / 50 for n in range(20)]}, True)],
)
def test_packets_are_read_where_gaps_vary(tmp_path, monkeypatch, options, reads):
    video = info_of(tmp_path / "a.mkv", num_frames=20, **options)
    calls = []
    honest = FrameNumbers._read
    monkeypatch.setattr(FrameNumbers, "_read", lambda self: calls.append(1) or honest(self))
    numbers = FrameNumbers(video)
    assert [numbers.at(seconds) for seconds, *_ in numbered_frames(video)] == list(range(20))
    assert len(calls) == reads


def test_a_rate_that_does_not_fit_is_not_believed(tmp_path):
    """Gaps that differ a little add up: in the middle, the rate would name another frame."""
    times = [n * 0.098 for n in range(60)] + [59 * 0.098 + n * 0.102 for n in range(1, 60)]
    video = info_of(tmp_path / "a.mp4", num_frames=119, times=times)
    assert not video.variable_rate
    numbers = FrameNumbers(video)
    assert [numbers.at(seconds) for seconds, *_ in numbered_frames(video)] == list(range(119))
