"""Remake the CDNOW sample, byte for byte, from the wheel that carries it.

    python -m pip download --no-deps Lifetimes==0.11.3 -d WHEELS
    python datasets/cdnow_sample/make.py WHEELS/Lifetimes-0.11.3-py3-none-any.whl

The wheel is opened as the zip file it is; the package in it is never imported.
"""

import sys
import zipfile
from pathlib import Path

ORDERS = "lifetimes/datasets/CDNOW_sample.txt"
SUMMARY = "lifetimes/datasets/cdnow_customers_summary_with_transactions.csv"
LICENCE = "Lifetimes-0.11.3.dist-info/LICENSE.txt"


def main(wheel: str | Path, folder: Path) -> None:
    """Write orders.csv, summary.csv and LICENSE.txt into a folder."""
    with zipfile.ZipFile(wheel) as carrier:
        texts = {name: carrier.read(name).decode("ascii") for name in (ORDERS, SUMMARY, LICENCE)}
    write(folder / "orders.csv", format_orders(texts[ORDERS]))
    write(folder / "summary.csv", plain_lines(texts[SUMMARY]))
    write(folder / "LICENSE.txt", plain_lines(texts[LICENCE]))


def format_orders(text: str) -> str:
    """Turn the fixed-width lines (master id, id, yyyymmdd, CDs, dollars) into a CSV."""
    rows = [format_order(line.split()) for line in text.splitlines()]
    return "\n".join(["customer_id,date,quantity,amount", *rows]) + "\n"


def format_order(fields: list[str]) -> str:
    """Turn one order into a CSV row; the id in the master file is left out."""
    _, customer, day, quantity, amount = fields
    return f"{int(customer)},{day[:4]}-{day[4:6]}-{day[6:]},{int(quantity)},{amount}"


def plain_lines(text: str) -> str:
    """End every line with a line feed, without trailing blanks."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def write(path: Path, text: str) -> None:
    """Write text with the same bytes on every system."""
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(__file__).resolve().parent)
