"""The gate from satisfaction and experience to engagement."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems


def prob_engaged(
    scores: ArrayLike, *, thresholds: ArrayLike, steepness: float, conjunctive: bool = True
) -> Floats:
    """Probability of becoming engaged: through one gate for each score, or through their mean.

    Conjunctive: prod_k logistic(steepness (s_k - b_k)), so a low score closes the gate whatever
    the others are. Otherwise logistic(steepness mean_k (s_k - b_k)), where they make up for each
    other. The source asks for strong satisfaction *and* excellent experience (the form is ours).

    Parameters
    ----------
    scores : array_like of shape (..., n_scores)
        Satisfaction, experience, and whatever else the gate asks for.
    thresholds : array_like of shape (n_scores,)
        b: the score at which a gate is half open.
    steepness : float
        Log-odds per unit, above 0.
    conjunctive : bool

    Returns
    -------
    ndarray of shape (...)

    Raises
    ------
    SpecError
        A steepness that is not positive, or not one threshold per score.

    Examples
    --------
    >>> scores = [[1, 1], [4, -2]]
    >>> prob_engaged(scores, thresholds=[0, 0], steepness=2).round(2).tolist()
    [0.78, 0.02]
    >>> prob_engaged(scores, thresholds=[0, 0], steepness=2, conjunctive=False).round(2).tolist()
    [0.88, 0.88]
    """
    s, b = np.asarray(scores, dtype=float), np.asarray(thresholds, dtype=float)
    problems = number_problems({"steepness": steepness}, above=0)
    if s.ndim < 1 or b.shape != s.shape[-1:]:
        problems.append(f"`thresholds` needs one number per score, got {b.shape} for {s.shape}")
    raise_problems(SpecError, "prob_engaged", problems)
    above = steepness * (s - b)
    if conjunctive:
        return np.exp(log_expit(above).sum(axis=-1))
    return expit(above.mean(axis=-1))
