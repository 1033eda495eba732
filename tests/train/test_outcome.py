"""What a caller is told and gets at the end of a training."""

import io
import signal
from pathlib import Path

import pytest
from rich.console import Console

from vidmoco.interrupt import Stopped, StopSignals
from vidmoco.loggers.open import Loggers
from vidmoco.train.outcome import outcome

RUN = Path("runs/a b")


def ended(step, received=None, failure=None):
    told = io.StringIO()
    console = Console(file=told, width=200)
    stop, loggers = StopSignals(), Loggers({}, Path("pairs.png"), console)
    stop.received, loggers.failure = received, failure
    return outcome(RUN, step, 4, stop=stop, loggers=loggers, console=console), told.getvalue()


def test_a_stop_says_how_to_go_on_to_people_and_to_programs():
    result, told = ended(3, signal.SIGINT)
    assert told == (
        "Stopped by SIGINT after step 3 of 4. "
        "Continue with: vidmoco pretrain --run 'runs/a b' --resume\n"
    )
    assert result.exit_code == 130 and type(result.interrupt) is KeyboardInterrupt
    assert str(result.interrupt) == (
        "Stopped by SIGINT after step 3 of 4. "
        "Continue with vidmoco.pretrain(run='runs/a b', resume=True)."
    )
    result, _ = ended(3, signal.SIGUSR1)
    assert isinstance(result.interrupt, Stopped)
    assert result.exit_code == result.interrupt.exit_code == 138


def test_a_process_stops_with_another_one():
    result, told = ended(3)
    assert told.startswith("Stopped by another process after step 3")
    assert result.exit_code == 0 and isinstance(result.interrupt, KeyboardInterrupt)


def test_a_signal_in_the_last_step_stops_the_program_and_not_the_run():
    result, told = ended(4, signal.SIGTERM)
    assert told.startswith("Done: ") and result.exit_code == 0
    assert str(result.interrupt) == "runs/a b is finished: its 4 steps are taken."
    assert ended(4)[0].interrupt is None


def test_what_on_log_raised_comes_out():
    error = StopIteration("enough")
    with pytest.raises(StopIteration) as raised:
        ended(2, failure=error)
    assert raised.value is error
    assert "Stopped by on_log after step 2 of 4" in error.__notes__[0]
