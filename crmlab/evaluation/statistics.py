"""What a marketer would notice in a panel: silence, bursts, streaks and where the money is."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.evaluation.replicates import PATHS, replicated_group


def check_statistics(tree: xr.DataTree, *, prob: float = 0.9) -> pd.DataFrame:
    """Compare replicated panels with the data, statistic by statistic.

    Parameters
    ----------
    tree : xr.DataTree
        Of `predictive_checks` or `prior_checks`.
    prob : float
        Probability of the interval of the replicates.

    Returns
    -------
    DataFrame
        One row per channel and statistic: `observed`, and `replicated` (mean), `lower` and `upper`
        (equal-tailed interval) of the replicates; `p_value`, the share of replicates above what was
        observed, ties counted half; a `sentence`. A p-value near 0 or 1 points to something that
        the model does not reproduce; one near 1/2 is fine. It is not a test of size p: the data are
        used twice, so p-values of a true model cluster around 1/2.

    Notes
    -----
    For events: ``mean`` per customer and period, ``silent_share`` (periods with nothing),
    ``dispersion`` (variance over mean), ``autocorrelation`` (of neighbouring periods of a
    customer), ``longest_silence`` (periods, mean over customers), and ``total_in_<stage>``, summed
    over stage paths drawn behind the data and behind the replicates. For answers: ``mean``,
    ``spread`` (standard deviation), ``autocorrelation``. For reported stages: ``repeats``, the
    share of reports equal to the one before.

    Examples
    --------
    >>> panel = ("customer_id", "period")
    >>> made = (("chain", "draw", *panel), [[[[0, 1]], [[2, 1]]]], {"table": "events"})
    >>> tree = xr.DataTree.from_dict({
    ...     "posterior_predictive": xr.Dataset({"visits": made}),
    ...     "observed_data": xr.Dataset({"visits": (panel, [[0, 3]])})})
    >>> check_statistics(tree).loc[("visits", "silent_share"), ["observed", "p_value"]].tolist()
    [0.5, 0.25]
    """
    raise_problems(SpecError, "check_statistics", number_problems({"prob": prob}, above=0, below=1))
    group = replicated_group(tree)
    replicated, observed = tree[group].to_dataset(), tree["observed_data"].to_dataset()
    rows = {}
    for name in map(str, observed.data_vars):
        made = replicated[name].values.reshape(-1, *observed[name].shape)
        table = replicated[name].attrs["table"]
        for statistic, measure in _STATISTICS[table].items():
            rows[name, statistic] = _row(
                measure(observed[name].values.astype(float)), measure(made.astype(float)), prob
            )
        if table == "events" and PATHS in tree.children:
            rows |= _by_stage(tree, name, made, prob)
    found = pd.DataFrame.from_dict(rows, orient="index")
    found.index = pd.MultiIndex.from_tuples(found.index, names=["channel", "statistic"])
    return found.assign(sentence=[_say(key, row, prob) for key, row in rows.items()])


def silent_share(cells: Floats) -> Floats:
    """Share of seen cells with nothing in them, of panels (..., N, T)."""
    return np.nanmean(np.where(np.isnan(cells), np.nan, cells == 0), axis=(-2, -1))


def dispersion(cells: Floats) -> Floats:
    """Variance over mean of the seen cells; 1 for Poisson counts, NaN where nothing happened."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nanvar(cells, axis=(-2, -1)) / np.nanmean(cells, axis=(-2, -1))


def autocorrelation(cells: Floats) -> Floats:
    """Correlation of neighbouring periods of one customer, over all seen pairs; NaN if constant.

    Examples
    --------
    >>> autocorrelation(np.array([[1.0, 0.0, 1.0, 0.0]])).round(3)
    np.float64(-1.0)
    """
    now, later = cells[..., :-1], cells[..., 1:]
    known = ~np.isnan(now) & ~np.isnan(later)
    n = np.maximum(known.sum(axis=(-2, -1)), 1)

    def mean(values: Floats) -> Floats:
        return np.where(known, values, 0.0).sum(axis=(-2, -1)) / n

    gaps = [values - mean(values)[..., None, None] for values in (now, later)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return mean(gaps[0] * gaps[1]) / np.sqrt(mean(gaps[0] ** 2) * mean(gaps[1] ** 2))


def longest_silence(cells: Floats) -> Floats:
    """Longest run of seen periods with nothing [periods], mean over customers.

    Examples
    --------
    >>> longest_silence(np.array([[0.0, 0, 3, 0], [1, 1, 1, 1]]))
    np.float64(1.0)
    """
    run = longest = np.zeros(cells.shape[:-1])
    for t in range(cells.shape[-1]):
        # A missing cell neither ends a silence nor makes it longer.
        run = np.where(np.isnan(cells[..., t]), run, np.where(cells[..., t] == 0, run + 1, 0))
        longest = np.maximum(longest, run)
    return longest.mean(axis=-1)


def repeats(cells: Floats) -> Floats:
    """Share of seen pairs of neighbouring periods with the same value."""
    now, later = cells[..., :-1], cells[..., 1:]
    known = ~np.isnan(now) & ~np.isnan(later)
    n = known.sum(axis=(-2, -1))
    return np.where(n > 0, (known & (now == later)).sum(axis=(-2, -1)) / np.maximum(n, 1), np.nan)


def _mean(cells: Floats) -> Floats:
    return np.nanmean(cells, axis=(-2, -1))


def _spread(cells: Floats) -> Floats:
    return np.nanstd(cells, axis=(-2, -1))


_STATISTICS: dict[str, dict[str, Callable[[Floats], Floats]]] = {
    "events": {
        "mean": _mean,
        "silent_share": silent_share,
        "dispersion": dispersion,
        "autocorrelation": autocorrelation,
        "longest_silence": longest_silence,
    },
    "surveys": {"mean": _mean, "spread": _spread, "autocorrelation": autocorrelation},
    "labels": {"repeats": repeats},
}


def _by_stage(
    tree: xr.DataTree, name: str, made: NDArray, prob: float
) -> dict[tuple[str, str], dict[str, float]]:
    """Totals of a channel in each stage: both sides depend on the draw."""
    paths, rows = tree[PATHS].to_dataset(), {}
    data = tree["observed_data"].to_dataset()[name].values
    for k, stage in enumerate(paths.attrs["stages"]):
        observed, replicated = (
            np.nansum(np.where(paths[side].values.reshape(made.shape) == k, cells, 0), axis=(1, 2))
            for side, cells in (("observed", data), ("replicated", made))
        )
        rows[name, f"total_in_{stage}"] = _row(observed, replicated, prob)
    return rows


def _row(observed: Floats, replicated: Floats, prob: float) -> dict[str, float]:
    tail = (1 - prob) / 2
    missing = np.isnan(observed).any() or np.isnan(replicated).all()
    above = np.nanmean(
        np.where(
            np.isnan(replicated),
            np.nan,
            (replicated > observed) + 0.5 * np.isclose(replicated, observed, rtol=1e-12, atol=0),
        )
        if not missing
        else [0.0]
    )
    middle = [np.nan] * 3 if missing else np.nanquantile(replicated, [tail, 1 - tail]).tolist()
    return {
        "observed": float(np.mean(observed)),
        "replicated": np.nan if missing else float(np.nanmean(replicated)),
        "lower": middle[0],
        "upper": middle[1],
        "p_value": np.nan if missing else float(above),
    }


def _say(key: tuple[str, str], row: dict[str, float], prob: float) -> str:
    name, statistic = key[0], key[1].replace("_", " ")
    if np.isnan(row["p_value"]):
        return f"The {statistic} of {name} cannot be computed: nothing varies."
    inside = row["lower"] <= row["observed"] <= row["upper"]
    verdict = "as the model expects" if inside else "not as the model expects"
    return (
        f"The {statistic} of {name} is {row['observed']:.3g}, {verdict} "
        f"({row['lower']:.3g} to {row['upper']:.3g} in {100 * prob:.0f} % of replicates)."
    )
