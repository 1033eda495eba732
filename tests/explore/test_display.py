import pytest
from PIL import Image

from vidmoco.errors import ConfigError
from vidmoco.explore.display import plain, print_left_out, printable, save_png, shown_seconds


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0, "0.000"), (1.1, "1.100"), (1 / 30, "0.034"), (2.9990001, "3.000")]
)
def test_times_are_rounded_up_so_that_the_same_frame_is_shown(seconds, shown):
    assert shown_seconds(seconds) == shown
    assert float(shown) >= seconds - 1e-9


def test_texts_are_escaped():
    assert plain("ü\x1b\n.mp4") == "\\xfc\\x1b\\n.mp4"
    assert printable("ü\x1b\n\udc80.mp4") == "ü\\x1b\\n\\udc80.mp4"


def test_a_long_list_is_cut(capsys):
    print_left_out([f"{n}.npy: why" for n in range(14)])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11 and "4 more files" in lines[-1]


def test_a_picture_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written to"):
        save_png(Image.new("RGB", (2, 2)), tmp_path / "file" / "a.png")
