"""Whether a stage was named correctly, and whether a warning was useful."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import length_problems
from crmlab.errors import DataError, raise_problems
from crmlab.stages import StageSpace


class FlagQuality(NamedTuple):
    """How a yes-or-no warning did.

    Parameters
    ----------
    n_flagged : int
        Cases with a warning.
    n_true : int
        Cases that should have had one.
    n_right : int
        Cases with a correct warning.
    precision : float
        Share of the flagged cases that were correctly flagged, 0 to 1; NaN if none was flagged.
    recall : float
        Share flagged of those that should have been, 0 to 1; NaN if there were none.
    """

    n_flagged: int
    n_true: int
    n_right: int
    precision: float
    recall: float


def confusion_counts(truth: ArrayLike, said: ArrayLike, space: StageSpace) -> pd.DataFrame:
    """Count how often each true stage was named as each stage.

    Parameters
    ----------
    truth, said : array_like of int, of one shape
        Positions of the true stage and of the stage that was named.
    space : StageSpace
        K stages.

    Returns
    -------
    DataFrame of int (K, K)
        Row = true stage, column = stage named; index and columns are the names of the stages.

    Raises
    ------
    DataError
        The shapes differ, or a position is not a stage.

    Examples
    --------
    >>> space = StageSpace(("low", "high"))
    >>> confusion_counts([0, 0, 1, 1, 1], [0, 1, 1, 1, 1], space)
    said  low  high
    true
    low     1     1
    high    0     3
    """
    codes = {"truth": np.ravel(truth), "said": np.ravel(said)}
    problems = length_problems(codes) or [
        f"`{name}` must hold positions of stages, 0 to {len(space) - 1}, got {_examples(bad)}"
        for name, values in codes.items()
        if len(bad := values[~np.isin(values, np.arange(len(space)))])
    ]
    raise_problems(DataError, "confusion_counts", problems)
    counts = np.zeros((len(space), len(space)), dtype=np.int64)
    np.add.at(counts, (codes["truth"].astype(int), codes["said"].astype(int)), 1)
    names = list(space.names)
    return pd.DataFrame(
        counts, index=pd.Index(names, name="true"), columns=pd.Index(names, name="said")
    )


def log_score(probs: ArrayLike, truth: ArrayLike) -> float:
    """Mean log probability of what came true (nats; 0 is perfect).

    Parameters
    ----------
    probs : array_like of shape (..., K)
        Probabilities of the stages; each row sums to 1.
    truth : array_like of int, of shape (...)
        Position of the stage that came true.

    Returns
    -------
    float
        ``mean(log probs[truth])``; -inf if something came true that had been ruled out. A forecast
        of 1/K for every stage scores -log K.

    Raises
    ------
    DataError
        The shapes do not fit, or rows are not probabilities.

    References
    ----------
    Good (1952), "Rational decisions", Journal of the Royal Statistical Society B 14, 107-114.

    Examples
    --------
    >>> round(log_score([[0.8, 0.2], [0.5, 0.5]], [0, 1]), 4)
    -0.4581
    """
    given, came = np.asarray(probs, dtype=float), np.asarray(truth)
    if given.ndim < 1 or given.shape[:-1] != came.shape or came.size == 0:
        raise DataError(
            "log_score: `probs` must have the shape of `truth` and one more axis, and not be "
            f"empty, got {given.shape} and {came.shape}"
        )
    are_probs = np.isfinite(given).all() and (given >= 0).all()
    if not are_probs or not np.allclose(given.sum(axis=-1), 1):
        raise DataError("log_score: `probs` must be probabilities that sum to 1 in each row")
    if not np.isin(came, np.arange(given.shape[-1])).all():
        raise DataError(f"log_score: `truth` must hold positions 0 to {given.shape[-1] - 1}")
    chosen = np.take_along_axis(given, came.astype(int)[..., None], axis=-1)
    with np.errstate(divide="ignore"):
        return float(np.log(chosen).mean())


def flag_quality(flagged: ArrayLike, truth: ArrayLike) -> FlagQuality:
    """Judge a warning against the cases that needed one.

    Parameters
    ----------
    flagged, truth : array_like of bool, of one shape

    Returns
    -------
    FlagQuality

    Raises
    ------
    DataError
        The shapes differ.

    Examples
    --------
    >>> flag_quality([True, True, False, False], [True, False, True, False]).precision
    0.5
    """
    said, true = np.ravel(flagged).astype(bool), np.ravel(truth).astype(bool)
    raise_problems(DataError, "flag_quality", length_problems({"flagged": said, "truth": true}))
    n_flagged, n_true = int(said.sum()), int(true.sum())
    n_right = int((said & true).sum())
    return FlagQuality(
        n_flagged, n_true, n_right, _ratio(n_right, n_flagged), _ratio(n_right, n_true)
    )


def _examples(values: NDArray) -> list:
    return np.unique(values)[:3].tolist()


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
