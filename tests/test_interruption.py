"""Ctrl-C ends a fit within a second, at any moment, and leaves a session that works."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from crmlab.inference.interruption import Interrupted, Stop, run_interruptibly

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends a signal")

SET_UP = """
import os, signal, sys, threading, time, warnings
import numpy as np
import xarray as xr
import crmlab as crm

warnings.simplefilter("ignore")
space = crm.StageSpace(("dormant", "active"))
dims, rng = ("customer_id", "period"), np.random.default_rng(1)
panel = xr.Dataset({"visits": (dims, rng.poisson(1.0, (200, 12)).astype(float)),
                    "observed": (dims, np.ones((200, 12), bool))},
                   {"customer_id": range(200), "period": range(12)}, {"freq": "M"})
model = crm.HiddenMarkov(space, crm.StickyDirichlet(stickiness=2.0, concentration=2.0),
                         (crm.Poisson("visits", typical_rate=(0.5, 4.0), spread=0.5),),
                         ordered_by="visits_rate")
"""
STOPPED_AT = """
def stopped_at(moment, **options):
    sent = []
    def stop():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    timer = threading.Timer(moment, stop)
    timer.daemon = True
    timer.start()
    try:
        crm.fit(model, panel, draws=500_000, tune=int(500_000 * moment), seed=1, **options)
        end = "returned a Fit"
    except BaseException as problem:
        end = type(problem).__name__
    late = time.perf_counter() - sent[0] if sent else float("inf")
    print(f"{moment} s: {end} {'in time' if late < 1 else f'{late:.1f} s late'}", flush=True)

for moment in (0.05, 0.3, 1.0, 2.0, 4.0, 7.0):
    stopped_at(moment)
for moment in (0.02, 0.3):
    stopped_at(moment, method="laplace")
print(crm.fit(model, panel, draws=100, tune=200, seed=1).posterior.sizes["draw"], flush=True)
"""


@pytest.mark.sampling
@pytest.mark.slow
def test_ctrl_c_ends_a_fit_at_any_moment():
    """Imports, compiling, the search for a start, warm-up, draws; then a whole fit."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_VERSION"}
    import pty  # not on Windows

    screen, stderr = pty.openpty()  # so that the line of progress is drawn, too
    command = [sys.executable, "-c", SET_UP + STOPPED_AT]
    ran = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
    )
    os.close(stderr)
    threading.Thread(target=_drain, args=(screen,), daemon=True).start()
    told, _ = ran.communicate(timeout=300)
    *ends, draws = told.splitlines()
    assert draws == "100"
    assert len(ends) == 8
    assert [end for end in ends if not end.endswith(": KeyboardInterrupt in time")] == []


def _drain(screen: int) -> None:
    try:
        while os.read(screen, 1024):
            pass
    except OSError:  # closed at the other end
        pass


@pytest.mark.sampling
@pytest.mark.slow
def test_interrupting_a_notebook_ends_a_fit():
    kernel, client = start_new_kernel(kernel_name="python3", cwd=str(ROOT))
    try:
        client.execute_interactive(SET_UP, timeout=120)
        for moment in (0.3, 2.0, 6.0):
            sent = client.execute(
                "crm.fit(model, panel, draws=500_000, tune=100, seed=1)", stop_on_error=False
            )
            time.sleep(moment)
            kernel.interrupt_kernel()
            asked = time.perf_counter()
            reply = client.get_shell_msg(timeout=60)
            while reply["parent_header"].get("msg_id") != sent:
                reply = client.get_shell_msg(timeout=60)
            assert reply["content"].get("ename") == "KeyboardInterrupt"
            assert time.perf_counter() - asked < 2.0  # the kernel writes a traceback meanwhile
        again = client.execute_interactive(
            "crm.fit(model, panel, draws=100, tune=200, seed=1)", timeout=120
        )
        assert again["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


def test_work_that_does_not_check_is_left_alone_and_waited_for():
    """A second of machine code: Ctrl-C does not wait for it, the next work does."""
    order = []

    def deaf():
        time.sleep(1.5)
        order.append("first")

    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(deaf, Stop())
    assert time.perf_counter() - began < 1.2
    assert order == []
    run_interruptibly(lambda: order.append("second"), Stop())
    assert order == ["first", "second"]


def test_work_that_checks_ends():
    stop, ended = Stop(), threading.Event()

    def obedient():
        try:
            while True:
                stop.check()
                time.sleep(0.01)
        except Interrupted:
            ended.set()
            raise

    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(obedient, stop)
    assert ended.is_set()


def test_results_and_errors_are_those_of_the_work():
    assert run_interruptibly(lambda: 7, Stop()) == 7
    with pytest.raises(ZeroDivisionError, match="division"):
        run_interruptibly(lambda: 1 / 0, Stop())


def test_other_threads_do_their_own_work():
    """Only the main thread receives Ctrl-C; an executor's fits need no thread more."""
    seen = []
    worker = threading.Thread(
        target=lambda: seen.append(run_interruptibly(threading.current_thread, Stop()))
    )
    worker.start()
    worker.join()
    assert seen == [worker]


def test_an_interrupted_script_ends_in_good_order():
    """The process does not crash while the rest of the work is going on."""
    script = """
        import signal, threading, time
        from crmlab.inference.interruption import Stop, run_interruptibly
        threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
        run_interruptibly(lambda: time.sleep(30), Stop())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert ran.returncode == -signal.SIGINT
    assert ran.stderr.rstrip().endswith("KeyboardInterrupt")
