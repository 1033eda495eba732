import numpy as np
import pytest
from explore_features import feature_set, random_features
from PIL import Image

from vidmoco.visualize import frame_map
from vidmoco.visualize.frame_map import draw_map, video_colour


@pytest.mark.parametrize("num", [1, 30, 900])
def test_pictures_do_not_overlap_and_have_the_colour_of_their_video(tmp_path, monkeypatch, num):
    sizes = []

    def tiles(features, rows, *, box, **_):
        sizes.append((len(rows), box))
        return [Image.new("RGB", box, (0, 0, int(row) % 200 + 1)) for row in rows]

    monkeypatch.setattr(frame_map, "thumbnails", tiles)
    features = feature_set(tmp_path, *[random_features(num)] * 2)
    points = np.random.default_rng(0).standard_normal((2 * num, 2))
    picture = np.asarray(draw_map(features, features.evenly(2 * num), points, lines=["A", "B"]))
    ((count, (width, height)),) = sizes
    assert width >= 58
    blue = (picture[..., :2] == 0).all(axis=2) & (picture[..., 2] > 0)
    assert blue.sum() == count * width * height
    border = sum((picture == video_colour(n)).all(axis=2).sum() for n in (0, 1))
    assert border == count * ((width + 4) * (height + 4) - width * height)
    assert count == 2 * num if num == 1 else count >= min(num, 350)


def test_colours_of_following_videos_differ():
    colours = np.array([video_colour(n) for n in range(12)]).astype(int)
    distance = np.abs(colours[:, None] - colours).sum(axis=2) + 999 * np.eye(12)
    assert distance.min() > 40
