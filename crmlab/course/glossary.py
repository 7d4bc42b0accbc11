"""The glossary of the course: a term in English, French and Danish, its symbol, unit and meaning.

One file holds it (``glossary.csv``); the site prints it with the notebook in which a term is first
used, and a test holds terms, translations and notebooks together. Where a word means two things in
the field, the entry says which one is meant here.
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
        ``definition``, ``beware`` (of a homonym; "" where there is none).

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
    """Find the first text in which each term stands, in any number and however it is broken.

    Parameters
    ----------
    terms : pandas.Index of str
    texts : mapping of name to text
        In the order in which they are read.

    Returns
    -------
    dict of term to name
        Terms that stand in no text are left out.

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
