"""Uplift: whom an offer changes, compared with who buys anyway.

The customers most likely to leave are not those whom an offer keeps (Ascarza 2018, *Journal of
Marketing Research* 55(1), 80-98). What counts is the difference that treatment makes,
tau(x) = E[Y(1) - Y(0) | x], and only an experiment shows it: no customer is seen both ways.

* By stage it is a difference of two means, with its standard error (`uplift_by_stage`).
* For a score of each customer, the *Qini curve* shows the gain from treating the best-scored
  share: outcomes of the treated, less those of the controls scaled to the number of treated,
  n_t1 - n_c1 N_t / N_c (Radcliffe 2007, from memory). A score that sorts at random gives a straight
  line; the area between is the Qini coefficient.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Bools, Floats, number_problems
from crmlab.errors import DataError, SpecError, raise_problems


def uplift_by_stage(
    outcome: ArrayLike, treated: ArrayLike, stage: ArrayLike, *, names: tuple[str, ...]
) -> pd.DataFrame:
    """Difference that a randomised treatment makes in each stage, in units of the outcome.

    Parameters
    ----------
    outcome : array_like of shape (n,)
        What each customer did: 0 or 1, or currency.
    treated : array_like of shape (n,)
        1 or true if treated; the treatment is random within each stage.
    stage : array_like of shape (n,) of int or str
        Stage before treatment, as index or name.
    names : tuple of str
        Names of the stages, in order (``space.names``).

    Returns
    -------
    DataFrame
        One row per stage: `stage`, `n_treated`, `n_control`, means `treated` and `control`,
        `uplift` and its standard error `se` (Neyman's: no equal variances); missing where a group
        has fewer than two customers.

    Raises
    ------
    DataError
        Lengths that differ, outcomes that are missing, a stage without a name.

    Examples
    --------
    >>> table = uplift_by_stage([1, 0, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0], [0] * 6, names=("new",))
    >>> table[["n_treated", "uplift"]].round(3).to_numpy().tolist()
    [[3.0, 0.333]]
    """
    y, t = _read_experiment(outcome, treated)
    codes = _read_stages(stage, names, len(y))
    rows = []
    for code, name in enumerate(names):
        yes, no = y[(codes == code) & t], y[(codes == code) & ~t]
        rows.append((name, len(yes), len(no), *_difference(yes, no)))
    columns = ["stage", "n_treated", "n_control", "treated", "control", "uplift", "se"]
    return pd.DataFrame(rows, columns=columns)


def _difference(yes: Floats, no: Floats) -> tuple[float, float, float, float]:
    if min(len(yes), len(no)) < 2:
        return (np.nan,) * 4
    error = np.sqrt(yes.var(ddof=1) / len(yes) + no.var(ddof=1) / len(no))
    return yes.mean(), no.mean(), yes.mean() - no.mean(), float(error)


def transformed_outcome(outcome: ArrayLike, treated: ArrayLike, propensity: ArrayLike) -> Floats:
    """One number per customer whose mean is the uplift: Y (W - e) / (e (1 - e)).

    Regress it on covariates to model uplift; it is unbiased but noisy.

    Parameters
    ----------
    outcome, treated : array_like of shape (n,)
    propensity : float or array_like of shape (n,)
        e: probability of treatment, strictly between 0 and 1.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> transformed_outcome([1, 1, 0], [1, 0, 1], 0.5).tolist()
    [2.0, -2.0, 0.0]
    """
    y, t = _read_experiment(outcome, treated)
    e = np.asarray(propensity, dtype=float)
    problems = number_problems({"propensity": e}, above=0, below=1)
    raise_problems(SpecError, "transformed_outcome", problems)
    return y * (t - e) / (e * (1 - e))


class Qini(NamedTuple):
    """A Qini curve: gain per customer against the share of customers who are treated."""

    share: Floats
    gain: Floats
    coefficient: float | Floats

    @property
    def random(self) -> Floats:
        """Gain of treating the same share at random."""
        return self.share * self.gain[-1]


def qini_curve(score: ArrayLike, outcome: ArrayLike, treated: ArrayLike) -> Qini:
    """Gain, in units of the outcome per customer, of treating the best-scored share of customers.

    Parameters
    ----------
    score : array_like of shape (n,)
        Higher scores are treated first; customers of equal score are taken together.
    outcome : array_like of shape (n,)
        0 or 1, or currency.
    treated : array_like of shape (n,)
        1 or true if treated; the treatment is random with one probability for all.

    Returns
    -------
    Qini
        `share` from 0 to 1; `gain`: (n_t1 - n_c1 N_t / N_c) / N_t(all) among those, so that the
        last point is about the mean effect of treating everybody; `coefficient`: area between the
        curve and the straight line to its end, in the same unit.

    Raises
    ------
    DataError
        Lengths that differ, missing numbers, or a group without customers.

    Notes
    -----
    At shares where one of the two groups has nobody yet, controls count as 0.

    Examples
    --------
    >>> found = qini_curve([4, 3, 2, 1], [1, 0, 0, 0], [1, 0, 1, 0])
    >>> found.gain.tolist(), found.coefficient
    ([0.0, 0.5, 0.5, 0.5, 0.5], 0.1875)
    """
    y, t = _read_experiment(outcome, treated)
    order, last = _rank(score, len(y))
    if not t.any() or t.all():
        raise DataError("qini_curve: needs customers with and without treatment")
    return _qini(y[order], t[order], last)


def bootstrap_qini(
    score: ArrayLike,
    outcome: ArrayLike,
    treated: ArrayLike,
    *,
    n_resamples: int = 200,
    n_points: int = 101,
    seed: int,
) -> Qini:
    """Qini curves of resampled customers: what another experiment of this size might have shown.

    Parameters
    ----------
    score, outcome, treated
        As in `qini_curve`.
    n_resamples : int
        Samples of n customers with replacement.
    n_points : int
        Shares at which the curves are read, 0 to 1.
    seed : int

    Returns
    -------
    Qini
        `share` (n_points,), `gain` (n_resamples, n_points), `coefficient` (n_resamples,).
    """
    y, t = _read_experiment(outcome, treated)
    s = _rank_input(score, len(y))
    rng = np.random.default_rng(seed)
    shares = np.linspace(0, 1, n_points)
    gains, coefficients = [], []
    for _ in range(n_resamples):
        pick = rng.integers(len(y), size=len(y))
        curve = qini_curve(s[pick], y[pick], t[pick])
        gains.append(np.interp(shares, curve.share, curve.gain))
        coefficients.append(curve.coefficient)
    return Qini(shares, np.array(gains), np.array(coefficients))


def _qini(y: Floats, t: Bools, last: NDArray[np.intp]) -> Qini:
    """Build the curve from customers in the order of their score, read at the ends of ties."""
    n_t, n_c = np.cumsum(t)[last], np.cumsum(~t)[last]
    won_t, won_c = np.cumsum(y * t)[last], np.cumsum(y * ~t)[last]
    gain = (won_t - won_c * n_t / np.maximum(n_c, 1)) / t.sum()
    share = np.concatenate([[0.0], (last + 1) / len(y)])
    gain = np.concatenate([[0.0], gain])
    area = np.trapezoid(gain - share * gain[-1], share)
    return Qini(share, gain, float(area))


def _rank(score: ArrayLike, n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order by falling score, and the last place of each run of equal scores."""
    s = _rank_input(score, n)
    order = np.argsort(-s, kind="stable")
    falls = np.append(np.diff(s[order]) != 0, True)
    return order, np.flatnonzero(falls)


def _rank_input(score: ArrayLike, n: int) -> Floats:
    s = np.asarray(score, dtype=float)
    if s.shape != (n,) or not np.isfinite(s).all():
        raise DataError(f"`score` must hold {n} finite numbers, got shape {s.shape}")
    return s


def _read_experiment(outcome: ArrayLike, treated: ArrayLike) -> tuple[Floats, Bools]:
    y, t = np.asarray(outcome, dtype=float), np.asarray(treated)
    problems = []
    if y.ndim != 1 or y.shape != t.shape or not len(y):
        problems.append(f"`outcome` and `treated` must be equally long, got {y.shape}, {t.shape}")
    if not np.isfinite(y).all():
        problems.append("`outcome` must be finite; leave out customers who were not followed")
    if not np.isin(t, (0, 1)).all():
        problems.append("`treated` must be 0 or 1")
    raise_problems(DataError, "experiment", problems)
    return y, t.astype(bool)


def _read_stages(stage: ArrayLike, names: tuple[str, ...], n: int) -> NDArray[np.intp]:
    stages = np.asarray(stage)
    if stages.shape != (n,):
        raise DataError(f"`stage` must hold {n} stages, got shape {stages.shape}")
    if stages.dtype.kind in "iu":
        unknown = np.unique(stages[(stages < 0) | (stages >= len(names))])
        codes = stages
    else:
        codes = pd.Index(names).get_indexer(stages)
        unknown = np.unique(stages[codes < 0])
    if len(unknown):
        raise DataError(f"`stage` holds {unknown.tolist()[:5]}, which `names` does not")
    return codes
