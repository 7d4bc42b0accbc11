"""The hills of a log-posterior, and the share of its mass that each of them holds.

A model of hidden stages can read one panel in two ways: which stage pays, and which one only
answers surveys, may be swapped, with nearly the same likelihood. Each reading is a hill of the
posterior. A chain that starts on one never sees the other, so chains that all begin on the same
hill agree, and say nothing of it. Therefore one search looks for all hills, each hill that can hold
mass is sampled on its own, and bridge sampling says how much mass each of them holds.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, log_expit, logsumexp
from threadpoolctl import threadpool_limits

from crmlab.arrays import Floats, Ints
from crmlab.inference.laplace import (
    IMPOSSIBLE,
    LOOK_STEPS,
    SAME,
    SCATTER,
    TAIL,
    Mode,
    climb,
    measure,
    polish,
)

Density = Callable[[Floats], tuple[float, Floats]]

N_LOOKS = 16  # starting points for each chain
BEHIND = 50.0  # log-density below the highest look at which a climb is given up
DEEPEST = 15.0  # log-density below the highest end at which a hill is not looked at any more
NEGLIGIBLE = 1e-3  # share of the mass by Laplace's method, whose error is seldom a factor of ten
N_BRIDGE = 2000  # draws of the distribution that a hill is compared with
ERROR_LIMIT = 0.5  # standard error of the log ratio of two masses
N_STEPS = 200  # of the iteration of bridge sampling, which converges in about ten


@threadpool_limits.wrap(limits=1, user_api="blas")  # small matrices: threads would only wait
def find_hills(
    density: Density, start: Floats, n_chains: int, rng: np.random.Generator
) -> list[Mode]:
    """Find the tops of a log-density, in the order of the mass that Laplace's method gives them.

    Parameters
    ----------
    density : callable
        ``density(x)`` gives the log-density and its gradient.
    start : ndarray of shape (D,)
        The middle of the starting points: `N_LOOKS` for each chain, every second one near.
    n_chains : int
    rng : numpy.random.Generator

    Returns
    -------
    list of Mode
        At least one. Of each, `n_agreeing` says how many of the climbs ended there.

    Examples
    --------
    >>> def two(x):  # .5 of the mass at -4, .5 at 4
    ...     left, right = -0.5 * (x + 4) ** 2, -0.5 * (x - 4) ** 2
    ...     share = 1 / (1 + np.exp(right - left))
    ...     return np.logaddexp(left, right)[0], -share * (x + 4) - (1 - share) * (x - 4)
    >>> hills = find_hills(two, np.zeros(1), 2, np.random.default_rng(1))
    >>> sorted(round(float(hill.place[0]), 3) for hill in hills)
    [-4.0, 4.0]
    """
    n = N_LOOKS * n_chains
    reach = SCATTER * np.where(np.arange(n) % 2, 0.5, 1.0)[:, None]
    starts = start + reach * rng.uniform(-1.0, 1.0, (n, len(start)))
    looks = [climb(density, x, LOOK_STEPS) for x in starts]
    lowest = max(height for _, height in looks) - BEHIND
    ends = [climb(density, x) for x, height in looks if height >= lowest]
    ends = sorted(ends, key=lambda end: -end[1])
    hills: list[Mode] = []
    for place, height in ends:
        if hills and not height > max(ends[0][1] - DEEPEST, -IMPOSSIBLE):
            break
        known = [i for i, hill in enumerate(hills) if _is_top_of(hill, place, height)]
        if known:
            hill = hills[known[0]]
            hills[known[0]] = hill._replace(n_agreeing=hill.n_agreeing + 1)
        else:
            hills.append(measure(density, place, 1))
    return sorted((polish(density, hill) for hill in hills), key=lambda hill: -hill.log_mass)


def _is_top_of(hill: Mode, place: Floats, height: float) -> bool:
    """Whether a climb ended on this hill: as high, and within a standard deviation of its top."""
    away = place - hill.place
    return bool(abs(height - hill.logp) < SAME and away @ hill.curvature @ away < 1.0)


def share_mass(log_masses: Sequence[float]) -> Floats:
    """Turn the logarithms of masses into shares, which sum to 1."""
    found = np.array(log_masses, dtype=float)
    return np.exp(found - logsumexp(found))


def nearest_hill(places: Floats, hills: Sequence[Mode]) -> Ints:
    """Say for each place (..., D) under which hill's normal distribution it is most probable."""
    logs = []
    for hill in hills:
        away = places - hill.place
        values = np.linalg.eigvalsh(hill.curvature)
        distance = np.einsum("...i,ij,...j", away, hill.curvature, away)
        logs.append(0.5 * np.log(np.maximum(values, 1e-8)).sum() - 0.5 * distance)
    return np.argmax(logs, axis=0)


class Mass(NamedTuple):
    """The integral of a density over one hill: its logarithm, and the error of that."""

    log: float
    error: float  # standard error; infinite where nothing can be said


def measure_mass(
    log_density: Callable[[Floats], float],
    places: Floats,
    n_independent: float,
    rng: np.random.Generator,
) -> Mass:
    """Integrate a density over the hill that draws come from, by bridge sampling.

    The draws are compared with Student's distribution of their own mean and covariance, which is
    taken from one half of them; the other half is the bridge.

    Parameters
    ----------
    log_density : callable
    places : ndarray of shape (draw, D)
    n_independent : float
        Number of independent draws that these are worth.
    rng : numpy.random.Generator

    References
    ----------
    Meng and Wong (1996), *Statistica Sinica* 6(4), equation 4.1; Fruehwirth-Schnatter (2004),
    *Econometrics Journal* 7(1), for the error.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> found = measure_mass(lambda x: -0.5 * (x @ x), rng.standard_normal((1000, 2)), 1000, rng)
    >>> bool(abs(found.log - np.log(2 * np.pi)) < 4 * found.error < 0.2)
    True
    """
    ours, learned = places[::2], places[1::2]
    centre, factor = learned.mean(axis=0), _factor_of(learned)
    if factor is None:
        return Mass(np.nan, np.inf)
    size = len(centre)
    z = rng.standard_normal((N_BRIDGE, size)) * np.sqrt(TAIL / rng.chisquare(TAIL, (N_BRIDGE, 1)))
    theirs = centre + z @ factor.T

    def log_ratio(points: Floats) -> Floats:
        logs = np.array([log_density(x) for x in points])
        logs = logs - log_student(np.linalg.solve(factor, (points - centre).T).T)
        return np.where(np.isnan(logs), -np.inf, logs) + np.linalg.slogdet(factor)[1]

    return bridge(log_ratio(ours), log_ratio(theirs), n_independent / 2)


def bridge(ours: Floats, theirs: Floats, n_independent: float) -> Mass:
    """Estimate the log ratio of two normalising constants, and its standard error.

    Parameters
    ----------
    ours, theirs : ndarray of shape (draw,)
        log(p / q) at draws from the density p, whose integral is unknown, and at draws from q.
    n_independent : float
        Number of independent draws that `ours` are worth; those of q are independent.
    """
    if not (np.isfinite(ours).all() and np.isfinite(theirs).any()):
        return Mass(np.nan, np.inf)
    odds = np.log(n_independent / len(theirs))
    log = float(np.median(ours))
    for _ in range(N_STEPS):
        before = log
        # p / (s p + t r q) at draws of q, and q / (s p + t r q) at draws of p, in logarithms
        above = log_expit(odds + theirs - log)
        below = log_expit(-(odds + ours - log))
        log += float(_log_mean(above) - _log_mean(below) - odds)
        if abs(log - before) < 1e-10:
            break
    variance = _relative_variance(above) / len(theirs) + _relative_variance(below) / n_independent
    return Mass(log, float(np.sqrt(variance)))


def _log_mean(logs: Floats) -> float:
    return float(logsumexp(logs) - np.log(len(logs)))


def _relative_variance(logs: Floats) -> float:
    values = np.exp(logs - logs.max())
    return float(values.var(ddof=1) / values.mean() ** 2)


def log_student(z: Floats) -> Floats:
    """Log-density of Student's distribution with `TAIL` degrees of freedom at z (draw, D)."""
    size = z.shape[1]
    scale = gammaln((TAIL + size) / 2) - gammaln(TAIL / 2) - size / 2 * np.log(np.pi * TAIL)
    return scale - (TAIL + size) / 2 * np.log1p((z**2).sum(axis=1) / TAIL)


def _factor_of(places: Floats) -> Floats | None:
    """Return a root of the covariance of draws; None if they are too few or do not vary."""
    if len(places) <= places.shape[1]:
        return None
    try:
        return np.linalg.cholesky(np.atleast_2d(np.cov(places.T)))
    except np.linalg.LinAlgError:
        return None
