"""One person, many ids: the components of a graph.

Ids of the functions are the nodes; each register entry that says "these two are one person" is an
edge; a customer is a connected component. So two entries that form a chain, telephone to account
and account to login, join three ids, although no register knows all three. It also means that one
false entry merges two people: look at the large components before you believe them.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crmlab.errors import DataError, raise_problems

LINK_COLUMNS = ("function", "local_id", "other_function", "other_id")


def join_ids(parties: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """Find the customer that each id of each function belongs to.

    Parameters
    ----------
    parties : DataFrame
        function, local_id: every id that occurs in an extract. The order of the functions decides
        which id names the customer.
    links : DataFrame
        function, local_id, other_function, other_id: pairs of ids of one person. An id that occurs
        in no extract may connect two that do.

    Returns
    -------
    DataFrame
        function, local_id, customer_id, one row per distinct id. A customer is named
        "function:id" after its first id, in the order of the functions, then of the ids, so a new
        customer does not rename the others.

    Raises
    ------
    DataError
        If a column is missing, or a link has an empty end.

    Examples
    --------
    >>> parties = pd.DataFrame({"function": ["sales", "web", "web"], "local_id": ["7", "a", "b"]})
    >>> links = pd.DataFrame([("web", "a", "sales", "7")], columns=LINK_COLUMNS)
    >>> join_ids(parties, links)["customer_id"].tolist()
    ['sales:7', 'sales:7', 'web:b']
    """
    _check(parties, ("function", "local_id"), "parties")
    _check(links, LINK_COLUMNS, "links")
    known = parties[["function", "local_id"]].drop_duplicates(ignore_index=True)
    ends = (_pairs(links, "function", "local_id"), _pairs(links, "other_function", "other_id"))
    nodes = pd.MultiIndex.from_frame(known.astype("str"))
    everybody = nodes.append([*ends]).unique()
    labels = _components(len(everybody), *(everybody.get_indexer(end) for end in ends))
    component = labels[everybody.get_indexer(nodes)]
    return known.assign(customer_id=_names(known, component))


def link_by_key(keys: pd.DataFrame, *, most: int = 3) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Link ids that share the value of a key, such as a telephone number.

    Parameters
    ----------
    keys : DataFrame
        function, local_id, key; rows without a key are left out.
    most : int
        A key shared by more ids than this does not identify a person (a family's telephone, "n/a").

    Returns
    -------
    links : DataFrame
        As `join_ids` expects them.
    refused : DataFrame
        key, n: the keys that too many ids share.

    Raises
    ------
    DataError
        If a column is missing.

    Examples
    --------
    >>> keys = pd.DataFrame({"function": ["sales", "web"], "local_id": ["7", "ann"], "key": "x@y"})
    >>> link_by_key(keys)[0].values.tolist()
    [['web', 'ann', 'sales', '7']]
    """
    _check(keys, ("function", "local_id", "key"), "keys")
    filled = keys.dropna(subset=["key"]).drop_duplicates(["function", "local_id", "key"])
    size = filled.groupby("key")["local_id"].transform("size")
    refused = filled[size > most].groupby("key").size().rename("n").reset_index()
    kept = filled[size <= most]
    first = kept.groupby("key")[["function", "local_id"]].transform("first")
    links = kept[["function", "local_id"]].assign(
        other_function=first["function"], other_id=first["local_id"]
    )
    itself = kept.index.isin(kept.drop_duplicates("key").index)
    return links[~itself].reset_index(drop=True), refused


def _components(n: int, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(start)), (start, end)), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def _names(known: pd.DataFrame, component: np.ndarray) -> pd.Series:
    """Name each component after its first id."""
    order = {name: place for place, name in enumerate(known["function"].drop_duplicates())}
    ranked = known.assign(component=component, place=known["function"].map(order))
    ranked = ranked.sort_values(["component", "place", "local_id"])
    first = ranked.groupby("component")[["function", "local_id"]].transform("first")
    return (first["function"] + ":" + first["local_id"].astype("str")).astype("str")


def _pairs(links: pd.DataFrame, function: str, local_id: str) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(links[[function, local_id]].astype("str"))


def _check(frame: pd.DataFrame, columns: Sequence[str], owner: str) -> None:
    listed = ", ".join(map(str, frame.columns))
    missing = [name for name in columns if name not in frame]
    problems = [f"column `{name}` is missing (there are: {listed})" for name in missing]
    if owner == "links" and not missing:
        empty = frame[list(columns)].isna().any(axis=1)
        problems += [f"{empty.sum()} rows with an empty end"] if empty.any() else []
    raise_problems(DataError, owner, problems)
