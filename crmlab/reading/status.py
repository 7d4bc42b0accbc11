"""What the status of an order says: a sale, no sale, or something for the user to decide.

The words are a table by meaning. A status is looked up without case, accents and punctuation, and
without the words that shop systems put in front ("wc-cancelled", "ORDER_CANCELLED").
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.arrays import Bools
from crmlab.reading.cells import Cells, as_words
from crmlab.reading.options import split_words
from crmlab.reading.quality import Decision, Finding, rows_of
from crmlab.reading.words import STATUSES, plain

SALE, NO_SALE, OPEN, UNKNOWN = "sale", "no sale", "open", "unknown"
_OF_CUSTOMERS = """active, inactive, subscribed, unsubscribed, not subscribed, opted in, opted out,
    verified, unverified, trial, lead, prospect, vip, gold, silver, bronze, bounced, member,
    enabled, disabled, guest, registered, yes, no, true, false, married, single, regular,
    returning, loyal, premium, churned"""  # fmt: skip
_BESIDE = {"is", "was", "has", "been", "at", "on", "date", "time", "order", "flag"}
_NOT_SO = {"", "0", "false", "f", "no", "n", "none", "null", "nan", "non", "nein", "nej", "nee"}
_PARTLY = {"partially", "partial", "partly", "teilweise", "partiellement", "parcialmente",
           "parzialmente"}  # fmt: skip
_IN_FRONT = {"wc", "order", "status", "state", "payment", "ordre", "bestellung", "auto",
             "automatically", "paypal"}  # fmt: skip
_MEANING = {word: meaning for meaning, words in STATUSES.items() for word in words}
_CUSTOMER_WORDS = frozenset(plain(word) for word in _OF_CUSTOMERS.split(","))
_MOST_VALUES, _SHOWN = 60, 40
_NEEDED_SHARE, _ENOUGH_SHARE = 0.5, 0.25  # of known statuses, under any header and a plain one


def meaning_of(status: str) -> str:
    """Look up what a status says of its order.

    Returns
    -------
    {"sale", "no sale", "open", "unknown", ""}
        "open" is for the user to decide; "" if nothing is written.

    Examples
    --------
    >>> [meaning_of(text) for text in ("wc-cancelled", "Payée", "Partially refunded", "blue")]
    ['no sale', 'sale', 'open', 'unknown']
    >>> meaning_of("Cancelled by customer (fraud)")
    'no sale'
    """
    words = plain(status).split()
    if not words:
        return "" if not status.strip() else UNKNOWN
    for start in range(1 + sum(word in _IN_FRONT for word in words[:2])):
        if known := _MEANING.get(" ".join(words[start:])):
            return known
    if _PARTLY & set(words):
        return OPEN
    words = words[1:] if words[0] in _IN_FRONT else words
    begins = (_MEANING.get(" ".join(words[:n])) for n in range(len(words), 0, -1))
    return NO_SALE if next((m for m in begins if m), "") == NO_SALE else UNKNOWN


def says_no_sale(header: str) -> bool:
    """Whether a header alone says that an order is no sale, wherever its cell is filled.

    Examples
    --------
    >>> [says_no_sale(header) for header in ("is_cancelled", "Refunded at", "Refunded amount")]
    [True, True, False]
    """
    words = [word for word in plain(header).split() if word not in _BESIDE]
    return _MEANING.get(" ".join(words)) == NO_SALE


def judge_statuses(
    texts: pd.Index, no_sale: str | None = None, header: str = "status"
) -> NDArray[np.object_]:
    """Say what each text of a column of statuses means, by the table and by the user's list.

    Parameters
    ----------
    texts : Index of str
    no_sale : str, optional
        As in `ReadingOptions`.
    header : str
        If it says by itself that an order is no sale, each cell is taken for a yes or a no.

    Examples
    --------
    >>> judge_statuses(pd.Index(["paid", "on-hold", "void"]), "none, On-hold").tolist()
    ['sale', 'no sale', 'sale']
    """
    said, only = split_words(no_sale)
    known = {plain(word) for word in said}
    read = _read_flag if says_no_sale(header) else meaning_of
    found = [
        NO_SALE if text.casefold() in said or (text and plain(text) in known)
        else SALE if only and text
        else read(text)
        for text in texts
    ]  # fmt: skip
    return np.array(found, dtype=object)


def _read_flag(text: str) -> str:
    return NO_SALE if plain(text) not in _NOT_SO else SALE


def holds_statuses(cells: pd.Series, *, is_exact: bool) -> bool:
    """Whether cells look like statuses of orders rather than of customers.

    Parameters
    ----------
    cells : Series
    is_exact : bool
        Whether the header says no more than "status". If it says more, e.g. "newsletter status",
        a word is needed that only orders have, such as "paid".
    """
    counts = as_words(cells).value_counts()
    counts = counts[counts.index != ""]
    if counts.empty or len(counts) > _MOST_VALUES:
        return False
    meanings = judge_statuses(counts.index)
    known = counts[meanings != UNKNOWN].sum() / counts.sum()
    if any(plain(text) in _CUSTOMER_WORDS for text in counts.index):
        return False
    if is_exact:
        return bool(known >= _ENOUGH_SHARE)
    return bool((meanings == SALE).any() and known >= _NEEDED_SHARE)


def holds_no_sales(header: str, cells: pd.Series) -> bool:
    """Whether some cells of a column without a role seem to say that an order is no sale."""
    counts = as_words(cells).value_counts()
    texts = counts.index[counts.index != ""]
    if says_no_sale(header):
        return bool((judge_statuses(texts, header=header) == NO_SALE).any())
    of_customers = any(plain(text) in _CUSTOMER_WORDS for text in texts)
    is_few = len(texts) <= _MOST_VALUES
    return is_few and not of_customers and bool((judge_statuses(texts) == NO_SALE).any())


def describe_statuses(
    cells: Cells, meanings: NDArray[np.object_], no_sale: str | None
) -> list[Decision]:
    """List each status of a column, its rows, and what was done with them."""
    more = "" if no_sale is None else " and the list of further statuses"
    why = f"as the table of statuses{more} {'say' if more else 'says'}"
    done = {
        SALE: "a sale",
        NO_SALE: "no sale: set aside",
        OPEN: "kept as a sale: open",
        UNKNOWN: "kept as a sale: not known",
        "": "kept as a sale: nothing is written",
    }
    if says_no_sale(cells.name):  # days or yes and no: their header says what they mean
        rows = rows_of(cells.count(meanings == NO_SALE))
        return [Decision(f"cells of {cells.name!r} that say yes", done[NO_SALE], rows)]
    order = np.argsort(-cells.counts, kind="stable")
    listed = [
        Decision(f"status {cells.texts[k][:60]!r}", done[meanings[k]],
                 f"{rows_of(int(cells.counts[k]))}, {why}")
        for k in order[:_SHOWN]
    ]  # fmt: skip
    if len(order) > _SHOWN:
        rest = int(cells.counts[order[_SHOWN:]].sum())
        more = f"{len(order) - _SHOWN:,} more statuses"
        listed.append(Decision(more, "judged in the same way", rows_of(rest)))
    return listed


def list_no_sales(cells: Cells, marks: Bools) -> str:
    """List statuses that are no sales, in brackets; "" where the header says it of every cell."""
    return "" if says_no_sale(cells.name) or not marks.any() else f" ({cells.counted(marks)})"


def find_doubtful(cells: Cells, meanings: NDArray[np.object_]) -> list[Finding]:
    """Return the rows that are kept although their status leaves open whether they are sales."""
    findings = []
    for meaning, what in (
        (OPEN, "status leaves open whether it is a sale"),
        (UNKNOWN, "status with a meaning that crmlab does not know"),
    ):
        marks: Bools = meanings == meaning
        if marks.any():
            done = f"kept as sales ({cells.counted(marks)}); --no-sale sets them aside"
            findings.append(Finding(what, cells.count(marks), done, 0, cells.show(marks, 3)))
    return findings


def find_unused(cells: Cells) -> list[Finding]:
    """Return the rows of which a column without a role seems to say that they are no sales."""
    marks = judge_statuses(cells.texts, header=cells.name) == NO_SALE
    what = f"a column {cells.name!r} that may say which rows are no sales"
    done = f"not used{list_no_sales(cells, marks)}; --status {cells.name!r} sets these rows aside"
    return [Finding(what, cells.count(marks), done)] if marks.any() else []
