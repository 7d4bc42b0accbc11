"""Which column is which: guessed from headers in a dozen languages, and always shown.

A guess is made from the words of a header; the user may overrule it by name or by position
("#3"). If two columns fit equally well, no coin is tossed: the user is asked.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.amounts import read_amounts
from crmlab.reading.cells import as_words
from crmlab.reading.dates import read_dates
from crmlab.reading.options import NONE
from crmlab.reading.quality import Decision
from crmlab.reading.raw import RawTable
from crmlab.reading.status import holds_no_sales, holds_statuses
from crmlab.reading.words import HEADERS, LINES, PERSONAL, TOTALS, is_unspaced, plain

# A price that is that of all pieces of a line, and the header that gives such files away.
_LINE_PRICES = {"item price": "amazon order id"}
# Beginnings of words for money that was given back, and words of what is no money.
_REFUNDS = """refund, rembours, erstatt, ruckerstatt, reembols, rimbors, terugbet, aterbetal, devol,
        devuel, return, retour, retur, gutschrift, chargeback"""
_NO_MONEY = {"id", "no", "nr", "number", "count", "quantity", "qty", "reason", "date", "status"}
_NEEDED_SHARE, _ONE_CUSTOMER = 0.5, 0.9
_LOOKED_AT = 2_000


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
    refund: int | None = None


def guess_columns(
    raw: RawTable, chosen: Mapping[str, str | None], reasons: Mapping[str, str] | None = None
) -> tuple[Columns, tuple[Decision, ...], tuple[str, ...]]:
    """Guess which column holds what.

    Parameters
    ----------
    raw : RawTable
    chosen : mapping of role to a column's name or "#position", "none", or None
        The user's choices; the rest is guessed.
    reasons : mapping of role to str, optional
        Why a column is chosen where it is not the user who chooses.

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
    order=None, refund=None)
    """
    names = [str(name) for name in raw.frame.columns]
    roles = [field.name for field in fields(Columns)]
    found, decisions = find_roles(raw, roles, ("customer", "date"), chosen, "--")
    given = {f"{role} column": reason for role, reason in (reasons or {}).items()}
    decisions = [replace(d, evidence=given.get(d.what, d.evidence)) for d in decisions]
    personal = find_personal(raw)
    if "amount" not in found and "price" in found and chosen.get("amount") != NONE:
        decisions = _take_price_for_amount(names, found, chosen, decisions)
    if {"refund", "amount"} <= set(found) and chosen.get("refund") is None:
        decisions = _keep_net_amount(names, found, decisions)
    if "amount" not in found and not {"quantity", "price"} <= set(found):
        why = "no header mentions one; name it with --amount if there is one"
        if chosen.get("amount") != NONE:
            decisions.append(Decision("amount column", "none", why))
    return Columns(**found), tuple(decisions), personal


def _take_price_for_amount(
    names: Sequence[str],
    found: dict[str, int],
    chosen: Mapping[str, str | None],
    decisions: Sequence[Decision],
) -> list[Decision]:
    """Take a price for the amount of a line where no quantity may be multiplied by it."""
    name = names[found["price"]]
    sign = _LINE_PRICES.get(plain(name))
    if "quantity" not in found:
        why = "the only price"
    elif sign in {plain(one) for one in names} and chosen.get("price") is None:
        why = f"in files with {sign!r} it is the price of the whole line, not of one piece; "
        why += f"--price {name!r} multiplies it by the quantity"
    else:
        return list(decisions)
    found["amount"] = found.pop("price")
    others = [decision for decision in decisions if decision.what != "price column"]
    return [*others, Decision("amount column", name, why)]


def _keep_net_amount(
    names: Sequence[str], found: dict[str, int], decisions: list[Decision]
) -> list[Decision]:
    """Subtract no refund from an amount whose header says that it is what is left."""
    name = names[found["amount"]]
    if not any(word == "net" or word.startswith("netto") for word in plain(name).split()):
        return decisions
    refund = names[found.pop("refund")]
    why = f"{name!r} may be what is left after refunds; --refund {refund!r} subtracts them"
    others = [decision for decision in decisions if decision.what != "refund column"]
    return [*others, Decision("refund column", NONE, why)]


def find_unused_refunds(raw: RawTable, columns: Columns) -> tuple[int, ...]:
    """Find the columns that seem to hold refunds but have no role."""
    return tuple(
        place
        for place, name, cells in _unused(raw, columns)
        if _speaks_of_refunds(plain(name)) and _holds_money(cells)
    )


def find_unused_statuses(raw: RawTable, columns: Columns) -> tuple[int, ...]:
    """Find the columns that seem to say of orders that they are no sales, but have no role."""
    refunds = find_unused_refunds(raw, columns)
    return tuple(
        place
        for place, name, cells in _unused(raw, columns)
        if place not in refunds and holds_no_sales(name, cells)
    )


def _unused(raw: RawTable, columns: Columns) -> Iterator[tuple[int, str, pd.Series]]:
    used = set(vars(columns).values())
    for place, name in enumerate(raw.frame.columns):
        if place not in used:
            yield place, str(name), raw.frame.iloc[:_LOOKED_AT, place]


def _speaks_of_refunds(header: str) -> bool:
    words = header.split()
    begins = tuple(word.strip() for word in _REFUNDS.split(","))
    return any(word.startswith(begins) for word in words) and not _NO_MONEY & set(words)


def names_a_total(header: str) -> bool:
    """Whether a header speaks of the total of an order rather than of a line.

    Examples
    --------
    >>> [names_a_total(h) for h in ("Order total", "Grand Total", "Line total", "amount")]
    [True, True, False, False]
    """
    words = set(plain(header).split())
    return bool(words & TOTALS) and not words & LINES


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
    said = {
        role: _find_chosen(f"{option}{role}", names, choice, role in needed)
        for role in roles
        if (choice := chosen.get(role)) is not None
    }
    found = {role: place for role, (place, _, _) in said.items() if place is not None}
    decisions, problems = [], []
    for role in roles:
        place, why, problem = said.get(role) or _guess(
            _Search(role, option, role in needed), raw, found
        )
        problems += problem
        if place is not None:
            found[role] = place
        if why:
            shown = NONE if place is None else names[place]
            decisions.append(Decision(f"{role} column", shown, why))
    problems += [
        f"no column looks like the {role}: name it with {option}{role} (there are {_shown(names)})"
        for role in needed
        if role not in found and not any(f"{option}{role}" in problem for problem in problems)
    ]
    if problems and raw.nested_names:
        problems.append(
            f"{_shown(raw.nested_names)} cannot be used: their cells are lists, records or bytes"
        )
    if problems:
        raise DataError("; ".join(problems))
    return found, decisions


@dataclass(frozen=True)
class _Search:
    """What is searched for: a role, the prefix of its option, whether it is required."""

    role: str
    option: str
    is_needed: bool


def _guess(
    search: _Search, raw: RawTable, found: Mapping[str, int]
) -> tuple[int | None, str, list[str]]:
    """Find a column by its header, or by its cells if no header is any help."""
    place, why, problem = _find(search, raw, found)
    if place is not None or problem:
        return place, why, problem
    place, by_content = _by_content(search.role, raw, set(found.values()))
    return place, by_content or why, []


def _find(
    search: _Search, raw: RawTable, found: Mapping[str, int]
) -> tuple[int | None, str, list[str]]:
    """Find the column whose header fits a role best, if its cells fit too."""
    names = [str(name) for name in raw.frame.columns]
    role, option = search.role, f"{search.option}{search.role}"
    taken = set(found.values())
    scores = {k: score_header(role, name) for k, name in enumerate(names) if k not in taken}
    fitting = sorted((k for k in scores if scores[k] > 0), key=lambda k: -scores[k])
    equal = [k for k in fitting if scores[k] == scores[fitting[0]]]
    if len(equal) > 1 and (search.is_needed or role == "amount"):
        place = equal[0] + 1
        both = " and ".join(f"{names[k]!r} (#{k + 1})" for k in equal[:3])
        return None, "", [f"{both} fit equally well: choose one with {option} '#{place}'"]
    for place in fitting:
        if _fits(role, raw, place, found, is_exact=scores[place] >= 1):
            return place, "the word in its header", []
    if not fitting:
        return None, "", []
    name = names[fitting[0]]
    why = f"{name!r} sounds like it, but header and cells do not settle it; {option} takes it"
    return None, why, []


def _fits(
    role: str, raw: RawTable, place: int, found: Mapping[str, int], *, is_exact: bool
) -> bool:
    """Whether the first cells of a column look like those of a role."""
    cells = raw.frame.iloc[:_LOOKED_AT, place]
    if role == "status":
        return holds_statuses(cells, is_exact=is_exact)
    if role == "order":
        people = raw.frame.iloc[:_LOOKED_AT, found["customer"]] if "customer" in found else None
        return people is None or _holds_numbers_of_orders(cells, people)
    if role == "refund":
        return is_exact and _holds_money(cells)
    if role == "currency":
        return not _holds_numbers(cells) and not _holds_dates(cells)
    return role not in ("quantity", "price") or _holds_numbers(cells)


def _holds_numbers_of_orders(cells: pd.Series, customers: pd.Series) -> bool:
    """Whether cells are short, have digits, and those that come again belong to one customer."""
    if _holds_dates(cells):
        return False
    pairs = pd.DataFrame({"order": as_words(cells), "customer": as_words(customers)})
    filled = pairs[pairs["order"] != ""]
    if len(filled) < _NEEDED_SHARE * len(pairs):
        return False
    if filled["order"].str.contains(r"\d").mean() < _NEEDED_SHARE:
        return False
    groups = filled.groupby("order")["customer"].agg(["size", "nunique"])
    again = groups[groups["size"] > 1]
    return again.empty or bool((again["nunique"] == 1).mean() >= _ONE_CUSTOMER)


def _holds_money(cells: pd.Series) -> bool:
    """Whether most cells that are not empty are numbers, and not only 0 and 1."""
    return _holds_numbers(cells) and not set(as_words(cells)) <= {"0", "1", ""}


def _holds_numbers(cells: pd.Series) -> bool:
    """Whether most cells that are not empty are numbers."""
    filled = cells[as_words(cells) != ""]
    try:
        read = read_amounts(filled, name="")
    except DataError:  # decimal marks contradict each other or are open, so they are numbers
        return True
    return bool(len(filled) and read.values.notna().mean() > _NEEDED_SHARE)


def _find_chosen(
    option: str, names: Sequence[str], choice: str, is_needed: bool
) -> tuple[int | None, str, list[str]]:
    if choice == NONE and not is_needed:
        return None, "as you said", []
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


def score_header(role: str, name: str) -> float:
    """Score a header: an exact match beats a partial one, earlier words beat later ones.

    Examples
    --------
    >>> score_header("customer", "Customer ID"), score_header("customer", "colour")
    (2.0, 0.0)
    """
    header, best = plain(name), 0.0
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
    fitting = [k for k in open_ if tests[role](raw.frame.iloc[:_LOOKED_AT, k])]
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
