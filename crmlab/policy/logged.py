"""What another policy would have brought, from data logged under an old policy.

Customers were treated at random, with recorded probabilities e(a | x). A new policy pi(a | x) can
be valued from the same data without trying it, if the old one tried everything that the new one
does:

    IPS     mean of w Y,  w = pi(A|x) / e(A|x)             unbiased, noisy where e is small
    SNIPS   sum of w Y / sum of w                          slightly biased, far less noisy
    DR      mean of sum_a pi(a|x) m(x, a) + w (Y - m(x, A))   unbiased if e *or* the model is right

(Horvitz & Thompson 1952; Swaminathan & Joachims 2015; Dudik, Langford & Li 2011; from memory.) How
much the data can tell is the effective number of customers, (sum w)^2 / sum w^2: below a few
hundred, trust none of the estimates.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, are_probs, number_problems
from crmlab.errors import DataError, raise_problems


class Estimate(NamedTuple):
    """A mean and its standard error, in units of the reward per customer."""

    value: float
    se: float


class LoggedValue(NamedTuple):
    """Value of a policy by three estimators; `dr` is None where no model was given."""

    ips: Estimate
    snips: Estimate
    dr: Estimate | None
    n_effective: float


def logged_value(
    reward: ArrayLike,
    action: ArrayLike,
    propensity: ArrayLike,
    policy: ArrayLike,
    *,
    model: ArrayLike | None = None,
) -> LoggedValue:
    """Value of a policy, in reward per customer, from logged actions and their probabilities.

    Parameters
    ----------
    reward : array_like of shape (n,)
        Reward after the action, net of the action's cost.
    action : array_like of int of shape (n,)
        Action that was taken.
    propensity : array_like of shape (n,)
        Logged probability of that action, above 0.
    policy : array_like of shape (n, A)
        Probability of each action under the policy to be valued.
    model : array_like of shape (n, A), optional
        Predicted reward of each action, fitted on other customers (or cross-fitted).

    Returns
    -------
    LoggedValue

    Raises
    ------
    DataError
        Lengths that differ, propensities outside (0, 1], or a policy that does not sum to 1.

    Examples
    --------
    >>> found = logged_value([1, 0, 1, 1], [1, 0, 1, 0], [0.5] * 4, [[0, 1]] * 4)
    >>> found.ips.value, found.snips.value, found.n_effective
    (1.0, 1.0, 2.0)
    """
    y, a, e, pi, m = _read_log(reward, action, propensity, policy, model)
    rows = np.arange(len(y))
    w = pi[rows, a] / e
    total = w.sum()
    snips = (w * y).sum() / total
    # The delta method for a ratio of two means.
    snips_se = np.sqrt((w**2 * (y - snips) ** 2).sum()) / total
    dr = None if m is None else _mean((pi * m).sum(axis=1) + w * (y - m[rows, a]))
    return LoggedValue(
        ips=_mean(w * y),
        snips=Estimate(float(snips), float(snips_se)),
        dr=dr,
        n_effective=float(total**2 / (w**2).sum()),
    )


def _mean(scores: Floats) -> Estimate:
    return Estimate(float(scores.mean()), float(scores.std(ddof=1) / np.sqrt(len(scores))))


def _read_log(
    reward: ArrayLike,
    action: ArrayLike,
    propensity: ArrayLike,
    policy: ArrayLike,
    model: ArrayLike | None,
) -> tuple:
    y, e = np.asarray(reward, dtype=float), np.asarray(propensity, dtype=float)
    a, pi = np.asarray(action), np.asarray(policy, dtype=float)
    m = None if model is None else np.asarray(model, dtype=float)
    raise_problems(DataError, "logged_value", _problems_of_log(y, a, e, pi, m))
    if not (pi[np.arange(len(y)), a] > 0).any():
        raise DataError("logged_value: no logged action is one that the policy takes")
    return y, a, e, pi, m


def _problems_of_log(
    y: Floats, a: np.ndarray, e: Floats, pi: Floats, m: Floats | None
) -> list[str]:
    if y.ndim != 1 or len(y) < 2 or a.shape != y.shape or e.shape != y.shape:
        return [
            f"needs equally long columns of 2 rows or more, got {y.shape}, {a.shape}, {e.shape}"
        ]
    if pi.ndim != 2 or len(pi) != len(y):
        return [f"`policy` must have shape ({len(y)}, actions), got {pi.shape}"]
    problems = number_problems({"reward": y})
    if not ((e > 0) & (e <= 1)).all():
        problems.append(
            "`propensity` must lie above 0 and at most 1: it is the logged probability of the "
            "action that was taken"
        )
    if a.dtype.kind not in "iu" or (a < 0).any() or (a >= pi.shape[1]).any():
        problems.append(f"`action` must hold indices from 0 to {pi.shape[1] - 1}")
    if not are_probs(pi):
        problems.append("`policy` must hold probabilities that sum to 1 per customer")
    if m is not None and (m.shape != pi.shape or not np.isfinite(m).all()):
        problems.append(f"`model` must be finite, of shape {pi.shape}, got {m.shape}")
    return problems
