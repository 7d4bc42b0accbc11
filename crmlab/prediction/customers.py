"""Customers with effects of their own, summed out or drawn, given what was seen of them.

Each is thought of as standing at one of `N_POINTS` fixed points of the population; the likelihood
of what was seen, if she stood there, is the weight of the point.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtri, softmax

from crmlab import chains
from crmlab.prediction.draws import upper_edges
from crmlab.prediction.reader import Floats, Parameters, Reader

N_POINTS = 64


def _recursion(kind: str) -> Callable[..., NDArray[np.float64]]:
    return {
        "filtered": lambda *evidence: chains.forward(*evidence).filtered,
        "predicted": lambda *evidence: chains.forward(*evidence).predicted,
        "smoothed": chains.smooth,
    }[kind]


@functools.cache
def _points(n_effects: int) -> Floats:
    """Give points spread evenly over the population (point, effect), as standard normals.

    A Halton sequence without its first point, scaled to mean 0 and standard deviation 1: a rule of
    integration, not a sample.
    """
    from scipy.stats import qmc

    points = ndtri(qmc.Halton(n_effects, scramble=False).random(N_POINTS + 1)[1:])
    return (points - points.mean(axis=0)) / points.std(axis=0)


def _at_points(reader: Reader, parameters: Parameters, points: Floats) -> Iterator[tuple]:
    """Arguments of the recursions if all customers stood at one point, point by point."""
    places = (np.broadcast_to(point, (reader.n_seen, len(point))) for point in points)
    return reader.evidence_at(parameters, places)


def probs_of_seen(reader: Reader, parameters: Parameters, kind: str) -> Floats:
    """Stage probabilities (customer, period, stage), summed over what customers are like."""
    if not reader.n_effects:
        return _recursion(kind)(*reader.evidence(parameters))
    found, peak = 0.0, -np.inf
    for evidence in _at_points(reader, parameters, _points(reader.n_effects)):
        probs, log_weight = _weighed(evidence, kind)
        probs = np.concatenate([probs, np.ones_like(log_weight)], axis=-1)
        top = np.maximum(peak, log_weight)
        # Everything impossible so far has no weight, which is what exp(-inf) says.
        anchor = np.where(top > -np.inf, top, 0.0)
        new = np.where(log_weight > -np.inf, probs * np.exp(log_weight - anchor), 0.0)
        found, peak = found * np.exp(peak - anchor) + new, top
    inside = _inside(reader)[..., None]
    with np.errstate(invalid="ignore"):  # an impossible history has no probabilities
        return np.where(inside, found[..., :-1] / found[..., -1:], np.nan)


def _inside(reader: Reader) -> NDArray[np.bool_]:
    periods = np.arange(reader.score.shape[1])
    first, last = (ends[reader.seen][:, None] for ends in reader.window)
    return (periods >= first) & (periods <= last)


def _weighed(evidence: tuple, kind: str) -> tuple[Floats, Floats]:
    """Stage probabilities, and the log-likelihood of what they are given (customer, period, 1)."""
    result = chains.forward(*evidence)
    if kind == "smoothed":
        logliks = np.repeat(result.loglik[:, None, None], evidence[2].shape[1], axis=1)
        return chains.smooth(*evidence), logliks
    with np.errstate(divide="ignore"):
        steps = logsumexp(np.log(result.predicted) + evidence[2], axis=-1)
    steps = np.where(np.isnan(result.predicted[..., 0]), 0.0, steps)
    total = np.cumsum(steps, axis=1)[..., None]
    if kind == "filtered":
        return result.filtered, total
    return result.predicted, np.pad(total, ((0, 0), (1, 0), (0, 0)))[:, :-1]


def _weigh_points(reader: Reader, parameters: Parameters) -> tuple[Floats, Floats]:
    """Give points of the population, and each customer's weights on them (customer, point)."""
    points = _points(reader.n_effects)
    weights = np.full((reader.score.shape[0], len(points)), 1 / len(points))
    logs = [chains.forward(*evidence).loglik for evidence in _at_points(reader, parameters, points)]
    logs = np.stack(logs, axis=1)
    impossible = logs.max(axis=1, keepdims=True) == -np.inf  # says nothing of the customer
    weights[reader.seen] = softmax(np.where(impossible, 0.0, logs), axis=1)
    return points, weights


def mean_normals(reader: Reader, parameters: Parameters) -> Floats | None:
    """Mean place in the population of each customer who was seen (customer, effect)."""
    if not reader.n_effects:
        return None
    points, weights = _weigh_points(reader, parameters)
    return weights[reader.seen] @ points


def sample_normals(
    reader: Reader, parameters: Parameters, rng: np.random.Generator
) -> Floats | None:
    """Draw a place in the population for each customer, given what was seen."""
    if not reader.n_effects:
        return None
    points, weights = _weigh_points(reader, parameters)
    u = rng.random(len(weights))
    return points[(u[:, None] >= upper_edges(weights)).sum(axis=1)]
