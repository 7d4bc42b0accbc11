"""Whether probabilities mean what they say."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats, Ints, count_problems, length_problems, number_problems
from crmlab.errors import DataError, SpecError, raise_problems


def calibration_table(
    predicted: ArrayLike,
    came_true: ArrayLike,
    *,
    n_bins: int = 10,
    equal_counts: bool = False,
    clusters: ArrayLike | None = None,
    prob: float = 0.9,
) -> pd.DataFrame:
    """Compare probabilities with how often they came true, bin by bin.

    Parameters
    ----------
    predicted : array_like of shape (n,)
        Probabilities, 0 to 1.
    came_true : array_like of bool, of shape (n,)
    n_bins : int
        Number of bins between 0 and 1; empty ones are left out.
    equal_counts : bool
        Make bins of equally many predictions instead of equal width.
    clusters : array_like of shape (n,), optional
        The customer of each prediction. Predictions for one customer are correlated, so they count
        for less than as many for different customers. If left out, all count as independent.
    prob : float
        Probability of the interval.

    Returns
    -------
    DataFrame
        One row per bin: `predicted` (mean probability), `observed` (share that came true), `n`,
        and `lower` and `upper`, an interval of the observed share.

    Raises
    ------
    DataError
        Values are not probabilities, or the lengths differ. All problems at once.
    SpecError
        `n_bins` is not a positive integer, or `prob` is not a probability.

    Notes
    -----
    Wilson's interval (1927, *JASA* 22, 209-212) at the effective number of independent
    predictions, ``observed (1 - observed) / variance`` (Korn and Graubard 1998, *Survey
    Methodology* 24, 193-201), where the variance is that of a ratio over clusters.

    Examples
    --------
    >>> calibration_table([0.1, 0.2, 0.9, 0.8], [0, 0, 1, 1], n_bins=2)[["predicted", "observed"]]
       predicted  observed
    0       0.15       0.0
    1       0.85       1.0
    """
    given = np.ravel(np.asarray(predicted, dtype=float))
    came = np.ravel(np.asarray(came_true, dtype=float))
    who = np.arange(len(given)) if clusters is None else np.ravel(np.asarray(clusters))
    _check_calibration(given, came, who)
    _check_bins(n_bins, prob)
    place = (
        _bins_of_equal_counts(given, n_bins)
        if equal_counts
        else np.minimum((given * n_bins).astype(int), n_bins - 1)
    )
    rows = [
        _calibrate_bin(given[place == k], came[place == k], who[place == k], prob)
        for k in np.unique(place)
    ]
    return pd.DataFrame(rows)


def _bins_of_equal_counts(given: Floats, n_bins: int) -> Ints:
    place = np.empty(len(given), dtype=np.int64)
    for k, part in enumerate(np.array_split(np.argsort(given, kind="stable"), n_bins)):
        place[part] = k
    return place


def _calibrate_bin(predicted: Floats, came: Floats, who: NDArray, prob: float) -> dict[str, float]:
    n, share = len(came), came.mean()
    lower, upper = _wilson(share, _effective_n(came, who), prob)
    return {
        "predicted": predicted.mean(),
        "observed": share,
        "n": n,
        "lower": lower,
        "upper": upper,
    }


def _effective_n(came: Floats, who: NDArray) -> float:
    """Compute the effective number of independent predictions."""
    _, place = np.unique(who, return_inverse=True)
    share = came.mean()
    residuals = np.bincount(place, weights=came - share)
    variance = (residuals**2).sum() / len(came) ** 2
    # Where all or none came true, nothing varies: then each cluster counts once.
    worth = share * (1 - share) / variance if variance > 0 else place.max() + 1
    return float(np.clip(worth, 1.0, len(came)))


def _wilson(share: float, n: float, prob: float) -> tuple[float, float]:
    from scipy.special import ndtri

    z = ndtri((1 + prob) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # A share of 0 or 1 is its own limit; rounding must not push it past the end.
    low = 0.0 if share == 0 else max(centre - half, 0.0)
    high = 1.0 if share == 1 else min(centre + half, 1.0)
    return float(low), float(high)


def _check_calibration(predicted: Floats, came: Floats, who: NDArray) -> None:
    problems = length_problems({"predicted": predicted, "came_true": came, "clusters": who})
    if not ((predicted >= 0) & (predicted <= 1)).all():
        problems.append("`predicted` must hold probabilities from 0 to 1, and none may be missing")
    if not np.isin(came, (0, 1)).all():
        problems.append("`came_true` must hold true or false, and none may be missing")
    raise_problems(DataError, "calibration_table", problems)


def _check_bins(n_bins: int, prob: float) -> None:
    problems = count_problems({"n_bins": n_bins})
    problems += number_problems({"prob": prob}, above=0, below=1)
    raise_problems(SpecError, "calibration_table", problems)
