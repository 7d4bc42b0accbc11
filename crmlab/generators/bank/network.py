"""The community as a graph, and how far news travels."""

from typing import TYPE_CHECKING

import numpy as np

from crmlab.errors import DataError
from crmlab.tables import CustomerTables

if TYPE_CHECKING:
    import networkx as nx


def community_graph(tables: CustomerTables, *, tie: str | None = None) -> "nx.MultiDiGraph":
    """Return who talks to whom and who referred whom as a directed graph.

    Parameters
    ----------
    tables : CustomerTables
        With the table `ties`, as a `Bank` makes it.
    tie : {"talk", "referral"}, optional
        Only these edges; both by default.

    Returns
    -------
    networkx.MultiDiGraph
        Nodes are customer numbers with `start`; edges run from the later customer to the earlier
        one, with `tie` and `period`.

    Raises
    ------
    DataError
        The tables have no table of ties.

    Examples
    --------
    >>> from crmlab.generators.bank.world import Bank
    >>> from crmlab.generators.base import simulate
    >>> graph = community_graph(simulate(Bank(n_periods=4), 10, seed=1), tie="talk")
    >>> len(graph), max(graph.out_degree(node) for node in graph) <= 3
    (10, True)
    """
    import networkx as nx

    if "ties" not in tables.more:
        raise DataError("community_graph: the tables have no table `ties`")
    edges = tables.more["ties"]
    edges = edges if tie is None else edges[edges["tie"] == tie]
    graph = nx.MultiDiGraph()
    customers = tables.customers
    for node, start in zip(customers["customer_id"], customers["start"], strict=True):
        graph.add_node(int(node), start=int(start))
    columns = (edges["customer_id"], edges["other_id"], edges["period"], edges["tie"])
    for here, there, period, kind in zip(*columns, strict=True):
        graph.add_edge(int(here), int(there), period=int(period), tie=str(kind))
    return graph


def reach_shares(tables: CustomerTables, *, beyond: tuple[int, ...] = (10, 20)) -> dict[str, float]:
    """Share of negative posts that reach more than a given number of people.

    Returns
    -------
    dict
        "P(N > 10)" and so on, as fractions; NaN if there is no negative post.
    """
    posts = tables.more["posts"]
    reach = posts.loc[posts["valence"] == "negative", "reach"].to_numpy()
    return {f"P(N > {k})": float(np.mean(reach > k)) if len(reach) else np.nan for k in beyond}
