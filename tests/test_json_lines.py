import pytest
from full_disk import no_file_larger_than

from vidmoco.errors import ConfigError
from vidmoco.json_lines import append_line, drop_lines_after, read_metrics


def test_lines_come_back_but_one_that_a_crash_has_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_metrics(path) == []
    lines = [{"step": step, "loss": step / 3} for step in range(1, 4)]
    for line in lines:
        append_line(path, line)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 4, "lo')
    assert read_metrics(path) == lines
    drop_lines_after(path, 3)
    assert path.read_bytes() == whole
    drop_lines_after(path, 2)
    assert read_metrics(path) == lines[:2]


def test_without_room_the_run_is_told_and_no_line_is_lost(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    path.parent.mkdir()
    lines = [{"step": step, "loss": 0.5} for step in range(100)]
    with (
        no_file_larger_than(1000),
        pytest.raises(ConfigError, match=rf"{path} cannot .*too large.*--run {path.parent} --resu"),
    ):
        for line in lines:
            append_line(path, line)
    assert len(path.read_bytes()) == 1000  # the last is cut off
    whole = read_metrics(path)
    assert whole and whole == lines[: len(whole)]
    with no_file_larger_than(100), pytest.raises(ConfigError, match="too large"):
        drop_lines_after(path, 10)
    assert read_metrics(path) == whole and list(path.parent.iterdir()) == [path]
    drop_lines_after(path, whole[-1]["step"])
    assert read_metrics(path) == whole and path.read_bytes().endswith(b"\n")
