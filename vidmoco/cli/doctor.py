"""``vidmoco doctor``: installed versions, their known problems, and what to do.

It must work in a broken installation. So each library is imported here for the first time, and
parts that need a broken library are left out with the reason.
"""

import os
import platform
import textwrap
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from rich.console import Console

from vidmoco import __version__
from vidmoco.config.commands import DoctorCommand
from vidmoco.console import say
from vidmoco.cores import num_cores
from vidmoco.errors import ConfigError
from vidmoco.video.builds import (
    CHECKED,
    NO_PACKAGE,
    UNKNOWN,
    Build,
    decord_builds,
    decord_distributions,
    known_against,
    parse_version,
    pyav_build,
    torchcodec_build,
)

# They are imported in this order. decord comes last: on Linux its libraries replace those of later
# imports, torch's and even PyAV's FFmpeg (measured: av 18.1.0 after decord2 3.4.0 ran on 8.1.1).
NEEDED = ("torch", "torchvision", "timm", "numpy", "pyarrow", "tyro", "einops", "av", "decord")
NOT_INSTALLED = "not installed"
Rows = list[tuple[str, str]]


def doctor(command: DoctorCommand) -> int:
    """Print the report. Return 0, or 1 if a library that vidmoco needs does not load."""
    console = Console()
    torchcodec, torchcodec_ffmpeg = _torchcodec()  # before decord
    broken = {name: reason for name in NEEDED if (reason := why_not_loaded(name))}
    builds = [] if "av" in broken else [pyav_build()]
    builds += decord_builds()
    builds += [torchcodec_ffmpeg] if torchcodec_ffmpeg else []

    _print(console, "Versions", [*_versions(broken), ("torchcodec", torchcodec)])
    _print(console, f"FFmpeg builds, and what is known of them on {CHECKED}", _build_rows(builds))
    _print(console, "Devices", _left_out(broken, ("torch",)) or _devices())
    needed = ("torch", "numpy", "pyarrow", "av", "decord")
    _print(console, "What reads which video", _left_out(broken, needed) or _readers())

    warnings = [*decord_warnings(decord_distributions()), *build_warnings(builds)]
    rows = [(f"{number}.", text) for number, text in enumerate(warnings, start=1)]
    _print(console, "Warnings", rows, style="yellow" if rows else "")
    if torchcodec_ffmpeg is None and torchcodec != NOT_INSTALLED:
        _print(console, "Note", [("", f"torchcodec {torchcodec}. vidmoco does not need it.")])
    if broken:
        title = "vidmoco needs these libraries, and they do not load (repair them from the top)"
        _print(console, title, _repairs(broken), style="red")
    return 1 if broken else 0


def why_not_loaded(module: str) -> str:
    """Import a module. Return one line why that fails, or an empty string.

    Only an import tells, because a library may exist but lack another one.
    """
    try:
        import_module(module)
    except Exception as error:  # a broken library may raise anything
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return (lines[0] if lines else type(error).__name__)[:300]
    return ""


def decord_warnings(distributions: Sequence[str]) -> list[str]:
    """Return what is wrong with the packages of the module ``decord``, and what to do."""
    others = [name for name in distributions if name != "decord2"]
    if not others:
        return []
    names = " and ".join(others)
    if "decord2" in distributions:
        wrong = f"decord2 is installed together with {names}: they overwrite each other's files."
    else:
        wrong = f"The module decord comes from {names}, which is abandoned, and not from decord2."
    uninstall = f"pip uninstall {' '.join(others)}"
    return [f"{wrong}\nDo: {uninstall} && pip install --force-reinstall decord2"]


def build_warnings(builds: Sequence[Build]) -> list[str]:
    """Return which FFmpeg builds have known holes or cannot be judged, and what to do."""
    warnings = []
    for build in builds:
        version = parse_version(build.version)
        subject = f"FFmpeg {build.version} of {build.reader} ({build.package})"
        if version is None:
            why = "it is not found" if build.version == UNKNOWN else "it is not a release"
            warnings.append(
                f"{subject} cannot be judged: {why}.\nDo: make sure that it is 8.1.2 or newer."
            )
        elif facts := known_against(version):
            names = " and ".join(fact.name for fact in facts)
            warnings.append(f"{subject} has known holes: {names}.\nDo: {_remedy(build)}")
    return warnings


def _remedy(build: Build) -> str:
    """Return what the user can do about a build."""
    if build.reader == "PyAV" and build.in_wheel:
        return "pip install --upgrade av"
    if build.reader == "decord" and build.in_wheel:
        if not build.package.startswith("decord2 "):
            return "replace it by decord2, see above."
        return (
            "pip install --upgrade decord2, once it has FFmpeg 8.1.2 or newer.\n"
            "Until then: vidmoco gives decord no file with a MagicYUV stream, because the scan's "
            "list of codecs does not have it. Read untrusted videos only by PyAV "
            "(pretrain --data.decoder pyav; extract always does), in a container."
        )
    text = "update the FFmpeg of the system or environment."
    if build.reader == "torchcodec":
        text += " vidmoco does not use it."
    return f"{text} A distribution may have fixed its old version: see its security tracker."


def _torchcodec() -> tuple[str, Build | None]:
    """Return torchcodec's version, or why it cannot be used, and the FFmpeg it uses."""
    version = _version("torchcodec")
    if version is None:
        return NOT_INSTALLED, None
    if reason := why_not_loaded("torchcodec"):
        return f"{version} does not load: {reason}", None
    build = torchcodec_build()
    return (version, build) if build else (f"{version} finds no usable FFmpeg", None)


def _versions(broken: dict[str, str]) -> Rows:
    rows = [
        ("vidmoco", __version__),
        ("Python", platform.python_version()),
        ("platform", platform.platform()),
    ]
    for name in NEEDED:
        version = _version(name)
        if name == "decord":
            found = [f"{package} {_version(package)}" for package in decord_distributions()]
            version = " and ".join(found)
        if name in broken:
            rows.append((name, f"{version}, does not load" if version else NOT_INSTALLED))
        else:
            rows.append((name, version or NO_PACKAGE))
    return rows


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _build_rows(builds: list[Build]) -> Rows:
    rows = []
    for build in builds:
        license_ = f"Licence: {build.license}"
        if build.gpl_libraries:
            license_ += f" says FFmpeg, but it ships with GPL: {' and '.join(build.gpl_libraries)}"
        lines = [f"FFmpeg {build.version}, {build.provider}", license_]
        version = parse_version(build.version)
        if version is None:
            lines.append("Known problems: cannot be judged")
        else:
            facts = known_against(version)
            lines += [f"{fact.name}: {fact.what} ({fact.source})" for fact in facts]
            lines += [] if facts else ["Known problems: none in this list"]
        rows.append((build.reader, "\n".join(lines)))
    return rows


def _devices() -> Rows:
    import torch

    from vidmoco.device import resolve_device
    from vidmoco.distributed import own_gpu

    rows = [("CPU", f"{num_cores()} cores for this process; {_instructions(torch.cpu)}")]
    cuda = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(count):
        properties = torch.cuda.get_device_properties(index)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        rows.append((f"cuda:{index}", f"{properties.name}, {memory}"))
    if not count:
        rows.append(("CUDA", f"none (torch is {cuda})"))
    mps = torch.backends.mps.is_available()
    rows.append(("MPS", "here, but vidmoco does not use it" if mps else "none"))
    try:
        auto = str(own_gpu(resolve_device("auto")))
    except ConfigError as error:  # LOCAL_RANK names a GPU that is not here
        auto = str(error)
    return [*rows, ("auto", f"--device auto takes {auto}")]


def _instructions(cpu: Any) -> str:
    """Return the CPU's instructions that matter for speed, as far as torch knows."""
    import torch

    vectors = torch.backends.cpu.get_cpu_capability()
    if not hasattr(cpu, "get_capabilities"):  # an older torch
        return f"{vectors}; this torch cannot tell whether it has bf16 or AMX"
    special = [
        name
        for name, here in sorted(cpu.get_capabilities().items())
        if here is True and ("bf16" in name or name.startswith("amx"))
    ]
    return f"{vectors}, {', '.join(special) or 'without bf16 or AMX instructions'}"


def _readers() -> Rows:
    from vidmoco.data.loader import default_workers
    from vidmoco.video.container import CODECS, FORMATS
    from vidmoco.video.open_catalog import catalog_cache_path
    from vidmoco.video.routes import (
        DECORD_CODECS,
        DECORD_CONTAINERS,
        DECORD_MIN_WIDTH,
        DECORD_PIXEL_FORMATS,
    )

    decord = (
        f"{_listed(DECORD_CODECS)} in {_listed(DECORD_CONTAINERS)} (FFmpeg's names: mov includes "
        f"mp4), with {_listed(DECORD_PIXEL_FORMATS)} pixels and {DECORD_MIN_WIDTH} pixels or more "
        "in width, unless something in the file makes decord wrong: see vidmoco scan. A training "
        "reads h264 by PyAV, which is faster (--data.decoder decord takes decord)"
    )
    pyav = f"the rest. Containers: {_listed(FORMATS.split(','))}. Codecs: {_listed(CODECS)}"
    refused = (
        "all other containers and codecs, playlists, and files that are encrypted, have no video "
        "or exceed a limit: vidmoco scan says why"
    )
    cache = catalog_cache_path(Path("videos")).parent
    given = any(os.environ.get(name) for name in ("VIDMOCO_CACHE", "XDG_CACHE_HOME"))
    return [
        ("decord", decord),
        ("PyAV", pyav),
        ("refused", refused),
        ("processes", f"{default_workers()} decode in a training without --data.workers"),
        ("catalogs", f"{cache}{'' if given else ' (VIDMOCO_CACHE sets another place)'}"),
    ]


def _listed(names: Sequence[str] | frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _left_out(broken: dict[str, str], needed: Sequence[str]) -> Rows:
    missing = [name for name in needed if name in broken]
    return [("", f"left out: {' and '.join(missing)} must load first")] if missing else []


def _repairs(broken: dict[str, str]) -> Rows:
    rows = []
    for name, reason in broken.items():
        package = "decord2" if name == "decord" else name
        force = "--force-reinstall " if _version(package) else ""
        rows.append((name, f"{reason}\nDo: pip install {force}{package}"))
    return rows


def _print(console: Console, title: str, rows: Rows, *, style: str = "") -> None:
    """Print a block of named values, with wrapped and indented lines and without markup."""
    say(console, title, style=f"bold {style}")
    rows = rows or [("", "none")]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        start = f"  {name:<{width}}  " if width else "  "
        for line in value.splitlines():
            text = textwrap.fill(
                line,
                width=max(console.width, len(start) + 20),
                initial_indent=start,
                subsequent_indent=" " * len(start),
                break_long_words=False,
                break_on_hyphens=False,
            )
            say(console, *text.splitlines())
            start = " " * len(start)
    say(console, "")
