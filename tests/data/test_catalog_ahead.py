import pytest
from painted_videos import write_video
from PIL import Image

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.data.catalog_ahead import catalog_ahead
from vidmoco.errors import ConfigError
from vidmoco.frames.store import KEY_FILE


def test_videos(tmp_path):
    write_video(tmp_path / "a.mp4")
    catalog = catalog_ahead(PretrainConfig(videos=(tmp_path,)))
    assert [row.key for row in catalog.rows()] == ["a.mp4"]
    saved = tmp_path / "catalog.parquet"
    catalog.save(saved)
    assert catalog_ahead(PretrainConfig(videos=(tmp_path, saved))) is None


def test_other_sources_are_left_to_the_training(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with monkeypatch.context() as patched:  # many images are not walked through for a video
        patched.setattr("vidmoco.data.catalog_ahead.require_videos", pytest.fail)
        assert catalog_ahead(PretrainConfig(videos=(tmp_path,))) is None
    assert catalog_ahead(PretrainConfig(videos=(tmp_path,))) is None
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / KEY_FILE).write_text('{"format": "vidmoco.frames"}')
    assert catalog_ahead(PretrainConfig(videos=(tmp_path / "frames",))) is None


def test_nothing_to_read_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("vidmoco.data.catalog_ahead.start_fork_server", pytest.fail)
    (tmp_path / "a.txt").touch()
    with pytest.raises(ConfigError, match="No video file in"):
        catalog_ahead(PretrainConfig(videos=(tmp_path,)))
