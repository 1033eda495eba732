"""What identifies data: the content of its files, and never their place, their time or their size.

It is a hash of the size and of blocks of 16 KiB: the whole file up to 48 KiB, then its head, its
tail and blocks between in equal distances, about one every 256 KiB, 65 at most. So it costs a few
reads, also of a long video. Two files of one size that differ only between the blocks have one.
"""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_BLOCK = 16 * 2**10
_APART = 256 * 2**10
_FEWEST, _MOST = 3, 64
_THREADS = 16  # assumption: reads of a file server overlap; on a disk they do no harm


def hash_of_file(path: Path) -> str:
    """Return the hash of a file's content, 32 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, 2)

        def block(start: int, length: int) -> bytes:
            file.seek(start)
            data = b""
            while len(data) < length and (part := file.read(length - len(data))):
                data += part
            return data

        return _hash(size, block)


def content_of(path: Path) -> str:
    """Return the hash of a file's content, or an empty string if it cannot be read."""
    try:
        return hash_of_file(path)
    except OSError:
        return ""


def hash_of_bytes(data: bytes) -> str:
    """Return what ``hash_of_file`` returns of a file with this content."""
    return _hash(len(data), lambda start, length: data[start : start + length])


def hashes_of_files(paths: Iterable[Path]) -> Iterable[str]:
    """Yield the hash of each file, or an empty string if it cannot be read, in their order."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="hash") as threads:
        yield from threads.map(content_of, paths)


def _hash(size: int, block: Callable[[int, int], bytes]) -> str:
    digest = hashlib.blake2b(f"{size}\n".encode(), digest_size=16)
    if size <= _FEWEST * _BLOCK:
        digest.update(block(0, size))
        return digest.hexdigest()
    blocks = min(max(size // _APART, _FEWEST), _MOST) | 1  # odd, so that one is in the middle
    for number in range(blocks):
        digest.update(block((size - _BLOCK) * number // (blocks - 1), _BLOCK))
    return digest.hexdigest()
