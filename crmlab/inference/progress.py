"""One line that says what a long computation is doing.

It appears after two seconds and disappears when the work is done. In a terminal, rich draws it on
standard error; in a notebook it is one output, updated in place and emptied at the end. Nothing is
shown in a pipe, in worker threads and processes, under pytest and nbval, or where the environment
variable ``CRMLAB_PROGRESS`` is ``off``.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from functools import partial
from multiprocessing import parent_process
from typing import Literal, Self

from crmlab.inference.interruption import Stop

PATIENCE = 2.0  # seconds before anything is shown
PAUSE = 0.25  # seconds between two updates of the line

Place = Literal["terminal", "notebook", "nowhere"]
Screen = Callable[[], AbstractContextManager[Callable[[str], None]]]


def find_place() -> Place:
    """Return where somebody may be watching this computation."""
    nobody_watches = (
        os.environ.get("CRMLAB_PROGRESS") == "off"
        or "PYTEST_VERSION" in os.environ  # set by pytest, and inherited by nbval's kernels
        or parent_process() is not None
        or threading.current_thread() is not threading.main_thread()
    )
    if nobody_watches:
        return "nowhere"
    if _is_notebook():
        return "notebook"
    return "terminal" if sys.stderr is not None and sys.stderr.isatty() else "nowhere"


def _is_notebook() -> bool:
    if "ipykernel" not in sys.modules:
        return False
    from ipykernel.kernelapp import IPKernelApp

    return IPKernelApp.initialized()


@contextmanager
def _draw_in_terminal() -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    spinner = Spinner("line")
    live = Live(
        spinner,
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )

    def draw(line: str) -> None:
        spinner.update(text=Text(line))
        live.refresh()

    with live:
        yield draw


@contextmanager
def _draw_in_notebook() -> Iterator[Callable[[str], None]]:
    from IPython.display import display

    output = display({}, raw=True, display_id=True)
    try:
        yield lambda line: output.update({"text/plain": line}, raw=True)
    finally:
        output.update({}, raw=True)  # empty output takes no space, and nbval sees nothing


SCREENS: dict[Place, Screen] = {"terminal": _draw_in_terminal, "notebook": _draw_in_notebook}


class Progress:
    """A line that the working code updates, and a thread that shows it.

    Parameters
    ----------
    text : str
        Text for the first task.
    shown : bool
        False shows nothing, wherever this runs.

    Attributes
    ----------
    stop : Stop
        Whether the work is still wanted.

    Examples
    --------
    >>> with Progress("compiling") as progress:
    ...     progress.say("looking for the mode")
    """

    def __init__(self, text: str = "working", *, shown: bool = True) -> None:
        self.text = text
        self.stop = Stop()
        self._started = time.perf_counter()
        self._done = threading.Event()
        screen = SCREENS.get(find_place()) if shown else None
        # A context variable holds the notebook cell to which an output belongs.
        show = partial(copy_context().run, self._show, screen) if screen else None
        self._thread = threading.Thread(target=show, daemon=True) if show else None

    def say(self, text: str) -> None:
        """Replace the text; any thread may do so. Raise `Interrupted` after Ctrl-C."""
        self.stop.check()
        self.text = text

    @property
    def line(self) -> str:
        """The text, after the seconds since the start."""
        return f"[{time.perf_counter() - self._started:.0f} s] {self.text}"

    def __enter__(self) -> Self:
        """Show the line from now on, once this has taken long enough."""
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the line."""
        self._done.set()
        if self._thread:
            self._thread.join()

    def _show(self, screen: Screen) -> None:
        if self._done.wait(PATIENCE):
            return
        with screen() as draw:
            draw(self.line)
            while not self._done.wait(PAUSE):
                draw(self.line)


SILENT = Progress(shown=False)


def describe_draws(done: int, total: int, *, warm: bool, divergences: int, seconds: float) -> str:
    """Report the progress of a sampler.

    Parameters
    ----------
    done, total : int
        Draws of all chains, including warm-up.
    warm : bool
        Whether all chains have left the warm-up.
    divergences : int
    seconds : float
        Time since the first draw.

    Examples
    --------
    >>> describe_draws(1500, 2000, warm=True, divergences=0, seconds=60.0)
    'sampling: 1,500 of 2,000 draws, no divergences, about 20 s left'
    """
    if not done:
        return "looking for a good start of each chain"
    left = seconds * (total - done) / done
    phase = "sampling" if warm else "warming up"
    diverged = f"{divergences or 'no'} divergence{'s' * (divergences != 1)}"
    time_left = f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} min"
    return f"{phase}: {done:,} of {total:,} draws, {diverged}, about {time_left} left"
