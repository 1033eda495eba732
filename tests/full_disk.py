"""A disk that takes no more, for tests: a limit on the size of a file, which needs no rights."""

import resource
from contextlib import contextmanager


def no_space(*args, **options):
    """Fail in place of what writes, as on a full disk."""
    raise OSError(28, "No space left on device")


@contextmanager
def no_file_larger_than(num_bytes):
    """Let every write beyond ``num_bytes`` of a file fail, as on a full disk: "File too large"."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
