"""Tables on disk, and the engine that computes with them in limited memory.

Nothing is left behind: the folder is removed once nothing uses it, or when the process ends. A
killed process leaves customer data on disk; the next process deletes it.
"""

import tempfile
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.reading.typed import quietly
from crmlab.tables.folders import make_aside, remove_aside, sweep

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends import BaseBackend

MEMORY, THREADS = "1200MB", 2


@dataclass(frozen=True, eq=False)
class Disk:
    """A connection with its own folder, which is removed once nothing uses it."""

    connection: "BaseBackend"
    folder: Path

    def path(self, name: str) -> Path:
        """Return the path of a file in the folder."""
        return self.folder / name

    def keep(self, table: "ir.Table", name: str) -> "ir.Table":
        """Compute a table, and keep it on disk."""
        path = self.path(f"{name}.parquet")
        quietly(lambda: self.connection.to_parquet(table, path))
        return quietly(lambda: self.connection.read_parquet(path))

    def collect(self, table: "ir.Table") -> pd.DataFrame:
        """Bring a small table into memory."""
        arrow = quietly(lambda: self.connection.to_pyarrow(table))
        return arrow.to_pandas(date_as_object=False)


def open_disk() -> Disk:
    """Start an engine with limited memory and a folder for what does not fit into it."""
    import ibis

    home = Path(tempfile.gettempdir())
    sweep(home)
    folder = make_aside(home)
    connection = ibis.duckdb.connect(
        memory_limit=MEMORY, threads=THREADS, temp_directory=str(folder / "spill")
    )
    disk = Disk(connection, folder)
    weakref.finalize(disk, _leave, connection, folder)
    return disk


def _leave(connection: "BaseBackend", folder: Path) -> None:
    connection.disconnect()
    remove_aside(folder)


@dataclass(frozen=True)
class Stored:
    """Orders on disk: `customer` (a code), `date`, `amount` if known, sorted by customer.

    Parameters
    ----------
    disk : Disk
    table : ibis Table
    names : ndarray of str
        The id of each code, in ascending order.
    n_orders : int
    """

    disk: Disk
    table: "ir.Table"
    names: NDArray[np.str_]
    n_orders: int

    def __len__(self) -> int:
        """Count the orders."""
        return self.n_orders

    @property
    def columns(self) -> tuple[str, ...]:
        """The column names of a frame of these orders."""
        return ("customer_id", "date", *(["amount"] if "amount" in self.table.columns else []))

    def __contains__(self, name: object) -> bool:
        """Whether there is such a column."""
        return name in self.columns

    def until(self, last: pd.Timestamp) -> "Stored":
        """Keep the orders up to a day, inclusive."""
        table = self.table.filter(self.table["date"] <= day_of(last))
        return replace(self, table=table, n_orders=count_rows(self.disk, table))

    def count_until(self, last: pd.Timestamp) -> int:
        """Count the orders up to a day."""
        return count_rows(self.disk, self.table.filter(self.table["date"] <= day_of(last)))

    def of(self, ids: Any) -> pd.DataFrame:
        """Bring the orders of some customers into memory."""
        import ibis
        import pyarrow as pa

        places = np.searchsorted(self.names, np.asarray(ids, dtype=object))
        places = np.minimum(places, len(self.names) - 1)
        known = np.unique(places[self.names[places] == np.asarray(ids, dtype=object)])
        some = ibis.memtable(pa.table({"customer": known.astype("int64")}))
        return self.frame(self.table.semi_join(some, "customer"))

    def block(self, first: int, last: int) -> pd.DataFrame:
        """Bring the orders of customers with codes from `first` to `last` into memory."""
        return self.frame(self.table.filter(self.table["customer"].between(first, last)))

    def frame(self, table: "ir.Table") -> pd.DataFrame:
        """Bring orders into memory, with the ids of their customers."""
        found = self.disk.collect(table)
        ids = pd.Series(self.names[found["customer"].to_numpy(np.int64)], dtype="str")
        days = found["date"].astype("datetime64[us]")
        return found.assign(customer_id=ids, date=days)[list(self.columns)]


def count_rows(disk: Disk, table: "ir.Table") -> int:
    """Count the rows of a table."""
    return int(disk.connection.to_pyarrow(table.count()).as_py())


def day_of(day: pd.Timestamp) -> "ir.DateScalar":
    """Turn a day into an Ibis literal."""
    import ibis

    return ibis.date(day.date().isoformat())


def part_codes(counts: pd.DataFrame, most: int) -> list[tuple[int, int]]:
    """Split codes into runs of about `most` rows; return the first and last code of each run.

    Parameters
    ----------
    counts : DataFrame
        customer (ascending), n.
    most : int

    Examples
    --------
    >>> part_codes(pd.DataFrame({"customer": [2, 3, 7, 9], "n": [3, 1, 4, 2]}), 4)
    [(2, 3), (7, 7), (9, 9)]
    """
    group = (counts["n"].cumsum() - 1) // most
    runs = counts.groupby(group)["customer"].agg(["min", "max"])
    return [(int(first), int(last)) for first, last in runs.itertuples(index=False)]
