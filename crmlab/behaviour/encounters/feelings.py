"""What gains, losses, choice and ritual feel like."""

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, number_problems
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
    problems = number_problems({"curvature": curvature}, above=0, most=1)
    problems += number_problems({"loss_aversion": loss_aversion}, above=0)
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
    problems = number_problems({"relief": relief}, least=0, most=1)
    problems += number_problems({"penalty": penalty}, least=0)
    raise_problems(SpecError, "adjust_encounters", problems)
    x = np.asarray(encounters, dtype=float)
    eased = np.where(np.asarray(chosen) & (x < 0), (1 - relief) * x, x)
    return eased - penalty * np.asarray(ritual_broken, dtype=float)
