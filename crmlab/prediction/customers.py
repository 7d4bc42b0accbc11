"""Customers with effects of their own, summed out or drawn, given what was seen of them.

Each is thought of as standing at one of `N_POINTS` fixed points of the population; the likelihood
of what was seen, if she stood there, is the weight of the point.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtri, softmax

from crmlab.arrays import Bools, Floats
from crmlab.prediction.crowd import Crowd, follow
from crmlab.prediction.draws import upper_edges
from crmlab.prediction.reader import Parameters, Reader

N_POINTS = 64


class Places(NamedTuple):
    """Where customers may stand in their population, and where each stage law is known."""

    points: Floats  # (P, effects)
    weights: Floats  # (customers, P), given what was seen
    now: Floats  # (customers, P, K) filtered law of the last period, if she stood there


@functools.cache
def population_points(n_effects: int, n_points: int = N_POINTS) -> Floats:
    """Give points spread evenly over the population (point, effect), as standard normals.

    A Halton sequence without its first point, scaled to mean 0 and standard deviation 1: a rule of
    integration, not a sample.
    """
    from scipy.stats import qmc

    points = ndtri(qmc.Halton(n_effects, scramble=False).random(n_points + 1)[1:])
    return (points - points.mean(axis=0)) / points.std(axis=0)


def _points_of(reader: Reader, n_points: int = N_POINTS) -> Floats | None:
    return population_points(reader.n_effects, n_points) if reader.n_effects else None


def probs_of_seen(reader: Reader, parameters: Parameters, kind: str) -> Floats:
    """Stage probabilities (customer, period, stage), summed over what customers are like."""
    n_periods, n_stages = reader.score.shape[1:]
    found = np.empty((reader.n_seen, n_periods, n_stages))
    blocks = follow(reader, parameters, _points_of(reader), smooth=kind == "smoothed")
    for some, crowd in blocks:
        found[some] = _sum_out(*_weighed(crowd, kind))
    return np.where(_inside(reader)[..., None], found, np.nan)


def _weighed(crowd: Crowd, kind: str) -> tuple[Floats, Floats]:
    """Stage probabilities, and the log-likelihood (T, B, P) of what they are given."""
    if kind == "filtered":
        return crowd.filtered, crowd.running
    if kind == "predicted":
        return crowd.predicted, np.pad(crowd.running, ((1, 0), (0, 0), (0, 0)))[:-1]
    return crowd.smoothed, np.broadcast_to(crowd.running[-1], crowd.running.shape)


def _sum_out(probs: Floats, logs: Floats) -> Floats:
    """Average probabilities (T, K, B, P) over the points with their weights; (B, T, K)."""
    top = logs.max(axis=-1, keepdims=True)
    # Everything impossible has no weight, which is what exp(-inf) says.
    weights = np.exp(logs - np.where(top > -np.inf, top, 0.0))
    total = weights.sum(axis=-1)
    joint = np.where(weights[:, None] > 0, probs * weights[:, None], 0.0).sum(axis=-1)
    with np.errstate(invalid="ignore"):  # an impossible history has no probabilities
        return np.moveaxis(joint / total[:, None], -1, 0)


def _inside(reader: Reader) -> Bools:
    periods = np.arange(reader.score.shape[1])
    first, last = (ends[reader.seen][:, None] for ends in reader.window)
    return (periods >= first) & (periods <= last)


def running_logliks(reader: Reader, parameters: Parameters, n_points: int = N_POINTS) -> Floats:
    """Log-likelihood of all that was seen up to each period (customer, period), [nats].

    Stages are summed out, and what customers are like is averaged over their population.
    """
    found = np.empty((reader.n_seen, reader.score.shape[1]))
    for some, crowd in follow(reader, parameters, _points_of(reader, n_points)):
        found[some] = logsumexp(crowd.running, axis=-1).T - np.log(crowd.running.shape[-1])
    return found


def find_places(reader: Reader, parameters: Parameters) -> Places:
    """Weigh the points of the population for every customer, those never seen included.

    Where customers are alike there is one point, without effects.
    """
    points = _points_of(reader)
    n_points = 1 if points is None else len(points)
    n, _, n_stages = reader.score.shape
    weights = np.full((n, n_points), 1 / n_points)
    now = np.broadcast_to(parameters["initial_probs"], (n, n_points, n_stages)).copy()
    who, last = np.flatnonzero(reader.seen), reader.window.last[reader.seen]
    for some, crowd in follow(reader, parameters, points):
        logs = crowd.running[-1]
        impossible = logs.max(axis=1, keepdims=True) == -np.inf  # says nothing of the customer
        weights[who[some]] = softmax(np.where(impossible, 0.0, logs), axis=1)
        here = np.arange(some.stop - some.start)
        now[who[some]] = crowd.filtered[last[some], :, here].swapaxes(1, 2)
    return Places(np.empty((1, 0)) if points is None else points, weights, now)


def law_under(reader: Reader, parameters: Parameters, normals: Floats | None) -> Floats:
    """Give the filtered law of each last period (customer, stage); the initial law if never seen.

    `normals` (customer, effect) say where in the population they stand.
    """
    law = np.tile(parameters["initial_probs"], (reader.score.shape[0], 1))
    own = None if normals is None else normals[reader.seen]
    who, last = np.flatnonzero(reader.seen), reader.window.last[reader.seen]
    for some, crowd in follow(reader, parameters, own=own):
        here = np.arange(some.stop - some.start)
        law[who[some]] = crowd.filtered[last[some], :, here, 0]
    return law


def mean_normals(reader: Reader, parameters: Parameters) -> Floats | None:
    """Mean place in the population of each customer who was seen (customer, effect)."""
    if not reader.n_effects:
        return None
    places = find_places(reader, parameters)
    return places.weights[reader.seen] @ places.points


def sample_normals(
    reader: Reader, parameters: Parameters, rng: np.random.Generator
) -> Floats | None:
    """Draw a place in the population for each customer, given what was seen."""
    if not reader.n_effects:
        return None
    places = find_places(reader, parameters)
    u = rng.random(len(places.weights))
    return places.points[(u[:, None] >= upper_edges(places.weights)).sum(axis=1)]
