"""Ctrl-C is answered at once, whatever the computation is doing.

Python delivers Ctrl-C between two of its own steps, but compilers and samplers spend seconds in one
step, and an interrupted import leaves a module that is broken for the rest of the session. So the
work is done in a thread of its own, and the main thread only waits: it can be interrupted at any
time. The work learns of it at its next check (`Stop.check`), and ends there.
"""

import threading
from collections.abc import Callable
from contextvars import copy_context

PAUSE = 0.1  # seconds between two looks at the work
GRACE = 0.5  # seconds that interrupted work has to end before it is left alone
STACK = 64 * 2**20  # bytes: compilers recurse deeply, and threads have little on some systems

_left_alone: list[threading.Thread] = []


class Interrupted(Exception):
    """The work is no longer wanted."""


class Stop:
    """Whether work is still wanted.

    Examples
    --------
    >>> stop = Stop()
    >>> stop.check()
    >>> stop.ask()
    >>> stop.check()
    Traceback (most recent call last):
    ...
    crmlab.inference.interruption.Interrupted
    """

    def __init__(self) -> None:
        self._asked = False

    def ask(self) -> None:
        """Ask the work to end at its next check."""
        self._asked = True

    def check(self) -> None:
        """Raise `Interrupted` if the work is no longer wanted."""
        if self._asked:
            raise Interrupted


def run_interruptibly[Result](work: Callable[[], Result], stop: Stop) -> Result:
    """Run `work` so that Ctrl-C raises KeyboardInterrupt within a second.

    Outside the main thread, which alone receives Ctrl-C, this only calls `work`.

    Parameters
    ----------
    work : callable
        Calls ``stop.check()`` often. What it is doing when it is interrupted (an import, a
        compilation) ends in the background, and the next call waits for that.
    stop : Stop

    Examples
    --------
    >>> run_interruptibly(lambda: 2 + 2, Stop())
    4
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    while _left_alone:
        _wait_for(_left_alone[-1])
        _left_alone.pop()
    ends: list[Callable[[], Result]] = []
    worker = _start(lambda: ends.append(_attempt(work)))
    try:
        _wait_for(worker)
    except BaseException:
        stop.ask()
        worker.join(GRACE)
        _left_alone.extend([worker] if worker.is_alive() else [])
        raise
    return ends[0]()


def _attempt[Result](work: Callable[[], Result]) -> Callable[[], Result]:
    """Do the work; return a function that returns its result or raises its exception."""
    try:
        result = work()
    except BaseException as error:
        problem = error

        def fail() -> Result:
            raise problem

        return fail
    return lambda: result


def _start(target: Callable[[], None]) -> threading.Thread:
    """Start a thread that has room, and sees the context variables of this one."""
    before = threading.stack_size(STACK)
    try:
        worker = threading.Thread(target=copy_context().run, args=(target,), daemon=True)
        worker.start()
    finally:
        threading.stack_size(before)
    return worker


def _wait_for(worker: threading.Thread) -> None:
    while worker.is_alive():
        worker.join(PAUSE)
