"""Amounts as firms write them: decimal mark, thousands, signs, and one currency or none.

The decimal mark is found from the whole column: ``1,234`` alone is ambiguous, but ``12,50`` in
another row settles it. A column that contradicts itself, or leaves the mark open, is refused.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.arrays import Floats
from crmlab.errors import DataError
from crmlab.reading.cells import Cells, collect_cells
from crmlab.reading.quality import Decision, rows_of

_SYMBOLS = {"€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB", "₺": "TRY", "zł": "PLN"}
_UNIT = r"[^\d\s.,()+\-\u2212']{1,4}"
_MONEY = re.compile(rf"^(?P<a>[^\W\d_]{{1,3}}\.|(?:{_UNIT})?)(?P<n>.*?)(?P<b>(?:{_UNIT}\.?)?)$")
_NO_CENTS = re.compile(r"(?<=\d)([.,])[-\u2013\u2014]{1,2}(?!\d)")  # "10,-" is 10,00
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:[.,])?|[.,]\d+")
_SPACES = re.compile(r"[\s\u00a0\u202f\u2009'\u2019]")
LARGEST = 1e12
DECIMALS = (".", ",")
STORED_NUMBERS = Decision("amounts", "numbers", "stored as such")


@dataclass(frozen=True)
class ReadAmounts:
    """Amounts as numbers, NaN where none could be read; the currency ("" if none is written)."""

    values: pd.Series
    currency: str
    decision: Decision


def read_amounts(raw: pd.Series, *, name: str, decimal: str | None = None) -> ReadAmounts:
    """Read a column of amounts.

    Parameters
    ----------
    raw : Series
        Numbers, or text such as "1.234,50 €", "(12.00)", "$ 3".
    name : str
        The column, for messages.
    decimal : {".", ","}, optional
        What the user says about the decimal mark.

    Returns
    -------
    ReadAmounts
        NaN where a cell holds no number, or a number beyond 10^12.

    Raises
    ------
    DataError
        If the decimal mark is contradictory or ambiguous, or the column names several currencies.

    Examples
    --------
    >>> read = read_amounts(pd.Series(["1.234,50 €", "(3,00 €)"]), name="Betrag")
    >>> read.values.tolist(), read.currency, read.decision.choice
    ([1234.5, -3.0], 'EUR', 'decimal comma')
    """
    if pd.api.types.is_numeric_dtype(raw) and not pd.api.types.is_bool_dtype(raw):
        return ReadAmounts(numbers_of(raw), "", STORED_NUMBERS)
    cells, codes = collect_cells(raw, name)
    values, currency, decision = read_amount_texts(cells, decimal=decimal)
    return ReadAmounts(pd.Series(values[codes], index=raw.index), currency, decision)


def numbers_of(raw: pd.Series) -> pd.Series:
    """Return a column of numbers as amounts: NaN where a number is missing or beyond 10^12."""
    return _finite(pd.Series(raw.to_numpy(dtype="float64", na_value=np.nan), index=raw.index))


def read_amount_texts(cells: Cells, *, decimal: str | None = None) -> tuple[Floats, str, Decision]:
    """Read the different texts of a column of amounts.

    Parameters
    ----------
    cells : Cells
    decimal : {".", ","}, optional

    Returns
    -------
    values : ndarray
        One per text; NaN where there is no number.
    currency : str
    decision : Decision

    Raises
    ------
    DataError
        As `read_amounts`.
    """
    bare, signs, units = _take_apart(cells.texts)
    check_one_currency(cells, units)
    mark, evidence = _find_decimal(cells, bare, decimal)
    numbers = _finite(pd.Series(_to_floats(bare, mark) * signs))
    currency = next((unit for unit in units if unit), "")
    choice = {",": "decimal comma", ".": "decimal point", "": "whole numbers"}[mark]
    return numbers.to_numpy(), currency, Decision("amounts", choice, evidence)


def _finite(numbers: pd.Series) -> pd.Series:
    return numbers.where(numbers.abs() <= LARGEST)


def _take_apart(unique: pd.Index) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split each text into its digits with marks, its sign and its currency."""
    bare = np.full(len(unique), "", dtype=object)
    units = np.full(len(unique), "", dtype=object)
    signs = np.ones(len(unique))
    for k, text in enumerate(unique):
        stripped = _NO_CENTS.sub(r"\g<1>00", text.replace("\u2212", "-"))
        negative = stripped.startswith("(") and stripped.endswith(")")
        stripped = stripped.strip("()").strip()
        negative, stripped = _take_sign(stripped, negative)
        found = _MONEY.match(stripped)
        if not found:
            continue
        negative, number = _take_sign(found["n"].strip(), negative)
        number = _SPACES.sub("", number)
        if not _NUMBER.fullmatch(number):
            continue
        bare[k], signs[k] = number, -1.0 if negative else 1.0
        units[k] = name_currency(found["a"] or found["b"])
    return bare, signs, units


def name_currency(unit: str) -> str:
    """Write a currency in one way.

    Examples
    --------
    >>> name_currency("€"), name_currency("eur"), name_currency("kr."), name_currency("$")
    ('EUR', 'EUR', 'KR', '$')
    """
    return _SYMBOLS.get(unit, unit.upper().rstrip("."))


def _take_sign(text: str, negative: bool) -> tuple[bool, str]:
    if text.startswith("-") or text.endswith("-"):
        return not negative, text.strip("-").strip()
    return negative, text.removeprefix("+").strip()


def check_one_currency(cells: Cells, units: NDArray[np.object_]) -> None:
    """Refuse a column that mixes currencies, and show rows of each.

    Parameters
    ----------
    cells : Cells
    units : ndarray of str
        The currency of each text; "" where none is written.

    Raises
    ------
    DataError
        If the column has two or more currencies.
    """
    counts = cells.tally(units)
    if len(counts) < 2:
        return
    listed = [
        f"{unit} in {rows_of(count)} ({cells.listed(units == unit, most=2)})"
        for unit, count in counts.items()
    ]
    raise DataError(
        f"column {cells.name!r} mixes currencies: {'; '.join(listed)}. Amounts in different "
        "currencies cannot be added: convert them, or make one report per currency"
    )


def _find_decimal(cells: Cells, bare: np.ndarray, decimal: str | None) -> tuple[str, str]:
    """Find the decimal mark of a column, and the evidence for it."""
    if decimal is not None:
        return decimal, "as you said"
    proofs = {mark: np.array([_proves(text, mark) for text in bare], bool) for mark in DECIMALS}
    if all(proof.any() for proof in proofs.values()):
        shown = [cells.listed(proofs[mark], most=2) for mark in DECIMALS]
        raise DataError(
            f"column {cells.name!r} uses both decimal marks: points in {shown[0]}; commas in "
            f"{shown[1]}. Choose one: --decimal . or --decimal ,"
        )
    for mark, proof in proofs.items():
        if proof.any():
            return mark, f"{rows_of(cells.count(proof))} cannot be read in any other way"
    marked = np.array(["." in text or "," in text for text in bare], bool)
    if not marked.any():
        return "", "no amount has a decimal mark"
    raise DataError(
        f"column {cells.name!r}: every mark stands before exactly three digits "
        f"({'; '.join(cells.show(marked, 3))}), so they may be thousands or decimals. Choose the "
        "decimal mark: --decimal . or --decimal ,"
    )


def _proves(text: str, mark: str) -> bool:
    """Whether a text can only be read if `mark` is the decimal mark."""
    other = "," if mark == "." else "."
    if mark not in text:
        return text.count(other) > 1
    if text.count(mark) > 1:
        return False
    if other in text:
        return text.rindex(mark) > text.rindex(other)
    whole, _, part = text.partition(mark)
    return len(part) != 3 or len(whole) > 3 or whole in ("", "0")


def _to_floats(bare: np.ndarray, mark: str) -> np.ndarray:
    thousands = "," if mark == "." else "."
    plain = [text.replace(thousands, "").replace(",", ".") for text in bare]
    return pd.to_numeric(pd.Series(plain, dtype="str"), errors="coerce").to_numpy(float)
