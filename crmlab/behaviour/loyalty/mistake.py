"""What it costs to take passive customers for satisfied ones."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, number_problems
from crmlab.errors import DataError, SpecError, raise_problems


class Mistake(NamedTuple):
    """Expected leavers, those that were forecast, and those that nobody saw coming."""

    expected: float
    forecast: float
    unforeseen: float


def mistake_passive(
    n_customers: float, *, passive_share: float, leave_active: float, leave_passive: float
) -> Mistake:
    """Count the customers lost to a rival when everybody who had stayed was taken for active.

    Expected n ((1 - s) q_active + s q_passive); forecast n q_active (Jones & Sasser 1995
    on the claim). Times the value of a customer, this is the cost of the mistake, in currency.

    Parameters
    ----------
    n_customers : float
    passive_share : float
        s: share of those who stayed for want of an alternative.
    leave_active, leave_passive : float
        q: probability of leaving once there is an alternative.

    Returns
    -------
    Mistake

    Raises
    ------
    SpecError
        A negative number of customers, or a probability outside 0 to 1.

    Examples
    --------
    >>> loss = mistake_passive(1000, passive_share=0.45, leave_active=0.05, leave_passive=0.40)
    >>> f"{loss.expected:.1f} lost, {loss.forecast:.0f} forecast"
    '207.5 lost, 50 forecast'
    """
    named = {
        "passive_share": passive_share,
        "leave_active": leave_active,
        "leave_passive": leave_passive,
    }
    problems = number_problems(named, least=0, most=1)
    if not n_customers >= 0:
        problems.append(f"`n_customers` must be 0 or more, got {n_customers!r}")
    raise_problems(SpecError, "mistake_passive", problems)
    share = (1 - passive_share) * leave_active + passive_share * leave_passive
    forecast = n_customers * leave_active
    return Mistake(n_customers * share, forecast, n_customers * share - forecast)


class ShareEstimate(NamedTuple):
    """An estimated share, and its standard error."""

    value: float
    standard_error: float


def passive_share_from_leavers(
    leavers: int, n_customers: int, *, leave_active: float, leave_passive: float
) -> ShareEstimate:
    """Estimate the share of passive customers from those who left after a rival's entry.

    s = (leavers / n - q_active) / (q_passive - q_active), cut to 0 ... 1, with the binomial
    standard error of the uncut estimate. Behaviour before the entry says nothing about s.

    Parameters
    ----------
    leavers, n_customers : int
    leave_active, leave_passive : float
        Known from elsewhere; they must differ.

    Returns
    -------
    ShareEstimate

    Raises
    ------
    SpecError
        Probabilities outside 0 to 1, or equal ones.
    DataError
        More leavers than customers.

    Examples
    --------
    >>> found = passive_share_from_leavers(415, 2000, leave_active=0.05, leave_passive=0.40)
    >>> f"{found.value:.2f}, standard error {found.standard_error:.2f}"
    '0.45, standard error 0.03'
    """
    problems = number_problems(
        {"leave_active": leave_active, "leave_passive": leave_passive}, least=0, most=1
    )
    gap = leave_passive - leave_active
    if gap == 0:
        problems.append("`leave_active` and `leave_passive` must differ, or leaving tells nothing")
    raise_problems(SpecError, "passive_share_from_leavers", problems)
    if not (n_customers >= 1 and 0 <= leavers <= n_customers):
        raise DataError(
            "passive_share_from_leavers: 0 <= `leavers` <= `n_customers` with a customer or more, "
            f"got {leavers!r} of {n_customers!r}"
        )
    left = leavers / n_customers
    error = np.sqrt(left * (1 - left) / n_customers) / abs(gap)
    return ShareEstimate(float(np.clip((left - leave_active) / gap, 0, 1)), float(error))


def shares_among_leavers(shares: ArrayLike, leave_probs: ArrayLike) -> Floats:
    """Shares of each group among those who left, by Bayes' rule.

    If most customers are satisfied, many leavers are too: "satisfied, so loyal for ever" is
    refuted by a satisfied group that leaves at all.

    Parameters
    ----------
    shares : array_like of shape (n_groups,)
        Of all customers; they sum to 1.
    leave_probs : array_like of shape (n_groups,)

    Returns
    -------
    ndarray of shape (n_groups,)

    Raises
    ------
    SpecError
        Invalid shares or probabilities, or nobody leaves.

    Examples
    --------
    Passive customers among the 207.5 who leave:

    >>> shares_among_leavers([0.55, 0.45], [0.05, 0.40]).round(3).tolist()
    [0.133, 0.867]
    """
    w, q = np.asarray(shares, dtype=float), np.asarray(leave_probs, dtype=float)
    problems = number_problems({"leave_probs": q}, least=0, most=1)
    if w.ndim != 1 or w.shape != q.shape:
        problems.append(f"one share and probability per group, got shapes {w.shape}, {q.shape}")
    if not (w >= 0).all() or abs(w.sum() - 1) > 1e-8:
        problems.append(f"`shares` must be 0 or more and sum to 1, got {w.tolist()}")
    if not problems and not w @ q > 0:
        problems.append("nobody leaves: some group with customers needs a probability above 0")
    raise_problems(SpecError, "shares_among_leavers", problems)
    return w * q / (w @ q)
