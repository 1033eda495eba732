"""The paths that a user gives: URLs and lists are among them."""

import re
import stat
from collections.abc import Iterable, Sequence
from glob import glob
from os import PathLike
from pathlib import Path
from typing import Any, TypeGuard

from vidmoco.errors import ConfigError
from vidmoco.text import read_text

# A Path turns the two slashes of a URL into one. A single letter would be a drive of Windows.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_CREDENTIALS = re.compile(r"//[^/\s@]+@")
_QUERY = re.compile(r"(?<=\S)\?([^\s?#'\"<>()]+)")
_OF_PIPES: dict[tuple[int, int], str] = {}
"""What lists had that are no files, by what identifies these."""
# What lets its bearer in, or signs a URL: each signing of the same URL gives other values.
_SECRETS = re.compile(
    r".*(token|secret|passw|signature|credential|api_?key).*|sig|auth|x-(amz|goog)-.*|"
    r"awsaccesskeyid|googleaccessid|key-pair-id"
)
# Names that sign only beside a signature. Sources: the documents of Amazon's CloudFront, and of
# Azure's shared access signatures.
_BESIDE = {
    "signature": re.compile(r"expires|policy|hash-algorithm"),
    "sig": re.compile(
        "sv|ss|srt|sr|sp|st|se|sip|spr|sdd|ses|scid|skoid|sktid|skt|ske|sks|skv|saoid|suoid"
    ),
}


def is_url(source: Path) -> bool:
    """Return whether a path is a URL."""
    return _URL.fullmatch(str(source)) is not None


def url_of(source: Path) -> str:
    """Return a source as fsspec names it: the URL that a ``Path`` was made from, or the path."""
    found = _URL.fullmatch(str(source))
    if found is None:
        return str(source)
    root = "/" if found[1] in ("file", "local") else ""
    return f"{found[1]}://{root}{found[2]}"


_LIBRARIES = {
    **dict.fromkeys(("http", "https"), "'vidmoco[http]'"),
    **dict.fromkeys(("s3", "s3a"), "'vidmoco[s3]'"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
}


def library_for(url: str, error: BaseException) -> str:
    """Return what to install for a URL, if an error says that its library is missing, or ``""``."""
    scheme = url.partition("://")[0].lower()
    if not isinstance(error, ImportError) or scheme not in _LIBRARIES:
        return ""
    return f"{scheme}:// needs a package that is missing: pip install {_LIBRARIES[scheme]}"


def without_passwords(text: str) -> str:
    """Return a text without the user names, passwords, tokens and signatures of the URLs in it."""
    return _QUERY.sub(_public_query, _CREDENTIALS.sub("//", text))


def _public_query(query: re.Match[str]) -> str:
    pairs = query[1].split("&")
    names = [pair.partition("=")[0].lower() for pair in pairs]
    secrets = [_SECRETS, *(rule for name, rule in _BESIDE.items() if name in names)]
    kept = [
        pair
        for pair, name in zip(pairs, names, strict=True)
        if not any(rule.fullmatch(name) for rule in secrets)
    ]
    return "?" * bool(kept) + "&".join(kept)


def expanded(path: Path) -> Path:
    """Return a path with the home folder in place of ``~``, or as it is if no user is so called.

    A file may be called ``~backup.mp4``, and some containers have no home folders.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def is_there(path: Path) -> bool:
    """Return whether there is something at a path.

    Raises:
        ConfigError: it cannot be known: a folder above may not be entered, or a name is too long.
    """
    try:
        return path.exists()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.") from error


def absolute(source: Path) -> Path:
    """Return an absolute path, or the URL as it is."""
    return source if is_url(source) else expanded(source).absolute()


def require_paths(*sources: Path | None) -> None:
    """Refuse a path where nothing is, before libraries are imported that take seconds.

    Raises:
        ConfigError: nothing is there, or in a list of ``@FILE``, or that cannot be known. URLs are
            not looked up.
    """
    for source in expand_lists([source for source in sources if source is not None]):
        if not is_url(source) and not is_there(expanded(source)):
            raise ConfigError(f"No such file or folder: {source}.")


def is_list(source: Path) -> bool:
    """Return whether a source stands for others: as ``@FILE``, or a pattern such as ``v/*.mp4``."""
    is_pattern = not is_url(source) and any(sign in str(source) for sign in "*?[")
    return (str(source).startswith("@") or is_pattern) and not is_there(source)


def expand_lists(sources: Sequence[Path]) -> list[Path]:
    """Return the sources, with the lines of FILE in place of each ``@FILE``.

    ``@-`` is the standard input. What a pipe gives is kept, as a command asks several times.
    A pattern, which shells leave as it is within quotes, is replaced by what matches it, sorted.

    Raises:
        ConfigError: a file cannot be read or is empty, or a line names no file or folder, or
            nothing matches a pattern.
    """
    found: list[Path] = []
    for source in sources:
        if not is_list(source):
            found.append(source)
            continue
        if not str(source).startswith("@"):
            matches = _matching(expanded(source))
            if not matches:
                raise ConfigError(f"No file or folder matches {source}.")
            found += matches
            continue
        listed = Path("/dev/stdin") if str(source) == "@-" else expanded(Path(str(source)[1:]))
        lines = _text_of_list(listed).splitlines()
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            matches = _matching(expanded(Path(line)))
            if not matches:
                raise ConfigError(f"{listed}, line {number}: there is no file or folder {line!r}.")
            found += matches
        if not any(line.strip() for line in lines):
            raise ConfigError(f"The list of videos {listed} is empty.")
    return found


def _matching(path: Path) -> list[Path]:
    """Return a URL or a path where something is, or else what matches it as a pattern, sorted."""
    if is_url(path) or is_there(path):
        return [path]
    matches = glob(str(path), recursive=True)  # noqa: PTH207, as the pattern may be absolute
    return [Path(one) for one in sorted(matches)]


def _text_of_list(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:  # ``read_text`` says why
        return read_text(path, what="list of videos")
    if stat.S_ISREG(status.st_mode):
        return read_text(path, what="list of videos")
    pipe = (status.st_dev, status.st_ino)
    if pipe not in _OF_PIPES:
        _OF_PIPES[pipe] = read_text(path, what="list of videos")
    return _OF_PIPES[pipe]


def are_several(given: Any) -> TypeGuard[Iterable[Any]]:
    """Return whether Python gives a list, or anything like it, and not one value.

    Bytes and open files are one value: their items say little about what was given.
    """
    one_value = isinstance(given, str | bytes | bytearray | memoryview) or hasattr(given, "read")
    return isinstance(given, Iterable) and not one_value


def absolute_paths(given: str | PathLike[str] | Sequence[str | PathLike[str]]) -> tuple[Path, ...]:
    """Return one path or URL of videos, or several, as absolute paths; ``@FILE`` is a list.

    Raises:
        ConfigError: a list cannot be used, there is something else than paths, or a path is empty:
            it would be the current folder.
    """
    _OF_PIPES.clear()  # Python asks once, and what is there the next time may be something else
    several: list[Any] = [*given] if are_several(given) else [given]
    for one in several:
        if not isinstance(one, str | PathLike):
            raise ConfigError(
                f"Expected a path of videos, or several, and there is one of type "
                f"{type(one).__name__}."
            )
    if "" in several:
        raise ConfigError("A path of videos is empty. The current folder is . (a dot).")
    return tuple(absolute(path) for path in expand_lists([Path(path) for path in several]))
