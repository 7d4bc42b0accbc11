"""Which column is which: guessed from headers in a dozen languages, and always shown.

A guess is made from the words of a header; the user may overrule it by name or by position
("#3"). If two columns fit equally well, no coin is tossed: the user is asked.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.amounts import read_amounts
from crmlab.reading.cells import as_words
from crmlab.reading.dates import read_dates
from crmlab.reading.files import RawTable
from crmlab.reading.quality import Decision
from crmlab.reading.words import HEADERS, PERSONAL, is_unspaced, plain

_NEEDED_SHARE = 0.5


@dataclass(frozen=True)
class Columns:
    """Positions of the columns in use; None for a column that does not exist."""

    customer: int
    date: int
    amount: int | None = None
    quantity: int | None = None
    price: int | None = None
    currency: int | None = None
    status: int | None = None
    order: int | None = None


def guess_columns(
    raw: RawTable, chosen: Mapping[str, str | None]
) -> tuple[Columns, tuple[Decision, ...], tuple[str, ...]]:
    """Guess which column holds what.

    Parameters
    ----------
    raw : RawTable
    chosen : mapping of "customer", "date", "amount" to a column's name or "#position", or None
        The user's choices; the rest is guessed.

    Returns
    -------
    columns : Columns
    decisions : tuple of Decision
        One per column that is used.
    personal : tuple of str
        Further columns whose headers suggest personal data.

    Raises
    ------
    DataError
        If a required column is missing or two columns fit equally well; all problems at once.

    Examples
    --------
    >>> frame = pd.DataFrame(columns=["Kunden-Nr.", "Bestelldatum", "Betrag"], data=[["7", "", ""]])
    >>> guess_columns(RawTable(frame, "x", ()), {})[0]
    Columns(customer=0, date=1, amount=2, quantity=None, price=None, currency=None, status=None,
    order=None)
    """
    names = [str(name) for name in raw.frame.columns]
    roles = [field.name for field in fields(Columns)]
    found, decisions = find_roles(raw, roles, ("customer", "date"), chosen, "--")
    personal = find_personal(raw)
    if "amount" not in found and "price" in found and "quantity" not in found:
        found["amount"] = found.pop("price")
        decisions.append(Decision("amount column", names[found["amount"]], "the only price"))
    elif "amount" not in found and not {"quantity", "price"} <= set(found):
        why = "no header mentions one; name it with --amount if there is one"
        decisions.append(Decision("amount column", "none", why))
    return Columns(**found), tuple(decisions), personal


def find_personal(raw: RawTable) -> tuple[str, ...]:
    """List the columns whose headers suggest personal data."""
    return tuple(str(name) for name in raw.frame.columns if plain(name) in PERSONAL)


def find_roles(
    raw: RawTable,
    roles: Sequence[str],
    needed: Sequence[str],
    chosen: Mapping[str, str | None],
    option: str,
) -> tuple[dict[str, int], list[Decision]]:
    """Find a column for each role, and say why; each column has at most one role.

    Parameters
    ----------
    raw : RawTable
    roles, needed : sequence of str
        All roles, in the order in which they are matched; the roles that are required.
    chosen : mapping of role to a column's name or "#position", or None
    option : str
        The prefix of a role on the command line, e.g. "--".

    Raises
    ------
    DataError
        If a required column is missing or two columns fit equally well; all problems at once.
    """
    names = [str(name) for name in raw.frame.columns]
    found: dict[str, int] = {}
    decisions, problems = [], []
    for role in roles:
        taken = set(found.values())
        place, why, problem = _find(role, names, chosen.get(role), taken, option, role in needed)
        if place is None and not problem:
            place, why = _by_content(role, raw, taken)
        problems += problem
        if place is not None:
            found[role] = place
            decisions.append(Decision(f"{role} column", names[place], why))
    problems += [
        f"no column looks like the {role}: name it with {option}{role} (there are {_shown(names)})"
        for role in needed
        if role not in found and not any(f"{option}{role}" in problem for problem in problems)
    ]
    if problems:
        raise DataError("; ".join(problems))
    return found, decisions


def _find(
    role: str,
    names: Sequence[str],
    choice: str | None,
    taken: set[int],
    option: str,
    is_needed: bool,
) -> tuple[int | None, str, list[str]]:
    if choice is not None:
        return _find_chosen(f"{option}{role}", names, choice)
    scores = {k: _score(role, plain(name)) for k, name in enumerate(names) if k not in taken}
    best = max(scores.values(), default=0)
    fitting = [k for k, score in scores.items() if score == best and best > 0]
    if not fitting:
        return None, "", []
    if len(fitting) > 1 and (is_needed or role == "amount"):
        both = " and ".join(f"{names[k]!r} (#{k + 1})" for k in fitting[:3])
        return None, "", [f"{both} fit equally well: choose one with {option}{role}, e.g. '#1'"]
    return fitting[0], "the word in its header", []


def _find_chosen(
    option: str, names: Sequence[str], choice: str
) -> tuple[int | None, str, list[str]]:
    if re.fullmatch(r"#\d+", choice):
        place = int(choice[1:]) - 1
        if 0 <= place < len(names):
            return place, "as you said", []
        return None, "", [f"{option} {choice}: there are only {len(names)} columns"]
    fitting = [k for k, name in enumerate(names) if name.strip() == choice.strip()]
    fitting = fitting or [k for k, name in enumerate(names) if plain(name) == plain(choice)]
    if len(fitting) == 1:
        return fitting[0], "as you said", []
    if fitting:
        places = " or ".join(f"'#{k + 1}'" for k in fitting[:3])
        return None, "", [f"{option} {choice!r}: several columns have this name; use {places}"]
    return None, "", [f"{option} {choice!r}: no such column (there are {_shown(names)})"]


def _score(role: str, header: str) -> float:
    """Score a header: an exact match beats a partial one, earlier words beat later ones."""
    best = 0.0
    if role == "date" and header in PERSONAL:
        return best
    for rank, known in enumerate(HEADERS[role]):
        if header == known:
            best = max(best, 2.0 - rank / 1000)
        elif _contains(header, known):
            best = max(best, 1.0 - rank / 1000)
    return best


def _contains(header: str, known: str) -> bool:
    """Whether a known word is a part of a header; very short words say too little."""
    if is_unspaced(known):
        return known in header
    return len(known) > 2 and f" {known} " in f" {header} "


def _by_content(role: str, raw: RawTable, taken: set[int]) -> tuple[int | None, str]:
    """Recognise a column by its cells when its header is no help."""
    if role not in ("customer", "date", "opened") and not (role == "amount" and not raw.has_header):
        return None, ""
    tests = {
        "date": _holds_dates,
        "opened": _holds_dates,
        "amount": _holds_amounts,
        "customer": _holds_ids,
    }
    open_ = [k for k in range(raw.frame.shape[1]) if k not in taken]
    fitting = [k for k in open_ if tests[role](raw.frame.iloc[:2000, k])]
    if role == "customer" and raw.has_header:
        return None, ""  # any short text may be an id: too weak as evidence if there are headers
    if role == "customer":
        return (fitting[0], "the first column of ids that come back") if fitting else (None, "")
    if len(fitting) != 1:
        return None, ""
    return fitting[0], f"the only column whose cells are {role}s"


def _holds_dates(cells: pd.Series) -> bool:
    if pd.api.types.is_datetime64_any_dtype(cells):
        return True
    text = as_words(cells)
    if text.str.fullmatch(r"(\d{1,7}|\d{9,})(\.\d+)?").mean() > _NEEDED_SHARE:
        return False
    try:
        return bool(read_dates(text, name="").days.notna().mean() > _NEEDED_SHARE)
    except DataError:  # day and month cannot be told apart, so they are dates
        return True


def _holds_amounts(cells: pd.Series) -> bool:
    try:
        read = read_amounts(cells, name="")
    except DataError:
        return True
    return bool(
        read.values.notna().mean() > _NEEDED_SHARE and read.decision.choice[:7] == "decimal"
    )


def _holds_ids(cells: pd.Series) -> bool:
    text = as_words(cells)
    filled = text[text != ""]
    return len(filled) > 0 and not _holds_dates(cells) and not _holds_amounts(cells)


def _shown(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:12])
    return shown + (f" and {len(names) - 12:,} more" if len(names) > 12 else "")
