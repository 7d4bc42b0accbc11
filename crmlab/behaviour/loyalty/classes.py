"""Latent classes behind yes-or-no indicators."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp, xlog1py, xlogy

from crmlab.arrays import Floats, Ints, count_problems
from crmlab.errors import DataError, SpecError, raise_problems


@dataclass(frozen=True)
class LatentClasses:
    """Classes of customers that differ in the probability of a yes to each indicator.

    Parameters
    ----------
    shares : ndarray of shape (n_classes,)
        In descending order of the probability of a yes to the first indicator.
    yes_probs : ndarray of shape (n_classes, n_indicators)
    loglik : float
        Log-likelihood of the data that they were fitted to.
    """

    shares: Floats
    yes_probs: Floats
    loglik: float

    def membership(self, indicators: ArrayLike) -> Floats:
        """Probability of each class given a customer's indicators, (n_customers, n_classes)."""
        joint = _log_joint(_indicators(indicators), self.shares, self.yes_probs)
        return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))


def fit_classes(
    indicators: ArrayLike,
    *,
    n_classes: int = 2,
    n_starts: int = 10,
    max_rounds: int = 5000,
    seed: int,
) -> LatentClasses:
    """Fit latent classes to yes-or-no indicators by maximum likelihood.

    P(y) = sum_c share_c prod_j p_cj^y_j (1 - p_cj)^(1 - y_j), by expectation-maximisation from
    several random starts (Lazarsfeld's model, from memory). The indicators may be attitude,
    behaviour and alternatives, the classes active and passive loyalty. Two classes need three
    indicators.

    Parameters
    ----------
    indicators : array_like of shape (n_customers, n_indicators)
        0 or 1; NaN where it is not known. Unknown entries are ignored.
    n_classes, n_starts, max_rounds : int
        `max_rounds` limits each start.
    seed : int
        Draws the starts.

    Returns
    -------
    LatentClasses

    Raises
    ------
    DataError
        Entries other than 0, 1 and NaN, or an indicator that is known for nobody.
    SpecError
        More classes than the patterns of the indicators can tell apart, or no convergence.

    Examples
    --------
    >>> likes = [[1, 1, 1]] * 40 + [[1, 1, 0]] * 9 + [[0, 1, 0]] * 42 + [[0, 0, 0]] * 9
    >>> found = fit_classes(likes, seed=1)
    >>> found.shares.shape, bool(found.yes_probs[0, 0] > found.yes_probs[1, 0])
    ((2,), True)
    """
    y = _indicators(indicators)
    n_indicators = y.shape[1]
    sizes = {"n_classes": n_classes, "n_starts": n_starts, "max_rounds": max_rounds}
    problems = count_problems(sizes)
    if not problems and n_classes * (n_indicators + 1) - 1 > 2**n_indicators - 1:
        problems.append(
            f"{n_classes} classes have more parameters than {n_indicators} indicators have "
            "patterns; add an indicator or drop a class"
        )
    raise_problems(SpecError, "fit_classes", problems)
    rng = np.random.default_rng(seed)
    patterns, counts = np.unique(y, axis=0, return_counts=True)
    fits = [_climb(patterns, counts, n_classes, max_rounds, rng) for _ in range(n_starts)]
    settled = [fit for fit in fits if fit is not None]
    if not settled:
        raise SpecError(
            f"fit_classes: no start settled within {max_rounds} rounds; raise `max_rounds`, or "
            "use fewer classes: the data may not tell that many apart"
        )
    best = max(settled, key=lambda fit: fit.loglik)
    order = np.argsort(-best.yes_probs[:, 0], kind="stable")
    return LatentClasses(best.shares[order], best.yes_probs[order], best.loglik)


def _climb(
    y: Floats, counts: Ints, n_classes: int, max_rounds: int, rng: np.random.Generator
) -> LatentClasses | None:
    """Climb from one random start; None if it has not settled by the last round."""
    shares = rng.dirichlet(np.full(n_classes, 5.0))
    yes = rng.uniform(0.2, 0.8, size=(n_classes, y.shape[1]))
    known, said = ~np.isnan(y), np.nan_to_num(y)
    before = -np.inf
    for _ in range(max_rounds):
        joint = _log_joint(y, shares, yes)
        per_pattern = logsumexp(joint, axis=1)
        loglik = float(counts @ per_pattern)
        if loglik - before < 1e-10 * (1 + abs(loglik)):
            return LatentClasses(shares, yes, loglik)
        before = loglik
        weight = counts[:, None] * np.exp(joint - per_pattern[:, None])
        shares = weight.sum(axis=0) / counts.sum()
        # A class that has emptied keeps its probabilities: there is nothing to learn them from.
        heard = weight.T @ known
        yes = np.divide(weight.T @ said, heard, out=yes.copy(), where=heard > 0)
        yes = np.clip(yes, 0.0, 1.0)
    return None


def _log_joint(y: Floats, shares: Floats, yes: Floats) -> Floats:
    """Log-probability of class and pattern, (n_patterns, n_classes); unknown entries drop out."""
    known, said = ~np.isnan(y)[:, None, :], np.nan_to_num(y)[:, None, :]
    each = np.where(known, xlogy(said, yes) + xlog1py(1 - said, -yes), 0.0)
    with np.errstate(divide="ignore"):
        return np.log(shares) + each.sum(axis=-1)


def _indicators(indicators: ArrayLike) -> Floats:
    y = np.asarray(indicators, dtype=float)
    if y.ndim != 2 or not y.size:
        raise DataError(f"`indicators` must have shape (n_customers, n_indicators), got {y.shape}")
    problems = []
    if not (np.isnan(y) | (y == 0) | (y == 1)).all():
        problems.append("`indicators` must be 0, 1 or NaN; cut scores into high and low first")
    if np.isnan(y).all(axis=0).any():
        problems.append("an indicator is known for nobody; drop its column")
    raise_problems(DataError, "indicators", problems)
    return y
