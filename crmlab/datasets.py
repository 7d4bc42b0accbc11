"""The small data sets that come with crmlab, each with a README.

The files live in `datasets/` of the repository; an installed package holds a copy of them.

* `load_meridienne`: 500 customers of an invented bank, as tables
* `load_cdnow_sample`: the orders of 2,357 customers of a music shop
* `load_cdnow_summary`: the published summary of those orders
* `dataset_path`: where a file of the data sets is
"""

from pathlib import Path

import pandas as pd

from crmlab.errors import DataError
from crmlab.tables import CustomerTables, read_orders, read_tables

__all__ = [
    "dataset_path", "load_cdnow_sample", "load_cdnow_summary", "load_meridienne",
]  # fmt: skip

_PACKAGE = Path(__file__).resolve().parent
_PLACES = (_PACKAGE.parent / "datasets", _PACKAGE / "_datasets")


def dataset_path(name: str) -> Path:
    """Return the path of a data set file, in a checkout or in an installed package.

    Parameters
    ----------
    name : str
        The path inside `datasets/`, e.g. "cdnow_sample/orders.csv".

    Raises
    ------
    DataError
        If the file does not exist.

    Examples
    --------
    >>> dataset_path("cdnow_sample/orders.csv").name
    'orders.csv'
    """
    for place in _PLACES:
        if (place / name).is_file():
            return place / name
    names = sorted(f"{p.parent.name}/{p.name}" for q in _PLACES for p in q.glob("*/*.csv"))
    raise DataError(f"There is no data set file {name!r}; there are {', '.join(names)}.")


def load_cdnow_sample() -> pd.DataFrame:
    """Load the orders of the CDNOW sample: 6,919 orders of 2,357 customers.

    The customers are every tenth of the 23,570 who first ordered at the music shop CDNOW in the
    first quarter of 1997, followed to 1998-06-30. `datasets/cdnow_sample/README.md` says more.

    Returns
    -------
    DataFrame
        customer_id (1 to 2357), date, amount (USD), quantity (CDs); one row per order.

    References
    ----------
    Fader and Hardie (2001), "Forecasting repeat sales at CDNOW: a case study", Interfaces 31(3,
    part 2), S94-S107.

    Examples
    --------
    >>> orders = load_cdnow_sample()
    >>> len(orders), orders["customer_id"].nunique()
    (6919, 2357)
    """
    return read_orders(dataset_path("cdnow_sample/orders.csv"))


def load_meridienne() -> CustomerTables:
    """Load 500 customers of Banque Méridienne, an invented bank, over twenty quarters.

    `datasets/meridienne/README.md` says more, and `dictionary.csv` explains every column. The
    answer key is in a separate folder and is not loaded; `crmlab.tables.read_truth` reads it.

    Examples
    --------
    >>> len(load_meridienne().customers)
    500
    """
    return read_tables(dataset_path("meridienne/parquet/tables.json").parent)


def load_cdnow_summary() -> pd.DataFrame:
    """Load the published summary of the CDNOW sample's first 39 weeks (to 1997-09-30).

    Returns
    -------
    DataFrame
        customer_id, frequency (repeat purchases), recency and T (weeks, two decimals),
        monetary_value (USD per repeat purchase, two decimals; 0 if there was none).

    Examples
    --------
    >>> int(load_cdnow_summary()["frequency"].sum())
    2457
    """
    names = ["customer_id", "frequency", "recency", "T", "monetary_value"]
    return pd.read_csv(dataset_path("cdnow_sample/summary.csv"), names=names, header=0)
