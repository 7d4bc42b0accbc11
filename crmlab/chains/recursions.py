"""Hidden stages: filter, smoother, best path and drawn paths.

Listing all K^T paths of a customer through T periods would answer every question about her
stages. Because the chain forgets, one vector of K numbers per period is enough. With
initial probabilities pi, transition matrix P and evidence l_t[k] = log p(y_t | s_t = k):

    predicted    a_t[j] = sum_i f_{t-1}[i] P[i, j],   a_first = pi           p(s_t | y before t)
    filtered     f_t[j] = a_t[j] exp(l_t[j]) / c_t,   c_t = the sum          p(s_t | y up to t)
    likelihood   log p(y) = sum_t log c_t
    smoothed     g_t[i] ~ f_t[i] b_t[i],   b_t[i] = sum_j P[i, j] exp(l_{t+1}[j]) b_{t+1}[j]
    best path    v_t[j] = max_i v_{t-1}[i] P[i, j] exp(l_t[j]), then back along the maxima
    a drawn path s_last ~ f_last,   s_t ~ f_t[i] P[i, s_{t+1}]               backwards

Which one to use? The filter says what a firm could have known at the time. The smoother says what
is known today about the past. The best path is one possible history as a whole, which the most
probable stages of single periods need not form. Drawn paths show how histories can differ.

`forward`, `smooth`, `viterbi` and `sample_paths` do this for N customers at once, in logarithms,
so long histories and extreme evidence do not underflow. P may differ by period and by customer.

References
----------
Rabiner (1989), "A tutorial on hidden Markov models", Proceedings of the IEEE 77(2), 257-286.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats, Ints
from crmlab.chains.evidence import Evidence, log, read_evidence
from crmlab.chains.motion import move_probs


class Forward(NamedTuple):
    """Stage probabilities given the evidence up to each period.

    Parameters
    ----------
    filtered : ndarray of shape (N, T, K)
        p(s_t | y up to and including t).
    predicted : ndarray of shape (N, T, K)
        p(s_t | y before t); the initial probabilities in a customer's first period.
    loglik : ndarray of shape (N,)
        log p(y) of each customer, natural logarithm.
    """

    filtered: Floats
    predicted: Floats
    loglik: Floats


def forward(
    initial_probs: ArrayLike,
    transition_matrix: ArrayLike,
    log_likelihoods: ArrayLike,
    first: ArrayLike | None = None,
    last: ArrayLike | None = None,
) -> Forward:
    """Filter: the probabilities of the stages given the evidence so far, and of the evidence.

    Parameters
    ----------
    initial_probs : array_like of shape (K,) or (N, K)
        Probabilities of the stage in a customer's first period.
    transition_matrix : array_like, broadcastable to (N, T - 1, K, K)
        Entry [n, t] moves customer n from period t to t + 1. A (K, K) matrix applies to all.
    log_likelihoods : array_like of shape (N, T, K)
        log p(y | stage) of what was seen in each period (natural logarithm); 0 if nothing was seen,
        -inf if a stage is impossible. Ignored outside the window.
    first, last : array_like of int, shape (N,), optional
        A customer's window: index of the first and the last period, both inclusive. By default,
        the whole range.

    Returns
    -------
    Forward
        Probabilities are NaN outside the window. If the evidence of a customer is impossible, the
        log-likelihood is -inf, the filtered probabilities are NaN from that period onwards, and
        the predicted ones from the next.

    Raises
    ------
    SpecError
        Probabilities are not valid, or shapes do not fit. All problems at once.
    DataError
        A log-likelihood inside the window is NaN or +inf, or a window is empty or out of range.

    References
    ----------
    Rabiner (1989), equations 18 to 21, normalised in each period.

    Examples
    --------
    >>> rain = np.log([[[0.9, 0.2], [0.9, 0.2]]])  # an umbrella on both days
    >>> result = forward([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], rain)
    >>> result.filtered[0, :, 0].round(3)
    array([0.818, 0.883])
    """
    evidence = read_evidence(initial_probs, transition_matrix, log_likelihoods, first, last)
    log_filtered, log_predicted, loglik = _filter(evidence)
    return Forward(np.exp(log_filtered), np.exp(log_predicted), loglik)


def _filter(evidence: Evidence) -> tuple[Floats, Floats, Floats]:
    """Run the filter in logarithms: log filtered, log predicted, log-likelihood."""
    log_filtered = np.full(evidence.log_likelihoods.shape, np.nan)
    log_predicted = log_filtered.copy()
    loglik = np.zeros(len(log_filtered))
    now = evidence.log_initial
    for t in range(evidence.n_periods):
        inside = evidence.inside[:, t]
        ahead = _log_move(now, evidence.matrix(t - 1), evidence.log_smallest) if t else now
        ahead = np.where((evidence.first == t)[:, None], evidence.log_initial, ahead)
        joint = ahead + evidence.log_likelihoods[:, t]
        total = _log_sum(joint)
        # Division by a total of zero: the probabilities are undefined from here onwards.
        now = joint - np.where(total > -np.inf, total, np.nan)[:, None]
        loglik += np.where(inside, total, 0.0)
        log_filtered[inside, t], log_predicted[inside, t] = now[inside], ahead[inside]
    return log_filtered, log_predicted, np.where(np.isnan(loglik), -np.inf, loglik)


def _log_move(log_probs: Floats, matrices: Floats, log_smallest: float) -> Floats:
    """Return log(probs @ matrix) for each customer, (N, K), without underflow."""
    log_ahead = log(move_probs(np.exp(log_probs), matrices))
    # exp(-745) is zero in floating point. Such small probabilities are rare, but later evidence may
    # rule out all other stages, so these customers are recomputed with sums of logarithms.
    tiny = ((log_probs > -np.inf) & (log_probs + log_smallest < -700)).any(axis=1)
    if tiny.any():
        chosen = matrices if len(matrices) == 1 else matrices[tiny]
        terms = log_probs[tiny][:, :, None] + log(chosen)
        log_ahead[tiny] = _log_sum(terms.swapaxes(1, 2))
    return log_ahead


def smooth(
    initial_probs: ArrayLike,
    transition_matrix: ArrayLike,
    log_likelihoods: ArrayLike,
    first: ArrayLike | None = None,
    last: ArrayLike | None = None,
) -> Floats:
    """Smooth: the probability of each stage in each period given all the evidence.

    Parameters
    ----------
    initial_probs, transition_matrix, log_likelihoods, first, last
        As in `forward`.

    Returns
    -------
    ndarray of shape (N, T, K)
        p(s_t | all y of the customer); NaN outside the window, and throughout for a customer
        whose evidence is impossible.

    Raises
    ------
    SpecError, DataError
        As in `forward`.

    References
    ----------
    Rabiner (1989), equations 24 to 27.

    Examples
    --------
    >>> rain = np.log([[[0.9, 0.2], [0.9, 0.2]]])
    >>> smooth([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], rain)[0, :, 0].round(3)
    array([0.883, 0.883])
    """
    evidence = read_evidence(initial_probs, transition_matrix, log_likelihoods, first, last)
    log_filtered, _, _ = _filter(evidence)
    log_smoothed = np.empty_like(log_filtered)
    log_later = np.zeros_like(evidence.log_initial)
    for t in reversed(range(evidence.n_periods)):
        log_later = np.where((t >= evidence.last)[:, None], 0.0, log_later)
        log_smoothed[:, t] = _normalised(log_filtered[:, t] + log_later)
        if t:
            weights = _lowered(evidence.log_likelihoods[:, t] + log_later)
            log_later = _log_move(
                weights, evidence.matrix(t - 1).swapaxes(1, 2), evidence.log_smallest
            )
    return np.exp(log_smoothed)


def viterbi(
    initial_probs: ArrayLike,
    transition_matrix: ArrayLike,
    log_likelihoods: ArrayLike,
    first: ArrayLike | None = None,
    last: ArrayLike | None = None,
) -> Ints:
    """Find the most probable path of each customer, as a whole.

    Parameters
    ----------
    initial_probs, transition_matrix, log_likelihoods, first, last
        As in `forward`.

    Returns
    -------
    ndarray of int, shape (N, T)
        Index of the stage in each period; -1 outside the window, and throughout for a customer
        whose evidence is impossible. If choices are equally probable, the first listed stage wins.

    Raises
    ------
    SpecError, DataError
        As in `forward`.

    References
    ----------
    Rabiner (1989), equations 32 to 35.

    Examples
    --------
    >>> rain = np.log([[[0.9, 0.2], [0.1, 0.8], [0.9, 0.2]]])
    >>> viterbi([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], rain)
    array([[0, 1, 0]])
    """
    evidence = read_evidence(initial_probs, transition_matrix, log_likelihoods, first, last)
    came_from, ends = _best_arrivals(evidence)
    paths = np.full(evidence.inside.shape, -1)
    customers = np.arange(len(paths))
    stage = np.maximum(ends, 0)
    for t in reversed(range(evidence.n_periods)):
        stage = np.where(t >= evidence.last, np.maximum(ends, 0), stage)
        paths[:, t] = np.where(evidence.inside[:, t] & (ends >= 0), stage, -1)
        stage = came_from[customers, t, stage]
    return paths


def _best_arrivals(evidence: Evidence) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the best predecessor of each stage (N, T, K) and the best last stage (N,)."""
    came_from = np.zeros(evidence.log_likelihoods.shape, dtype=np.intp)
    ends = np.full(len(came_from), -1)
    score = evidence.log_initial
    for t in range(evidence.n_periods):
        if t:
            candidates = score[:, :, None] + log(evidence.matrix(t - 1))
            came_from[:, t], score = candidates.argmax(axis=1), candidates.max(axis=1)
        score = np.where((evidence.first == t)[:, None], evidence.log_initial, score)
        score = _lowered(score + evidence.log_likelihoods[:, t])
        possible = (evidence.last == t) & (score.max(axis=1) > -np.inf)
        ends = np.where(possible, score.argmax(axis=1), ends)
    return came_from, ends


def sample_paths(
    rng: np.random.Generator,
    initial_probs: ArrayLike,
    transition_matrix: ArrayLike,
    log_likelihoods: ArrayLike,
    first: ArrayLike | None = None,
    last: ArrayLike | None = None,
) -> Ints:
    """Sample one path per customer from its distribution given all the evidence.

    Filters forwards, then samples backwards. With log-likelihoods of 0 the paths come from the
    chain itself.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws one uniform per customer and period.
    initial_probs, transition_matrix, log_likelihoods, first, last
        As in `forward`.

    Returns
    -------
    ndarray of int, shape (N, T)
        Index of the stage in each period; -1 outside the window, and throughout for a customer
        whose evidence is impossible.

    Raises
    ------
    SpecError, DataError
        As in `forward`.

    References
    ----------
    Carter and Kohn (1994), Biometrika 81(3), 541-553; Fruehwirth-Schnatter (2006), Finite Mixture
    and Markov Switching Models, algorithm 11.5.

    Examples
    --------
    >>> certain = np.log([[[1.0, 1e-300], [1e-300, 1.0], [1.0, 1.0]]])
    >>> P = [[0.5, 0.5], [0.0, 1.0]]
    >>> sample_paths(np.random.default_rng(1), [0.5, 0.5], P, certain)
    array([[0, 1, 1]])
    """
    evidence = read_evidence(initial_probs, transition_matrix, log_likelihoods, first, last)
    log_filtered, _, loglik = _filter(evidence)
    uniforms = rng.random(evidence.inside.shape)
    usable = evidence.inside & (loglik > -np.inf)[:, None]
    paths = np.full(evidence.inside.shape, -1)
    log_onward = np.zeros_like(evidence.log_initial)
    for t in reversed(range(evidence.n_periods)):
        log_onward = np.where((t >= evidence.last)[:, None], 0.0, log_onward)
        stage = _sample_stage(uniforms[:, t], log_filtered[:, t] + log_onward)
        paths[:, t] = np.where(usable[:, t], stage, -1)
        if t:
            log_onward = _log_column(evidence.matrix(t - 1), stage)
    return paths


def _sample_stage(uniforms: Floats, log_weights: Floats) -> Ints:
    cumulative = np.exp(_normalised(log_weights)).cumsum(axis=1)
    # Divided by its last entry, the sum ends in exactly 1, which no uniform reaches.
    return (cumulative / cumulative[:, -1:] <= uniforms[:, None]).sum(axis=1)


def _log_column(matrices: Floats, stage: Ints) -> Floats:
    """Return log P[n, :, stage[n]], (N, K)."""
    customers = np.arange(len(stage)) if len(matrices) > 1 else np.zeros(len(stage), dtype=int)
    return log(matrices[customers, :, stage])


def _lowered(logs: Floats) -> Floats:
    """Subtract the maximum of the last axis; comparisons and ratios do not change."""
    peak = logs.max(axis=-1, keepdims=True)
    return logs - np.where(peak == -np.inf, 0.0, peak)


def _log_sum(logs: Floats) -> Floats:
    peak = logs.max(axis=-1)
    peak = np.where(peak == -np.inf, 0.0, peak)
    return log(np.exp(logs - peak[..., None]).sum(axis=-1)) + peak


def _normalised(logs: Floats) -> Floats:
    total = _log_sum(logs)
    return logs - np.where(total > -np.inf, total, np.nan)[..., None]
