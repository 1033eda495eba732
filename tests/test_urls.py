import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidmoco.errors import ConfigError, VidmocoError
from vidmoco.features.remote_folder import RemoteFolder
from vidmoco.frames.store import Store
from vidmoco.urls import (
    absolute,
    absolute_paths,
    are_several,
    expand_lists,
    expanded,
    is_list,
    is_there,
    is_url,
    library_for,
    require_paths,
    url_of,
    without_passwords,
)
from vidmoco.video.fetch import fetch


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("s3://bucket/frames", "s3://bucket/frames"),
        ("memory://frames/a b", "memory://frames/a b"),
        ("file:///data/frames", "file:///data/frames"),
        ("https://host/a?b=c", "https://host/a?b=c"),
    ],
)
def test_urls_survive_being_paths(given, url):
    path = Path(given)
    assert is_url(path)
    assert url_of(path) == url
    assert absolute(path) == path


@pytest.mark.parametrize("given", ["frames", "/data/x:y", "./a:b/c", "C:/frames", "-"])
def test_paths_are_no_urls(given):
    assert not is_url(Path(given))
    assert url_of(Path(given)) == str(Path(given))


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/x")
    assert absolute(Path("a")) == tmp_path / "a"
    assert absolute(Path("~/a")) == Path("/home/x/a")


def test_paths_as_python_gives_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("list.txt\n")
    assert absolute_paths("v") == absolute_paths(Path("v")) == (tmp_path / "v",)
    here = tmp_path / "list.txt"
    assert absolute_paths(["@list.txt", here]) == (here, here)
    assert list(map(url_of, absolute_paths("https://a.org/v"))) == ["https://a.org/v"]
    for given in ("", ["v", ""]):
        with pytest.raises(ConfigError, match="A path of videos is empty"):
            absolute_paths(given)


def test_bytes_and_open_files_are_one_value(tmp_path):
    (tmp_path / "a").touch()
    with (tmp_path / "a").open("rb") as file:
        for one in (b"v", bytearray(b"v"), memoryview(b"v"), file, "v", Path("v"), 3, None):
            assert not are_several(one)
    assert all(map(are_several, (["v"], ("v",), {"v"}, iter("v"))))


def test_lists_that_come_from_a_pipe(tmp_path, monkeypatch):
    """A command asks several times, and a pipe gives its content once."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4"):
        Path(name).touch()
    source, target = os.pipe()
    os.write(target, b"a.mp4\nb.mp4\n")
    os.close(target)
    given = Path(f"@/dev/fd/{source}")
    require_paths(given)
    assert expand_lists([given]) == expand_lists([given]) == [Path("a.mp4"), Path("b.mp4")]
    with pytest.raises(ConfigError, match=r"/dev/fd/\d+ is empty"):
        absolute_paths(str(given))
    os.close(source)
    code = "from pathlib import Path; from vidmoco.urls import *; one = [Path('@-')]; "
    code += "require_paths(*one); print(*map(str, expand_lists(one)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, input="b.mp4\na.mp4\n", capture_output=True, text=True, check=True
    )
    assert done.stdout == "b.mp4 a.mp4\n"


def test_a_name_that_begins_with_a_tilde(tmp_path, monkeypatch):
    """``./~backup.mp4`` is the same path, and no user of that name has a home folder."""
    monkeypatch.chdir(tmp_path)
    Path("~backup.mp4").touch()
    Path("list.txt").write_text("~backup.mp4\n")
    path = Path("./~backup.mp4")
    require_paths(path, Path("@list.txt"))
    assert absolute(path) == tmp_path / "~backup.mp4"
    assert expanded(path) == path
    assert expand_lists([Path("@list.txt")]) == [path]


def test_paths_that_the_system_refuses(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 300)
    with pytest.raises(ConfigError, match=r"/x{300}: File name too long\.$"):
        require_paths(long)
    (tmp_path / "list.txt").write_text(f"{long}\n")
    with pytest.raises(ConfigError, match="File name too long"):
        expand_lists([Path(f"@{tmp_path}/list.txt")])

    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)  # root may enter every folder
    with pytest.raises(ConfigError, match=r"^locked/a\.mp4: Permission denied\.$"):
        is_there(Path("locked/a.mp4"))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://me:secret@host:5000/a", "https://host:5000/a"),
        ("no answer of https://token@host/x, twice", "no answer of https://host/x, twice"),
        ("https://host/a@b", "https://host/a@b"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("mail me@host", "mail me@host"),
        ("https://h/a.mp4?download=1", "https://h/a.mp4?download=1"),
        ("https://h/a.mp4?token=12&v=3#t", "https://h/a.mp4?v=3#t"),
        ("https://h/a?v=1&access_token=12", "https://h/a?v=1"),
        ("https://h/a?API_KEY=12", "https://h/a"),
        (
            "https://b.s3.amazonaws.com/a?X-Amz-Algorithm=A&X-Amz-Credential=K%2Fs3&X-Amz-Date=2"
            "&X-Amz-Expires=9&X-Amz-SignedHeaders=host&X-Amz-Signature=f&versionId=7",
            "https://b.s3.amazonaws.com/a?versionId=7",
        ),
        ("https://h/a?X-Goog-Signature=f&X-Goog-Date=2", "https://h/a"),
        (
            "https://d.cloudfront.net/a?Expires=9&Signature=f&Key-Pair-Id=K",
            "https://d.cloudfront.net/a",
        ),
        (
            "https://h.blob.core.windows.net/c/a?sv=2022&st=1&se=2&sr=b&sp=r&sig=f%3D",
            "https://h.blob.core.windows.net/c/a",
        ),
        ("https://h/a?st=1&expires=never", "https://h/a?st=1&expires=never"),
        (
            "403, url='https://h/a?sig=f', twice (https://h/b?sig=g)",
            "403, url='https://h/a', twice (https://h/b)",
        ),
        ("Is it there? token=12", "Is it there? token=12"),
    ],
)
def test_passwords_are_not_shown(given, shown):
    assert without_passwords(given) == shown


@pytest.mark.parametrize(
    ("url", "package"),
    [
        ("http://host/a.mp4", "'vidmoco[http]'"),
        ("HTTPS://host/a.mp4", "'vidmoco[http]'"),
        ("s3://bucket/a", "'vidmoco[s3]'"),
        ("gs://bucket/a", "gcsfs"),
        ("abfs://bucket/a", "adlfs"),
    ],
)
def test_the_library_of_a_url(url, package):
    assert library_for(url, ModuleNotFoundError("x")).endswith(
        f" needs a package that is missing: pip install {package}"
    )
    assert library_for(url, OSError("x")) == library_for("sftp://host/a", ImportError("x")) == ""


def test_each_place_that_reads_urls_names_the_extra(tmp_path, monkeypatch):
    def lacks(*args, **options):
        raise ImportError("Install it")

    monkeypatch.setattr("fsspec.core.url_to_fs", lacks)
    monkeypatch.setattr("fsspec.open", lacks)
    for read in (
        lambda: Store(Path("http://host/frames")),
        lambda: RemoteFolder("http://host/feats"),
        lambda: fetch("http://host/a.mp4", tmp_path / "a.mp4", most_bytes=9),
    ):
        with pytest.raises(VidmocoError, match=r"pip install 'vidmoco\[http\]'\."):
            read()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("v/*.mp4", ["v/a.mp4", "v/b.mp4"]),
        ("v/[b-z].mp4", ["v/b.mp4"]),
        ("v/?.mp4", ["v/a.mp4", "v/b.mp4"]),
        ("v/**/*.mp4", ["v/a.mp4", "v/b.mp4", "v/deeper/c.mp4"]),
        ("*/deeper", ["v/deeper"]),
        ("~/v/a*", ["v/a.mp4"]),
        ("v/*.MP4", None),
        ("v/[1].mp4", ["v/[1].mp4"]),  # a file may be so called
    ],
)
def test_patterns_that_no_shell_has_expanded(tmp_path, monkeypatch, pattern, names):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("v/deeper").mkdir(parents=True)
    for name in ("v/a.mp4", "v/b.mp4", "v/.hidden.mp4", "v/deeper/c.mp4"):
        Path(name).touch()
    if pattern == "v/[1].mp4":
        Path(pattern).touch()
    assert is_list(Path(pattern)) == (names != [pattern])
    if names is None:
        with pytest.raises(ConfigError, match=r"No file or folder matches v/\*\.MP4\."):
            require_paths(Path(pattern))
    else:
        found = [absolute(path).relative_to(tmp_path) for path in expand_lists([Path(pattern)])]
        assert [str(path) for path in found] == sorted(names)
        assert absolute_paths(pattern) == tuple(tmp_path / name for name in sorted(names))


def test_a_list_may_have_patterns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.mp4", "a.mp4"):
        Path(name).touch()
    Path("list.txt").write_text("*.mp4\nlist.txt\n")
    assert expand_lists([Path("@list.txt")]) == [Path("a.mp4"), Path("b.mp4"), Path("list.txt")]
    Path("list.txt").write_text("*.mkv\n")
    with pytest.raises(ConfigError, match=r"line 1: there is no file or folder '\*\.mkv'"):
        expand_lists([Path("@list.txt")])


def test_a_url_is_no_pattern():
    url = Path("https://host/a[1].mp4?b=*")
    assert not is_list(url) and expand_lists([url]) == [url]
