"""What word of mouth is worth: referrals, engagement, and the customer who is lost.

References
----------
Kumar, Petersen & Leone (2007, 2010) on the value of referrals.
Hogan, Lemon & Libai (2003) on the value of a lost customer.
Rows of the source map: A18, C10, D35, D62.
"""

from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import count_problems, number_problems
from crmlab.behaviour.word_of_mouth.branching import NewsRun
from crmlab.behaviour.word_of_mouth.diffusion import Bass
from crmlab.errors import SpecError, raise_problems


def referral_value(
    type_one: ArrayLike,
    type_two: ArrayLike,
    *,
    lifetime_value: float,
    saving: float,
    discount_rate: float,
) -> float:
    """Value the friends whom a customer sends, in currency: the customer referral value.

    CRV = sum_t [n1_t (value + saving) + n2_t saving] / (1 + d)^t, t = 0, 1, ... Friends of type
    one would not have come otherwise and bring their whole value; those of type two would have
    come anyway and save the cost of acquiring them (Kumar, Petersen & Leone 2007).

    Parameters
    ----------
    type_one, type_two : array_like of shape (n_periods,)
        Friends sent in each period; the first period is now.
    lifetime_value : float
        Of one friend when acquired, in currency.
    saving : float
        Cost of acquisition that a referral saves, in currency.
    discount_rate : float
        d, per period.

    Returns
    -------
    float

    Raises
    ------
    SpecError
        Series of different lengths, negative counts, or a rate of -1 or less.

    Examples
    --------
    >>> value = referral_value([2, 2], [1, 1], lifetime_value=138.30, saving=40, discount_rate=0.15)
    >>> round(value, 2)
    741.47
    """
    one, two = np.asarray(type_one, dtype=float), np.asarray(type_two, dtype=float)
    problems = _rate_problems(discount_rate)
    if one.ndim != 1 or one.shape != two.shape:
        problems.append(
            "`type_one` and `type_two` need one count per period each, got shapes "
            f"{one.shape} and {two.shape}"
        )
    if not ((one >= 0).all() and (two >= 0).all()):
        problems.append("`type_one` and `type_two` must be counts of 0 or more")
    raise_problems(SpecError, "referral_value", problems)
    brought = one * (lifetime_value + saving) + two * saving
    return float(brought @ (1 + discount_rate) ** -np.arange(len(one), dtype=float))


@dataclass(frozen=True)
class EngagementValue:
    """The four parts of what an engaged customer is worth, in currency.

    CEV = CLV + CRV + CIV + CKV (Kumar et al. 2010). The parts must not overlap: a
    friend counted in the referral value is not counted again as influence.

    Parameters
    ----------
    lifetime, referral, influence, knowledge : float
        From own purchases, friends sent, others influenced and ideas given.

    Examples
    --------
    >>> EngagementValue(lifetime=100.0, referral=30.0, influence=10.0, knowledge=5.0).total
    145.0
    """

    lifetime: float
    referral: float
    influence: float
    knowledge: float

    @property
    def total(self) -> float:
        """Customer engagement value, in currency."""
        return sum(astuple(self))


def ripple_cost(run: NewsRun, *, put_off: float, lifetime_value: float) -> float:
    """Return the expected value, in currency, of customers deterred by news of one bad ending.

    Number of people told x probability that one who is told stays away because of it x value.
    Infinite where the news may run for ever: then use a network
    (`crm.behaviour.word_of_mouth.cascade`).

    Parameters
    ----------
    run : NewsRun
    put_off : float
        Probability that one who is told stays away.
    lifetime_value : float
        Value of one who stays away, in currency.

    Returns
    -------
    float

    Raises
    ------
    SpecError
        A probability outside 0 to 1.

    Examples
    --------
    >>> from crmlab.behaviour.word_of_mouth.reach import NegativeBinomialReach
    >>> run = NewsRun(NegativeBinomialReach(mean=10, shape=2), pass_on=0.05)
    >>> round(ripple_cost(run, put_off=0.01, lifetime_value=100), 9)
    20.0
    """
    raise_problems(SpecError, "ripple_cost", number_problems({"put_off": put_off}, least=0, most=1))
    if put_off == 0 or lifetime_value == 0:
        return 0.0
    return run.mean_told * put_off * lifetime_value


class LostCustomer(NamedTuple):
    """What a lost customer costs, in currency: own purchases and the word of mouth that is lost."""

    own: float
    social: float

    @property
    def total(self) -> float:
        """Both together, in currency."""
        return self.own + self.social


def lost_customer_value(
    lifetime_value: float,
    market: Bass,
    *,
    size: float,
    adopted: float,
    n_periods: int,
    discount_rate: float,
) -> LostCustomer:
    """Value of one customer lost now, with the adopters whom their silence delays or loses.

    Two discrete Bass markets are compared: in one of them, one customer stops talking for good.
    Each adopter of period t = 1, 2, ... is worth `lifetime_value` / (1 + d)^t; the social part is
    the difference. It is largest early, when few talk and many can still be won (the idea of
    Hogan, Lemon & Libai 2003; the form is ours). The lost customer is not won again.

    Parameters
    ----------
    lifetime_value : float
        Value of one adopter at adoption, and of the lost customer now, in currency.
    market : Bass
        Per period.
    size : float
        Total number of possible adopters.
    adopted : float
        Customers now, including the one who is lost.
    n_periods : int
        Number of periods to look ahead.
    discount_rate : float
        d, per period.

    Returns
    -------
    LostCustomer

    Raises
    ------
    SpecError
        More customers than the market holds, a rate of -1 or less, or a horizon below 1.

    Examples
    --------
    >>> early, late = (
    ...     lost_customer_value(
    ...         100, Bass(0.03, 0.38), size=1000, adopted=n, n_periods=40, discount_rate=0.10
    ...     )
    ...     for n in (10, 900)
    ... )
    >>> early.own == late.own, early.social > 5 * late.social
    (True, True)
    """
    problems = _rate_problems(discount_rate)
    if not 1 <= adopted <= size:
        problems.append(f"1 <= `adopted` <= `size` must hold, got {adopted!r} of {size!r}")
    problems += count_problems({"n_periods": n_periods})
    raise_problems(SpecError, "lost_customer_value", problems)
    kept, lost = (
        _discounted_adopters(market, size, adopted, silent, n_periods, discount_rate)
        for silent in (0.0, 1.0)
    )
    return LostCustomer(lifetime_value, lifetime_value * (kept - lost))


def _discounted_adopters(
    market: Bass, size: float, adopted: float, silent: float, n_periods: int, rate: float
) -> float:
    """Sum of the adopters to come, discounted, when `silent` of the customers do not talk."""
    total, customers = 0.0, adopted
    for t in range(1, n_periods + 1):
        new = market.new_adopters(customers, customers - silent, size)
        total += new / (1 + rate) ** t
        customers += new
    return total


def _rate_problems(discount_rate: float) -> list[str]:
    return number_problems({"discount_rate": discount_rate}, above=-1, most=1)
