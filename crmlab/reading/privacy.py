"""Pseudonyms for ids, and cells that no spreadsheet takes for a formula.

A pseudonym is a keyed hash (HMAC-SHA256) of the id: the same id and key give the same pseudonym in
every file, and without the key nobody can recover the id, not even by hashing every possible id.
The key stays with the user, in a separate file outside every report.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from crmlab.errors import DataError

_DIGITS = 16  # 64 bits: among a million customers two share a pseudonym with probability 3e-8
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_CALM = "'"


def read_key(path: str | Path) -> bytes:
    """Read the key of the pseudonyms; create the file if it does not exist.

    Parameters
    ----------
    path : path
        Readable by its owner only. Whoever has the key can link pseudonyms to ids.

    Raises
    ------
    DataError
        If the file does not hold a key.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path.name}: is a folder; name the file that holds the key")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        key = b""
    if len(key) < 16:
        raise DataError(f"{path.name}: does not hold a key (at least 32 hexadecimal digits)")
    return key


def pseudonymise(ids: pd.Series, key: bytes) -> pd.Series:
    """Replace ids by keyed hashes.

    Parameters
    ----------
    ids : Series of str
    key : bytes

    Returns
    -------
    Series of str
        A letter and sixteen hexadecimal digits, so that no program reads them as a number.

    Raises
    ------
    DataError
        If two ids share a pseudonym (probability one in a billion with 100,000 customers).

    Examples
    --------
    >>> pseudonymise(pd.Series(["ann", "bob", "ann"]), b"0" * 32).nunique()
    2
    """
    codes, unique = pd.factorize(ids)
    hashed = [
        "c" + hmac.new(key, str(one).encode(), hashlib.sha256).hexdigest()[:_DIGITS]
        for one in unique
    ]
    if len(set(hashed)) < len(hashed):
        raise DataError("two ids have the same pseudonym: choose another key")
    return pd.Series(pd.Index(hashed, dtype="str")[codes], index=ids.index, dtype="str")


def is_formula(text: pd.Series) -> pd.Series:
    """Mark texts that a spreadsheet would take for a formula or a command."""
    return text.astype("str").str.startswith(_FORMULA).fillna(False).astype(bool)


def neutralise(frame: pd.DataFrame, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Put an apostrophe before every text that a spreadsheet would take for a formula.

    Parameters
    ----------
    frame : DataFrame
    columns : sequence of str, optional
        Columns of text; all of them if left out.

    Examples
    --------
    >>> neutralise(pd.DataFrame({"id": ["=1+1", "7"], "n": [-1, 2]}))["id"].tolist()
    ["'=1+1", '7']
    """
    texts = [n for n in frame if isinstance(frame[n].dtype, pd.StringDtype)]
    chosen = texts if columns is None else columns
    return frame.assign(
        **{n: frame[n].where(~is_formula(frame[n]), _CALM + frame[n]) for n in chosen}
    )
