import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from vidmoco.interrupt import Stopped, StopSignals, stops_raise


def test_a_signal_is_noted_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received is signal.SIGTERM and stop.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_work_in_another_thread_hears_no_signals_and_runs():
    def train():
        with StopSignals() as stop:
            return stop.received

    def extract():
        with stops_raise():
            return signal.getsignal(signal.SIGUSR2)

    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train).result() is None
        assert pool.submit(extract).result() is signal.getsignal(signal.SIGUSR2)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_ends_what_is_done_in_the_block():
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    of_libraries = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray's, after its tests
    try:
        with pytest.raises(Stopped, match="SIGTERM") as stopped, stops_raise():
            os.kill(os.getpid(), signal.SIGUSR2)  # who ignores it goes on to
            os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.value.exit_code == 143
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # a second one kills
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR2, before)
        signal.signal(signal.SIGTERM, of_libraries)


def test_a_closed_terminal_stops_once_and_kills_nothing():
    """The shell and the system send a SIGHUP each, also to who was told to stop before."""
    of_pytest = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        for first in (signal.SIGHUP, signal.SIGTERM):
            with StopSignals() as stop:
                for number in (first, signal.SIGHUP, signal.SIGHUP):
                    os.kill(os.getpid(), number)
                assert stop.received is first and stop.exit_code == 128 + first
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        with pytest.raises(Stopped, match="SIGHUP") as stopped, stops_raise():
            try:
                os.kill(os.getpid(), signal.SIGHUP)
            finally:
                os.kill(os.getpid(), signal.SIGHUP)
        assert stopped.value.exit_code == 129
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, of_pytest)


def test_nohup_stays():
    of_pytest = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.received is None
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.received is signal.SIGUSR1
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, of_pytest)
