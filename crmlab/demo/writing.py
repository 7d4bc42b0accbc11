"""The demo: two customer bases, read from their records, written down as one page and two files."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import crmlab.demo.bank as bank
import crmlab.demo.shop as shop
from crmlab.demo.page import BANK_FILE, SHOP_FILE, render_page
from crmlab.report.parts import to_csv
from crmlab.report.progress import Tell, clock


def write_demo(folder: str | Path, *, tell: Tell | None = None) -> None:
    """Study the bank and the shop, and write the report.

    Parameters
    ----------
    folder : path
        Made if it is not there. Gets ``index.html``, ``bank_customers.csv`` and
        ``orders_customers.csv``; the same versions write the same bytes.
    tell : callable, optional
        Takes each line of progress; prints it with the seconds since the start if left out.
    """
    tell = tell or clock()
    tell("Part one: Banque Méridienne, an invented bank")
    first = bank.study_bank(tell)
    tell("Part two: CDNOW, real orders")
    second = shop.study_shop(tell)
    tell("drawing and writing")
    customers = {
        BANK_FILE: bank.list_customers(first),
        SHOP_FILE: shop.list_customers(second),
    }
    texts = {name: to_csv(frame) for name, frame in customers.items()}
    write_files(folder, {**texts, "index.html": render_page(first, second, customers)})
    tell("done")


def write_files(folder: str | Path, texts: Mapping[str, str]) -> None:
    """Write files aside, then rename them into place: none is ever half-written.

    Parameters
    ----------
    folder : path
        Made if it is not there; other files in it stay.
    texts : mapping of file name to text
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".demo-", dir=folder))
    try:
        for name, text in texts.items():
            (aside / name).write_text(text, encoding="utf-8", newline="\n")
        for name in texts:
            os.replace(aside / name, folder / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
