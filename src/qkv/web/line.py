"""The line before the model: one run at a time, in a thread of its own, and few who wait."""

import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

PLACES = 8


class Line:
    """Runs jobs one after another; who cancels the future of a waiting one frees its place."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="qkv model")
        self._jobs: list[Future[Any]] = []
        self._runner: int | None = None

    def join(self, job: Callable[[], Any]) -> Future[Any] | None:
        """Queue a job, or return None when as many wait as may. Call it from one thread."""
        self._jobs = [one for one in self._jobs if not one.done()]
        if len(self._jobs) > PLACES:  # one of them runs
            return None
        self._jobs.append(self._pool.submit(self._run, job))
        return self._jobs[-1]

    def close(self) -> None:
        """Forget those who wait, break off the run in progress before its next line of Python, and wait for its end.

        The interpreter cannot end well while the thread is inside torch, and a run may take minutes.
        """
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._runner is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._runner), ctypes.py_object(SystemExit))
        self._pool.shutdown()

    def _run(self, job: Callable[[], Any]) -> Any:
        self._runner = threading.get_ident()
        try:
            return job()
        finally:
            self._runner = None
