"""How good a claim was, once the truth is known.

Four questions, each with small functions on plain arrays:

* **Was the stage right?** `confusion_counts` sets what was true against what was said;
  `log_score` judges the probabilities instead of the one stage that was named.
* **Do the probabilities mean what they say?** `calibration_table`: of all the times that 30 % was
  said, it should have come true in 30 %.
* **Was the warning worth having?** `flag_quality`: how many of the flagged were rightly flagged,
  and how many of those that should have been flagged were.
* **How far off was the forecast?** `forecast_errors` and `mean_by_class`, per customer and in all.

A score means something only beside another one: that of a rule that needs no model (the same rate
as before, the commonest stage), or of one that knows what the model has to learn.

Stages are positions in their space, 0 to K - 1.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.stages import StageSpace

Floats = NDArray[np.float64]


class FlagQuality(NamedTuple):
    """How a yes-or-no warning did.

    Parameters
    ----------
    n_flagged : int
        Cases with a warning.
    n_true : int
        Cases that should have had one.
    n_right : int
        Cases that had one and should have.
    precision : float
        Share of the flagged that were rightly flagged, 0 to 1; NaN if none was flagged.
    recall : float
        Share of those that should have been flagged that were, 0 to 1; NaN if there were none.
    """

    n_flagged: int
    n_true: int
    n_right: int
    precision: float
    recall: float


def confusion_counts(truth: ArrayLike, said: ArrayLike, space: StageSpace) -> pd.DataFrame:
    """Count how often each stage was taken for each stage.

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
        The shapes differ, or a position is no stage.

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
    problems = _lengths(codes) or [
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
    """Mean logarithm of the probability that was given to what came true (nats; 0 is perfect).

    Parameters
    ----------
    probs : array_like of shape (..., K)
        Probabilities of the stages; each row sums to 1.
    truth : array_like of int, of shape (...)
        Position of the stage that came true.

    Returns
    -------
    float
        ``mean(log probs[truth])``; -inf if something came true that had been ruled out. Saying
        1/K of every stage scores -log K.

    Raises
    ------
    DataError
        The shapes do not fit, or rows are no probabilities.

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
    is_law = np.isfinite(given).all() and (given >= 0).all()
    if not is_law or not np.allclose(given.sum(axis=-1), 1):
        raise DataError("log_score: `probs` must be probabilities that sum to 1 in each row")
    if not np.isin(came, np.arange(given.shape[-1])).all():
        raise DataError(f"log_score: `truth` must hold positions 0 to {given.shape[-1] - 1}")
    chosen = np.take_along_axis(given, came.astype(int)[..., None], axis=-1)
    with np.errstate(divide="ignore"):
        return float(np.log(chosen).mean())


def calibration_table(
    predicted: ArrayLike,
    came_true: ArrayLike,
    *,
    n_bins: int = 10,
    clusters: ArrayLike | None = None,
    prob: float = 0.9,
) -> pd.DataFrame:
    """Compare probabilities with how often they came true, in bins of equal width.

    Parameters
    ----------
    predicted : array_like of shape (n,)
        Probabilities, 0 to 1.
    came_true : array_like of bool, of shape (n,)
    n_bins : int
        Bins between 0 and 1; empty ones are left out.
    clusters : array_like of shape (n,), optional
        Whose prediction each one is. Those of one customer share their luck, so they count for
        less than as many of different customers; left out, all are taken as independent.
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
        Values are no probabilities, or the lengths differ. All problems at once.
    SpecError
        `n_bins` is not a positive integer, or `prob` no probability.

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
    place = np.minimum((given * n_bins).astype(int), n_bins - 1)
    rows = [
        _calibrate_bin(given[place == k], came[place == k], who[place == k], prob)
        for k in np.unique(place)
    ]
    return pd.DataFrame(rows)


def flag_quality(flagged: ArrayLike, truth: ArrayLike) -> FlagQuality:
    """Judge a warning by who should have been warned of.

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
    raise_problems(DataError, "flag_quality", _lengths({"flagged": said, "truth": true}))
    n_flagged, n_true = int(said.sum()), int(true.sum())
    n_right = int((said & true).sum())
    return FlagQuality(
        n_flagged, n_true, n_right, _ratio(n_right, n_flagged), _ratio(n_right, n_true)
    )


def forecast_errors(actual: ArrayLike, forecasts: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """Score forecasts of one number per customer, in all and customer by customer.

    Parameters
    ----------
    actual : array_like of shape (n,)
        What happened, e.g. orders in the holdout.
    forecasts : mapping of str to array_like of shape (n,)
        What each model said, by name.

    Returns
    -------
    DataFrame
        One row per model: `total` and `total_error` (share of the actual total: -0.1 is 10 % too
        low), `mean_absolute_error` and `root_mean_squared_error` per customer, in the unit of
        `actual`. The absolute error is least for a forecast of medians, the squared error for one
        of means: where most customers do nothing, they can disagree.

    Raises
    ------
    DataError
        Lengths differ, values are not finite, or nothing happened. All problems at once.

    Examples
    --------
    >>> forecast_errors([0, 4], {"mean": [2, 2], "zero": [0, 0]}).round(2)
          total  total_error  mean_absolute_error  root_mean_squared_error
    mean    4.0          0.0                  2.0                     2.00
    zero    0.0         -1.0                  2.0                     2.83
    """
    happened, said = _forecasts("forecast_errors", actual, forecasts)
    if happened.sum() == 0:
        raise DataError("forecast_errors: `actual` sums to 0, so a relative error has no meaning")
    rows = {name: _errors(happened, values) for name, values in said.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def mean_by_class(
    actual: ArrayLike, forecasts: Mapping[str, ArrayLike], classes: ArrayLike
) -> pd.DataFrame:
    """Compare mean forecasts with what happened, class by class of customers.

    Parameters
    ----------
    actual : array_like of shape (n,)
    forecasts : mapping of str to array_like of shape (n,)
    classes : array_like of shape (n,)
        What is known of each customer beforehand, e.g. the number of earlier orders.

    Returns
    -------
    DataFrame
        One row per class in ascending order: `customers`, `actual` and one column per forecast
        (means per customer).

    Raises
    ------
    DataError
        Lengths differ, or values are not finite. All problems at once.

    Examples
    --------
    >>> mean_by_class([0, 2, 6], {"naive": [1, 1, 4]}, [0, 0, 1])
       customers  actual  naive
    0          2     1.0    1.0
    1          1     6.0    4.0
    """
    happened, said = _forecasts("mean_by_class", actual, forecasts)
    labels = np.ravel(classes)
    raise_problems(DataError, "mean_by_class", _lengths({"actual": happened, "classes": labels}))
    by_class = pd.DataFrame({"actual": happened, **said}).groupby(labels)
    table = by_class.mean()
    table.insert(0, "customers", by_class.size())
    return table


def _errors(actual: Floats, said: Floats) -> dict[str, float]:
    gap = said - actual
    return {
        "total": float(said.sum()),
        "total_error": float(said.sum() / actual.sum() - 1),
        "mean_absolute_error": float(np.abs(gap).mean()),
        "root_mean_squared_error": float(np.sqrt((gap**2).mean())),
    }


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
    """Count how many independent predictions these are worth."""
    _, place = np.unique(who, return_inverse=True)
    share = came.mean()
    residuals = np.bincount(place, weights=came - share)
    variance = (residuals**2).sum() / len(came) ** 2
    # Where all or none came true nothing varies: then each cluster counts once.
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
    problems = _lengths({"predicted": predicted, "came_true": came, "clusters": who})
    if not ((predicted >= 0) & (predicted <= 1)).all():
        problems.append("`predicted` must hold probabilities from 0 to 1, and none may be missing")
    if not np.isin(came, (0, 1)).all():
        problems.append("`came_true` must hold true or false, and none may be missing")
    raise_problems(DataError, "calibration_table", problems)


def _check_bins(n_bins: int, prob: float) -> None:
    problems = []
    if not isinstance(n_bins, (int, np.integer)) or n_bins < 1:
        problems.append(f"`n_bins` must be a positive integer, got {n_bins!r}")
    if not 0 < prob < 1:
        problems.append(f"`prob` must lie between 0 and 1, got {prob!r}")
    raise_problems(SpecError, "calibration_table", problems)


def _forecasts(
    owner: str, actual: ArrayLike, forecasts: Mapping[str, ArrayLike]
) -> tuple[Floats, dict[str, Floats]]:
    happened = np.ravel(np.asarray(actual, dtype=float))
    said = {str(n): np.ravel(np.asarray(v, dtype=float)) for n, v in forecasts.items()}
    problems = [] if said else ["`forecasts` is empty"]
    problems += _lengths({"actual": happened, **said})
    problems += [
        f"`{name}` must hold finite numbers"
        for name, values in {"actual": happened, **said}.items()
        if not np.isfinite(values).all()
    ]
    raise_problems(DataError, owner, problems)
    return happened, said


def _lengths(arrays: Mapping[str, NDArray]) -> list[str]:
    """Say what is wrong with the lengths of arrays that belong together."""
    lengths = {name: len(values) for name, values in arrays.items()}
    if 0 in lengths.values():
        return [f"nothing to judge: {lengths}"]
    return [] if len(set(lengths.values())) == 1 else [f"lengths differ: {lengths}"]


def _examples(values: NDArray) -> list:
    return np.unique(values)[:3].tolist()


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
