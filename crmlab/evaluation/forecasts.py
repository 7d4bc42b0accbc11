"""How far off a forecast was, per customer and in total."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, length_problems
from crmlab.errors import DataError, raise_problems


def forecast_errors(actual: ArrayLike, forecasts: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """Score forecasts of one number per customer, in total and customer by customer.

    Parameters
    ----------
    actual : array_like of shape (n,)
        What happened, e.g. orders in the holdout.
    forecasts : mapping of str to array_like of shape (n,)
        What each model predicted, by name.

    Returns
    -------
    DataFrame
        One row per model: `total` and `total_error` (share of the actual total: -0.1 is 10 % too
        low), `mean_absolute_error` and `root_mean_squared_error` per customer, in the unit of
        `actual`. Medians minimise the absolute error and means the squared error, so the two can
        disagree where most customers do nothing.

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
    raise_problems(
        DataError, "mean_by_class", length_problems({"actual": happened, "classes": labels})
    )
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


def _forecasts(
    owner: str, actual: ArrayLike, forecasts: Mapping[str, ArrayLike]
) -> tuple[Floats, dict[str, Floats]]:
    happened = np.ravel(np.asarray(actual, dtype=float))
    said = {str(n): np.ravel(np.asarray(v, dtype=float)) for n, v in forecasts.items()}
    problems = [] if said else ["`forecasts` is empty"]
    problems += length_problems({"actual": happened, **said})
    problems += [
        f"`{name}` must hold finite numbers"
        for name, values in {"actual": happened, **said}.items()
        if not np.isfinite(values).all()
    ]
    raise_problems(DataError, owner, problems)
    return happened, said
