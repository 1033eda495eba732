import numpy as np
import pytest
from wide_videos import info_of

from vidmoco.video.readers import _Choice


class Named:
    def __init__(self, name, asked):
        self._name, self._asked = name, asked

    def read(self, video, times):
        self._asked.append(self._name)


@pytest.mark.parametrize(
    ("name", "options", "auto", "decord"),
    [
        ("a.mp4", {}, "forward", "decord"),
        ("narrow.mp4", {"size": (96, 64)}, "forward", "forward"),
        ("a.webm", {"codec": "libvpx-vp9"}, "decord", "decord"),
        ("a.ts", {}, "decord", "decord"),  # which declines
    ],
)
def test_who_is_asked(tmp_path, name, options, auto, decord):
    video = info_of(tmp_path / name, **options)
    for prefer_decord, expected in ((False, auto), (True, decord)):
        asked = []
        choice = _Choice(
            Named("forward", asked), Named("decord", asked), prefer_decord=prefer_decord
        )
        choice.read(video, np.array([0.0]))
        assert asked == [expected]
