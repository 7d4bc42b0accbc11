"""Populations under contract: survival, retention rates, discounted lifetimes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, hyp2f1

from crmlab.arrays import Floats, count_problems
from crmlab.btyd.base import Positive
from crmlab.errors import SpecError, raise_problems

_NEGLIGIBLE = 1e-14  # share of a discounted lifetime that a truncated sum may leave out
_LONGEST_SUM = 1_000_000
_LARGE = 10.0  # from here on, seven terms of Stirling's series are exact to rounding


class Contract(Positive, ABC):
    """A population of customers under contract, who differ in how easily they leave."""

    @abstractmethod
    def log_retention(self, t: ArrayLike) -> Floats:
        """Log of the share of the customers of period t - 1 who renew for period t, at least 1."""

    @abstractmethod
    def discounted_lifetime(self, discount_rate: float, *, renewals: int | None = None) -> float:
        """Mean number of future payments, discounted; see `ShiftedBetaGeometric`."""

    def log_survival(self, t: ArrayLike) -> Floats:
        """Log of the probability of still being a customer after t renewals.

        The sum of the log retention rates, which loses no digits and never rises.
        """
        t = whole_numbers("survival", t)
        renewed = self.log_retention(np.arange(1, int(t.max(initial=0)) + 1))
        return np.concatenate([[0.0], np.cumsum(renewed)])[t.astype(int)]

    def survival(self, t: ArrayLike) -> Floats:
        """Probability of still being a customer after t renewals; t are whole numbers from 0."""
        return np.exp(self.log_survival(t))

    def retention_rate(self, t: ArrayLike) -> Floats:
        """Share of the customers of period t - 1 who renew for period t; t is at least 1."""
        return np.exp(self.log_retention(whole_numbers("retention_rate", t, least=1)))


@dataclass(frozen=True)
class ShiftedBetaGeometric(Contract):
    """Customers who each have their own, constant probability of leaving.

    Parameters
    ----------
    alpha, beta : float
        Beta distribution of the probability of leaving at a renewal; above 0. Its mean is
        alpha / (alpha + beta) at the first renewal.

    Raises
    ------
    SpecError
        If a parameter is not a positive, finite number; all problems at once.

    Examples
    --------
    >>> high_end = ShiftedBetaGeometric(alpha=0.668, beta=3.806)
    >>> high_end.survival([1, 8, 12]).round(3)
    array([0.851, 0.46 , 0.378])
    >>> high_end.retention_rate([1, 2, 8]).round(3)  # it rises, though nobody changes
    array([0.851, 0.878, 0.942])
    """

    alpha: float
    beta: float

    def log_retention(self, t: ArrayLike) -> Floats:
        """Log of (beta + t - 1) / (alpha + beta + t - 1), Fader and Hardie (2007)."""
        return -np.log1p(self.alpha / (self.beta + np.asarray(t, dtype=float) - 1))

    def discounted_lifetime(self, discount_rate: float, *, renewals: int | None = None) -> float:
        """Mean number of future payments, discounted.

        Parameters
        ----------
        discount_rate : float
            d: a fraction per period, above 0.
        renewals : int, optional
            None: a new customer, whose first payment is made now, sum over t >= 0 of
            S(t) / (1 + d)^t. A number m: a customer who has renewed m times and is about to renew
            or leave; the payment at that renewal is not discounted,
            sum over t > m of S(t) / S(m) / (1 + d)^(t - m - 1).

        Returns
        -------
        float
            Periods; times a constant margin, the value in currency.

        References
        ----------
        Fader and Hardie (2010), the discounted expected residual lifetime:
        (beta + m) / (alpha + beta + m) 2F1(1, beta + m + 1; alpha + beta + m + 1; 1 / (1 + d)).

        Examples
        --------
        >>> high_end = ShiftedBetaGeometric(alpha=0.668, beta=3.806)
        >>> [round(high_end.discounted_lifetime(0.1, renewals=m), 3) for m in (0, 1, 7)]
        [5.415, 5.902, 7.53]
        """
        _check_lifetime(discount_rate, renewals)
        keep = 1 / (1 + discount_rate)
        if renewals is None:
            return 1.0 + keep * self.discounted_lifetime(discount_rate, renewals=0)
        alpha, beta = self.alpha, self.beta + renewals
        first = beta / (alpha + beta)
        value = first * hyp2f1(1.0, beta + 1, alpha + beta + 1, keep)
        return float(value) if 0 < value < np.inf else _sum_lifetime(self, keep, renewals)


@dataclass(frozen=True)
class BetaDiscreteWeibull(Contract):
    """Customers whose probabilities of leaving differ, and change with the length of their stay.

    Parameters
    ----------
    alpha, beta : float
        Beta distribution of the probability of leaving at the first renewal; above 0.
    c : float
        Duration dependence; above 0. Below 1 each customer grows more loyal with time, above 1
        less; 1 is `ShiftedBetaGeometric`.

    Raises
    ------
    SpecError
        If a parameter is not a positive, finite number; all problems at once.

    Examples
    --------
    >>> high_end = BetaDiscreteWeibull(alpha=0.2594, beta=1.7226, c=1.5843)
    >>> (100 * high_end.survival([1, 5, 10])).round(2)
    array([86.91, 54.65, 41.82])
    """

    alpha: float
    beta: float
    c: float

    def log_retention(self, t: ArrayLike) -> Floats:
        """Log of B(alpha, beta + t^c) / B(alpha, beta + (t - 1)^c), Fader et al. (2018)."""
        return weibull_log_retention(self.alpha, self.beta, self.c, t)

    def discounted_lifetime(self, discount_rate: float, *, renewals: int | None = None) -> float:
        """Mean number of future payments, discounted; as in `ShiftedBetaGeometric`.

        There is no closed form: payments are added until the rest is negligible.

        Examples
        --------
        >>> high_end = BetaDiscreteWeibull(alpha=0.2594, beta=1.7226, c=1.5843)
        >>> round(high_end.discounted_lifetime(0.1), 2)
        5.99
        """
        _check_lifetime(discount_rate, renewals)
        keep = 1 / (1 + discount_rate)
        if renewals is None:
            return 1.0 + keep * _sum_lifetime(self, keep, 0)
        return _sum_lifetime(self, keep, renewals)


def weibull_log_retention(
    alpha: Floats | float, beta: Floats | float, c: Floats | float, t: ArrayLike
) -> Floats:
    """Log retention rate of `BetaDiscreteWeibull`; all broadcast."""
    before = np.asarray(t, dtype=float) - 1
    aged = before**c
    older = np.where(before > 0, aged * np.expm1(c * np.log1p(1 / np.maximum(before, 1))), 1.0)
    return log_beta_ratio(alpha, np.asarray(beta, dtype=float) + aged, older)


def log_beta_ratio(a: ArrayLike, b: ArrayLike, u: ArrayLike) -> Floats:
    """Log of B(a, b + u) / B(a, b), to rounding, for a, b above 0 and u of at least 0.

    Four log-gammas by Stirling's formula, whose large terms are subtracted on paper.
    """
    a, b, u = (np.asarray(values, dtype=float) for values in (a, b, u))
    total = (b - 0.5) * np.log1p(a / b * (u / (b + u + a)))
    total -= u * np.log1p(a / (b + u)) + a * np.log1p(u / (b + a))
    return total + (_stirling(b + u) - _stirling(b)) - (_stirling(a + b + u) - _stirling(a + b))


def _stirling(x: Floats) -> Floats:
    """Log Gamma(x) less ``(x - 1/2) log x - x + log(2 pi) / 2``: small, as x is large."""
    terms = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
    small, large = np.minimum(x, _LARGE), np.maximum(x, _LARGE)
    exact = gammaln(small) - (small - 0.5) * np.log(small) + small - 0.5 * np.log(2 * np.pi)
    return np.where(x < _LARGE, exact, np.polynomial.polynomial.polyval(large**-2.0, terms) / large)


def _sum_lifetime(contract: Contract, keep: float, renewals: int) -> float:
    """Add discounted renewals until the rest, at most keep^n / (1 - keep), is negligible."""
    needed = int(np.ceil(np.log(_NEGLIGIBLE * (1 - keep)) / np.log(keep)))
    if needed > _LONGEST_SUM:
        raise SpecError(
            f"discounted_lifetime: a discount_rate of {1 / keep - 1:.2g} needs {needed:,} terms; "
            "use a larger one, or longer periods."
        )
    t = np.arange(renewals + 1, renewals + needed + 1)
    stays = np.exp(contract.log_survival(t) - contract.log_survival(renewals))
    return float(stays @ keep ** np.arange(float(needed)))


class Homogeneity(NamedTuple):
    """A discounted residual lifetime, and its value under one average retention rate."""

    lifetime: float
    lifetime_at_mean: float
    understated: float


def cost_of_homogeneity(
    contract: Contract, discount_rate: float, *, renewals: int = 0
) -> Homogeneity:
    """Discounted residual lifetime in periods, with and without differences between customers.

    Parameters
    ----------
    contract : Contract
    discount_rate : float
        d: a fraction per period, above 0.
    renewals : int
        How often the customers have renewed; they are about to renew or leave.

    Returns
    -------
    Homogeneity
        `lifetime` of the population; `lifetime_at_mean`, r (1 + d) / (1 + d - r), with the
        retention rate r of the next renewal for all customers and for ever; `understated`, the
        share of `lifetime` that `lifetime_at_mean` misses.

    References
    ----------
    Fader and Hardie (2010), Marketing Science 29(1), 85-93.

    Examples
    --------
    Two customer bases with the same retention rate of .80, but very different customers:

    >>> alike, unlike = ShiftedBetaGeometric(3.80, 15.20), ShiftedBetaGeometric(0.067, 0.267)
    >>> [round(value, 2) for value in cost_of_homogeneity(unlike, 0.1)]
    [7.67, 2.93, 0.62]
    >>> round(cost_of_homogeneity(alike, 0.1).lifetime, 2)
    3.31
    """
    lifetime = contract.discounted_lifetime(discount_rate, renewals=renewals)
    r = float(contract.retention_rate(renewals + 1))
    at_mean = r * (1 + discount_rate) / (1 + discount_rate - r)
    return Homogeneity(lifetime, at_mean, 1 - at_mean / lifetime)


def whole_numbers(owner: str, t: ArrayLike, least: int = 0) -> Floats:
    """Return periods as a float array; refuse anything but whole numbers of at least `least`."""
    values = np.asarray(t, dtype=float)
    if not (np.isfinite(values) & (values >= least) & (values % 1 == 0)).all():
        raise SpecError(f"{owner}: `periods` must be whole numbers of at least {least}, got {t!r}")
    return values


def _check_lifetime(discount_rate: float, renewals: int | None) -> None:
    problems = []
    if not (isinstance(discount_rate, int | float | np.number) and 0 < discount_rate <= 1):
        problems.append(
            "`discount_rate` must be a fraction per period, above 0 and at most 1, got "
            f"{discount_rate!r}; without discounting the sum may be infinite"
        )
    if renewals is not None:
        problems += count_problems({"renewals": renewals}, at_least=0)
    raise_problems(SpecError, "discounted_lifetime", problems)
