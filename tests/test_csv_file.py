import unicodedata

import pytest

from vidmoco.csv_file import called_so, header_is_row, read_csv, uneven_line
from vidmoco.errors import ConfigError


def test_rows_and_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffvideo,note\na.mp4,"x\ny"\nb.mp4\n'.encode())
    rows, columns = read_csv(path, what="labels")
    assert columns == ["video", "note"]
    assert rows == [{"video": "a.mp4", "note": "x\ny"}, {"video": "b.mp4", "note": None}]
    path.write_text("")
    assert read_csv(path, what="labels") == ([], [])


def test_two_columns_of_one_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("video,label,,label,\na.mp4,x,,y,\n")
    with pytest.raises(ConfigError, match=r"a\.csv has 2 columns called 'label'\. Rename or"):
        read_csv(path, what="labels")
    path.write_text("video,label,,\na.mp4,x,,\n")  # columns that a spreadsheet adds
    assert read_csv(path, what="labels")[1] == ["video", "label", "", ""]


@pytest.mark.parametrize("data", [None, b"\xff\xfe\x00", b'a,b\n"' + b"x" * 200_000 + b'",1\n'])
def test_what_is_no_csv_file(tmp_path, data):
    path = tmp_path / "a.csv"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"Cannot read the times .*a\.csv: "):
        read_csv(path, what="times")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("path;label\na,b.mp4;1\n", [{"path": "a,b.mp4", "label": "1"}]),
        ("path\tlabel\r\na;b.mp4\t1,5\r\n", [{"path": "a;b.mp4", "label": "1,5"}]),
        ('"path";"the; label"\na.mp4;1\n', [{"path": "a.mp4", "the; label": "1"}]),
        ("path|label\na.mp4|1\n", [{"path": "a.mp4", "label": "1"}]),
        ("path,a;b\na.mp4,1\n", [{"path": "a.mp4", "a;b": "1"}]),
        ("path\na;b.mp4\n", [{"path": "a;b.mp4"}]),
    ],
)
def test_the_header_says_what_parts_the_columns(tmp_path, text, rows):
    path = tmp_path / "a.csv"
    path.write_text(text, newline="")
    assert read_csv(path, what="labels") == (rows, list(rows[0]))


def test_a_line_of_another_length_between_semicolons(tmp_path):
    path = tmp_path / "a.csv"
    for line, number in (("b", 1), ("b;2;3", 3), ("b;2;3;4", 4)):
        path.write_text(f"path;label\na;1\n{line}\n")
        assert uneven_line(path) == (
            f"line 3 has not as many fields as the header: {number} instead of 2"
        )


def test_what_a_video_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {
        "v/a.mp4": ["v/a.mp4"],
        f"{tmp_path}/b.mp4": ["b"],
        "x": ["x", "y/x"],
        "memory://a": ["a"],
    }
    assert called_so("./v/a.mp4", names) == ["v/a.mp4"]
    assert called_so("b.mp4", names) == called_so(f"{tmp_path}/b.mp4", names) == ["b"]
    assert called_so("x", names) == ["x", "y/x"]
    assert called_so("memory://a", names) == ["a"]
    names |= {unicodedata.normalize("NFD", "d/über.mp4"): ["ü"], "d/café.mp4": ["é"]}
    assert called_so("d/über.mp4", names) == ["ü"]  # a name of macOS, written elsewhere
    assert called_so(unicodedata.normalize("NFD", "d\\café.mp4"), names) == ["é"]
    assert called_so("", names) == called_so("c.mp4", names) == ()


def test_a_row_in_place_of_the_header():
    for columns in (["Bus/v 1.avi 1"], ["a.mp4", "bus"], ["a/b", "bus"]):
        assert f"The first line, {columns[0]!r}, was read as" in header_is_row(columns)
    for columns in ([], ["path", "label"], ["path label"]):
        assert header_is_row(columns) == ""
