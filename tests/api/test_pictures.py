import numpy as np
import pytest
import torch
from painted_videos import paint
from PIL import Image, features

import vidmoco
from vidmoco.api.pictures import pictures_or_videos, rgb_picture
from vidmoco.backbones.preprocess import resize_and_crop
from vidmoco.errors import ConfigError, DataError
from vidmoco.video.scan import scan_videos


@pytest.fixture(scope="module")
def frozen():
    return vidmoco.load_frozen("random:test_resnet", size=32)


@pytest.fixture
def sizes():
    """Pictures of three sizes."""
    random = np.random.default_rng(0)
    shapes = [(40, 60, 3), (64, 33, 3), (50, 50, 3)]
    return [random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def test_pictures_of_any_sizes_each_have_a_row(frozen, sizes, tmp_path, capfd):
    for number, pixels in enumerate(sizes):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    expected = []
    for pixels in sizes:
        image = resize_and_crop(torch.from_numpy(pixels).permute(2, 0, 1), frozen.preprocess)
        expected.append(frozen.features(image[None])[0].numpy())
    mixed = [Image.fromarray(sizes[0]), str(tmp_path / "1.png"), torch.from_numpy(sizes[2])]
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for given in (sizes, mixed, files, [one.transpose(2, 0, 1) for one in sizes]):
        features, numbers = vidmoco.embed(given, backbone=frozen, batch_size=2)
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
        assert features.dtype == np.float32 and numbers.tolist() == [0, 1, 2]
    for given in (sizes[1], Image.fromarray(sizes[1]), files[1]):
        features, numbers = vidmoco.embed(given, backbone=frozen, normalize=True)
        unit = expected[1] / np.linalg.norm(expected[1])
        np.testing.assert_allclose(features, unit[None], rtol=1e-4, atol=1e-5)
    assert capfd.readouterr() == ("", "")


def test_channels_may_come_first(frozen):
    frames = np.random.default_rng(0).integers(0, 256, (4, 40, 60, 3), dtype=np.uint8)
    expected, _ = vidmoco.embed(frames, backbone=frozen)
    first = torch.from_numpy(frames).permute(0, 3, 1, 2)
    for given in (first, first.numpy()):
        np.testing.assert_allclose(vidmoco.embed(given, backbone=frozen)[0], expected, rtol=1e-5)
    with pytest.raises(ConfigError, match=r"float32 \(4, 3, 40, 60\); expected uint8 \(N, H, W"):
        vidmoco.embed(first.float(), backbone=frozen)
    with pytest.raises(ConfigError, match=r"uint8 \(40, 60\); expected .* or \(N, 3, H, W\), RGB"):
        vidmoco.embed(frames[0, :, :, 0], backbone=frozen)


def test_an_image_of_pil_is_read_as_its_file_and_stays(tmp_path):
    image = Image.fromarray(paint(7))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        for _ in range(2):
            turned = rgb_picture(opened, "it")
            assert turned.shape == (3, image.width, image.height)
            assert opened.size == image.size and "exif" in opened.info
    np.testing.assert_array_equal(turned, rgb_picture(tmp_path / "a.png", "it"))
    grey = rgb_picture(Image.new("LA", (4, 2), (9, 0)), "it")  # transparent: on white
    assert grey.shape == (3, 2, 4) and (grey == 255).all()


def test_what_is_no_picture(frozen, sizes, tmp_path):
    (tmp_path / "a.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"a\.jpg cannot be read as an image: "):
        vidmoco.embed([sizes[0], tmp_path / "a.jpg"], backbone=frozen)
    with pytest.raises(DataError, match=r"Picture 1 cannot .* \(mode F\) have no known range"):
        vidmoco.embed([sizes[0], Image.new("F", (4, 4))], backbone=frozen)
    with pytest.raises(ConfigError, match=r"Picture 2 is uint8 \(3, 0, 4\); expected"):
        vidmoco.embed([*sizes[:2], np.zeros((3, 0, 4), np.uint8)], backbone=frozen)


def test_pictures_and_videos_are_told_apart_by_their_suffixes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.JPG", "b.webp"):
        (tmp_path / name).touch()
    assert pictures_or_videos("a.JPG") == ([tmp_path / "a.JPG"], ())
    (tmp_path / "list.txt").write_text("a.JPG\nb.webp\n")
    assert pictures_or_videos("@list.txt") == ([tmp_path / "a.JPG", tmp_path / "b.webp"], ())
    assert pictures_or_videos(["a.gif", "b"]) == (None, (tmp_path / "a.gif", tmp_path / "b"))
    with pytest.raises(ConfigError, match=r"There is no picture .*/c\.png\."):
        pictures_or_videos(["a.JPG", "c.png"])


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_an_animation_is_not_its_first_picture(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), (60 * n, 9, 9)) for n in range(3)]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=rf"a\{suffix} cannot be .* it is an anim.*GIF"):
        rgb_picture(tmp_path / f"a{suffix}", "Picture 0")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_an_avif_is_a_picture_or_a_video(tmp_path):
    pictures = [Image.new("RGB", (64, 48), (60 * n, 9, 9)) for n in range(4)]
    pictures[0].save(tmp_path / "one.avif")
    pictures[0].save(tmp_path / "all.avif", save_all=True, append_images=pictures[1:], duration=100)
    found, videos = pictures_or_videos([tmp_path / "one.avif"])
    assert (found, videos) == ([tmp_path / "one.avif"], ())
    assert pictures_or_videos(tmp_path / "all.avif") == (None, (tmp_path / "all.avif",))
    (row,) = scan_videos([tmp_path], workers=1).rows()
    assert (row.key, row.num_frames, row.route != "refused") == ("all.avif", 4, True)
