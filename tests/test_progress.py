"""The one line of a long computation: where it is shown, what it says, what it leaves."""

import io
import os
import subprocess
import sys
import threading
from functools import partial

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import crmlab as crm
from crmlab.inference import progress
from crmlab.inference.progress import Progress, describe_draws, find_place

WORK = """
import time
from crmlab.inference.progress import Progress
print("before")
with Progress("taking a while") as progress:
    time.sleep({seconds})
print("after")
"""


def environment(**changes):
    """The variables of a person who runs no test."""
    hidden = ("PYTEST_VERSION", "PYTEST_CURRENT_TEST")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "TERM": "xterm", **changes}


# Where ------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def find_place_of(monkeypatch, stderr, **changes):
    """Where a process shows its progress that has this standard error and these variables."""
    monkeypatch.delenv("PYTEST_VERSION")
    monkeypatch.setattr(sys, "stderr", stderr)
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    return find_place()


def test_a_terminal_is_a_place_and_a_pipe_is_not(monkeypatch):
    assert find_place_of(monkeypatch, Terminal()) == "terminal"
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert find_place() == "nowhere"
    monkeypatch.setattr(sys, "stderr", None)  # as in a process without any console
    assert find_place() == "nowhere"


@pytest.mark.parametrize("changes", [{"PYTEST_VERSION": "9"}, {"CRMLAB_PROGRESS": "off"}])
def test_under_test_and_on_request_nothing_is_shown(monkeypatch, changes):
    assert find_place_of(monkeypatch, Terminal(), **changes) == "nowhere"


def test_a_worker_thread_shows_nothing(monkeypatch):
    found = []
    work = partial(find_place_of, monkeypatch, Terminal())
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    assert found == ["nowhere"]


def test_a_fit_under_test_has_no_screen():
    assert Progress()._thread is None


# What -------------------------------------------------------------------------------------------


def say(done, **options):
    return describe_draws(
        done, 2000, **{"warm": True, "divergences": 0, "seconds": 10.0, **options}
    )


def test_draws_divergences_and_time_left_are_told():
    assert say(0) == "looking for a good start of each chain"
    assert say(500, warm=False, divergences=1).startswith("warming up: 500 of 2,000 draws, 1 div")
    assert say(500, divergences=1).endswith("1 divergence, about 30 s left")
    assert say(1000, divergences=3, seconds=600).endswith("3 divergences, about 10 min left")


# How --------------------------------------------------------------------------------------------


def run_in_terminal(code):
    """What a terminal gets from standard error, and what a pipe gets from standard output."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        heard = b""
        while part := read(ours):
            heard += part
        printed = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    return heard.decode(), printed


def read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that nobody writes any more
        return b""


def test_a_terminal_shows_the_line_after_two_seconds_and_wipes_it():
    heard, printed = run_in_terminal(WORK.format(seconds=2.6))
    assert "[2 s] taking a while" in heard
    assert heard.rstrip().endswith("\x1b[2K"), "the last thing is to clear the line"
    assert printed == "before\nafter\n"


def test_a_terminal_shows_nothing_of_what_is_quick():
    assert run_in_terminal(WORK.format(seconds=0.1)) == ("", "before\nafter\n")


def test_a_pipe_gets_nothing():
    command = [sys.executable, "-c", WORK.format(seconds=2.6)]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("before\nafter\n", "")


class Watched(NotebookClient):
    """Executes a notebook and notes what is displayed meanwhile."""

    def __init__(self, notebook):
        super().__init__(notebook, kernel_name="python3")
        self.seen = []

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] in ("display_data", "update_display_data"):
            self.seen.append(msg["content"]["data"])
        return super().process_message(msg, cell, cell_index)


@pytest.mark.parametrize("changes", [{}, {"PYTEST_VERSION": "9"}], ids=["a reader", "nbval"])
def test_a_notebook_shows_one_line_and_keeps_nothing_of_it(changes):
    cell = nbformat.v4.new_code_cell(WORK.format(seconds=2.6))
    client = Watched(nbformat.v4.new_notebook(cells=[cell]))
    client.execute(env=environment(**changes))
    displays = [output for output in cell.outputs if output.output_type == "display_data"]
    if changes:
        assert not displays
        return
    assert [output.data for output in displays] == [{}], "one output, which shows nothing"
    assert {"text/plain": "[2 s] taking a while"} in client.seen
    assert client.seen[-1] == {}


@pytest.mark.sampling
@pytest.mark.filterwarnings("ignore::crmlab.SamplingWarning")
def test_draws_are_the_same_whether_progress_is_shown_or_not(
    loyalty_model, loyalty_panel, monkeypatch
):
    told = []
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "PAUSE", 0.001)
    monkeypatch.setattr(progress, "find_place", lambda: "terminal")
    monkeypatch.setattr(Progress, "say", lambda self, text: told.append(text))
    options = {"draws": 60, "tune": 60, "seed": 4}
    shown = crm.fit(loyalty_model, loyalty_panel, **options)
    assert "checking convergence" in told
    hidden = crm.fit(loyalty_model, loyalty_panel, **options, progress=False)
    for name, draws in shown.posterior.items():
        assert np.array_equal(draws, hidden.posterior[name])
