"""SIGTERM and Ctrl-C ask a training to stop at a good moment."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from qkv.base.errors import QkvError

RESUME_ME = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, try again


class Stopped(QkvError):
    """A signal ended the training early, after a checkpoint: it can go on from there."""

    exit_code = RESUME_ME


@dataclass(slots=True)
class Stop:
    """Whether somebody asked to stop, and by which signal."""

    requested: bool = False
    signal: str = ""


@contextmanager
def graceful() -> Iterator[Stop]:
    """Turn the first SIGTERM or SIGINT within the block into `stop.requested`; a second one ends the process at once.

    The second is left to the operating system, so it ends the process even inside a long operation of torch. The
    handlers from before are back after the block. A signal that was ignored (nohup) stays ignored. Outside the main
    thread Python allows no handlers: there this does nothing, and `requested` stays False.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    caught = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def ask(number: int, frame: FrameType | None) -> None:
        stop.requested, stop.signal = True, signal.Signals(number).name
        for each in caught:
            signal.signal(each, signal.SIG_DFL)

    try:
        for number in caught:
            signal.signal(number, ask)
        yield stop
    finally:
        for number in caught:
            signal.signal(number, before[number] or signal.SIG_DFL)
