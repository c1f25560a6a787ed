"""SIGTERM and Ctrl-C ask a training to stop at a good moment."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from qkv.base.errors import QkvError

RESUME_ME = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, try again


class Stopped(QkvError):
    """A signal ended the training early, after a checkpoint: it can go on from there."""

    exit_code = RESUME_ME


@dataclass(slots=True, eq=False)
class Stop:
    """Whether somebody asked to stop, and by which signal."""

    requested: bool = False
    signal: str = ""


_running: list[Stop] = []
_before: dict[int, Any] = {}  # the handlers that come back when nothing runs; of signals that were not ignored


@contextmanager
def graceful() -> Iterator[Stop]:
    """Turn the first SIGTERM or SIGINT within the block into `stop.requested`; a second one ends the process at once.

    The second is left to the operating system, so it ends the process even inside a long operation of torch. Blocks
    may overlap in any order, as those of trainings that take turns do: all are asked, and the handlers from before the
    first are back after the last. A signal that was ignored (nohup) stays ignored. Outside the main thread Python
    allows no handlers: there this does nothing, and `requested` stays False.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    if not _before:
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        _before.update({number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN})
    try:
        _running.append(stop)
        _listen()
        yield stop
    finally:
        _running.remove(stop)
        _listen()


def _listen() -> None:
    """Wait for the signals while anything runs; else let those listen who did before."""
    for number, handler in _before.items():
        signal.signal(number, _ask if _running else handler or signal.SIG_DFL)
    if not _running:
        _before.clear()


def _ask(number: int, frame: FrameType | None) -> None:
    for stop in _running:
        stop.requested, stop.signal = True, signal.Signals(number).name
    for each in _before:
        signal.signal(each, signal.SIG_DFL)
