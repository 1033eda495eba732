from vidmoco.images.folders import files_below, holds_videos


def test_videos_are_told_from_images(tmp_path):
    assert not holds_videos(tmp_path)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "notes.txt").touch()
    assert not holds_videos(tmp_path)
    (deep / "a.gif").touch()
    assert not holds_videos(tmp_path)
    (deep / "x.MP4").touch()
    assert holds_videos(tmp_path)
    (tmp_path / "train.parquet").touch()
    assert not holds_videos(tmp_path)
    (tmp_path / "train.parquet").unlink()
    (tmp_path / "cover.jpg").touch()
    assert not holds_videos(tmp_path)


def test_a_link_to_a_folder_above_is_not_followed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [file.name for file in files_below(tmp_path)] == ["1.png"]
