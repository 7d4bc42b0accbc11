"""Gamma-Gamma: what customers spend per purchase, when a few purchases say little about each one.

1. The amounts of one customer's purchases are Gamma(p, nu): mean p / nu.
2. nu varies between customers as a Gamma(q, v); amounts and purchase rates are independent.

A customer's mean over x purchases is pulled towards the mean of all customers, p v / (q - 1); the
fewer her purchases, the stronger the pull:

    E[M | zbar, x] = p (v + x zbar) / (p x + q - 1).

References
----------
Fader, Hardie and Lee (2005), "RFM and CLV: using iso-value curves for customer base analysis",
Journal of Marketing Research 42(4), 415-430.
Fader and Hardie (2013), "The Gamma-Gamma model of monetary value", technical note.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from crmlab.arrays import Bools, Floats
from crmlab.btyd.base import Positive
from crmlab.btyd.histories import broken_rules, check_numbers
from crmlab.btyd.maximum import maximise
from crmlab.errors import DataError, raise_problems


@dataclass(frozen=True)
class GammaGamma(Positive):
    """The three parameters of a Gamma-Gamma population of spenders.

    Parameters
    ----------
    p : float
        Shape of the amounts of one customer; above 0.
    q : float
        Shape of the gamma distribution of the customers' rates; above 0. The mean amount of all
        customers is finite if q exceeds 1.
    v : float
        Its rate, in currency; above 0.

    Raises
    ------
    SpecError
        If a parameter is not a positive, finite number; all problems at once.

    Examples
    --------
    >>> cdnow = GammaGamma(p=6.25, q=3.74, v=15.44)  # USD
    >>> cdnow.expected_spend([0, 1, 10], [0, 60, 60]).round(2)
    array([35.22, 52.45, 58.96])
    """

    p: float
    q: float
    v: float

    def loglik(self, frequency: ArrayLike, monetary_value: ArrayLike) -> Floats:
        """Log-likelihood of each customer's mean amount, shape (n,); at least one purchase each."""
        return _loglik(self, *_check_spenders("GammaGamma.loglik", frequency, monetary_value))

    def expected_spend(self, frequency: ArrayLike, monetary_value: ArrayLike) -> Floats:
        """Mean amount of each customer's future purchases, in currency.

        Parameters
        ----------
        frequency : array_like (n,)
            Number of purchases behind the mean; 0 gives the mean of all customers.
        monetary_value : array_like (n,)
            Mean amount of those purchases, in currency; ignored if there are none.

        Returns
        -------
        ndarray (n,)
            Infinite if p x + q does not exceed 1.
        """
        x, mean = check_numbers(
            "GammaGamma.expected_spend", {"frequency": frequency, "monetary_value": monetary_value}
        )
        rules = _rules(x, mean) | {"`monetary_value` must be a number, 0 or more": ~(mean >= 0)}
        raise_problems(
            DataError,
            "GammaGamma.expected_spend",
            broken_rules(rules, {"frequency": x, "monetary_value": mean}),
        )
        strength = self.p * x + self.q - 1
        total = np.where(x > 0, x * mean, 0.0)
        with np.errstate(divide="ignore"):
            return np.where(strength > 0, self.p * (self.v + total) / strength, np.inf)


def _loglik(params: GammaGamma, x: Floats, mean: Floats) -> Floats:
    p, q, v = params.p, params.q, params.v
    shapes = gammaln(p * x + q) - gammaln(p * x) - gammaln(q)
    powers = q * np.log(v) + (p * x - 1) * np.log(mean) + p * x * np.log(x)
    return shapes + powers - (p * x + q) * np.log(v + x * mean)


def _rules(x: Floats, mean: Floats) -> dict[str, Bools]:
    return {
        "`frequency` must be a whole number, 0 or more": ~((x >= 0) & (x % 1 == 0)),
        "`monetary_value` must be finite": ~np.isfinite(mean),
    }


def _check_spenders(
    owner: str, frequency: ArrayLike, monetary_value: ArrayLike
) -> tuple[Floats, Floats]:
    x, mean = check_numbers(owner, {"frequency": frequency, "monetary_value": monetary_value})
    rules = {
        "`frequency` must be a whole number, 1 or more (leave out customers without one)": ~(
            (x >= 1) & (x % 1 == 0)
        ),
        "`monetary_value` must be a number above 0": ~((mean > 0) & np.isfinite(mean)),
    }
    raise_problems(DataError, owner, broken_rules(rules, {"frequency": x, "monetary_value": mean}))
    return x, mean


def fit_gammagamma(frequency: ArrayLike, monetary_value: ArrayLike) -> GammaGamma:
    """Estimate the three parameters by maximum likelihood.

    Parameters
    ----------
    frequency : array_like (n,)
        Purchases of each customer, 1 or more.
    monetary_value : array_like (n,)
        Their mean amount, in currency, above 0.

    Returns
    -------
    GammaGamma

    Raises
    ------
    DataError
        If a customer has no purchase or no amount, or the data do not determine the parameters.
    """
    x, mean = _check_spenders("fit_gammagamma", frequency, monetary_value)
    unit = float(mean.mean())  # a fit must not depend on the currency
    p, q, v = maximise(
        "fit_gammagamma",
        GammaGamma.names(),
        lambda logs: float(_loglik(GammaGamma.from_logs(logs), x, mean / unit).mean()),
    )
    return GammaGamma(p=p, q=q, v=v * unit)
