import os
import signal
from concurrent.futures import ThreadPoolExecutor

from vidmoco.interrupt import StopSignals


def test_a_signal_is_noted_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received is signal.SIGTERM and stop.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_training_in_another_thread_hears_no_signals_and_runs():
    def train():
        with StopSignals() as stop:
            return stop.received

    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train).result() is None
    assert signal.getsignal(signal.SIGINT) is before
