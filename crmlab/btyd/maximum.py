"""Maximum likelihood of positive parameters, its uncertainty, and when there is no maximum.

The search is over logs, so parameters stay positive and their scales do not matter.
"""

from collections.abc import Callable, Sequence

import numpy as np

from crmlab.arrays import Floats
from crmlab.errors import DataError, raise_problems

_LOG_BOUND = 12.0  # the search range is exp(-12) to exp(12)
_LOG_FAR = 10.0  # beyond exp(10), or below exp(-10), a parameter diverges
_LEAST_CURVATURE = 1e-5  # of the mean log-likelihood, in the flattest direction of the logs

_NUMBERS = {2: "two", 3: "three", 4: "four"}


def maximise(
    owner: str, names: Sequence[str], mean_loglik: Callable[[Floats], float]
) -> list[float]:
    """Find the parameters that maximise a function of their logs.

    Parameters
    ----------
    owner : str
        The function to name in an error.
    names : sequence of str
        The parameters, in order.
    mean_loglik : callable
        Mean log-likelihood of a customer as a function of the logs of the parameters.

    Returns
    -------
    list of float

    Raises
    ------
    DataError
        If a parameter diverges or the likelihood is flat: the data do not determine the parameters.
    """
    from scipy.optimize import minimize

    found = minimize(
        lambda logs: -mean_loglik(logs),
        np.zeros(len(names)),
        method="L-BFGS-B",
        jac="3-point",
        bounds=[(-_LOG_BOUND, _LOG_BOUND)] * len(names),
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 2000},
    )
    _check_maximum(owner, names, mean_loglik, found.x)
    return [float(value) for value in np.exp(found.x)]


def _check_maximum(
    owner: str, names: Sequence[str], mean_loglik: Callable[[Floats], float], logs: Floats
) -> None:
    """Refuse a point that is not a maximum: at the edge of the search range, or on a plateau."""
    far = [name for name, value in zip(names, logs, strict=True) if abs(value) > _LOG_FAR]
    problems = [f"the best {' and '.join(far)} would be 0 or infinite"] if far else []
    if not far and -np.linalg.eigvalsh(hessian(mean_loglik, logs)).max() < _LEAST_CURVATURE:
        problems = ["the likelihood is flat where the search ended"]
    count = _NUMBERS[len(names)]
    way_out = "use more customers with repeat purchases, or priors (`population_posterior`)"
    raise_problems(
        DataError,
        owner,
        [f"these data do not determine the {count} parameters: {p}; {way_out}" for p in problems],
    )


def log_covariance(loglik: Callable[[Floats], float], logs: Floats) -> Floats:
    """Covariance of the logs of the parameters at the maximum of the total log-likelihood.

    The inverse of the observed information, minus the second derivatives by finite differences.
    """
    return np.linalg.inv(-hessian(loglik, logs))


def hessian(function: Callable[[Floats], float], at: Floats, step: float = 1e-3) -> Floats:
    """Second differences."""
    moves = step * np.eye(len(at))
    return np.array(
        [
            [
                function(at + i + j)
                - function(at + i - j)
                - function(at - i + j)
                + function(at - i - j)
                for j in moves
            ]
            for i in moves
        ]
    ) / (4 * step**2)
