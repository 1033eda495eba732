import pytest
from PIL import Image

from vidmoco.errors import ConfigError
from vidmoco.visualize.png_file import require_png, save_png

PICTURE = Image.new("RGB", (2, 2))


def test_an_older_picture_is_replaced(tmp_path):
    path = tmp_path / "new" / "a.PNG"
    require_png(path)
    save_png(PICTURE, path)
    require_png(path)
    save_png(Image.new("RGB", (3, 3)), path)
    with Image.open(path) as image:
        assert image.format == "PNG" and image.size == (3, 3)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.PNG"]


def test_other_files_are_not(tmp_path):
    (tmp_path / "notes.png").write_text("my notes")
    (tmp_path / "folder.png").mkdir()
    for name, message in (("a.jpg", "must end in .png"), ("notes.png", "not a PNG file"),
                          ("folder.png", "cannot be used")):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            require_png(tmp_path / name)


def test_a_picture_that_is_cut_off_replaces_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    save_png(PICTURE, path)
    before = path.read_bytes()

    def full(self, file, **options):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(ConfigError, match=r"a.png cannot be written: No space left"):
        save_png(PICTURE, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        save_png(PICTURE, tmp_path / "file" / "a.png")
