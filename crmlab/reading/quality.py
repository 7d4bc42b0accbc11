"""What was found in a file and what was done about it: a record that the user can check.

Rows are never dropped silently. Reading a file yields *decisions* (how it was read, and on what
evidence) and *findings* (which rows are unusual, how many, and what was done with them). Rows used
and rows set aside add up to the rows read.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

_SHOWN = 3
_LONGEST = 60


@dataclass(frozen=True)
class Decision:
    """One choice made while reading a file.

    Parameters
    ----------
    what : str
        What was chosen, e.g. "delimiter".
    choice : str
    evidence : str
        Why, in words.
    """

    what: str
    choice: str
    evidence: str


@dataclass(frozen=True)
class Finding:
    """Unusual rows of one kind, and what was done with them.

    Parameters
    ----------
    what : str
        What is unusual about the rows.
    rows : int
        How many there are.
    done : str
        What was done, in words.
    set_aside : int
        How many rows were set aside because of it.
    examples : tuple of str
        The first of them, as in the file.
    """

    what: str
    rows: int
    done: str
    set_aside: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quality:
    """The record of one reading.

    Parameters
    ----------
    source : str
        Name of the file or table.
    rows_read, rows_used : int
    decisions : tuple of Decision
    findings : tuple of Finding
        Only those that occur.
    personal : tuple of str
        Columns whose headers suggest personal data.
    """

    source: str
    rows_read: int
    rows_used: int
    decisions: tuple[Decision, ...]
    findings: tuple[Finding, ...]
    personal: tuple[str, ...] = ()

    @property
    def rows_set_aside(self) -> int:
        """Rows set aside, over all findings."""
        return sum(finding.set_aside for finding in self.findings)

    def to_dict(self) -> dict[str, object]:
        """Return the record as plain values, for JSON."""
        return asdict(self)


def find_rows(
    frame: pd.DataFrame, where: pd.Series, what: str, done: str, *, set_aside: bool = False
) -> list[Finding]:
    """Return a list with one finding if any row is marked, and an empty list otherwise.

    Parameters
    ----------
    frame : DataFrame
        Rows as in the file.
    where : boolean Series
        The marked rows.
    what, done : str
    set_aside : bool
        Whether they are set aside.

    Examples
    --------
    >>> frame = pd.DataFrame({"id": ["a", "b"], "amount": ["0", "5"]})
    >>> find_rows(frame, frame["amount"] == "0", "amount of zero", "kept")[0].examples
    ("row 1: id='a', amount='0'",)
    """
    count = int(where.sum())
    if not count:
        return []
    return [Finding(what, count, done, count if set_aside else 0, show_rows(frame, where))]


def show_rows(frame: pd.DataFrame, where: pd.Series, *, most: int = _SHOWN) -> tuple[str, ...]:
    """Write the first marked rows, with the number of each in the file (from 1)."""
    first = frame[where.to_numpy()].head(most)
    return tuple(
        f"row {row + 1}: "
        + ", ".join(f"{name}={shorten(first.at[row, name])}" for name in first.columns)
        for row in first.index
    )


def shorten(value: object) -> str:
    """Write a value, cut to a length that fits on a line.

    Examples
    --------
    >>> shorten("x" * 500)[-12:]
    "xxxxxxxxxx…'"
    """
    text = str(value) if not isinstance(value, str) else value
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def rows_of(count: int) -> str:
    """Write a number of rows.

    Examples
    --------
    >>> rows_of(1), rows_of(1200)
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def listed_rows(examples: Sequence[str], count: int) -> str:
    """Join example rows for a message, and say how many more there are."""
    more = [f"and {count - len(examples):,} more"] if count > len(examples) else []
    return "; ".join([*examples, *more])
