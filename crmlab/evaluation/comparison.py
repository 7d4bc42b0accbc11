"""Which of several models better predicts a customer it has not seen."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.errors import SpecError, raise_problems
from crmlab.inference import Fit
from crmlab.prediction.likelihood import customer_loglik


def compare_fits(fits: Mapping[str, Fit], *, draws: int = 1000) -> pd.DataFrame:
    """Compare models by how well each predicts a customer it has not seen [nats].

    Parameters
    ----------
    fits : mapping of str to Fit
        Two or more fits to the same channels of the same customers. The number of stages, allowed
        moves, covariates and customers' effects may differ, as none of them is predicted.
    draws : int
        Posterior draws to use in all from each fit.

    Returns
    -------
    DataFrame
        ArviZ's `compare`, the best model first: ``elpd``, its difference to the best (``elpd_diff``
        with the standard error ``dse`` over customers), stacking weights. A ``warning`` says that
        a Pareto k is too high to trust the number.

    Raises
    ------
    SpecError
        Fewer than two fits, or fits to different data, whose scores cannot be compared.

    References
    ----------
    Vehtari, Gelman and Gabry (2017), *Statistics and Computing* 27(5), 1413-1432; Yao, Vehtari,
    Simpson and Gelman (2018), *Bayesian Analysis* 13(3), on stacking (both from memory).
    """
    import arviz

    raise_problems(SpecError, "compare_fits", _problems(fits))
    return arviz.compare({name: customer_loglik(fit, draws=draws) for name, fit in fits.items()})


def _problems(fits: Mapping[str, Fit]) -> list[str]:
    if len(fits) < 2:
        return [f"`fits` must hold two or more fits, got {list(fits)}"]
    (first, one), *others = fits.items()
    return [
        f"{name!r} was fitted to other data than {first!r} ({what}): scores cannot be compared"
        for name, other in others
        if (what := _difference(one, other))
    ]


def _difference(one: Fit, other: Fit) -> str | None:
    """Say how the data of two fits differ (None if they do not)."""
    seen = {channel.name for channel in one.model.channels}
    if seen != {channel.name for channel in other.model.channels}:
        return "other channels"
    if not _same(one.panel["customer_id"], other.panel["customer_id"]):
        return "other customers"
    differ = [name for name in ("observed", *seen) if not _same_cells(one, other, name)]
    return f"other cells of {sorted(differ)}" if differ else None


def _same_cells(one: Fit, other: Fit, name: str) -> bool:
    panels = (one.panel, other.panel)
    return _same(*(panel[name].where(panel["observed"]) for panel in panels))


def _same(one: xr.DataArray, other: xr.DataArray) -> bool:
    return one.dims == other.dims and np.array_equal(
        one.values, other.values, equal_nan=one.dtype.kind == "f"
    )
