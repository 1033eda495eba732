import pytest

from vidmoco.visualize.display import print_left_out, shown_seconds


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0, "0.000"), (1.1, "1.100"), (1 / 30, "0.034"), (2.9990001, "3.000")]
)
def test_times_are_rounded_up_so_that_the_same_frame_is_shown(seconds, shown):
    assert shown_seconds(seconds) == shown
    assert float(shown) >= seconds - 1e-9


def test_a_long_list_is_cut(capsys):
    print_left_out([f"{n}\x1b.npy: why" for n in range(14)])
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Left out:", "  0\\x1b.npy: why"]
    assert len(lines) == 12 and "4 more" in lines[-1]
