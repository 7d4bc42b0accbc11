"""Answers on a scale of a few boxes."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems


def answer_probs(latent: ArrayLike, *, discrimination: float, thresholds: ArrayLike) -> Floats:
    """Probability of each answer to one question, for customers at a point of the latent scale.

    P(Y >= k) = logistic(a (theta - b_k)) (Samejima 1969). Several questions about one trait, such
    as the nine of relationship marketing, are independent given theta.

    Parameters
    ----------
    latent : array_like of shape (...)
        theta.
    discrimination : float
        a, above 0.
    thresholds : array_like of shape (n_answers - 1,)
        b, ascending.

    Returns
    -------
    ndarray of shape (..., n_answers)
        Rows sum to 1.

    Raises
    ------
    SpecError
        Thresholds that do not ascend, or a discrimination that is not positive.

    Examples
    --------
    >>> probs = answer_probs([0, 1], discrimination=1.7, thresholds=[-1.5, -0.5, 0.5, 1.5])
    >>> probs[0].round(4).tolist()
    [0.0724, 0.227, 0.4011, 0.227, 0.0724]
    >>> (probs @ [1, 2, 3, 4, 5]).round(3).tolist()
    [3.0, 3.914]
    """
    b = np.asarray(thresholds, dtype=float)
    problems = number_problems({"discrimination": discrimination}, above=0)
    if b.ndim != 1 or not len(b) or not (np.diff(b) > 0).all() or not np.isfinite(b).all():
        problems.append(f"`thresholds` must be finite and in increasing order, got {b.tolist()}")
    raise_problems(SpecError, "answer_probs", problems)
    theta = np.asarray(latent, dtype=float)[..., None]
    above, below = expit(discrimination * (theta - b)), expit(discrimination * (b - theta))
    edge = np.ones(theta.shape)
    # A box far out on the scale is the difference of two small numbers, never of two near 1.
    inner = np.where(
        theta > (b[:-1] + b[1:]) / 2, np.diff(below, axis=-1), -np.diff(above, axis=-1)
    )
    return np.concatenate([edge * below[..., :1], inner, edge * above[..., -1:]], axis=-1)
