"""Winning customers back: the second life, an offer now and a price later.

A lapsed customer needs two decisions (Thomas, Blattberg & Fox 2004, *Journal of Marketing Research*
41, 31-45). *The price later* sets how much the second life is worth: a higher price earns more per
period and shortens it. *The offer now* sets whether there is one. If the offer is paid once and
then forgotten, the two separate, and the answer is theirs: price low to win back, higher later.

    second life   W(p) = (p - c) (1+d) / (1+d - r(p)),        r(p) = logistic(g - h p)
    offer         maximise  A(o) (W - o),                     A(o) = logistic(a + b o)

The best offer has a closed form. Setting the derivative to 0 gives b (W - o)(1 - A) = 1, and with
Lambert's function L (x = L(x) e^L(x)),

    o* = W - (1 + L(e^(a + b W - 1))) / b,

or nothing where that is negative: such customers come back by themselves often enough, or are not
worth an offer. In the interior, b A (W - o*) = A/(1 - A): the more easily they come back, the
smaller the offer. Offers to all who lapse teach customers to lapse; the model does not show that,
but a holdout group does.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems, wrong
from crmlab.value.inputs import as_floats, bare_rate_problems


class Offer(NamedTuple):
    """Best offer to a lapsed customer, and what it brings; gain is against no offer."""

    offer: Floats
    prob_return: Floats
    profit: Floats
    gain: Floats


def best_offer(second_life: ArrayLike, *, intercept: ArrayLike, slope: ArrayLike) -> Offer:
    """Offer, in currency, that maximises the expected profit from a lapsed customer.

    Parameters
    ----------
    second_life : array_like
        W: value of the customer if won back, in currency, before the cost of the offer; in a stage
        model, the value of the stage in which the second life starts.
    intercept, slope : array_like
        a and b > 0: log-odds of coming back, A(o) = logistic(a + b o), per unit of currency.
        Draws of a posterior broadcast.

    Returns
    -------
    Offer
        Each of the shape that the arguments broadcast to.

    Raises
    ------
    SpecError
        A slope that is not positive, or numbers that are not finite.

    Examples
    --------
    >>> found = best_offer(100, intercept=-3, slope=0.05)
    >>> float(found.offer.round(2)), float(found.prob_return.round(3)), float(found.gain.round(2))
    (60.0, 0.5, 15.26)
    """
    W, a = as_floats("second_life", second_life), as_floats("intercept", intercept)
    b = as_floats("slope", slope)
    problems = number_problems({"second_life": W, "intercept": a, "slope": b})
    if not (b > 0).all():
        problems.append("`slope` must be above 0: a larger offer brings more customers back")
    raise_problems(SpecError, "best_offer", problems)
    interior = W - (1 + _lambert_of_exp(a + b * W - 1)) / b
    offer = np.maximum(interior, 0.0)
    prob = _logistic(a + b * offer)
    profit = prob * (W - offer)
    return Offer(offer, prob, profit, profit - _logistic(a + 0 * offer) * W)


def _lambert_of_exp(log_x: NDArray) -> Floats:
    """Lambert's L(e^y) without the overflow of e^y: solve L + log L = y by Newton's method."""
    y = np.asarray(log_x, dtype=float)
    guess = np.where(y > 1, y - np.log(np.maximum(y, 1.0)), np.exp(np.minimum(y, 1.0) - 0.5))
    L = np.maximum(guess, 1e-300)
    for _ in range(60):
        # In log L the equation is convex and the step never leaves the positive numbers.
        L = L * np.exp((y - L - np.log(L)) / (1 + L))
    return L


def _logistic(x: NDArray) -> Floats:
    return 0.5 * (1 + np.tanh(0.5 * x))


class Returners(NamedTuple):
    """Who comes back, and for how long: for those who return, and for all if all returned."""

    prob_return: Floats
    tenure: Floats
    tenure_of_all: Floats


def returner_tenure(
    score: ArrayLike, *, mean_log: ArrayLike, sd_log: float, correlation: float
) -> Returners:
    """Mean length of the second life, in periods, of those who come back.

    A customer returns if score + e > 0, and then stays T periods with ln T = mean_log + u; e is
    standard normal, u normal with standard deviation `sd_log`, and the two are correlated: whoever
    returns more readily than the score says may also stay longer, or shorter. Then

        Pr(return) = Phi(score),   E[T | return] = exp(m + s^2/2) Phi(score + r s) / Phi(score).

    Observed second lives are those of returners: with r > 0 they make an offer to everybody look
    better than it is.

    Parameters
    ----------
    score : array_like
        x'beta, of a probit model of return.
    mean_log : array_like
        m: mean of the log of the second life, in log periods.
    sd_log : float
        s, above 0.
    correlation : float
        r, between -1 and 1.

    Returns
    -------
    Returners

    Raises
    ------
    SpecError
        A standard deviation that is not positive, or a correlation outside -1 to 1.

    References
    ----------
    Thomas, Blattberg and Fox (2004), the structure of their joint model; the mean follows from the
    moment generating function of a normal variable that is cut off.

    Examples
    --------
    >>> found = returner_tenure(-1.0, mean_log=1.5, sd_log=0.8, correlation=0.5)
    >>> [round(float(number), 3) for number in found]
    [0.159, 10.669, 6.172]
    """
    score, mean_log = as_floats("score", score), as_floats("mean_log", mean_log)
    problems = number_problems({"sd_log": sd_log}, above=0)
    if not -1 <= correlation <= 1:
        problems.append(wrong("correlation", "between -1 and 1", correlation))
    raise_problems(SpecError, "returner_tenure", problems)
    of_all = np.exp(mean_log + sd_log**2 / 2)
    selected = special.log_ndtr(score + correlation * sd_log) - special.log_ndtr(score)
    return Returners(special.ndtr(score), of_all * np.exp(selected), of_all)


class SecondLife(NamedTuple):
    """Best price of the second life, in currency per period, and its consequences."""

    price: float
    retention: float
    value: float


def best_price(
    *, unit_cost: float, intercept: float, slope: float, discount_rate: float
) -> SecondLife:
    """Price per period, in currency, that maximises the value of a second life.

    W(p) = (p - c)(1+d) / (1+d - r(p)), with retention r(p) = logistic(g - h p); the first payment
    comes at once.

    Parameters
    ----------
    unit_cost : float
        c: cost of serving one period, in currency.
    intercept, slope : float
        g and h > 0: log-odds of staying, per unit of price.
    discount_rate : float
        d: a fraction per period, above 0.

    Returns
    -------
    SecondLife

    Raises
    ------
    SpecError
        A slope or a rate that is not positive; no best price, because losing the customer at once
        for a higher price would always pay (h (p - c) never reaches what staying brings).

    Notes
    -----
    As p grows without limit, r falls to 0 and W approaches p - c, which grows for ever. So the
    model has a best price only among prices at which a customer is still fairly likely to stay.
    The first local maximum from c upwards is returned.

    Examples
    --------
    >>> found = best_price(unit_cost=10, intercept=6, slope=0.1, discount_rate=0.02)
    >>> f"{found.price:.2f} {found.retention:.3f} {found.value:.1f}"
    '26.47 0.966 312.3'
    """
    problems = number_problems({"slope": slope, "discount_rate": discount_rate}, above=0)
    problems = problems or bare_rate_problems(discount_rate)
    problems += number_problems({"unit_cost": unit_cost, "intercept": intercept})
    raise_problems(SpecError, "best_price", problems)
    up = 1 + discount_rate

    def slope_at(price: float) -> float:
        """Sign of dW/dp: 1 + d - r + (p - c) r', with r' = -h r (1 - r)."""
        r = float(_logistic(np.asarray(intercept - slope * price)))
        return up - r - (price - unit_cost) * slope * r * (1 - r)

    grid = unit_cost + np.linspace(0, 40, 4001) / slope
    falls = np.flatnonzero([slope_at(price) < 0 for price in grid])
    if not len(falls):
        raise SpecError(
            "best_price: no price is best: customers stay so rarely that each higher price earns "
            "more at once than it loses later; check `intercept` and `slope`"
        )
    low, high = grid[falls[0] - 1], grid[falls[0]]
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if slope_at(middle) >= 0 else (low, middle)
    r = float(_logistic(np.asarray(intercept - slope * low)))
    return SecondLife(float(low), r, float((low - unit_cost) * up / (up - r)))
