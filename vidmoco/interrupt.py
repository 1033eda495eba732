"""Ctrl-C, a closed terminal, and signals of schedulers, which stop a training between two steps.

SLURM sends SIGTERM before it takes a job away, and with ``--signal`` also SIGUSR1, or another one,
some time before the limit of time. When a terminal is closed, the shell sends SIGHUP, and the
system sends it again when the shell ends. So it never counts as the second signal, which kills.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class StopSignals:
    """In a ``with`` block, these signals set ``received``. A second one acts as usual.

    A SIGHUP that is ignored (``nohup``) stays so.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():  # others get no signals
            for number in _STOPS:
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._restore()
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    @property
    def exit_code(self) -> int:
        """The shell's exit code for a process that this signal ended, such as 130 and 143."""
        return 128 + self.received if self.received else 0

    def interrupt(self, text: str) -> KeyboardInterrupt:
        """Return what to raise once the work is saved: after Ctrl-C as Python itself does."""
        if self.received in (None, signal.SIGINT):
            return KeyboardInterrupt(text)
        return Stopped(self.received, text)


class Stopped(KeyboardInterrupt):
    """A closed terminal or a signal of a scheduler, which ends a command as Ctrl-C does."""

    def __init__(self, number: int, text: str = "") -> None:
        super().__init__(text or signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def stops_raise() -> Iterator[None]:
    """Let a closed terminal and the signals of schedulers raise ``Stopped`` in a ``with`` block.

    A second one kills. Who ignores a signal goes on to do so. In a container, where the command is
    process 1, the kernel would ignore it otherwise. Other threads than the main one get no signals.
    """

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        restore()
        if signal.SIGHUP in before:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise Stopped(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    hears = threading.current_thread() is threading.main_thread()
    heard = [one for one in _STOPS[1:] if hears and signal.getsignal(one) is signal.SIG_DFL]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        restore()


@contextmanager
def held_back(tell: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Hold back what signals raise in a ``with`` block, until what it yields is called.

    An exception in the middle of an import leaves half a module, for which the imports of other
    threads wait for ever. A second signal acts at once.

    Args:
        tell: called at a signal that is held back.

    Yields:
        The function that lets them act; any thread may call it.
    """
    before: dict[int, Any] = {}
    held: list[int] = []
    over = threading.Event()
    main = threading.main_thread()

    def hold(number: int, _frame: FrameType | None) -> None:
        if over.is_set() or held:
            restore()
            signal.raise_signal(number)
        else:
            held.append(number)
            tell()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        before.clear()

    def let_go() -> None:
        over.set()
        if held and before:
            signal.pthread_kill(main.ident or 0, held[0])

    if threading.current_thread() is main:
        for number in _STOPS:
            if callable(handler := signal.getsignal(number)):
                before[number] = handler
                signal.signal(number, hold)
    try:
        yield let_go
    finally:
        restore()
