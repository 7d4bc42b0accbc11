"""The common interface of all models of customers who buy until they die.

A model is a population: a frozen set of positive parameters that describes how customers differ.
Each answers four questions: how likely is a history, is the customer alive, how much will she still
buy, and how much will a new customer buy?
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats
from crmlab.btyd.maximum import log_covariance, maximise
from crmlab.errors import SpecError, raise_problems


@dataclass(frozen=True)
class Positive:
    """Parameters that must all be above 0; the base of frozen dataclasses."""

    loglik: ClassVar[Callable[..., Floats]]  # of each customer; a subclass says of which columns

    def __post_init__(self) -> None:
        """Refuse parameters outside their range; all problems at once."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        problems = [
            f"`{name}` must be a positive, finite number, got {value!r}"
            for name, value in values.items()
            if not (isinstance(value, (int, float, np.number)) and 0 < value < np.inf)
        ]
        raise_problems(SpecError, type(self).__name__, problems)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the parameters, in order."""
        return tuple(field.name for field in fields(cls))

    def logs(self) -> Floats:
        """Return the logs of the parameters, in order."""
        return np.log([getattr(self, name) for name in self.names()])

    @classmethod
    def from_logs(cls, logs: Floats) -> Self:
        """Make the population from the logs of its parameters."""
        return cls(*np.exp(logs))


class BuyTillYouDie(Positive, ABC):
    """A population of customers who buy until they silently stop.

    All times are in one unit, that of the data to which the parameters were fitted; BG/BB counts
    whole periods.
    """

    whole_periods: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def fit(cls, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Self:
        """Estimate the parameters by maximum likelihood."""

    @abstractmethod
    def loglik(self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Log-likelihood of each customer's history (natural logarithm), shape (n,)."""

    @abstractmethod
    def prob_alive(self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Probability that each customer is alive at the end of observation, shape (n,)."""

    @abstractmethod
    def expected_purchases(
        self, t: ArrayLike, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
    ) -> Floats:
        """Mean purchases of each customer in the time t after the end of observation."""

    @abstractmethod
    def mean_purchases(self, t: ArrayLike) -> Floats:
        """Mean repeat purchases of a new customer up to time t."""


def standard_errors(
    params: Positive, *data: ArrayLike, counts: ArrayLike | None = None
) -> dict[str, float]:
    """Return the standard errors of parameters that were fitted by maximum likelihood.

    Parameters
    ----------
    params : BuyTillYouDie or GammaGamma
        The maximum, as a `fit_` function returns it.
    *data : array_like (n,)
        The columns to which it was fitted, in the same order.
    counts : array_like (n,), optional
        Number of customers with each row; 1 if left out.

    Returns
    -------
    dict of parameter to float
        In the unit of each parameter: the standard error of its log (from the curvature of the
        log-likelihood at its maximum) times the parameter.

    Examples
    --------
    >>> from crmlab.btyd import fit_bgnbd
    >>> from crmlab.datasets import load_cdnow_summary
    >>> cdnow = load_cdnow_summary()
    >>> histories = [cdnow[name] for name in ("frequency", "recency", "T")]
    >>> errors = standard_errors(fit_bgnbd(*histories), *histories)
    >>> {name: round(error, 3) for name, error in errors.items()}
    {'r': 0.013, 'alpha': 0.378, 'a': 0.186, 'b': 0.705}
    """
    columns, weights = merge_customers(*data, counts=counts)

    def loglik(logs: Floats) -> float:
        return float(weights @ params.from_logs(logs).loglik(*columns))

    errors = np.sqrt(np.diag(log_covariance(loglik, params.logs())))
    return {
        name: float(error * getattr(params, name))
        for name, error in zip(params.names(), errors, strict=True)
    }


def maximise_histories[Kind: BuyTillYouDie](
    owner: str,
    kind: type[Kind],
    loglik: Callable[[Kind, Floats, Floats, Floats], Floats],
    histories: tuple[Floats, Floats, Floats],
) -> tuple[list[float], float]:
    """Find the parameters of greatest likelihood, and their unit of time.

    The unit is the longest history, so a fit does not depend on the unit of the data. `histories`
    are the checked columns (frequency, recency, T).
    """
    x, t_x, T = histories
    unit = max(float(T.max()), np.finfo(float).tiny)
    unique, counts = merge_customers(x, t_x / unit, T / unit)
    shares = counts / counts.sum()
    found = maximise(
        owner, kind.names(), lambda logs: float(shares @ loglik(kind.from_logs(logs), *unique))
    )
    return found, unit


def merge_customers(*columns: ArrayLike, counts: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """Merge customers with the same history: the histories (columns, m) and their counts (m,)."""
    stacked = np.stack([np.asarray(column, dtype=float).ravel() for column in columns])
    unique, place = np.unique(stacked, axis=1, return_inverse=True)
    weights = np.ones(stacked.shape[1]) if counts is None else np.asarray(counts, dtype=float)
    return unique, np.bincount(place.ravel(), weights, minlength=unique.shape[1])
