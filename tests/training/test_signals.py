import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from qkv.base.errors import QkvError
from qkv.training.signals import Stopped, graceful

CHILD = """
import os, signal, sys, time
from qkv.training.signals import Stopped, graceful
try:
    with graceful() as stop:
        print("ready", flush=True)
        while not stop.requested:
            time.sleep(0.001)
        print("asked", stop.signal, flush=True)
        if sys.argv[1] == "slow":
            time.sleep(60)
        raise Stopped("stopped")
except Stopped as stopped:
    sys.exit(stopped.exit_code)
"""


def begin(how: str) -> subprocess.Popen:
    child = subprocess.Popen([sys.executable, "-c", CHILD, how], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_request_and_handlers_come_back(number):
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    with graceful() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert stop.signal == number.name
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == before


def test_overlapping_blocks_are_all_asked_and_leave_no_handler_behind():
    """As trainings that take turns do: zip ends the first before the second."""
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    one, two = graceful(), graceful()
    stops = one.__enter__(), two.__enter__()
    os.kill(os.getpid(), signal.SIGINT)
    assert [(stop.requested, stop.signal) for stop in stops] == [(True, "SIGINT")] * 2
    one.__exit__(None, None, None)
    with graceful() as third:
        os.kill(os.getpid(), signal.SIGTERM)  # asked before the second ended: the third can still be asked
        assert third.requested
    two.__exit__(None, None, None)
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == before


def test_handlers_come_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="no"), graceful():
        raise ValueError("no")
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with graceful() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop.requested
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_was_asked_exits_with_75(number):
    with begin("quick") as child:
        child.send_signal(number)
        out, _ = child.communicate(timeout=20)
    assert (out, child.returncode) == (f"asked {number.name}\n", 75)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_it_at_once(second):
    with begin("slow") as child:
        child.send_signal(signal.SIGTERM)
        assert child.stdout is not None
        assert child.stdout.readline() == "asked SIGTERM\n"
        begun = time.monotonic()
        child.send_signal(second)
        assert child.wait(timeout=20) == -second
        assert time.monotonic() - begun < 10


def test_other_threads_are_left_alone():
    seen = []

    def work() -> None:
        with graceful() as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


def test_stopped_is_an_error_of_qkv_with_the_code_that_says_resume_me():
    assert issubclass(Stopped, QkvError)
    assert Stopped.exit_code == 75
