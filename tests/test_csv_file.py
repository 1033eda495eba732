import pytest

from vidmoco.csv_file import read_csv
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
