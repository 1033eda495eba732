import numpy as np
import pytest
from explore_features import feature_set, random_features
from PIL import Image

from vidmoco.visualize import strip_picture
from vidmoco.visualize.shots import find_shots, step_similarities
from vidmoco.visualize.strip_picture import colours_of, draw_strip


@pytest.fixture
def asked(monkeypatch):
    """The rows that pictures are asked for; each picture is a blue tile."""
    rows = []

    def tiles(features, wanted, *, box, **_):
        rows.append(wanted.tolist())
        return [Image.new("RGB", (box[0], 60), (0, 0, 255)) for _ in wanted]

    monkeypatch.setattr(strip_picture, "thumbnails", tiles)
    return rows


def test_colours_go_from_dark_to_bright_along_each_component():
    sample = random_features(200) * np.array([9, 5, 3, 0.1, 0.1, 0.1], np.float32)
    colours = colours_of(sample)(sample).astype(int)
    assert colours.min() == 0 and colours.max() == 255
    # Signs are such that the largest weight is positive.
    for channel in range(3):
        assert np.corrcoef(colours[:, channel], sample[:, channel])[0, 1] > 0.95


def test_what_does_not_vary_is_grey():
    sample = np.array([[1, 0], [0, 1]] * 20, np.float32)
    colours = colours_of(sample)(sample)
    assert set(colours[:, 0].tolist()) == {0, 255}
    assert set(colours[:, 1:].reshape(-1).tolist()) == {127} or set(
        colours[:, 1:].reshape(-1).tolist()
    ) == {128}


def test_a_row_has_its_shots_in_colours_and_pictures_beside_each_other(tmp_path, asked):
    one, other = np.eye(6, dtype=np.float32)[:2]
    features = feature_set(tmp_path, np.array([one] * 10 + [other] * 10), np.array([other] * 3))
    shots = find_shots(features, step_similarities(features))
    sample = features.take(features.evenly(100))
    picture = np.asarray(draw_strip(features, [0, 1], shots, sample))
    assert asked == [[1, 3, 6, 8, 11, 13, 16, 18, 20, 21, 22]]
    blue = (picture == [0, 0, 255]).all(axis=2)
    columns = blue.any(axis=1).nonzero()[0]
    first = blue[columns[0]]
    edges = np.flatnonzero(np.diff(first.astype(int)) == 1)
    assert len(edges) == 8 and first.sum() == 8 * 144  # none over another
    bar = picture[columns[0] - 35, 24 : 24 + 1200]
    assert len(np.unique(bar[:598], axis=0)) == len(np.unique(bar[602:], axis=0)) == 1
    assert bar[0].tolist() != bar[-1].tolist()
    assert (bar[599:602] == [197, 34, 31]).all(axis=1).any()
