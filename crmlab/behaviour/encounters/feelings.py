"""What gains, losses, choice and ritual feel like."""

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats
from crmlab.errors import SpecError, raise_problems


def prospect_value(
    outcome: ArrayLike, *, curvature: float = 0.88, loss_aversion: float = 2.25
) -> Floats:
    """Felt value of gains and losses, in currency ** curvature.

    v(x) = x^c for gains and -l (-x)^c for losses. As v is concave above 0 and convex below, gains
    are worth more apart, and losses hurt less together (Thaler 1985).

    Parameters
    ----------
    outcome : array_like
        In currency.
    curvature : float
        c, above 0 and at most 1.
    loss_aversion : float
        l, above 0.

    Returns
    -------
    ndarray

    Raises
    ------
    SpecError
        Parameters outside their range.

    Examples
    --------
    >>> [round(float(v), 1) for v in (2 * prospect_value(50), prospect_value(100))]
    [62.5, 57.5]
    >>> [round(float(v), 1) for v in (2 * prospect_value(-50), prospect_value(-100))]
    [-140.7, -129.5]
    """
    problems = []
    if not 0 < curvature <= 1:
        problems.append(f"`curvature` must be above 0 and at most 1, got {curvature!r}")
    if not loss_aversion > 0:
        problems.append(f"`loss_aversion` must be above 0, got {loss_aversion!r}")
    raise_problems(SpecError, "prospect_value", problems)
    x = np.asarray(outcome, dtype=float)
    size = np.abs(x) ** curvature
    return np.where(x < 0, -loss_aversion * size, size)


def adjust_encounters(
    encounters: ArrayLike,
    *,
    chosen: ArrayLike = False,
    ritual_broken: ArrayLike = False,
    relief: float,
    penalty: float,
) -> Floats:
    """Adjust what encounters feel like for choice and broken rituals, in their units.

    A bad encounter that the customer chose hurts less by the share `relief`; one that breaks a
    ritual loses `penalty` (Chase & Dasu 2001 name both principles; the form is
    ours).

    Parameters
    ----------
    encounters : array_like of shape (...)
    chosen, ritual_broken : array_like of bool
        They broadcast against `encounters`.
    relief : float
        From 0 to 1.
    penalty : float
        0 or more.

    Returns
    -------
    ndarray

    Raises
    ------
    SpecError
        Parameters outside their range.

    Examples
    --------
    >>> adjust_encounters([-4, 4], chosen=True, relief=0.25, penalty=1).tolist()
    [-3.0, 4.0]
    """
    problems = []
    if not 0 <= relief <= 1:
        problems.append(f"`relief` must lie between 0 and 1, got {relief!r}")
    if not penalty >= 0:
        problems.append(f"`penalty` must be 0 or more, got {penalty!r}")
    raise_problems(SpecError, "adjust_encounters", problems)
    x = np.asarray(encounters, dtype=float)
    eased = np.where(np.asarray(chosen) & (x < 0), (1 - relief) * x, x)
    return eased - penalty * np.asarray(ritual_broken, dtype=float)
