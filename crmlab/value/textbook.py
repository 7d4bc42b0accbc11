"""Closed forms of the textbooks: the first two are special cases of the chain."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems


def berger_nasr(
    margin: float, marketing: float, *, retention: float, discount_rate: float, n_years: int
) -> float:
    """Value in currency of a customer who pays at year ends and receives marketing at mid-year.

    CLV = GC sum_{i=0}^{n} r^i / (1+d)^i - M sum_{i=1}^{n} r^(i-1) / (1+d)^(i-0.5)
    (Berger & Nasr 1998, *Journal of Interactive Marketing* 12(1), 17-30, case 1).

    Parameters
    ----------
    margin : float
        GC: gross contribution per year, in currency; the first is paid now (``first="current"``).
    marketing : float
        M: cost of keeping the customer, in currency per year.
    retention : float
        r: probability of staying, per year.
    discount_rate : float
        d: fraction per year.
    n_years : int
        n: number of years after the present payment.

    Returns
    -------
    float

    Examples
    --------
    >>> round(berger_nasr(260, 50, retention=0.75, discount_rate=0.20, n_years=10), 2)
    568.78
    """
    _check_retention("berger_nasr", retention, discount_rate)
    paid = np.arange(n_years + 1)
    spent = np.arange(1, n_years + 1)
    contribution = margin * (retention / (1 + discount_rate)) ** paid
    cost = marketing * retention ** (spent - 1.0) / (1 + discount_rate) ** (spent - 0.5)
    return float(contribution.sum() - cost.sum())


def retention_multiple(retention: ArrayLike, discount_rate: ArrayLike) -> Floats:
    """Lifetime value as a multiple of the margin, r / (1+d-r), for constant margin and retention.

    It counts payments from the next period on (``first="next"`` in `stage_value`; Gupta & Lehmann
    2003, *Journal of Interactive Marketing* 17(1), 9-24). On the chain that stays with
    probability r, it is V - R with R = 1.

    Parameters
    ----------
    retention : array_like
        r: probability of staying, per period.
    discount_rate : array_like
        d: fraction per period.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> retention_multiple([0.6, 0.7, 0.8, 0.9], 0.12).round(2).tolist()
    [1.15, 1.67, 2.5, 4.09]
    """
    _check_retention("retention_multiple", retention, discount_rate)
    retention, rate = np.asarray(retention, dtype=float), np.asarray(discount_rate, dtype=float)
    return retention / (1 + rate - retention)


class AcquisitionOptimum(NamedTuple):
    """Best spend on one prospect, and what it brings."""

    spend: float
    response: float
    profit: float


def blattberg_deighton_optimum(
    margin: float, *, ceiling: float, spend: float, response: float
) -> AcquisitionOptimum:
    """Spend per prospect, in currency, that maximises the first year's profit from acquisition.

    A spend A wins the share a(A) = c (1 - exp(-k A)) of prospects; k follows from one known point
    (spend, response). The profit a(A) m - A is largest at A* = ln(k c m) / k, or at 0 where
    k c m <= 1 (Blattberg & Deighton 1996, *Harvard Business Review* 74(4), 136-144).

    Parameters
    ----------
    margin : float
        m: currency that a won customer brings.
    ceiling : float
        c: share of prospects that unlimited spending would win.
    spend, response : float
        A spend per prospect, in currency, and the share of prospects that it wins.

    Returns
    -------
    AcquisitionOptimum
        (spend, response, profit), per prospect.

    Examples
    --------
    >>> best = blattberg_deighton_optimum(50, ceiling=0.40, spend=5, response=0.20)
    >>> f"{best.spend:.3f} {best.response:.4f} {best.profit:.2f}"
    '7.356 0.2557 5.43'
    """
    problems = []
    if not 0 < response < ceiling <= 1:
        problems.append(
            "shares must satisfy 0 < `response` < `ceiling` <= 1, "
            f"got response {response!r} and ceiling {ceiling!r}; write 20 % as 0.20"
        )
    problems += number_problems({"spend": spend}, above=0)
    raise_problems(SpecError, "blattberg_deighton_optimum", problems)
    steepness = -math.log1p(-response / ceiling) / spend
    best = max(0.0, math.log(max(steepness * ceiling * margin, 1.0)) / steepness)
    won = -ceiling * math.expm1(-steepness * best)
    return AcquisitionOptimum(best, won, won * margin - best)


def _check_retention(owner: str, retention: ArrayLike, discount_rate: ArrayLike) -> None:
    """Refuse a retention that is not a probability, and a rate at which the sum is infinite."""
    retention, rate = np.asarray(retention, dtype=float), np.asarray(discount_rate, dtype=float)
    problems = number_problems({"retention": retention}, least=0, most=1)
    wrong_rate = number_problems({"discount_rate": rate}, above=-1, most=1)
    problems += wrong_rate
    if not wrong_rate and owner == "retention_multiple" and not (1 + rate > retention).all():
        problems.append("1 + `discount_rate` must exceed `retention`, or the sum has no end")
    raise_problems(SpecError, owner, problems)
