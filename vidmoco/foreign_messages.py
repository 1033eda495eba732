"""Messages of libraries on the terminal: warnings, logs and tracebacks.

Names of strangers are in them too, such as those of tensors in a file. Python prints them as they
are.
"""

import logging
import sys
import traceback
import warnings
from types import TracebackType
from typing import Any

from vidmoco.text import escaped


def escape_foreign_messages() -> None:
    """From now on, escape what Python prints of warnings, log records and uncaught exceptions."""
    warnings.formatwarning = _warning
    if logging.lastResort is not None:  # prints warnings of loggers without a handler
        logging.lastResort.setFormatter(_Escaping())
    sys.excepthook = _print_exception


def _lines(text: str) -> str:
    """Return a text of several lines with escapes in each."""
    return "\n".join(map(escaped, text.split("\n")))


def _warning(message: Warning | str, category: type[Warning], *where: Any, **_: Any) -> str:
    return f"{escaped(where[0])}:{where[1]}: {category.__name__}: {escaped(message)}\n"


class _Escaping(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _lines(super().format(record))


def _print_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    print(_lines(text), end="", file=sys.stderr)
