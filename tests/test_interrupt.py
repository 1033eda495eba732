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
