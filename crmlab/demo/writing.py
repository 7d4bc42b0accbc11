"""The demo: two customer bases, read from their records, written down as one page and two files."""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

import crmlab.demo.bank as bank
import crmlab.demo.orders as orders
from crmlab.demo.page import BANK_FILE, SHOP_FILE, render_page
from crmlab.tables.folders import FolderKind, new_folder, write_file

Tell = Callable[[str], None]
DEMO = FolderKind("crmlab demo")


def write_demo(folder: str | Path, *, tell: Tell | None = None) -> None:
    """Study the bank and the shop, and write the report.

    Parameters
    ----------
    folder : path
        New, empty, or an older demo and nothing else, which is replaced. Gets ``index.html``,
        ``bank_customers.csv`` and ``orders_customers.csv``; the same versions write the same bytes.
    tell : callable, optional
        Takes each line of progress; prints it with the seconds since the start if left out.

    Raises
    ------
    SpecError
        If the folder is anything else; it is tried before anything is studied.
    """
    tell = tell or clock()
    with new_folder(folder, DEMO) as aside:
        tell("Part one: Banque Méridienne, an invented bank")
        first = bank.study_bank(tell)
        tell("Part two: CDNOW, real orders")
        second = orders.study_shop(tell)
        tell("drawing and writing")
        customers = {
            BANK_FILE: bank.list_customers(first),
            SHOP_FILE: orders.list_customers(second),
        }
        for name, frame in customers.items():
            write_file(aside / name, to_csv(frame))
        write_file(aside / "index.html", render_page(first, second, customers))
    tell("done")


def clock(now: Callable[[], float] = time.perf_counter) -> Tell:
    """Make a teller that prints each line with the seconds since it was made.

    Parameters
    ----------
    now : callable
        Gives the time in seconds.

    Examples
    --------
    >>> tell = clock(iter([0.0, 12.3]).__next__)
    >>> tell("fitting")
    [ 12 s] fitting
    """
    started = now()
    return lambda line: print(f"[{now() - started:3.0f} s] {line}", flush=True)


def to_csv(frame: pd.DataFrame) -> str:
    r"""Write a table as CSV with Unix line ends on every system.

    Examples
    --------
    >>> to_csv(pd.DataFrame({"customer_id": [7], "value": [1.5]}))
    'customer_id,value\n7,1.5\n'
    """
    return frame.to_csv(index=False, lineterminator="\n")
