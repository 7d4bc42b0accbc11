"""Remake `datasets/meridienne/`: `python -m crmlab.generators.bank FOLDER`."""

import hashlib
import sys
from pathlib import Path

from crmlab.generators.bank.dictionary import data_dictionary
from crmlab.generators.bank.world import Bank
from crmlab.generators.base import simulate
from crmlab.tables import write_tables

N_CUSTOMERS = 500
SEED = 2026
BANK = Bank(n_periods=20, arrival_span=8)
MADE = ("csv", "parquet", "answer_key")


def remake(folder: Path) -> None:
    """Write the small bank: CSV, Parquet, the dictionary, and the answer key in its own folder."""
    tables = simulate(BANK, N_CUSTOMERS, seed=SEED)
    write_tables(tables, folder / "csv", format="csv", truth_folder=folder / "answer_key")
    write_tables(tables, folder / "parquet", format="parquet")
    data_dictionary().to_csv(folder / "dictionary.csv", index=False, lineterminator="\n")
    made = [path for name in MADE for path in sorted((folder / name).iterdir())]
    sums = [f"{_sum(path)}  {path.relative_to(folder).as_posix()}\n" for path in made]
    (folder / "checksums.txt").write_text("".join(sums), encoding="utf-8", newline="\n")


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m crmlab.generators.bank FOLDER")
    remake(Path(sys.argv[1]))
