"""Who answers: the bias of those who stay silent, and how to undo it."""

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats
from crmlab.errors import SpecError, raise_problems


def shares_seen(shares: ArrayLike, response: ArrayLike) -> Floats:
    """Shares of the answers that come in when the wish to answer depends on the answer.

    Seen share = true share x response probability, scaled to sum to 1. If the two ends
    answer most, an average may stand still while the top boxes fill.

    Parameters
    ----------
    shares : array_like of shape (n_answers,)
        True shares; they sum to 1.
    response : array_like of shape (n_answers,)
        Probability of answering, for customers with that answer.

    Returns
    -------
    ndarray of shape (n_answers,)

    Examples
    --------
    >>> seen = shares_seen([0.08, 0.12, 0.20, 0.35, 0.25], [0.60, 0.30, 0.15, 0.25, 0.45])
    >>> f"top two {seen[3:].sum():.3f}, mean {seen @ [1, 2, 3, 4, 5]:.2f}"
    'top two 0.637, mean 3.57'
    """
    shares, response = _shares_and_response("shares_seen", shares, response)
    return shares * response / (shares @ response)


def nonresponse_bias(values: ArrayLike, shares: ArrayLike, response: ArrayLike) -> float:
    """Mean of the answers that come in minus the true mean, exactly, in units of the values.

    Bias = Cov(value, response probability) / mean response probability (Bethlehem 1988, *Journal
    of Official Statistics* 4, from memory). A low response alone does no harm; a response that
    depends on the answer does.

    Parameters
    ----------
    values : array_like of shape (n_answers,)
        What is averaged: 1 to 5 for a mean, or 0 0 0 1 1 for the top two boxes.
    shares, response : array_like of shape (n_answers,)
        As in `shares_seen`.

    Returns
    -------
    float

    Examples
    --------
    >>> shares, response = [0.08, 0.12, 0.20, 0.35, 0.25], [0.60, 0.30, 0.15, 0.25, 0.45]
    >>> round(nonresponse_bias([0, 0, 0, 1, 1], shares, response), 3)
    0.037
    """
    shares, response = _shares_and_response("nonresponse_bias", shares, response)
    values = np.asarray(values, dtype=float)
    if values.shape != shares.shape:
        raise SpecError(
            f"nonresponse_bias: `values` needs one number per answer ({len(shares)}), "
            f"got shape {values.shape}"
        )
    rate = shares @ response
    return float(((values - values @ shares) * shares) @ response / rate)


def weigh_answers(seen: ArrayLike, response: ArrayLike) -> Floats:
    """Recover the true shares by weighting each answer with 1 / response probability.

    This undoes `shares_seen` if the response probabilities are right. They come from a follow-up
    of the silent, never from the answers themselves (Horvitz & Thompson 1952, *JASA* 47, from
    memory; scaled to sum to 1).

    Parameters
    ----------
    seen : array_like of shape (n_answers,)
    response : array_like of shape (n_answers,)
        Above 0: an answer that nobody ever gives cannot be weighed up.

    Returns
    -------
    ndarray of shape (n_answers,)

    Examples
    --------
    >>> response = [0.60, 0.30, 0.15, 0.25, 0.45]
    >>> seen = shares_seen([0.08, 0.12, 0.20, 0.35, 0.25], response)
    >>> round(float(weigh_answers(seen, response)[3:].sum()), 3)
    0.6
    """
    seen, response = _shares_and_response("weigh_answers", seen, response)
    if (response == 0).any():
        raise SpecError(
            "weigh_answers: `response` must be above 0 for every answer; merge the answer that "
            "nobody gives with its neighbour"
        )
    weighed = seen / response
    return weighed / weighed.sum()


def _shares_and_response(
    owner: str, shares: ArrayLike, response: ArrayLike
) -> tuple[Floats, Floats]:
    """Read shares that sum to 1 and response probabilities, or say what is wrong with them."""
    shares, response = np.asarray(shares, dtype=float), np.asarray(response, dtype=float)
    problems = []
    if shares.ndim != 1 or shares.shape != response.shape or not shares.size:
        problems.append(
            f"the shares and `response` must each have one number per answer, got shapes "
            f"{shares.shape} and {response.shape}"
        )
    if not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-8:
        problems.append(f"the shares must be 0 or more and sum to 1, got {shares.tolist()}")
    if not ((response >= 0) & (response <= 1)).all() or not (response > 0).any():
        problems.append(
            f"`response` must hold probabilities, not all of them 0, got {response.tolist()}"
        )
    if not problems and not shares @ response > 0:
        problems.append("nobody answers: every answer with a share above 0 has `response` 0")
    raise_problems(SpecError, owner, problems)
    return shares, response
