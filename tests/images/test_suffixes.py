import pytest

from vidmoco.images.suffixes import may_hold_images


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("a/b.JPG", True),
        ("clip.mp4/a.jpg", True),
        ("c.parquet", True),
        ("d.txt", False),
        ("e.mp4", False),
    ],
)
def test_by_names(tmp_path, name, holds):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert may_hold_images(tmp_path) is holds
    assert not may_hold_images(tmp_path / "nowhere")


def test_a_folder_with_a_video_is_one_of_videos(tmp_path):
    (tmp_path / "thumbnails").mkdir()
    (tmp_path / "thumbnails" / "a.jpg").touch()
    assert may_hold_images(tmp_path)
    (tmp_path / "a.MP4").touch()
    assert not may_hold_images(tmp_path)


def test_a_gif_tells_nothing(tmp_path):
    (tmp_path / "a.gif").touch()
    assert not may_hold_images(tmp_path)
    (tmp_path / "b.jpg").touch()
    assert may_hold_images(tmp_path)


def test_a_linked_folder_is_looked_into_and_a_hidden_one_is_not(tmp_path):
    for name in ("elsewhere/a.jpg", "here/.cache/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert not may_hold_images(tmp_path / "here")
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "elsewhere")
    assert may_hold_images(tmp_path / "here")
