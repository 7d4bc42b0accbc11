"""The demo: two customer bases, read from their records, written down as one page and two files."""

from pathlib import Path

import crmlab.demo.bank as bank
import crmlab.demo.shop as shop
from crmlab.demo.page import BANK_FILE, SHOP_FILE, render_page
from crmlab.report.parts import to_csv
from crmlab.report.progress import Tell, clock
from crmlab.tables.folders import FolderKind, new_folder, write_file

DEMO = FolderKind("crmlab demo")


def write_demo(folder: str | Path, *, say: Tell | None = None) -> None:
    """Study the bank and the shop, and write the report.

    Parameters
    ----------
    folder : path
        A folder that is new, empty, or holds only an older demo, which is replaced. It gets
        ``index.html``, ``bank_customers.csv`` and ``orders_customers.csv``; the same versions write
        the same bytes.
    say : callable, optional
        Takes each line of progress; prints it with the seconds since the start if left out.

    Raises
    ------
    SpecError
        The folder is anything else; it is checked before anything is studied.
    """
    say = say or clock()
    with new_folder(folder, DEMO) as aside:
        say("Part one: Banque Méridienne, an invented bank")
        first = bank.study_bank(say)
        say("Part two: CDNOW, real orders")
        second = shop.study_shop(say)
        say("drawing and writing")
        customers = {
            BANK_FILE: bank.list_customers(first),
            SHOP_FILE: shop.list_customers(second),
        }
        for name, frame in customers.items():
            write_file(aside / name, to_csv(frame))
        write_file(aside / "index.html", render_page(first, second, customers))
    say("done")
