"""Who ordered: ids as text, the words and numbers that stand for nobody, and ids that look wrong.

A shop writes orders without an account under a word or a number of its own. Taken for an id, it
would be one giant customer.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from crmlab.arrays import Bools
from crmlab.errors import DataError
from crmlab.reading.cells import Cells, as_words, collect_cells
from crmlab.reading.options import split_words
from crmlab.reading.quality import Decision, Finding, rows_of

LONGEST_ID = 200
_EMPTY = """,na,n/a,nan,nat,null,nil,none,(none),<none>,[none],(null),<null>,-,--,---,?,unknown,
    #n/a,#na,<na>,\\n,undefined,(not set),not set,00000000-0000-0000-0000-000000000000,
    00000000000000000000000000000000,{00000000-0000-0000-0000-000000000000}"""
_GUESTS = """guest, guests, guest user, guest customer, guest checkout, guest account, guest order,
    anonymous, anonymous user, anonymous customer, anon, anonymized, anonymised, anonym, walk in,
    walk in customer, nobody, no customer, no account, no name, not available, not logged in,
    unregistered, unknown customer, unknown user, cash customer, cash sale, pos customer, visitor,
    test, test user, test customer, test@test.com, test@example.com, guest@guest.com,
    noreply@example.com, gast, gastkunde, gastbestellung, laufkunde, laufkundschaft, unbekannt,
    barverkauf, invité, client invité, client anonyme, anonyme, inconnu, client de passage, gæst,
    gæstekunde, ukendt, gjest, ukjent, gäst, okänd, onbekend, gastklant, anoniem, invitado, anónimo,
    desconocido, ospite, anonimo, sconosciuto, cliente occasionale, convidado, anônimo,
    desconhecido, kunde unbekannt, unbekannter kunde, barkunde, kontantkunde, kontantsalg,
    client comptoir, vente comptoir, invité(e), particulier, cliente mostrador, consumidor final,
    cliente generico, no email, noemail, no@email.com, none@none.com, na@na.com"""
# Rows of a total at the end of a table, or between its parts.
_SUMS = """total, totals, grand total, subtotal, sub total, sum, summe, gesamt, gesamtsumme,
    zwischensumme, total général, sous total, i alt, totaal, suma, summa, totale"""
_ZERO, _ONE = r"0+(?:\.0+)?|-1(?:\.0)?", r"0*1(?:\.0+)?"
_NO_WORD = r"[!-/:-@\[-`{-~\u2010-\u2015]+|x{3,}"  # "—", "***", "XXXX"
_CUT = r"\d(?:[.,]\d+)?[eE]\+?\d{1,3}"
# capitals, spaces, what is not ASCII, a leading zero, marks in a number
_UNUSUAL = r"[^!-@\[-~]|^[0']|^\d[\d.,']*[.,']\d+$"
_KEPT_DIGITS = 15  # of a number in a spreadsheet
# The rows of one id are outsized: this share of all, and this many times the median.
_FEWEST, _OUTSIZED = 10, ((0.05, 10), (0.2, 3))


def _forms(word: str) -> set[str]:
    """Return the ways in which shops write a word for nobody."""
    bare = word.strip()
    plainly = pd.Series([bare]).str.normalize("NFKD").str.replace("[\u0300-\u036f]", "", regex=True)
    spelt = {bare, plainly[0]}
    joined = {text.replace(" ", mark) for text in spelt for mark in (" ", "-", "_", "")}
    return joined | {left + text + right for text in joined for left, right in ("()", "[]", "<>")}


_NOBODY = frozenset(word.strip() for word in _EMPTY.split(",")) | frozenset(
    form for words in (_GUESTS, _SUMS) for word in words.split(",") for form in _forms(word)
)


def read_ids(raw: pd.Series) -> tuple[pd.Series, list[Decision]]:
    """Read ids as text, missing if a cell names nobody; refuse texts too long to be ids."""
    cells, codes = collect_cells(raw, str(raw.name))
    ids, decisions = name_ids(cells)
    return ids.take(codes).set_axis(raw.index), decisions


def name_ids(cells: Cells, guests: str | None = None) -> tuple[pd.Series, list[Decision]]:
    """Read the distinct texts of a column of ids, as `read_ids` does.

    Parameters
    ----------
    cells : Cells
    guests : str, optional
        As in `ReadingOptions`.
    """
    text = pd.Series(cells.texts, dtype="str")
    nobody = _find_nobody(text.str.casefold(), cells, guests)
    text, decisions = _drop_idle_decimals(text, nobody, cells)
    ids = text.mask(nobody)
    zeros = ids.str.fullmatch(_ZERO).fillna(False).to_numpy(bool)
    if zeros.any() and guests is None:
        said = f"ids count from it ({cells.counted(zeros)}); --guests 0 takes it for nobody"
        decisions.append(Decision("id of zero", "a customer", said))
    long = (ids.str.len() > LONGEST_ID).to_numpy(bool)
    if long.any():
        raise DataError(
            f"{cells.count(long):,} customer ids are longer than {LONGEST_ID} characters "
            f"({cells.listed(long)}): is this the right column? Name it with --customer"
        )
    return ids, decisions


def _find_nobody(folded: pd.Series, cells: Cells, guests: str | None) -> Bools:
    """Mark texts that stand for nobody: empty cells, words of the table, those of the user."""
    said, only = split_words(guests)
    nobody = folded.isin({*said, ""}).to_numpy(bool)
    if only:
        return nobody
    nobody = nobody | (folded.isin(_NOBODY) | folded.str.fullmatch(_NO_WORD)).to_numpy(bool)
    zeros = folded.str.fullmatch(_ZERO).to_numpy(bool)
    counts_from_zero = folded.str.fullmatch(_ONE).any()
    if zeros.any() and (not counts_from_zero or _outsized(cells.counts)[zeros].any()):
        nobody = nobody | zeros
    return nobody


def _outsized(counts: np.ndarray) -> Bools:
    """Mark counts that are far above the others."""
    whole, middle = counts.sum(), np.median(counts) if len(counts) else 0
    tests = [(counts >= share * whole) & (counts >= times * middle) for share, times in _OUTSIZED]
    return (counts >= _FEWEST) & np.any(tests, axis=0)


def _drop_idle_decimals(
    text: pd.Series, nobody: Bools, cells: Cells
) -> tuple[pd.Series, list[Decision]]:
    """Write 100.0 as 100 where all ids are numbers, or where 100 is an id too."""
    idle = text.str.contains(".0", regex=False).to_numpy(bool) & ~nobody
    if not idle.any():
        return text, []
    idle[idle] = text[idle].str.fullmatch(r"\d+\.0+").to_numpy(bool)
    bare = text.where(~idle, text.str.replace(r"\.0+$", "", regex=True))
    why = "all are whole numbers"
    if not bare[~nobody].str.fullmatch(r"\d+").all():
        idle &= bare.isin(text).to_numpy(bool)
        why = "the file has them without it too"
    if not idle.any():
        return text, []
    said = f"{why}; {rows_of(cells.count(idle))} with it"
    return text.where(~idle, bare), [Decision("customer ids", "without '.0'", said)]


def describe_nobody(cells: Cells, ids: pd.Series) -> str:
    """List the texts that stand for nobody, with their rows.

    Parameters
    ----------
    cells : Cells
    ids : Series
        As `name_ids` returns them.
    """
    nobody = ids.isna().to_numpy(bool)
    words = nobody & (cells.texts != "")
    option = "; --guests says which ids stand for nobody" if words.any() else ""
    return f"set aside ({cells.counted(nobody)}{option})" if words.any() else "set aside"


def find_odd_ids(cells: Cells, ids: pd.Series, *, is_hidden: bool) -> list[Finding]:
    """Find ids that may not be what they seem; none of their rows is set aside.

    Parameters
    ----------
    cells : Cells
    ids : Series
        The id of each text; missing if it stands for nobody.
    is_hidden : bool
        Whether no id may be shown.
    """

    def find(marks: Bools, what: str, done: str) -> list[Finding]:
        if not marks.any():
            return []
        shown = () if is_hidden else cells.show(marks, 3)
        return [Finding(what, cells.count(marks), done, 0, shown)]

    return [
        *_find_outsized(cells, ids, find, is_hidden=is_hidden),
        *find(
            _differ_in_writing(ids),
            "ids that differ only in case, coding of accents, spaces, marks or leading zeros",
            "kept as different customers; --same-person joins them",
        ),
        *find(
            _are_cut(ids),
            "ids whose digits a spreadsheet has cut (scientific notation, or zeros at the end)",
            "kept, but different people may share such an id: export the column as text",
        ),
    ]


def _find_outsized(
    cells: Cells, ids: pd.Series, find: Callable[..., list[Finding]], *, is_hidden: bool
) -> list[Finding]:
    codes, names = pd.factorize(ids)
    named = codes >= 0
    by_id = pd.Series(np.bincount(codes[named], weights=cells.counts[named]), index=names)
    big = by_id[_outsized(by_id.to_numpy())] if len(by_id) > 2 else by_id.iloc[:0]
    findings = []
    for id_, count in big.sort_values(ascending=False).head(3).items():
        share = f"{count / by_id.sum():.0%} of the rows"
        name = "one id has" if is_hidden else f"{id_[:60]!r} has"
        done = f"kept: {name} {share}; if it stands for guests or a till, name it with --guests"
        findings += find((ids == id_).to_numpy(bool), "an id with an outsized share", done)
    return findings


def _differ_in_writing(ids: pd.Series) -> Bools:
    """Mark ids that are the same once case, coding, spaces, marks and zeros are removed."""
    unusual = ids.str.contains(_UNUSUAL, regex=True).fillna(False).to_numpy(bool)
    if not unusual.any():
        return unusual
    same = ids[unusual].str.normalize("NFKC").str.casefold().str.replace("[ ']", "", regex=True)
    same = same.str.replace(r",0+$|(?<=\d)[.,](?=\d{3}(?:\D|$))", "", regex=True)
    zero = same.str.startswith("0")
    same = same.mask(zero, same[zero].str.replace(r"^0+(?=\d+$)", "", regex=True))
    by_id = ids.copy()
    by_id[unusual] = same
    pairs = pd.DataFrame({"id": ids, "same": by_id})[by_id.isin(same)].drop_duplicates()
    twice = pairs.loc[pairs["same"].duplicated(keep=False), "id"]
    return ids.isin(twice).to_numpy(bool) & ids.notna().to_numpy(bool)


def _are_cut(ids: pd.Series) -> Bools:
    """Mark ids such as 4.68769E+11, and long numbers if all of them end in zeros."""
    named = ids.fillna("")
    cut = named.str.fullmatch(_CUT).to_numpy(bool, copy=True)
    long = (named.str.len() > _KEPT_DIGITS).to_numpy(bool, copy=True)
    long[long] = named[long].str.fullmatch(r"\d+").to_numpy(bool)
    tails = named[long].str[_KEPT_DIGITS:]
    if long.sum() > 2 and tails.str.fullmatch("0+").all():
        cut |= long
    return cut


def read_people(same_person: pd.DataFrame) -> dict[str, str]:
    """Follow a list of ids to the person that each belongs to.

    Parameters
    ----------
    same_person : DataFrame
        Two columns: an id, and the id of the same person.

    Returns
    -------
    dict
        Id to the last id that the list leads to.

    Raises
    ------
    DataError
        If the list goes in a circle, or leads from one id to two people.

    Examples
    --------
    >>> read_people(pd.DataFrame({"id": ["a", "b"], "person": ["b", "c"]}))
    {'a': 'c', 'b': 'c'}
    """
    if same_person.shape[1] != 2:
        raise DataError(
            f"the list of ids must have two columns, id and person; it has {same_person.shape[1]}"
        )
    pairs = pd.DataFrame({k: as_words(same_person.iloc[:, k]) for k in (0, 1)}).drop_duplicates()
    pairs = pairs[(pairs[0] != "") & (pairs[1] != "") & (pairs[0] != pairs[1])]
    twice = pairs[0][pairs[0].duplicated()]
    if len(twice):
        raise DataError(f"the list of ids leads {twice.iloc[0]!r} to two people")
    step = dict(zip(pairs[0], pairs[1], strict=True))
    return {first: _follow(first, step) for first in step}


def _follow(first: str, step: dict[str, str]) -> str:
    seen, now = {first}, step[first]
    while now in step:
        if now in seen:
            raise DataError(f"the list of ids goes in a circle from {first!r}")
        seen.add(now)
        now = step[now]
    if now in seen:
        raise DataError(f"the list of ids goes in a circle from {first!r}")
    return now
