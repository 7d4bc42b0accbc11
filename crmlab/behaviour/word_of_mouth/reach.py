"""How many people one customer tells: distributions of the reach N, from claims about its tail.

Claims come as shares: so many told more than ten, so many more than twenty. "More than ten" and
"ten or more" are different events. A distribution with two parameters satisfies two claims but
seldom three, so claims can be checked against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincc, ndtr, ndtri

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems

Claim = tuple[float, float]


class Reach(Protocol):
    """A distribution of how many people one customer tells."""

    def beyond(self, k: ArrayLike) -> Floats:
        """P(N > k)."""


@dataclass(frozen=True)
class NegativeBinomialReach:
    """Counts of people told: Poisson for each customer, with a Gamma rate over customers.

    P(N > k) = I_q(k + 1, r) with q = mean / (mean + r), the regularised incomplete beta function.
    The variance is mean + mean^2 / r. A shape of 1 gives the geometric distribution; a large one
    is close to Poisson.

    Parameters
    ----------
    mean : float
        Mean number of people told, above 0.
    shape : float
        r, above 0: the smaller, the more unequal the customers.

    Examples
    --------
    >>> NegativeBinomialReach(mean=11.70, shape=2.705).beyond([10, 20]).round(2).tolist()
    [0.48, 0.13]
    >>> NegativeBinomialReach(mean=14.49, shape=1).beyond([10, 20]).round(3).tolist()
    [0.48, 0.246]
    """

    mean: float
    shape: float

    def __post_init__(self) -> None:
        """Refuse parameters that are not positive."""
        _refuse_what_is_not_positive("NegativeBinomialReach", mean=self.mean, shape=self.shape)

    @property
    def variance(self) -> float:
        """Variance of the number of people told."""
        return self.mean + self.mean**2 / self.shape

    def beyond(self, k: ArrayLike) -> Floats:
        """P(N > k), for whole numbers k of 0 or more."""
        more, total = _whole(k) + 1, self.mean + self.shape
        # A share computed from its smaller side keeps its digits when one part swamps the other.
        if self.mean < self.shape:
            return betainc(more, self.shape, self.mean / total)
        return betaincc(self.shape, more, self.shape / total)

    def at_least(self, k: ArrayLike) -> Floats:
        """P(N >= k), for whole numbers k of 1 or more."""
        return self.beyond(_whole(k) - 1)


@dataclass(frozen=True)
class LogNormalReach:
    """The whole part of a log-normal number of people: a heavier tail than the negative binomial.

    N = floor(X), ln X ~ Normal(ln median, sigma^2); P(N > k) = P(X >= k + 1).

    Parameters
    ----------
    median : float
        Median of X, above 0.
    sigma : float
        Standard deviation of ln X, above 0.

    Examples
    --------
    >>> reach = LogNormalReach(median=10, sigma=1)
    >>> reach.beyond([9, 20]).round(3).tolist()
    [0.5, 0.229]
    """

    median: float
    sigma: float

    def __post_init__(self) -> None:
        """Refuse parameters that are not positive."""
        _refuse_what_is_not_positive("LogNormalReach", median=self.median, sigma=self.sigma)

    def beyond(self, k: ArrayLike) -> Floats:
        """P(N > k), for whole numbers k of 0 or more."""
        return ndtr((np.log(self.median) - np.log(_whole(k) + 1)) / self.sigma)

    def at_least(self, k: ArrayLike) -> Floats:
        """P(N >= k), for whole numbers k of 1 or more."""
        return self.beyond(_whole(k) - 1)


def _refuse_what_is_not_positive(owner: str, **parameters: float) -> None:
    raise_problems(SpecError, owner, number_problems(parameters, above=0))


def _whole(k: ArrayLike) -> Floats:
    k = np.asarray(k, dtype=float)
    if not ((k == np.floor(k)) & (k >= 0)).all():
        raise SpecError(f"`k` must hold whole numbers of people, 0 or more, got {k.tolist()}")
    return k


def shapes_for_tail(mean: float, claim: Claim) -> tuple[float, ...]:
    """Shapes of the negative binomial distributions with a given mean and share beyond k.

    There may be none, one or two: a very unequal distribution puts its mass on the few who tell
    very many, and the share beyond k falls again.

    Parameters
    ----------
    mean : float
        Mean number of people told.
    claim : (k, share)
        P(N > k) = share; write "k or more" as (k - 1, share).

    Returns
    -------
    tuple of float
        In descending order: the least unequal distribution first.

    Raises
    ------
    SpecError
        A claim that is not valid.

    Examples
    --------
    A claim of 13 % beyond twenty with a mean of 9.5 does not give 48 % beyond ten:

    >>> shapes = shapes_for_tail(9.5, (20, 0.13))
    >>> [round(r, 3) for r in shapes]
    [0.836, 0.147]
    >>> [round(float(NegativeBinomialReach(9.5, r).beyond(10)), 2) for r in shapes]
    [0.32, 0.2]
    """
    from scipy.optimize import brentq

    raise_problems(SpecError, "shapes_for_tail", _claim_problems([claim]))
    k, share = claim

    def miss(log_shape: float) -> float:
        law = NegativeBinomialReach(mean, float(np.exp(log_shape)))
        return float(law.beyond(k)) - share

    # Log-shapes from hopelessly unequal to Poisson; the tail turns slowly, so 400 steps see it.
    grid = np.linspace(np.log(1e-6), np.log(1e6), 400)
    signs = np.sign([miss(place) for place in grid])
    crossings = np.flatnonzero(signs[:-1] * signs[1:] < 0)
    roots = [brentq(miss, grid[i], grid[i + 1], xtol=1e-13) for i in crossings]
    return tuple(float(np.exp(root)) for root in roots[::-1])


def negative_binomial_through(claims: Sequence[Claim]) -> NegativeBinomialReach:
    """Negative binomial distribution of the reach that satisfies two claims about its tail.

    Parameters
    ----------
    claims : two pairs (k, share)
        P(N > k) = share; write "k or more" as (k - 1, share).

    Returns
    -------
    NegativeBinomialReach

    Raises
    ------
    SpecError
        Claims that contradict each other, or that no distribution of this family satisfies.

    Examples
    --------
    >>> reach = negative_binomial_through([(10, 0.48), (20, 0.13)])
    >>> f"mean {reach.mean:.2f}, shape {reach.shape:.3f}"
    'mean 11.70, shape 2.705'
    """
    from scipy.optimize import brentq

    near, far = _two_claims("negative_binomial_through", claims)

    def law_through_near(log_shape: float) -> NegativeBinomialReach:
        shape = float(np.exp(log_shape))
        top = brentq(
            lambda m: float(NegativeBinomialReach(np.exp(m), shape).beyond(near[0])) - near[1],
            -60.0,
            600.0,
            xtol=1e-13,
        )
        return NegativeBinomialReach(float(np.exp(top)), shape)

    def miss(log_shape: float) -> float:
        return float(law_through_near(log_shape).beyond(far[0])) - far[1]

    # With one point fixed, the tail beyond it grows with inequality: there is one root or none.
    low, high = np.log(0.05), np.log(1e6)
    if miss(low) * miss(high) > 0:
        raise SpecError(
            f"negative_binomial_through: no such distribution has P(N > {near[0]:g}) = "
            f"{near[1]:g} and P(N > {far[0]:g}) = {far[1]:g}; try `lognormal_through`, or doubt a "
            "claim"
        )
    return law_through_near(brentq(miss, low, high, xtol=1e-13))


def lognormal_through(claims: Sequence[Claim]) -> LogNormalReach:
    """Log-normal distribution of the reach that satisfies two claims about its tail.

    In closed form: ln(k + 1) = ln median + sigma z(1 - share) for both claims; z is the Normal
    quantile.

    Parameters
    ----------
    claims : two pairs (k, share)
        P(N > k) = share; write "k or more" as (k - 1, share).

    Returns
    -------
    LogNormalReach

    Raises
    ------
    SpecError
        Claims that contradict each other.

    Examples
    --------
    >>> lognormal_through([(10, 0.48), (20, 0.13)]).beyond([10, 20]).round(2).tolist()
    [0.48, 0.13]
    """
    (k, a), (n, b) = _two_claims("lognormal_through", claims)
    sigma = (np.log(n + 1) - np.log(k + 1)) / (ndtri(a) - ndtri(b))
    return LogNormalReach(float((k + 1) * np.exp(sigma * ndtri(a))), float(sigma))


def _two_claims(owner: str, claims: Sequence[Claim]) -> tuple[Claim, Claim]:
    problems = _claim_problems(claims)
    if len(claims) != 2:
        problems.append(f"`claims` must be two pairs (k, share), got {len(claims)}")
    raise_problems(SpecError, owner, problems)
    near, far = sorted(claims)
    if not (near[0] < far[0] and near[1] > far[1]):
        raise SpecError(
            f"{owner}: of two claims the one about more people needs the smaller share, "
            f"got {near} and {far}"
        )
    return near, far


def _claim_problems(claims: Sequence[Claim]) -> list[str]:
    return [
        f"a claim is a whole number of 0 or more and a share between 0 and 1, got {(k, share)}"
        for k, share in claims
        if not (k >= 0 and k == np.floor(k) and 0 < share < 1)
    ]
