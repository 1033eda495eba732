import numpy as np
from explore_features import feature_set, random_features

from vidmoco.visualize.shots import find_shots, step_similarities
from vidmoco.visualize.similarity_picture import coloured, draw_similarity

DARK, BRIGHT, RED = (68, 1, 84), (253, 231, 37), (197, 34, 31)


def drawn(folder, *videos):
    features = feature_set(folder, *videos)
    shots = find_shots(features, step_similarities(features))
    return np.asarray(draw_similarity(features, range(len(videos)), shots))


def has(picture, colour):
    return (picture == np.array(colour)).all(axis=-1)


def test_colours_rise_to_bright():
    picture = coloured(np.array([[-1, 0.5, 0.75, 1.0]], np.float32), 0.5)
    assert [tuple(colour) for colour in picture[0].tolist()] == [
        *(DARK, DARK, (33, 145, 140), BRIGHT)
    ]


def test_two_shots_are_two_bright_squares_and_the_cut_is_between_them(tmp_path):
    one, other = np.eye(6, dtype=np.float32)[:2]
    picture = drawn(tmp_path, np.array([one] * 6 + [other] * 18))
    # The panel is below the legend, which is at the top.
    top = 110
    bright, dark = has(picture[top:], BRIGHT), has(picture[top:], DARK)
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    assert rows[-1] - rows[0] == columns[-1] - columns[0] == 299
    panel = np.s_[rows[0] : rows[0] + 300, columns[0] : columns[0] + 300]
    assert bright[panel][:75, :75].all() and bright[panel][76:, 76:].all()
    assert dark[panel][:75, 76:].all() and dark[panel][76:, :75].all()
    lines = has(picture[top:], RED)[panel]
    assert lines[:, 75].all() and lines[75].all()
    assert lines.sum() == 599


def test_a_smooth_video_has_no_line_and_names_of_strangers_no_harm(tmp_path):
    still = np.ones((4, 6), np.float32)
    assert not has(drawn(tmp_path / "a", still)[110:], RED).any()
    features = feature_set(tmp_path / "b", still, random_features(1))
    object.__setattr__(features.files[0], "name", "你好\x1b[31m\n" + "x" * 400)
    one = draw_similarity(features, [1], [])
    both = draw_similarity(features, [0, 1], [])
    assert both.height == one.height
