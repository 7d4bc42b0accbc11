"""What was found in a file and what was done about it: a record that a reader can check.

Rows are never dropped in silence. Whatever reads a file leaves *decisions* (how it was read, and on
what evidence) and *findings* (which rows are unusual, how many, and what became of them). The rows
that are used and the rows that are set aside add up to the rows that were read.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

_SHOWN = 3
_LONGEST = 60


@dataclass(frozen=True)
class Decision:
    """One choice that a reader of the file had to make.

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
    """Rows of one kind, and what was done with them.

    Parameters
    ----------
    what : str
        What is unusual about the rows.
    rows : int
        How many there are.
    done : str
        What was done, in words.
    set_aside : int
        How many rows left the orders because of it.
    examples : tuple of str
        The first of them, as they stand in the file.
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
        Only what occurs.
    personal : tuple of str
        Columns whose headers say that they describe a person.
    """

    source: str
    rows_read: int
    rows_used: int
    decisions: tuple[Decision, ...]
    findings: tuple[Finding, ...]
    personal: tuple[str, ...] = ()

    @property
    def rows_set_aside(self) -> int:
        """Rows that are not among the orders, all findings together."""
        return sum(finding.set_aside for finding in self.findings)

    def to_dict(self) -> dict[str, object]:
        """Give the record as plain values, for JSON."""
        return asdict(self)


def find_rows(
    frame: pd.DataFrame, where: pd.Series, what: str, done: str, *, set_aside: bool = False
) -> list[Finding]:
    """List one finding if any row is meant, and none otherwise.

    Parameters
    ----------
    frame : DataFrame
        Rows as they stand in the file.
    where : boolean Series
        The rows that are meant.
    what, done : str
    set_aside : bool
        Whether they leave the orders.

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
    """Write the first rows that are meant, with the number of each in the file (from 1)."""
    first = frame[where.to_numpy()].head(most)
    return tuple(
        f"row {row + 1}: "
        + ", ".join(f"{name}={shorten(first.at[row, name])}" for name in first.columns)
        for row in first.index
    )


def shorten(value: object) -> str:
    """Write a value as it stands, cut to a length that a line can hold.

    Examples
    --------
    >>> shorten("x" * 500)[-12:]
    "xxxxxxxxxx…'"
    """
    text = str(value) if not isinstance(value, str) else value
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def listed_rows(examples: Sequence[str], count: int) -> str:
    """Join example rows for a message, and say how many more there are."""
    more = [f"and {count - len(examples):,} more"] if count > len(examples) else []
    return "; ".join([*examples, *more])
