import pytest

from vidmoco.errors import ConfigError
from vidmoco.frames.labels import calls_of, labels_of, names_of, read_labels
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo


def catalog(*places):
    return Catalog.from_rows(
        VideoInfo(root=root, key=key, num_bytes=1, mtime_ns=1) for root, key in places
    )


def test_names_are_keys_and_with_the_folders_name_where_keys_are_alike():
    assert names_of(catalog()) == []
    assert names_of(catalog(("/a", "x.mp4"), ("/b", "y.mp4"))) == ["x.mp4", "y.mp4"]
    assert names_of(catalog(("/a", "x.mp4"), ("/b", "x.mp4"))) == ["a/x.mp4", "b/x.mp4"]
    with pytest.raises(ConfigError, match=r"2 videos of different folders .* 'a/x\.mp4'"):
        names_of(catalog(("/1/a", "x.mp4"), ("/2/a", "x.mp4")))


def test_labels_by_column_and_video(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("\ufefffile,room,x\na.mp4,kitchen,1\nb.mp4,,2\n", encoding="utf-8")
    assert read_labels(path, key="file", reserved=()) == {
        "room": {"a.mp4": "kitchen", "b.mp4": ""},
        "x": {"a.mp4": "1", "b.mp4": "2"},
    }
    with pytest.raises(ConfigError, match=r"no column 'File'\. Did you mean 'file'"):
        read_labels(path, key="File", reserved=())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path\na.mp4\n", "'path'; expected 'path' and one or more labels"),
        ("path,room,Room\na.mp4,x,y\n", "more labels with different names"),
        ("path,\na.mp4,x\n", "column 2 of 2 has no name in the first line. Name it or delete"),
        (",path,room\n0,a.mp4,x\n", "column 1 of 3 has no name .*without index=False"),
        ("", r"labels.csv is empty, or its first line is. Expected a first line such as path,l"),
        ("\n\npath,room\na.mp4,x\n", "empty, or its first line is"),
        ("path,room\n", "has no rows below its first line. Expected a first line such as"),
        ("path,room\n,\n\n", "has no rows below its first line"),
        ("path,room\n,attic\n", "has a row without a video in its column 'path': , attic"),
        ("a.mp4,kitchen\n", "has no column 'path'.* 'a.mp4', was read as the names of"),
        ('path,room\na.mp4,"attic\nb.mp4,hall\n', "Cannot read the labels .* may have no partner"),
        (
            "path,room\nb.mp4,x\na.mp4,x,y\n",
            "line 3 has not as many fields as the header: 3 instead of 2",
        ),
        ('path,room\nb.mp4,"x\ny"\n\na.mp4\n', "line 5 has not .* 1 instead of 2"),
        ("path,room\nb.mp4,x\na.mp4,x\na.mp4,y\n", r"twice: 'a\.mp4' has 2 rows; expected one per"),
    ],
)
def test_labels_that_cannot_be_told_apart(tmp_path, text, expected):
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=expected):
        read_labels(path, key="path", reserved=())


def test_labels_of_spreadsheets(tmp_path):
    path = tmp_path / "labels.csv"
    for text in ("path;room\r\na.mp4;hall\r\n;\r\n;\r\n", '"path","room"\n"a.mp4","hall"\n,\n,\n'):
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            path.write_text(text, encoding=encoding, newline="")
            assert read_labels(path, key="path", reserved=()) == {"room": {"a.mp4": "hall"}}


def test_reserved_names_of_columns(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("video,room\na.mp4,x\n", encoding="utf-8")
    assert list(read_labels(path, key="video", reserved={"video", "frame"})) == ["room"]
    with pytest.raises(ConfigError, match=r"has a column 'room', .* already\. Rename it"):
        read_labels(path, key="video", reserved={"room"})
    path.write_text("video,Frame\na.mp4,3\n")
    with pytest.raises(ConfigError, match="has a column 'Frame', which the dataset has already"):
        read_labels(path, key="video", reserved={"frame"})
    path.write_text("video,room,Room\na.mp4,3,4\n")
    with pytest.raises(ConfigError, match="with different names"):
        read_labels(path, key="video", reserved=())


def test_names_in_other_forms(tmp_path):
    path = tmp_path / "labels.csv"
    names = ("a/x.mp4", "a/y.mp4", "a/z.mp4", "a\\w.mp4", "v.mp4")
    videos = {name: [name] for name in names}
    path.write_text("path,room\n./a/x.mp4,1\na\\y.mp4,2\na//b/../z.mp4,3\na\\w.mp4,4\ngone,5\n")
    labels = read_labels(path, key="path", reserved=())
    assert labels_of(labels, videos, path=path, key="path") == {
        "room": {"a/x.mp4": "1", "a/y.mp4": "2", "a/z.mp4": "3", "a\\w.mp4": "4", "gone": "5"}
    }
    path.write_text("path,room\nv.mp4,1\n./v.mp4,2\n")
    labels = read_labels(path, key="path", reserved=())
    with pytest.raises(ConfigError, match=r"'v\.mp4' has 2 rows"):
        labels_of(labels, videos, path=path, key="path")
    with pytest.raises(ConfigError, match="names none of these videos"):
        labels_of({"room": {"": "1", ".": "2"}}, videos, path=path, key="path")


def test_videos_are_called_as_they_are_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = catalog(
        (f"{tmp_path}/v", "x.mp4"), (f"{tmp_path}/v", "y.mp4"), (f"{tmp_path}/w", "x.mp4")
    )
    videos = calls_of(dict(zip(names_of(rows), rows.rows(), strict=True)))
    given = {"v/x.mp4": "1", f"{tmp_path}/v/y.mp4": "2", "./w/x.mp4": "3", "gone": "4"}
    assert labels_of({"room": given}, videos, path=tmp_path, key="path") == {
        "room": {"v/x.mp4": "1", "v/y.mp4": "2", "w/x.mp4": "3", "gone": "4"}
    }
    with pytest.raises(ConfigError, match=r"names several of these videos: 'x\.mp4'\.$"):
        labels_of({"room": {"x.mp4": "1"}}, videos, path=tmp_path, key="path")
    with pytest.raises(ConfigError, match=r"'v/y\.mp4' has 2 rows"):
        labels_of({"room": {"y.mp4": "1", "v/y.mp4": "2"}}, videos, path=tmp_path, key="path")
