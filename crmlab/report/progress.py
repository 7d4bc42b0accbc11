"""Lines of progress while a study runs."""

import time
from collections.abc import Callable

Tell = Callable[[str], None]


def clock(now: Callable[[], float] = time.perf_counter) -> Tell:
    """Make a function that prints each line with the seconds since it was made.

    Parameters
    ----------
    now : callable
        Gives the time in seconds.

    Examples
    --------
    >>> say = clock(iter([0.0, 12.3]).__next__)
    >>> say("fitting")
    [ 12 s] fitting
    """
    started = now()
    return lambda line: print(f"[{now() - started:3.0f} s] {line}", flush=True)
