"""News on a given network: independent cascades, and whom to tell first.

Toss every edge once: with probability `pass_on` it is *live*. Whoever is reached from the seeds
over live edges hears the news. The result has the same distribution as tossing an edge when news
arrives at it (Kempe, Kleinberg & Tardos 2003), and the caller supplies the randomness: the same
uniforms under two policies give twins. On an undirected graph, one toss decides for both ways.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, Ints, check_count, number_problems
from crmlab.errors import SpecError, raise_problems

if TYPE_CHECKING:
    import networkx as nx


def live_edges(graph: "nx.Graph", pass_on: ArrayLike, uniforms: ArrayLike) -> "nx.Graph":
    """Keep the edges over which news would pass: those with a uniform below their probability.

    Parameters
    ----------
    graph : networkx graph
        Directed from who tells to who hears, or undirected; multi-edges are allowed.
    pass_on : array_like, a number or shape (n_edges,)
        Probability, in the order of ``graph.edges``.
    uniforms : array_like of shape (n_edges,)
        Addressed uniforms of a world, or ``rng.random(graph.number_of_edges())``.

    Returns
    -------
    networkx graph
        All nodes, but only the live edges.

    Raises
    ------
    SpecError
        A probability outside 0 to 1, or the wrong number of uniforms.
    """
    n_edges = graph.number_of_edges()
    u, p = np.asarray(uniforms, dtype=float), np.asarray(pass_on, dtype=float)
    if u.shape != (n_edges,) or p.shape not in ((), (n_edges,)):
        raise SpecError(
            f"live_edges: `uniforms` needs one number per edge ({n_edges}); `pass_on` needs one "
            f"number, or one per edge, got shapes {u.shape} and {p.shape}"
        )
    raise_problems(SpecError, "live_edges", number_problems({"pass_on": p}, least=0, most=1))
    edges = graph.edges(keys=True) if graph.is_multigraph() else graph.edges
    live = graph.__class__()
    live.add_nodes_from(graph)
    live.add_edges_from(edge for edge, kept in zip(edges, u < p, strict=True) if kept)
    return live


def cascade(
    graph: "nx.Graph", seeds: Iterable[Hashable], *, pass_on: ArrayLike, uniforms: ArrayLike
) -> dict[Hashable, int]:
    """Round in which each person who hears the news hears it; seeds hear it in round 0.

    Parameters
    ----------
    graph, pass_on, uniforms
        As in `live_edges`.
    seeds : iterable of nodes

    Returns
    -------
    dict
        Maps person to round: the length of the shortest live path from a seed.

    Raises
    ------
    SpecError
        Seeds that are not in the graph; and whatever `live_edges` raises.

    Examples
    --------
    >>> import networkx as nx
    >>> line = nx.path_graph(4)
    >>> cascade(line, [0], pass_on=0.5, uniforms=[0.1, 0.2, 0.9])
    {0: 0, 1: 1, 2: 2}
    """
    import networkx as nx

    first = _known_seeds("cascade", graph, seeds)
    live = live_edges(graph, pass_on, uniforms)
    layers = nx.bfs_layers(live, first) if first else ()
    return {person: round_ for round_, layer in enumerate(layers) for person in layer}


def cascade_sizes(
    graph: "nx.Graph",
    seeds: Iterable[Hashable],
    *,
    pass_on: ArrayLike,
    n_runs: int,
    rng: np.random.Generator,
) -> Ints:
    """People who hear the news, seeds included, in each of `n_runs` independent cascades.

    The standard error of their mean is the standard deviation divided by sqrt(n_runs).

    Parameters
    ----------
    graph, seeds, pass_on
        As in `cascade`.
    n_runs : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_runs,)

    Examples
    --------
    >>> import networkx as nx
    >>> rng = np.random.default_rng(1)
    >>> cascade_sizes(nx.star_graph(5), [0], pass_on=1, n_runs=3, rng=rng).tolist()
    [6, 6, 6]
    """
    first = _known_seeds("cascade_sizes", graph, seeds)
    shape = (_positive("cascade_sizes", "n_runs", n_runs), graph.number_of_edges())
    return np.array(
        [len(cascade(graph, first, pass_on=pass_on, uniforms=u)) for u in rng.random(shape)]
    )


def seed_greedily(
    graph: "nx.Graph",
    n_seeds: int,
    *,
    pass_on: ArrayLike,
    n_runs: int,
    rng: np.random.Generator,
) -> tuple[list[Hashable], float]:
    """Choose whom to tell first, one by one, each time the person who adds most hearers.

    On the sampled cascades the choice reaches at least 1 - 1/e = 63.2 % of what the best set of
    that size reaches (Kempe, Kleinberg & Tardos 2003). The returned mean is taken over the
    cascades that chose the seeds, so it flatters them: score them with `cascade_sizes` on others.

    Parameters
    ----------
    graph, pass_on
        As in `cascade`.
    n_seeds, n_runs : int
    rng : numpy.random.Generator

    Returns
    -------
    seeds : list of nodes, in the order in which they were chosen
    mean_hearers : float

    Examples
    --------
    >>> import networkx as nx
    >>> two_stars = nx.disjoint_union(nx.star_graph(5), nx.star_graph(3))
    >>> seed_greedily(two_stars, 2, pass_on=1, n_runs=2, rng=np.random.default_rng(1))
    ([0, 6], 10.0)
    """
    _positive("seed_greedily", "n_seeds", n_seeds)
    _positive("seed_greedily", "n_runs", n_runs)
    if n_seeds > len(graph):
        raise SpecError(f"seed_greedily: `n_seeds` is {n_seeds}, of {len(graph)} people")
    hearers = _hearers(graph, pass_on, rng.random((n_runs, graph.number_of_edges())))
    chosen: list[Hashable] = []
    covered: set[tuple[int, Hashable]] = set()
    for _ in range(n_seeds):
        left = [person for person in graph if person not in chosen]
        best = max(left, key=lambda person: len(hearers[person] - covered))
        chosen.append(best)
        covered |= hearers[best]
    return chosen, len(covered) / n_runs


def _hearers(
    graph: "nx.Graph", pass_on: ArrayLike, uniforms: Floats
) -> Mapping[Hashable, set[tuple[int, Hashable]]]:
    """List for each person the (run, hearer) pairs that would follow from telling that person."""
    import networkx as nx

    hearers: dict[Hashable, set[tuple[int, Hashable]]] = {person: set() for person in graph}
    for run, u in enumerate(uniforms):
        live = live_edges(graph, pass_on, u)
        for person in graph:
            layers = nx.bfs_layers(live, [person])
            hearers[person] |= {(run, other) for layer in layers for other in layer}
    return hearers


def _known_seeds(owner: str, graph: "nx.Graph", seeds: Iterable[Hashable]) -> list[Hashable]:
    first = list(dict.fromkeys(seeds))
    unknown = [seed for seed in first if seed not in graph]
    if unknown:
        raise SpecError(f"{owner}: `seeds` are not in the graph: {unknown[:5]}")
    return first


def _positive(owner: str, parameter: str, value: int) -> int:
    check_count(owner, parameter, value)
    return value
