import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from vidmoco.video import builds
from vidmoco.video.builds import (
    FACTS,
    Build,
    ask_library,
    decord_builds,
    decord_distributions,
    known_against,
    parse_version,
    pyav_build,
    torchcodec_build,
)

MAGICYUV, BRANCH_4_1 = "CVE-2026-8461", "CVEs of FFmpeg 4.1"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("8.1.2", (8, 1, 2)),
        ("8.1", (8, 1, 0)),
        ("n8.1", (8, 1, 0)),
        ("n7.1.5", (7, 1, 5)),
        ("10.0.1", (10, 0, 1)),
        ("5.1.9-0+deb12u1", (5, 1, 9)),
        ("4.4.2-0ubuntu0.22.04.1", (4, 4, 2)),
        ("8.1.2-full_build-www.gyan.dev", (8, 1, 2)),
        ("6.1.1-tessus", (6, 1, 1)),
        ("N-12345-gabcdef", None),
        ("N-110000-g1a2b3c4d5e-20260101", None),
        ("n8.2-dev-99-g0123abc", None),
        ("8.2-dev", None),
        ("8.1-3-g0123abc", None),
        ("9.0-rc1", None),
        ("git-2020-06-26-7447045", None),
        ("2026-01-01-git-abcdef-full_build-www.gyan.dev", None),
        ("8.1.2.3", None),
        ("8", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_versions_as_builds_write_them(text, version):
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("9.0.2", []),
        ("9.0", []),
        ("8.2", []),
        ("8.1.3", []),
        ("8.1.2", []),
        ("8.1.1", [MAGICYUV]),
        ("n8.1", [MAGICYUV]),
        ("8.0.3", []),
        ("8.0.2", [MAGICYUV]),
        ("7.1.5", []),
        ("7.1.4", [MAGICYUV]),
        ("7.0.9", [MAGICYUV]),  # a branch that got no fix
        ("6.1.6", []),
        ("6.1.5", [MAGICYUV]),
        ("6.0.1", [MAGICYUV]),
        ("5.1.10", []),  # not less than 5.1.9
        ("5.1.9-0+deb12u1", [MAGICYUV]),
        ("4.4.9", [MAGICYUV]),
        ("4.1.11", [MAGICYUV]),
        ("4.1.6", [MAGICYUV, BRANCH_4_1]),
        ("4.0.6", [MAGICYUV]),
    ],
)
def test_what_is_known_against_a_version(text, names):
    assert [fact.name for fact in known_against(parse_version(text))] == names


def test_each_fact_says_where_it_is_from_and_where_it_is_fixed():
    for fact in FACTS:
        assert fact.source
        assert fact.fixed == tuple(sorted(fact.fixed))
        assert len({release[:2] for release in fact.fixed}) == len(fact.fixed)


def test_the_installed_pyav():
    # In a process of its own: after decord, PyAV runs on decord's FFmpeg and says so.
    code = "import av; print(av.ffmpeg_version_info)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    build = pyav_build()
    assert build.version == run.stdout.strip()
    assert parse_version(build.version) is not None
    assert build.package == f"av {metadata.version('av')}"
    assert "GPL" in build.license


def test_the_installed_decord():
    if metadata.version("decord2") != "3.4.0":
        pytest.skip("what 3.4.0 bundles is known here, not what others do")
    (build,) = decord_builds()
    assert (build.reader, build.package, build.version) == ("decord", "decord2 3.4.0", "8.1.1")
    assert build.in_wheel
    assert build.license == "LGPL version 3 or later"
    assert build.gpl_libraries == ("x264", "x265")
    assert build.provider == "in the wheel of decord2 3.4.0"


def test_nothing_heavy_is_imported():
    code = """
import sys
from vidmoco.video.builds import decord_builds
assert decord_builds()
assert not {"torch", "decord", "av"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


class File:
    """A file of an installed distribution."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.name = self.path.name

    def locate(self) -> Path:
        return Path("/site-packages") / self.path


WHEELS = {  # as the wheels of decord2 3.4.0, decord 0.6.0 and eva-decord 0.6.1 are laid out
    "decord2.libs/libavutil-04440b0f.so.60.26.101": ("libavutil", True),
    "decord/.dylibs/libavutil.60.26.101.dylib": ("libavutil", True),
    "decord2.libs/avutil-60-4a2ef02397a895591d0d03efe56d5b40.dll": ("avutil", True),
    "decord.libs/libavutil-2b26904a.so.56.22.100": ("libavutil", True),
    "decord/libdecord.so": ("libdecord", False),
    "decord2.libs/libavcodec-c3f15378.so.62.28.101": ("libavcodec", False),
}


@pytest.mark.parametrize("path", WHEELS)
def test_the_library_is_found_in_every_wheel(monkeypatch, path):
    asked = []
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"decord": ["eva-decord"] * 2})
    monkeypatch.setattr(metadata, "version", lambda name: "0.6.1")
    monkeypatch.setattr(metadata, "files", lambda name: [File("decord/__init__.py"), File(path)])
    monkeypatch.setattr(builds, "ask_library", lambda file: asked.append(file) or ("4.1.6", "GPL"))
    (build,) = decord_builds()
    _, is_libavutil = WHEELS[path]
    assert asked == ([Path("/site-packages") / path] if is_libavutil else [])
    assert build.in_wheel == is_libavutil
    assert build.version == ("4.1.6" if is_libavutil else "unknown")
    assert build.provider == (
        "in the wheel of eva-decord 0.6.1"
        if is_libavutil
        else "used by eva-decord 0.6.1, not in its wheel"
    )


@pytest.mark.parametrize("files", [None, []])
def test_a_distribution_without_a_list_of_files(monkeypatch, files):
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"decord": ["decord2"]})
    monkeypatch.setattr(metadata, "files", lambda name: files)
    (build,) = decord_builds()
    assert (build.version, build.license, build.in_wheel) == ("unknown", "unknown", False)


def test_packages_of_one_module(monkeypatch):
    found = {"decord": ["decord2", "decord", "decord2"], "other": ["decord3"]}
    monkeypatch.setattr(metadata, "packages_distributions", lambda: found)
    assert decord_distributions() == ["decord", "decord2"]


def test_a_module_of_no_package(monkeypatch):
    monkeypatch.setattr(metadata, "packages_distributions", dict)
    assert decord_distributions() == []
    (build,) = decord_builds()
    assert build.package == "a copy that pip does not know"
    monkeypatch.setattr(builds.util, "find_spec", lambda name: None)
    assert decord_builds() == []


def test_pyav_of_no_package_or_with_the_systems_ffmpeg_is_asked_itself(monkeypatch):
    import av

    monkeypatch.setattr(metadata, "files", lambda name: [])
    build = pyav_build()
    assert (build.version, build.in_wheel) == (av.ffmpeg_version_info, False)
    assert "GPL" in build.license

    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", none)
    assert pyav_build().package == "a copy that pip does not know"
    assert pyav_build().version == av.ffmpeg_version_info


def test_what_is_no_library_is_unknown(tmp_path):
    text = tmp_path / "libavutil-1.so"
    text.write_text("no library")
    for path in (text, tmp_path / "missing.so", sys.executable):
        assert ask_library(path) == ("unknown", "unknown")


CORE = "def get_ffmpeg_library_versions():\n    return {versions!r}\n"


@pytest.fixture
def torchcodec(tmp_path, monkeypatch):
    """Write a torchcodec: the text of its module, and what its core says of FFmpeg."""

    def write(text, versions=None):
        folder = tmp_path / "torchcodec"
        folder.mkdir()
        (folder / "__init__.py").write_text(text)
        (folder / "_core.py").write_text(CORE.format(versions=versions) if versions else "")
        monkeypatch.syspath_prepend(tmp_path)
        for name in ("torchcodec", "torchcodec._core"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setattr(metadata, "version", lambda name: "0.17.0")

    yield write
    for name in ("torchcodec", "torchcodec._core"):
        sys.modules.pop(name, None)


def test_torchcodec_uses_the_systems(torchcodec, monkeypatch):
    torchcodec(
        "ffmpeg_major_version = 5",
        {"libavutil": [57, 28, 100], "ffmpeg_version": "5.1.9-0+deb12u1"},
    )
    asked = []
    monkeypatch.setattr(builds, "ask_library", lambda name: asked.append(name) or ("x", "GPL 2"))
    assert torchcodec_build() == Build(
        reader="torchcodec", package="torchcodec 0.17.0", version="5.1.9-0+deb12u1", license="GPL 2"
    )
    assert "57" in asked[0]


def test_torchcodec_without_ffmpeg(torchcodec):
    torchcodec("ffmpeg_major_version = None")  # it can be imported all the same
    assert torchcodec_build() is None


def test_torchcodec_that_does_not_tell(torchcodec):
    torchcodec("")
    assert torchcodec_build().version == "unknown"


def test_torchcodec_that_does_not_load(torchcodec):
    torchcodec("raise RuntimeError('Could not load libtorchcodec')")
    with pytest.raises(RuntimeError, match="libtorchcodec"):
        torchcodec_build()
