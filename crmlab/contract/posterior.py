"""Bayes for two or three parameters: the posterior of a contract, summed on a grid.

In the logits of two interpretable numbers (and log c) the posterior is smooth and its tails fall
exponentially, so the trapezoidal rule on equally spaced lines converges faster than any power of
their distance. The error is computed, by leaving out every other line, instead of diagnosed; there
is no warm-up and no compiler, and draws are independent. Beyond three parameters, a grid does not
pay.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from crmlab.arrays import Bools, Floats, check_count
from crmlab.contract.likelihood import Survivors, count_losses, weigh_losses
from crmlab.contract.populations import (
    BetaDiscreteWeibull,
    Contract,
    ShiftedBetaGeometric,
    weibull_log_retention,
)

_CUTOFF = 25.0  # drop of the log-posterior below its maximum at which a grid ends
_ENDS = ((-14.0, 14.0), (-14.0, 14.0), (-2.5, 2.5))  # of the logits and log c: 5 sd of its prior
_LINES_OF_ZOOM, _LONGEST_ZOOM = 25, 20
_SD_LOG_C = 0.5


class ContractPosterior(NamedTuple):
    """Draws from a posterior, and the error of the grid from which they come.

    Parameters
    ----------
    draws : dict of parameter to ndarray (n_draws,)
        Independent joint draws of alpha, beta (and c).
    contracts : tuple of Contract
        The same draws, as populations.
    mean : dict of parameter to float
        Posterior means of `leaving`, the mean probability of leaving at the first renewal,
        alpha / (alpha + beta); `polarization`, 1 / (alpha + beta + 1); and log c.
    grid_error : float
        The largest change of these means, in posterior standard deviations, when every other
        line of the grid is left out.
    """

    draws: dict[str, Floats]
    contracts: tuple[Contract, ...]
    mean: dict[str, float]
    grid_error: float


def sbg_posterior(
    survivors: Survivors, *, seed: int, n_draws: int = 1000, lines: int = 81
) -> ContractPosterior:
    """Posterior of a `ShiftedBetaGeometric`, summed on a grid.

    The prior is uniform on the unit square of `leaving` m = alpha / (alpha + beta) and
    `polarization` phi = 1 / (alpha + beta + 1), which measures how much customers differ: 0 if all
    are alike, 1 if each leaves either at once or never.

    Parameters
    ----------
    survivors : array_like (n_periods,), or a sequence of them, one per cohort
        As in `fit_sbg`.
    seed : int
        Seed of the draws.
    n_draws : int
        Independent draws from the posterior.
    lines : int
        Lines of the grid along each parameter.

    Returns
    -------
    ContractPosterior

    Notes
    -----
    In the logits of m and phi the posterior is smooth and its tails fall exponentially, so the
    trapezoidal rule on equally spaced lines converges faster than any power of their distance, and
    `grid_error` bounds the remaining error. A sampler would need a compiler, a warm-up and a
    convergence check for an integral over a square.

    Examples
    --------
    >>> posterior = sbg_posterior([1000, 869, 743, 653, 593, 551, 517, 491], seed=1)
    >>> round(posterior.mean["leaving"], 3), posterior.grid_error < 1e-6
    (0.15, True)
    """
    return _posterior("sbg_posterior", ShiftedBetaGeometric, survivors, seed, n_draws, lines)


def bdw_posterior(
    survivors: Survivors, *, seed: int, n_draws: int = 1000, lines: int = 81
) -> ContractPosterior:
    """Posterior of a `BetaDiscreteWeibull`, summed on a grid; see `sbg_posterior`.

    The prior of log c is normal with mean 0 and standard deviation 0.5: in 19 of 20 populations c
    lies between 0.38 and 2.66.
    """
    return _posterior("bdw_posterior", BetaDiscreteWeibull, survivors, seed, n_draws, lines)


def _posterior(
    owner: str, kind: type[Contract], survivors: Survivors, seed: int, n_draws: int, lines: int
) -> ContractPosterior:
    losses = count_losses(owner, survivors)
    for name, value, least in (("seed", seed, 0), ("n_draws", n_draws, 1), ("lines", lines, 11)):
        check_count(owner, name, value, at_least=least)
    axes = _zoom(losses, len(kind.names()))
    axes = [np.linspace(axis[0], axis[-1], lines) for axis in axes]
    weights = _normalised(_log_posterior(losses, axes))
    rng = np.random.default_rng(seed)
    chosen = rng.choice(weights.size, n_draws, p=weights.ravel())
    places = np.unravel_index(chosen, weights.shape)
    steps = [axis[1] - axis[0] for axis in axes]
    points = [  # a grid point represents the cell around it
        axis[place] + step * (rng.random(n_draws) - 0.5)
        for axis, place, step in zip(axes, places, steps, strict=True)
    ]
    values = _to_parameters(*points)
    contracts = tuple(kind(*row) for row in np.transpose(values).tolist())
    means, error = _compare_grids(axes, weights)
    return ContractPosterior(
        dict(zip(kind.names(), values, strict=True)),
        contracts,
        dict(zip(("leaving", "polarization", "log_c"), means, strict=False)),
        error,
    )


def _to_parameters(*points: Floats) -> list[Floats]:
    """Convert logits of leaving and polarization (and log c) to alpha, beta (and c)."""
    m, rest = _logistic(points[0]), _logistic(-points[0])
    size = np.exp(-points[1])  # alpha + beta = (1 - phi) / phi
    return [m * size, rest * size, *np.exp(points[2:])]


def _logistic(u: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -u))


def _log_posterior(losses: Floats, axes: Sequence[Floats]) -> Floats:
    """Log-posterior, up to a constant, in the logits (and log c) on a grid."""
    points = np.meshgrid(*axes, indexing="ij")
    alpha, beta, *c = (values[..., None] for values in _to_parameters(*points))
    t = np.arange(losses.shape[1], dtype=float)
    prior = -sum(np.logaddexp(0, u) + np.logaddexp(0, -u) for u in points[:2])
    if c:
        prior = prior - 0.5 * (points[2] / _SD_LOG_C) ** 2
        steps = weibull_log_retention(alpha, beta, c[0], t[1:])
    else:
        steps = -np.log1p(alpha / (beta + t[:-1]))
    logs = np.concatenate([np.zeros_like(alpha), np.cumsum(steps, axis=-1)], axis=-1)
    return prior + weigh_losses(losses, logs)


def _zoom(losses: Floats, n_axes: int) -> list[Floats]:
    """Find the box outside which the posterior is negligible, starting from a wide one."""
    axes = [np.linspace(*ends, _LINES_OF_ZOOM) for ends in _ENDS[:n_axes]]
    for _ in range(_LONGEST_ZOOM):
        logs = _log_posterior(losses, axes)
        kept = logs > logs.max() - _CUTOFF
        sides = [tuple(i for i in range(n_axes) if i != place) for place in range(n_axes)]
        boxes = [
            _adjust(axis, kept.any(axis=side), ends)
            for axis, side, ends in zip(axes, sides, _ENDS, strict=False)
        ]
        settled = all(
            np.abs(box - axis)[[0, -1]].max() < 0.1 * np.ptp(axis)
            for box, axis in zip(boxes, axes, strict=True)
        )
        axes = boxes
        if settled:
            break
    return axes


def _adjust(axis: Floats, kept: Bools, ends: tuple[float, float]) -> Floats:
    """Keep the relevant part of an axis and a step on either side; widen it if it is cut off.

    A coarse grid can miss a narrow ridge, and then the box must grow again.
    """
    where, step = np.flatnonzero(kept), axis[1] - axis[0]
    low = axis[where[0]] - step * (1 if where[0] > 0 else 5)
    high = axis[where[-1]] + step * (1 if where[-1] < len(axis) - 1 else 5)
    return np.linspace(max(low, ends[0]), min(high, ends[1]), len(axis))


def _normalised(log_density: Floats) -> Floats:
    weights = np.exp(log_density - log_density.max())
    return weights / weights.sum()


def _compare_grids(axes: Sequence[Floats], weights: Floats) -> tuple[list[float], float]:
    """Return means on the grid, and how far they move when every other line is left out."""
    summaries = [_logistic(axes[0]), _logistic(axes[1]), *axes[2:]]
    thin = weights[tuple(slice(None, None, 2) for _ in axes)]
    thin = thin / thin.sum()
    means, errors = [], []
    for place, values in enumerate(summaries):
        others = tuple(i for i in range(len(axes)) if i != place)
        marginal = weights.sum(axis=others)
        mean = float(marginal @ values)
        sd = float(np.sqrt(marginal @ (values - mean) ** 2))
        means.append(mean)
        errors.append(abs(float(thin.sum(axis=others) @ values[::2]) - mean) / sd)
    return means, max(errors)
