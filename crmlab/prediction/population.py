"""Customers with effects of their own, summed out or drawn, given what was seen of them.

Each customer is placed at one of `N_POINTS` fixed points of the population; the weight of a point
is the likelihood of what was seen if the customer were there.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax

from crmlab.arrays import Floats, Ints, upper_edges
from crmlab.inference.likelihood import N_POINTS, population_points
from crmlab.prediction.customers import Customers, Parameters
from crmlab.prediction.recursion import Found, follow, inside_windows
from crmlab.prediction.shared import LANES, Filtered, filter_draws, is_shared


class Places(NamedTuple):
    """Possible positions in the population of customers with each history, and their stages there.

    Where customers are alike, there is one point, without effects.
    """

    points: Floats  # (P, effects)
    weights: Floats  # (histories, P), given what was seen
    now: Floats  # (histories, P, K) filtered probabilities of the last period at each point


class Summary(NamedTuple):
    """Result of one pass over the histories of customers, with effects summed out."""

    now: Floats  # (customers, K) filtered probabilities of the last period
    earlier: Floats  # (customers, K) the same, some periods before
    occupancy: Floats  # (period, K) customers expected in each stage
    loglik: Floats  # (customers,) of the whole history


def _points_of(customers: Customers, n_points: int = N_POINTS) -> Floats | None:
    return population_points(customers.n_effects, n_points) if customers.n_effects else None


def probs_by_period(customers: Customers, parameters: Parameters, kind: str) -> Floats:
    """Stage probabilities (customer, period, stage), averaged over customers' effects."""
    histories = customers.histories
    _, n_periods, n_stages = customers.score.shape
    probs = np.empty((len(histories.first), n_periods, n_stages))
    blocks = follow(customers, parameters, _points_of(customers), kind=kind)
    for some, found in blocks:
        probs[some] = _sum_out(*_weighed(found, kind)).swapaxes(0, 1)
    probs[~inside_windows(histories, n_periods).T] = np.nan
    return probs[histories.which]


def _weighed(found: Found, kind: str) -> tuple[Floats, Floats]:
    """Stage probabilities (T, B, K, P), and the log-likelihood (T, B, P) of what they are given."""
    logs = found.running
    if kind == "predicted":
        logs = np.pad(logs, ((1, 0), (0, 0), (0, 0)))[:-1]
    if kind == "smoothed":
        logs = np.broadcast_to(logs[-1], logs.shape)
    return found.probs.swapaxes(1, 2), logs


def _sum_out(probs: Floats, logs: Floats) -> Floats:
    """Average probabilities (..., K, P) over the points, weighted by exp(logs) (..., P)."""
    if probs.shape[-1] == 1:
        return probs[..., 0]
    top = logs.max(axis=-1, keepdims=True)
    # Everything impossible has weight 0, which is exp(-inf).
    weights = np.exp(logs - np.where(top > -np.inf, top, 0.0))
    total = weights.sum(axis=-1)[..., None]
    weights = weights[..., None, :]
    joint = np.where(weights > 0, probs * weights, 0.0).sum(axis=-1)
    with np.errstate(invalid="ignore"):  # an impossible history has no probabilities
        return joint / total


def summarise(customers: Customers, draws: Iterable[Parameters], ago: int) -> Iterator[Summary]:
    """Yield the result of one pass for each draw: now, `ago` periods before, and in total.

    Times before a customer's first period count as that period; customers who were never seen have
    the initial probabilities.
    """
    if not is_shared(customers):
        yield from (summarise_one(customers, one, ago) for one in draws)
        return
    for some in itertools.batched(draws, LANES):
        found = filter_draws(customers, some, ago)
        for lane, one in enumerate(some):
            if found.faint[lane]:
                yield summarise_one(customers, one, ago)
            else:
                yield _read_lane(found, lane, customers.histories.which)


def _read_lane(found: Filtered, lane: int, which: Ints) -> Summary:
    """Give each customer what their history says under one of several draws."""
    now, earlier, loglik = (
        part[..., lane][which] for part in (found.now, found.earlier, found.loglik)
    )
    return Summary(now, earlier, found.occupancy[..., lane], loglik)


def summarise_one(customers: Customers, parameters: Parameters, ago: int) -> Summary:
    """Summarise one draw by the general recursion."""
    histories = customers.histories
    _, n_periods, n_stages = customers.score.shape
    now, earlier = (np.empty((len(histories.first), n_stages)) for _ in range(2))
    loglik, occupancy = np.empty(len(histories.first)), np.zeros((n_periods, n_stages))
    for some, found in follow(customers, parameters, _points_of(customers)):
        first, last = histories.first[some], histories.last[some]
        now[some] = _sum_out(*found.at(last))
        earlier[some] = _sum_out(*found.at(np.maximum(last - ago, first)))
        loglik[some] = _mean_likelihood(found.running[-1])
        counted = np.where(inside_windows(histories, n_periods)[:, some], histories.times[some], 0)
        probs = _sum_out(*_weighed(found, "filtered"))
        np.copyto(probs, 0.0, where=np.isnan(probs))  # of what is impossible
        occupancy += np.einsum("tb,tbk->tk", counted, probs)
    now[histories.last < 0] = earlier[histories.last < 0] = parameters["initial_probs"]
    which = histories.which
    return Summary(now[which], earlier[which], occupancy, loglik[which])


def running_logliks(
    customers: Customers, parameters: Parameters, n_points: int = N_POINTS
) -> Floats:
    """Log-likelihood of all that was seen up to each period (customer, period), [nats].

    Stages are summed out, and customers' effects are averaged over their population.
    """
    histories = customers.histories
    logs = np.empty((len(histories.first), customers.score.shape[1]))
    for some, found in follow(customers, parameters, _points_of(customers, n_points)):
        logs[some] = _mean_likelihood(found.running).T
    return logs[histories.which]


def _mean_likelihood(logs: Floats) -> Floats:
    """Logarithm of the mean likelihood over the points (..., P)."""
    if logs.shape[-1] == 1:
        return logs[..., 0]
    return logsumexp(logs, axis=-1) - np.log(logs.shape[-1])


def find_places(customers: Customers, parameters: Parameters) -> Places:
    """Weight the points of the population for each history, including an empty one."""
    points, histories = _points_of(customers), customers.histories
    n_points = 1 if points is None else len(points)
    weights = np.empty((len(histories.first), n_points))
    now = np.empty((*weights.shape, customers.score.shape[2]))
    for some, found in follow(customers, parameters, points):
        logs = found.running[-1]
        impossible = logs.max(axis=1, keepdims=True) == -np.inf  # says nothing about the customer
        weights[some] = softmax(np.where(impossible, 0.0, logs), axis=1)
        here = found.at(histories.last[some])[0].swapaxes(1, 2)
        now[some] = np.where(weights[some][..., None] > 0, here, 0.0)  # of what is impossible
    now[histories.last < 0] = parameters["initial_probs"]
    return Places(np.empty((1, 0)) if points is None else points, weights, now)


def probs_now(customers: Customers, parameters: Parameters, normals: Floats | None) -> Floats:
    """Return filtered probabilities of each last period (customer, stage), initial if never seen.

    `normals` (customer, effect) are their positions in the population; if left out, these are
    summed out.
    """
    if normals is None:
        places = find_places(customers, parameters)
        now = np.einsum("np,npk->nk", places.weights, places.now)
        return now[customers.histories.which]
    last = customers.window.last
    now = np.empty((len(last), customers.score.shape[2]))
    for some, found in follow(customers, parameters, own=normals):
        now[some] = found.at(last[some])[0][..., 0]
    now[last < 0] = parameters["initial_probs"]
    return now


def mean_normals(customers: Customers, parameters: Parameters) -> Floats | None:
    """Mean position in the population of each customer (customer, effect)."""
    if not customers.n_effects:
        return None
    places = find_places(customers, parameters)
    return (places.weights @ places.points)[customers.histories.which]


def sample_normals(
    customers: Customers, parameters: Parameters, rng: np.random.Generator
) -> Floats | None:
    """Draw a position in the population for each customer, given what was seen."""
    if not customers.n_effects:
        return None
    places = find_places(customers, parameters)
    which = customers.histories.which
    u = rng.random(len(which))
    return places.points[(u[:, None] >= upper_edges(places.weights)[which]).sum(axis=1)]
