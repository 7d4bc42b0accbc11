"""Whether a decoder's stage probabilities mean what they say, once the truth is known."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats
from crmlab.errors import DataError, raise_problems
from crmlab.evaluation.calibration import calibration_table
from crmlab.evaluation.stages import log_score


class DecoderQuality(NamedTuple):
    """How good stage probabilities were.

    Parameters
    ----------
    log_score : float
        Mean log probability given to the true stage [nats]; 0 is perfect.
    brier_score : float
        Mean squared distance from the true stage, 0 to 2; 0 is perfect.
    calibration_error : float
        Mean distance between predicted probabilities and observed frequencies, 0 to 1.
    reliability : DataFrame
        `calibration_table` of all stages together: what was predicted and what came true.
    sentence : str
        The same in words.
    """

    log_score: float
    brier_score: float
    calibration_error: float
    reliability: pd.DataFrame
    sentence: str


def brier_score(probs: ArrayLike, truth: ArrayLike) -> float:
    """Mean squared distance between the probabilities and what came true, summed over stages.

    Parameters
    ----------
    probs : array_like of shape (n, K)
        Each row sums to 1.
    truth : array_like of int, of shape (n,)
        Position of the stage that came true.

    Returns
    -------
    float
        ``mean_n sum_k (p_nk - [truth_n = k])**2``; 0 is perfect, 1/K for every stage scores
        1 - 1/K, and certain but wrong scores 2.

    References
    ----------
    Brier (1950), *Monthly Weather Review* 78(1), 1-3, equation 2.

    Examples
    --------
    >>> brier_score([[0.8, 0.2], [0.5, 0.5]], [0, 1])
    0.29
    """
    given, came = np.asarray(probs, dtype=float), np.asarray(truth)
    log_score(given, came)  # refuses what are not probabilities, or not stages
    hits = np.eye(given.shape[-1])[came.astype(int)]
    return float(np.round(((given - hits) ** 2).sum(axis=-1).mean(), 15))


def judge_decoder(
    probs: ArrayLike, truth: ArrayLike, *, n_bins: int = 10, prob: float = 0.9
) -> DecoderQuality:
    """Judge the stage probabilities of a decoder against the truth.

    Parameters
    ----------
    probs : array_like of shape (N, T, K)
        For N customers in T periods, e.g. ``stage_probs(fit, kind="smoothed", average=True)``; NaN
        where there is nothing to judge.
    truth : array_like of int, of shape (N, T)
        Positions of the true stages; -1 where there is none.
    n_bins : int
        Bins of the reliability curve.
    prob : float
        Probability of its intervals.

    Returns
    -------
    DecoderQuality

    Raises
    ------
    DataError
        The shapes do not fit, or nothing can be judged.

    Notes
    -----
    The calibration error is ``sum_b n_b / n |observed_b - predicted_b|`` over the bins (Naeini,
    Cooper and Hauskrecht 2015, AAAI; from memory). Random variation keeps it above 0 even for a
    perfect decoder: compare it with the width of the intervals, in which each customer counts once.

    Examples
    --------
    >>> probs = [[[0.9, 0.1], [0.7, 0.3]], [[0.2, 0.8], [0.4, 0.6]]]
    >>> judge_decoder(probs, [[0, 1], [1, 1]], n_bins=2).brier_score
    0.35
    """
    given, came = np.asarray(probs, dtype=float), np.asarray(truth)
    _check(given, came)
    known = (came >= 0) & ~np.isnan(given).any(axis=-1)
    if not known.any():
        raise DataError("judge_decoder: no cell has both probabilities and a true stage")
    said, true = given[known], came[known].astype(int)
    hits = np.eye(said.shape[-1])[true]
    who = np.repeat(np.nonzero(known)[0], said.shape[-1])
    table = calibration_table(said.ravel(), hits.ravel(), n_bins=n_bins, clusters=who, prob=prob)
    error = float(((table["observed"] - table["predicted"]).abs() * table["n"]).sum() / said.size)
    scores = log_score(said, true), brier_score(said, true)
    return DecoderQuality(*scores, error, table, _say(table, error, prob))


def _say(table: pd.DataFrame, error: float, prob: float) -> str:
    """Put the reliability curve in a sentence."""
    outside = (table["predicted"] < table["lower"]) | (table["predicted"] > table["upper"])
    worst = table.loc[(table["observed"] - table["predicted"]).abs().idxmax()]
    return (
        f"Probabilities of stages are off by {100 * error:.1f} points on average; "
        f"{int(outside.sum())} of {len(table)} bins lie outside their {100 * prob:.0f} % interval, "
        f"and what was called {100 * worst['predicted']:.0f} % came true in "
        f"{100 * worst['observed']:.0f} % of {int(worst['n'])} cases, the largest gap."
    )


def _check(given: Floats, came: NDArray) -> None:
    problems = []
    if given.ndim != 3 or given.shape[:2] != came.shape:
        problems.append(
            "`probs` must have the shape of `truth` (customer, period) and one axis more for the "
            f"stages, got {given.shape} and {came.shape}"
        )
    elif not ((came >= -1) & (came < given.shape[2])).all():
        problems.append(f"`truth` must hold positions from 0 to {given.shape[2] - 1}, or -1")
    raise_problems(DataError, "judge_decoder", problems)
