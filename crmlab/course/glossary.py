"""The glossary of the course: a term in English, French and Danish, its symbol, unit and meaning.

It is one file (``glossary.csv``); the site prints it with the notebook in which a term is first
used, and a test checks terms, translations and notebooks. If a word has two meanings in the field,
the entry says which one is meant here.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@cache
def read_glossary() -> "pd.DataFrame":
    """Read the glossary.

    Returns
    -------
    pandas.DataFrame
        Index ``term``, in alphabetical order; columns ``french``, ``danish``, ``symbol``, ``unit``,
        ``definition``, ``beware`` (of a homonym; "" if there is none).

    Examples
    --------
    >>> read_glossary().loc["retention rate", ["french", "danish", "symbol"]].tolist()
    ['taux de rétention', 'fastholdelsesrate', 'r']
    """
    import pandas as pd

    path = files("crmlab.course") / "glossary.csv"
    with path.open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False, index_col="term")


def first_uses(terms: "pd.Index", texts: Mapping[str, str]) -> dict[str, str]:
    """Find the first text that contains each term, in singular or plural and across line breaks.

    Parameters
    ----------
    terms : pandas.Index of str
    texts : mapping of name to text
        In reading order.

    Returns
    -------
    dict of term to name
        Terms that occur in no text are left out.

    Examples
    --------
    >>> import pandas as pd
    >>> first_uses(pd.Index(["stage", "move"]), {"00": "Ten stages.", "03": "A stage, a move."})
    {'stage': '00', 'move': '03'}
    """
    found = {}
    for term in terms:
        words = r"[\s_-]+".join(map(re.escape, term.split()))
        pattern = re.compile(rf"\b{words}(?:s|es)?\b", re.IGNORECASE)
        uses = (name for name, text in texts.items() if pattern.search(text))
        if use := next(uses, None):
            found[term] = use
    return found
