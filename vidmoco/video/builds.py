"""The FFmpeg builds of the decoders, and publicly known vulnerabilities of their versions.

PyAV and decord have their own FFmpeg inside their wheels, and torchcodec uses the system's.
Versions are looked up in a table that is as old as ``CHECKED``. A version without an entry may
still have vulnerabilities. This module never imports decord, and imports no torch at import time.
"""

import ctypes
import re
import sys
from dataclasses import dataclass, replace
from importlib import import_module, metadata, util
from pathlib import Path

Version = tuple[int, int, int]

UNKNOWN = "unknown"
NO_PACKAGE = "a copy that pip does not know"
CHECKED = "2026-06-29"  # when FFmpeg's security page was read for FACTS


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A publicly known vulnerability of some versions of FFmpeg."""

    name: str
    what: str
    """The vulnerability and the versions that fix it, in one sentence."""
    source: str
    branch: tuple[int, int] | None = None
    """The only affected branch (major, minor). None means that all branches are affected."""
    fixed: tuple[Version, ...]
    """The first fixed release of each branch that has one. Later branches are fixed too."""


FACTS = (
    Fact(
        name="CVE-2026-8461",
        what="a MagicYUV video writes past the decoder's memory (CVSS 8.8); "
        "fixed in 8.1.2, 8.0.3, 7.1.5, 6.1.6 and 5.1.10",
        source="ffmpeg.org/security.html, NVD",
        fixed=((5, 1, 10), (6, 1, 6), (7, 1, 5), (8, 0, 3), (8, 1, 2)),
    ),
    Fact(
        name="CVEs of FFmpeg 4.1",
        what="38 that are open in 4.1.6 were fixed only in 4.1.7 to 4.1.11; the branch ended in "
        "2023-06, so later ones never were",
        source="ffmpeg.org/security.html, counted",
        branch=(4, 1),
        fixed=((4, 1, 11),),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Build:
    """The FFmpeg of one library."""

    reader: str
    """PyAV, decord or torchcodec."""
    package: str
    """The distribution that brings or uses it, with its version."""
    in_wheel: bool = False
    """Whether FFmpeg is in the wheel, and not the system's or the environment's."""
    version: str = UNKNOWN
    """The version that FFmpeg reports."""
    license: str = UNKNOWN
    """The licence that FFmpeg reports."""
    gpl_libraries: tuple[str, ...] = ()
    """GPL encoders in the same wheel, which that licence does not mention."""

    @property
    def provider(self) -> str:
        """Where the build comes from."""
        if self.in_wheel:
            return f"in the wheel of {self.package}"
        return f"used by {self.package}, not in its wheel"


def parse_version(text: str) -> Version | None:
    """Return the release that a version text names, or None for a git build or another text.

    "8.1.2", "n8.1" and "5.1.9-0+deb12u1" are releases. "N-12345-gabcdef", "n8.2-dev-99-gabcdef" and
    "2026-01-01-git-abcdef" are states between releases, which may or may not have a fix.
    """
    found = re.fullmatch(r"n?(\d{1,2})\.(\d+)(?:\.(\d+))?(?P<rest>[-+~].*)?", text)
    if not found or re.search(r"-(dev|git|rc\d*|\d+-g[0-9a-f]+)(-|$)", found["rest"] or ""):
        return None
    return int(found[1]), int(found[2]), int(found[3] or 0)


def known_against(version: Version) -> list[Fact]:
    """Return the vulnerabilities in the table that affect a release."""
    return [fact for fact in FACTS if _holds(fact, version)]


def _holds(fact: Fact, version: Version) -> bool:
    if fact.branch and version[:2] != fact.branch:
        return False
    for release in fact.fixed:
        if release[:2] == version[:2]:
            return version < release
    return version < max(fact.fixed)


def decord_distributions() -> list[str]:
    """Return the installed distributions with a module ``decord``. It should be only decord2.

    ``decord`` and ``eva-decord`` have a module of this name too, with FFmpeg 4.1.6.
    """
    return sorted(set(metadata.packages_distributions().get("decord", [])))


def pyav_build() -> Build:
    """Return PyAV's FFmpeg: the one in its wheel, or the one that PyAV reports.

    In a process that loaded decord first, PyAV uses decord's FFmpeg, and reports it.

    Raises:
        ImportError: PyAV does not load.
    """
    try:
        build = _wheel_build("PyAV", "av")
    except metadata.PackageNotFoundError:
        build = Build(reader="PyAV", package=NO_PACKAGE)
    if build.in_wheel:
        return build
    import av
    from av._core import library_meta

    license_ = library_meta["libavutil"]["license"]
    return replace(build, version=av.ffmpeg_version_info, license=license_)


def decord_builds() -> list[Build]:
    """Return decord's FFmpeg, one for each distribution of the module."""
    builds = [_wheel_build("decord", name) for name in decord_distributions()]
    if not builds and util.find_spec("decord"):
        builds.append(Build(reader="decord", package=NO_PACKAGE))
    return builds


def torchcodec_build() -> Build | None:
    """Return the system's FFmpeg that torchcodec found, or None if it found none.

    Raises:
        ImportError, OSError, RuntimeError: torchcodec does not load.
    """
    # It can be imported without FFmpeg (for images). Its major version is then None.
    if getattr(import_module("torchcodec"), "ffmpeg_major_version", 0) is None:
        return None
    package = f"torchcodec {metadata.version('torchcodec')}"
    core = import_module("torchcodec._core")
    try:
        versions = core.get_ffmpeg_library_versions()
        version, number = str(versions["ffmpeg_version"]), int(versions["libavutil"][0])
    except (AttributeError, KeyError, RuntimeError):  # the function is private and may disappear
        return Build(reader="torchcodec", package=package)
    names = {"darwin": f"libavutil.{number}.dylib", "win32": f"avutil-{number}.dll"}
    # The library is already loaded, so its name finds the same one.
    _, license_ = ask_library(names.get(sys.platform, f"libavutil.so.{number}"))
    return Build(reader="torchcodec", package=package, version=version, license=license_)


def ask_library(libavutil: Path | str) -> tuple[str, str]:
    """Return the version and licence that an FFmpeg reports, or "unknown" if it does not load."""
    try:
        library = ctypes.CDLL(str(libavutil))
        answers = []
        for function in (library.av_version_info, library.avutil_license):
            function.argtypes, function.restype = (), ctypes.c_char_p
            answers.append((function() or b"unknown").decode(errors="replace"))
    except (OSError, AttributeError):
        return UNKNOWN, UNKNOWN
    return answers[0], answers[1]


def _wheel_build(reader: str, distribution: str) -> Build:
    library, gpl_libraries = _wheel_libraries(distribution)
    version, license_ = ask_library(library) if library else (UNKNOWN, UNKNOWN)
    return Build(
        reader=reader,
        package=f"{distribution} {metadata.version(distribution)}",
        in_wheel=library is not None,
        version=version,
        license=license_,
        gpl_libraries=gpl_libraries,
    )


def _wheel_libraries(distribution: str) -> tuple[Path | None, tuple[str, ...]]:
    """Return the libavutil of an installed wheel, and the names of its GPL libraries.

    Its path is DIST.libs/libavutil-0a1b.so.60 on Linux, .dylibs/libavutil.60.dylib on macOS, and
    DIST.libs/avutil-60-0a1b.dll on Windows.
    """
    libavutil, gpl_libraries = None, set()
    for file in metadata.files(distribution) or []:
        found = re.match(r"(?:lib)?(avutil|x264|x265)[-.].*(?:\.so|\.dylib|\.dll)", file.name)
        if not found:
            continue
        if found[1] == "avutil":
            libavutil = Path(str(file.locate()))
        else:
            gpl_libraries.add(found[1])
    return libavutil, tuple(sorted(gpl_libraries))
