"""Survivors of cohorts: their likelihood, its maximum, standard errors and projections."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats
from crmlab.btyd.maximum import log_covariance, maximise
from crmlab.contract.populations import (
    BetaDiscreteWeibull,
    Contract,
    ShiftedBetaGeometric,
    whole_numbers,
)
from crmlab.errors import DataError, raise_problems

Survivors = Sequence[ArrayLike] | NDArray[Any]  # one cohort, or one after the other


def fit_sbg(survivors: Survivors) -> ShiftedBetaGeometric:
    """Estimate a `ShiftedBetaGeometric` by maximum likelihood.

    Parameters
    ----------
    survivors : array_like (n_periods,), or a sequence of them, one per cohort
        Customers left in periods 0, 1, ...; the first number is the size of the cohort. Cohorts may
        have been observed for different lengths of time.

    Returns
    -------
    ShiftedBetaGeometric

    Raises
    ------
    DataError
        If survivors rise, or the data do not determine the parameters.

    Examples
    --------
    >>> regular = fit_sbg([1000, 631, 468, 382, 326, 289, 262, 241])
    >>> round(regular.alpha, 3), round(regular.beta, 3)
    (0.704, 1.182)
    """
    return _fit("fit_sbg", ShiftedBetaGeometric, survivors)


def fit_bdw(survivors: Survivors) -> BetaDiscreteWeibull:
    """Estimate a `BetaDiscreteWeibull` by maximum likelihood; see `fit_sbg`.

    Examples
    --------
    >>> high_end = fit_bdw([1000, 869, 743, 653, 593])
    >>> round(high_end.alpha, 3), round(high_end.beta, 3), round(high_end.c, 3)
    (0.259, 1.723, 1.584)
    """
    return _fit("fit_bdw", BetaDiscreteWeibull, survivors)


def contract_loglik(contract: Contract, survivors: Survivors) -> float:
    """Log-likelihood of the survivors of one or several cohorts (natural logarithm).

    A customer who left in t adds log(S(t - 1) - S(t)); one who stayed to the end adds log S(T).

    Examples
    --------
    >>> high_end = ShiftedBetaGeometric(alpha=0.668, beta=3.806)
    >>> round(contract_loglik(high_end, [1000, 869, 743, 653, 593, 551, 517, 491]), 2)
    -1611.16
    """
    return _loglik(contract, count_losses("contract_loglik", survivors))


def contract_standard_errors(contract: Contract, survivors: Survivors) -> dict[str, float]:
    """Return the standard errors of parameters at the maximum of the likelihood.

    Examples
    --------
    >>> counts = [1000, 631, 468, 382, 326, 289, 262, 241]
    >>> errors = contract_standard_errors(fit_sbg(counts), counts)
    >>> {name: round(error, 3) for name, error in errors.items()}
    {'alpha': 0.066, 'beta': 0.152}
    """
    losses = count_losses("contract_standard_errors", survivors)
    covariance = log_covariance(
        lambda logs: _loglik(contract.from_logs(logs), losses), contract.logs()
    )
    errors = np.sqrt(np.diag(covariance)) * np.exp(contract.logs())
    return dict(zip(contract.names(), errors.tolist(), strict=True))


def _fit[C: Contract](owner: str, kind: type[C], survivors: Survivors) -> C:
    losses = count_losses(owner, survivors)
    total = losses.sum()
    return kind(
        *maximise(owner, kind.names(), lambda logs: _loglik(kind.from_logs(logs), losses) / total)
    )


def _loglik(contract: Contract, losses: Floats) -> float:
    logs = contract.log_survival(np.arange(losses.shape[1]))
    return float(weigh_losses(losses, logs))


def weigh_losses(losses: Floats, log_survival: Floats) -> Floats:
    """Log-likelihood of losses from log S (..., t); row 0: left in t, row 1: stayed to t."""
    left, stayed = losses
    falls = np.minimum(np.diff(log_survival, axis=-1), 0.0)  # rounding can make S rise
    with np.errstate(divide="ignore"):  # nobody can leave if S does not fall
        leaves = np.log(-np.expm1(falls)) + log_survival[..., :-1]
    gone = np.where(left[1:] > 0, left[1:] * np.where(left[1:] > 0, leaves, 0.0), 0.0)
    return gone.sum(axis=-1) + (stayed * log_survival).sum(axis=-1)


def count_losses(owner: str, survivors: Survivors) -> Floats:
    """Count who left at each renewal, and who stayed to the end of the cohort, (2, longest)."""
    cohorts = _check_survivors(owner, _as_cohorts(survivors))
    losses = np.zeros((2, max(map(len, cohorts))))
    for counts in cohorts:
        losses[0, 1 : len(counts)] -= np.diff(counts)
        losses[1, len(counts) - 1] += counts[-1]
    return losses


def _as_cohorts(survivors: Survivors) -> list[Any]:
    """Return the cohorts as a list; a single cohort becomes a list of one."""
    several = len(survivors) > 0 and np.ndim(survivors[0]) > 0
    return list(survivors) if several else [survivors]


def _check_survivors(owner: str, cohorts: Sequence[ArrayLike]) -> list[Floats]:
    """Return cohorts as float arrays; all problems at once."""
    arrays, problems = [], []
    for place, counts in enumerate(cohorts):
        values = np.asarray(counts, dtype=float)
        rules = {
            "needs the size of the cohort and at least one later count": values.ndim == 1
            and values.size > 1,
            "must hold finite numbers, 0 or more": np.isfinite(values).all()
            and bool((values >= 0).all()),
            "must not rise: customers who left do not return": bool((np.diff(values) <= 0).all()),
            "must begin with at least one customer": values.size > 0 and bool(values.flat[0] > 0),
        }
        problems += [
            f"cohort {place} {rule}, got {values.tolist()}"
            for rule, kept in rules.items()
            if not kept
        ]
        arrays.append(values)
    raise_problems(DataError, owner, problems)
    return arrays


def project_survivors(contract: Contract, survivors: ArrayLike, *, n_periods: int) -> Floats:
    """Project how many customers of a cohort will be left in future periods.

    Parameters
    ----------
    contract : Contract
    survivors : array_like (n_observed,)
        Customers left in periods 0, 1, ...; the first number is the size of the cohort.
    n_periods : int
        Periods ahead.

    Returns
    -------
    ndarray (n_periods,)
        Customers: the last observed number times S(T + h) / S(T). For the whole curve, multiply
        the size of the cohort by `Contract.survival`.

    Examples
    --------
    >>> high_end = ShiftedBetaGeometric(alpha=0.668, beta=3.806)
    >>> project_survivors(high_end, [1000, 869, 743], n_periods=2).round(1)
    array([666.3, 606.8])
    """
    (counts,) = _check_survivors("project_survivors", [survivors])
    last = len(counts) - 1
    ahead = last + whole_numbers("project_survivors", np.arange(1, n_periods + 1))
    return counts[-1] * np.exp(contract.log_survival(ahead) - contract.log_survival(last))
