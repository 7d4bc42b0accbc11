"""What a customer in each stage is worth: money that is still to come, discounted.

A customer who is in stage i now earns the firm the margin R_i in this period, moves by the
transition matrix P, earns the margin of the next stage, and so on. Discounting at the rate d per
period, the worth of standing in each stage is

    V = R + P R / (1+d) + P^2 R / (1+d)^2 + ... = [I - P / (1+d)]^(-1) R,

a system of linear equations with one unknown per stage (Pfeifer & Carraway 2000, *Journal of
Interactive Marketing* 14(2), 43-55). Row i of the inverse holds the discounted number of periods
that a customer who starts in i will spend in each stage: value is time spent, priced.

Three conventions make most of the differences between two people who compute "the" lifetime
value, so every function here says which one it uses:

which payments
    V counts the payment of the present period. Take the margin away, V - R, for what is still to
    come after it (the textbook multiple r / (1+d-r) does).
when in the period
    ``timing="start"`` pays a period's margin as the period begins, ``timing="end"`` as it ends:
    the same payments one period later, so V / (1+d).
which rate
    A bare number is a rate *per period* of the matrix. `per_year` and `per_month` hold an
    effective rate of that length and convert it by compounding: 10 % a year is 2.411 % a quarter,
    not 2.5 %.

`stage_value` is the formula on arrays; `lifetime_value` applies it to every posterior draw of a
fit, so that a value comes with its uncertainty; `customer_equity` adds customers up. Three closed
forms of the textbooks stand at the end; the first two are special cases of the chain.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.chains.reach import reachable
from crmlab.errors import SpecError, check_one_of, raise_problems
from crmlab.inference import Fit, warn_if_unconverged
from crmlab.prediction import law_now

# Mean calendar lengths: a year has 365.25 days. Quarters and months are exact parts of a year.
PERIODS_PER_YEAR = {"Y": 1.0, "Q": 4.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}
_PERIODS_PER_YEAR_OF_UNIT = {"year": 1.0, "month": 12.0}


# --- rates --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DiscountRate:
    """An effective discount rate that knows the length of time it is for.

    Make one with `per_year` or `per_month`.
    """

    rate: float
    unit: str

    def __post_init__(self) -> None:
        """Refuse a rate that would turn money negative, and a unit that has no length."""
        check_one_of("DiscountRate", "unit", self.unit, _PERIODS_PER_YEAR_OF_UNIT)
        raise_problems(SpecError, f"per_{self.unit}", _rate_problems(self.rate))

    def per_period(self, freq: str) -> float:
        """Effective rate per period of a panel with this `freq` (a fraction, by compounding).

        (1 + rate)^(periods of `unit` per year / periods of `freq` per year) - 1.

        Examples
        --------
        >>> f"{per_year(0.10).per_period('Q'):.6f}"
        '0.024114'
        >>> f"{per_month(0.01).per_period('Y'):.6f}"
        '0.126825'
        """
        exponent = _PERIODS_PER_YEAR_OF_UNIT[self.unit] / _periods_per_year(freq)
        return math.expm1(exponent * math.log1p(self.rate))


def per_year(rate: float) -> DiscountRate:
    """Effective discount rate per year, as a fraction: ``per_year(0.10)`` is 10 % a year.

    Examples
    --------
    >>> per_year(0.10)
    DiscountRate(rate=0.1, unit='year')
    """
    return DiscountRate(rate, "year")


def per_month(rate: float) -> DiscountRate:
    """Effective discount rate per month, as a fraction: ``per_month(0.01)`` is 1 % a month.

    Examples
    --------
    >>> f"{per_month(0.01).per_period('M'):.2f}"
    '0.01'
    """
    return DiscountRate(rate, "month")


def _periods_per_year(freq: object) -> float:
    """Periods of a pandas period alias in one year; anchors such as W-SUN or Q-DEC are ignored."""
    base = str(freq).split("-")[0]
    if base not in PERIODS_PER_YEAR:
        raise SpecError(
            f"A rate per year or month needs periods of known length: freq must be one of "
            f"{', '.join(PERIODS_PER_YEAR)}, got {freq!r}. Give `discount_rate` as a bare number "
            "per period instead."
        )
    return PERIODS_PER_YEAR[base]


def _rate_problems(rate: object) -> list[str]:
    """Say why a number cannot be a discount rate (empty if it can)."""
    if not isinstance(rate, int | float | np.number) or isinstance(rate, bool):
        return [f"`discount_rate` must be a number, got {rate!r}"]
    if not np.isfinite(rate) or rate <= -1:
        return [
            f"`discount_rate` must be finite and above -1, got {rate!r}; "
            "it is a fraction: write 10 % as 0.10"
        ]
    return []


# --- the value of a stage -----------------------------------------------------------------------


def stage_value(
    P: ArrayLike,
    margin: ArrayLike,
    *,
    discount_rate: float,
    n_periods: int | None = None,
    timing: str = "start",
) -> NDArray[np.float64]:
    """Worth of standing in each stage now, in currency: the discounted margins still to come.

    For ever, V = [I - P/(1+d)]^(-1) R; over a horizon, V = sum over t = 0 .. n_periods-1 of
    [P/(1+d)]^t R (Pfeifer & Carraway 2000, whose horizon T is ``n_periods = T + 1`` payments).

    Parameters
    ----------
    P : array_like of shape (..., K, K)
        Transition matrix per period; rows (where from) sum to 1. Leading axes, such as
        (chain, draw), are solved side by side.
    margin : array_like of shape (..., K)
        R: currency per period spent in each stage; costs are negative.
    discount_rate : float
        d: a fraction per period of `P`.
    n_periods : int, optional
        Number of payments, the present one included. None: for ever.
    timing : {"start", "end"}
        When in its period a margin is paid. "end" is "start" divided by 1+d.

    Returns
    -------
    ndarray of shape (..., K)
        V, in the currency of `margin`.

    Raises
    ------
    SpecError
        Rows that are no probabilities, margins that are not finite, a rate of -1 or less, or an
        infinite horizon over which the sum does not converge.

    Examples
    --------
    A buyer stays with probability .8 a year and is lost for good otherwise:

    >>> stage_value([[0.8, 0.2], [0, 1]], [100, 0], discount_rate=0.10).round(2).tolist()
    [366.67, 0.0]
    """
    check_one_of("stage_value", "timing", timing, ("start", "end"))
    P, margin = _as_floats("P", P), _as_floats("margin", margin)
    problems = [
        *_matrix_problems(P),
        *_margin_problems(P, margin),
        *_stage_value_rate_problems(discount_rate),
        *_horizon_problems(n_periods),
    ]
    raise_problems(SpecError, "stage_value", problems)
    keep = 1 / (1 + discount_rate)
    value = (
        _for_ever(P, margin, keep)
        if n_periods is None
        else _partial_sum(P, margin, keep, n_periods)
    )
    return value * keep if timing == "end" else value


def _partial_sum(P: NDArray, margin: NDArray, keep: float, n_periods: int) -> NDArray:
    """Add `n_periods` payments by Horner's rule: V <- R + keep * P V."""
    shape = np.broadcast_shapes(P.shape[:-1], margin.shape)
    value = np.broadcast_to(margin, shape).astype(float)
    for _ in range(n_periods - 1):
        value = margin + keep * (P @ value[..., None])[..., 0]
    return value


def _for_ever(P: NDArray, margin: NDArray, keep: float) -> NDArray:
    """Solve (I - keep P) V = R on the stages from which money can still come; others are worth 0.

    Leaving the others out changes nothing, except that a chain which ends in a stage of margin 0
    can be valued without discounting, where I - P itself is singular.
    """
    paying = _paying_stages(P, margin)
    inside = P * (paying[..., :, None] & paying[..., None, :])
    _refuse_endless_sum(inside, keep)
    right = np.where(paying, margin, 0.0)[..., None]
    return np.linalg.solve(np.eye(P.shape[-1]) - keep * inside, right)[..., 0]


def _paying_stages(P: NDArray, margin: NDArray) -> NDArray[np.bool_]:
    """Stages from which some stage with a margin other than 0 can be reached in the end."""
    return (reachable(P) & (margin != 0)[..., None, :]).any(axis=-1)


def _refuse_endless_sum(inside: NDArray, keep: float) -> None:
    """Refuse an infinite horizon over which payments outrun the discounting.

    The rows of `inside` sum to at most 1, so any positive rate converges and needs no check.
    """
    if keep < 1:
        return
    growth = keep * np.abs(np.linalg.eigvals(inside)).max()
    if growth >= 1 - 1e-12:
        raise SpecError(
            "stage_value: the sum over an infinite horizon does not converge: money comes for "
            f"ever and a discount_rate of {1 / keep - 1:.6g} does not shrink it. Give a positive "
            "`discount_rate`, a number of payments `n_periods`, or an absorbing stage whose "
            "margin is 0."
        )


def _as_floats(parameter: str, given: ArrayLike) -> NDArray[np.float64]:
    """Read numbers; refuse names, mappings and rows of unequal length with a word on why."""
    try:
        return np.asarray(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"`{parameter}` must hold numbers only, in the order of the stages ({error})."
        ) from error


def _matrix_problems(P: NDArray) -> list[str]:
    """Say why an array is not a (stack of) transition matrices (empty if it is)."""
    if P.ndim < 2 or P.shape[-1] != P.shape[-2] or P.size == 0:
        return [f"`P` must have shape (..., K, K), got {P.shape}"]
    if not np.isfinite(P).all() or (P < 0).any():
        return ["`P` must hold probabilities; it has negative or non-finite entries"]
    if np.allclose(P.sum(axis=-1), 1, rtol=0, atol=1e-8):
        return []
    if np.allclose(P.sum(axis=-2), 1, rtol=0, atol=1e-8):
        return [
            "the columns of `P` sum to 1 but its rows do not; transpose it: rows are where from"
        ]
    worst = np.abs(P.sum(axis=-1) - 1).max()
    return [
        f"rows of `P` must sum to 1 (the worst is off by {worst:.3g}); those who leave need a "
        "stage of their own, absorbing, with margin 0"
    ]


def _margin_problems(P: NDArray, margin: NDArray) -> list[str]:
    """Say why margins do not fit the matrix (empty if they do)."""
    n_stages = P.shape[-1] if P.ndim else 0
    if margin.ndim < 1 or margin.shape[-1] != n_stages:
        return [f"`margin` needs one number per stage ({n_stages}), got shape {margin.shape}"]
    if not np.isfinite(margin).all():
        where = sorted({int(i) for i in np.argwhere(~np.isfinite(margin))[:, -1]})
        return [f"`margin` must be finite; it is not at stage positions {where}; write 0 for none"]
    return []


def _stage_value_rate_problems(rate: object) -> list[str]:
    """As `_rate_problems`, with the way out for a rate that still has a unit."""
    if isinstance(rate, DiscountRate):
        return [f"`discount_rate` is per period here: use {_spell(rate)}.per_period('Q') or so"]
    return _rate_problems(rate)


def _horizon_problems(n_periods: object) -> list[str]:
    """Say why `n_periods` is no number of payments (empty if it is)."""
    if n_periods is None:
        return []
    whole = isinstance(n_periods, int | np.integer) and not isinstance(n_periods, bool)
    if whole and n_periods >= 1:
        return []
    return [f"`n_periods` must be a whole number from 1, or None for ever, got {n_periods!r}"]


def _spell(rate: DiscountRate | float) -> str:
    """Write a rate as the user wrote it."""
    if isinstance(rate, DiscountRate):
        return f"per_{rate.unit}({rate.rate:g})"
    return f"{rate:g} per period"


# --- the value of customers ---------------------------------------------------------------------


def lifetime_value(
    fit: Fit,
    *,
    margin: Mapping[str, float] | ArrayLike,
    discount_rate: float | DiscountRate,
    n_periods: int | None = None,
    timing: str = "start",
    by: str = "customer",
    panel: xr.Dataset | None = None,
    draws: int = 200,
) -> xr.DataArray:
    """Lifetime value in currency, one number per posterior draw: of each customer or each stage.

    A customer's value is the mean of `stage_value` under the stage probabilities at the end of
    the customer's window, sum over s of p(stage s | all that was seen) V(s). Each draw uses its
    own parameters for both, so the spread over draws is what the data leave open about the
    expected value, given the margins and the rate. (What one customer will bring varies more.)

    Parameters
    ----------
    fit : Fit
        Posterior of a model with one transition matrix.
    margin : mapping of stage name to float, or array_like of shape (stage,)
        Currency per customer and period spent in each stage; a mapping names every stage.
    discount_rate : float or DiscountRate
        A bare number is a fraction per period of the panel; `per_year` and `per_month` are
        converted with the panel's `freq`.
    n_periods : int, optional
        Number of payments, that of the customer's last period included. None: for ever.
    timing : {"start", "end"}
        When in its period a margin is paid, as in `stage_value`.
    by : {"customer", "stage"}
        Value each customer of the panel, or each stage.
    panel : xr.Dataset, optional
        Value these customers instead of those of the fit.
    draws : int
        Posterior draws to use in all for customers, evenly thinned; stages use every draw.

    Returns
    -------
    DataArray
        Dims (chain, draw, customer_id) or (chain, draw, stage). The attrs say what was computed:
        `discount_rate` per period, `discount_rate_given`, `timing`, `horizon`, `unit`, `counts`.

    Raises
    ------
    SpecError
        Stages without a margin or margins without a stage, a rate of -1 or less, or a model whose
        transition matrix depends on covariates.

    References
    ----------
    Pfeifer & Carraway (2000), Journal of Interactive Marketing 14(2), 43-55.
    """
    check_one_of("lifetime_value", "by", by, ("customer", "stage"))
    valued = fit.panel if panel is None else panel
    per_period = _rate_per_period(discount_rate, valued.attrs.get("freq"))
    margins = _by_stage("lifetime_value", "margin", margin, fit.model.space.names)
    options = {"discount_rate": per_period, "n_periods": n_periods, "timing": timing}
    if by == "stage":
        warn_if_unconverged(fit)
        value = _value_by_stage(_transition_matrices(fit), margins, options)
    else:
        law = law_now(fit, panel=panel, draws=draws)
        matrices = _transition_matrices(fit).sel(chain=law["chain"], draw=law["draw"])
        value = (law * _value_by_stage(matrices, margins, options)).sum("stage")
    attrs = _describe(per_period, discount_rate, n_periods, timing)
    return value.rename("lifetime_value").assign_attrs(attrs)


def _transition_matrices(fit: Fit) -> xr.DataArray:
    """Posterior draws of the one transition matrix (chain, draw, stage_from, stage_to)."""
    dims = ("chain", "draw", "stage_from", "stage_to")
    found = fit.posterior.get("transition_matrix")
    if found is None or set(found.dims) != set(dims):
        raise SpecError(
            f"lifetime_value: {type(fit.model).__name__} has no single transition matrix; give "
            "the matrix of one setting of its covariates to `stage_value`."
        )
    return found.transpose(*dims)


def _value_by_stage(
    matrices: xr.DataArray, margins: NDArray, options: Mapping[str, Any]
) -> xr.DataArray:
    """Apply `stage_value` to every draw (chain, draw, stage)."""
    values = stage_value(matrices.values, margins, **options)
    labels = {"stage": matrices["stage_from"].values}
    labels |= {dim: matrices[dim].values for dim in ("chain", "draw")}
    return xr.DataArray(values, dims=("chain", "draw", "stage"), coords=labels)


def customer_equity(
    values: xr.DataArray | ArrayLike, *, n_customers: Mapping[str, float] | ArrayLike | None = None
) -> xr.DataArray | NDArray[np.float64]:
    """Worth of a whole customer base in currency: the sum of its customers' lifetime values.

    Parameters
    ----------
    values : DataArray or array_like of shape (..., K)
        Values of customers (dim `customer_id`), which are added up, or values of stages (dim
        `stage`, or the last axis), which are weighted with `n_customers`.
    n_customers : mapping of stage name to float, or array_like of shape (K,), optional
        Customers in each stage; needed with values of stages, refused with values of customers.

    Returns
    -------
    DataArray or ndarray
        What is left of the dims of `values`, usually (chain, draw).

    Examples
    --------
    >>> customer_equity([244.81, 56.73, 7.80], n_customers=[100, 20, 10]).round(2).item()
    25693.6
    """
    if not isinstance(values, xr.DataArray):
        values = np.asarray(values, dtype=float)
        counts = _counts(n_customers, tuple(map(str, range(values.shape[-1]))))
        return (values * counts).sum(axis=-1)
    if "customer_id" in values.dims:
        if n_customers is not None:
            raise SpecError("customer_equity: values of customers are added; omit `n_customers`.")
        return values.sum("customer_id", keep_attrs=True).rename("customer_equity")
    counts = xr.DataArray(_counts(n_customers, tuple(values["stage"].values)), dims="stage")
    return (values * counts).sum("stage").rename("customer_equity").assign_attrs(values.attrs)


def _rate_per_period(rate: float | DiscountRate, freq: object) -> float:
    """Convert a rate with a unit by the panel's `freq`; leave a bare number as it is."""
    return rate.per_period(freq) if isinstance(rate, DiscountRate) else rate


def _counts(n_customers: Mapping[str, float] | ArrayLike | None, names: tuple[str, ...]) -> NDArray:
    """Read the customers in each stage, checked."""
    if n_customers is None:
        raise SpecError("customer_equity: values of stages need `n_customers`, one per stage.")
    counts = _by_stage("customer_equity", "n_customers", n_customers, names)
    if counts.shape != (len(names),) or not np.isfinite(counts).all() or (counts < 0).any():
        raise SpecError(
            f"customer_equity: `n_customers` must hold {len(names)} counts of at least 0, "
            f"got {counts.tolist()}."
        )
    return counts


def _by_stage(owner: str, parameter: str, given: object, names: tuple[str, ...]) -> NDArray:
    """Numbers in the order of `names`; whatever carries labels must name every stage, no other."""
    if isinstance(given, xr.DataArray):
        given = given.to_series()
    if isinstance(given, pd.Series):
        given = given.to_dict()
    if not isinstance(given, Mapping):
        return np.asarray(given, dtype=float)
    missing = [name for name in names if name not in given]
    unknown = [name for name in given if name not in names]
    problems = [f"`{parameter}` is missing for stage {name!r} (0 is a number)" for name in missing]
    problems += [f"`{parameter}` names the unknown stage {name!r}" for name in unknown]
    raise_problems(SpecError, owner, problems)
    return np.array([given[name] for name in names], dtype=float)


def _describe(
    rate: float, given: float | DiscountRate, n_periods: int | None, timing: str
) -> dict[str, object]:
    """Everything a reader needs to know which value this is, as attributes."""
    return {
        "discount_rate": float(rate),
        "discount_rate_given": _spell(given),
        "timing": timing,
        "horizon": "infinite" if n_periods is None else f"{n_periods} periods",
        "unit": "currency of the margins, per customer",
        "counts": "the margin of the present period and all later ones",
    }


# --- closed forms of the textbooks --------------------------------------------------------------


def berger_nasr(
    margin: float, marketing: float, *, retention: float, discount_rate: float, n_years: int
) -> float:
    """Value in currency of a customer who pays at year ends and is marketed to at mid-year.

    CLV = GC sum_{i=0}^{n} r^i / (1+d)^i - M sum_{i=1}^{n} r^(i-1) / (1+d)^(i-0.5)
    (Berger & Nasr 1998, *Journal of Interactive Marketing* 12(1), 17-30, case 1).

    Parameters
    ----------
    margin : float
        GC: gross contribution per year, in currency; the first is paid now.
    marketing : float
        M: cost of keeping the customer, in currency per year.
    retention : float
        r: probability of staying, per year.
    discount_rate : float
        d: fraction per year.
    n_years : int
        n: years after the present payment.

    Returns
    -------
    float

    Examples
    --------
    >>> round(berger_nasr(260, 50, retention=0.75, discount_rate=0.20, n_years=10), 2)
    568.78
    """
    _check_retention("berger_nasr", retention, discount_rate)
    paid = np.arange(n_years + 1)
    spent = np.arange(1, n_years + 1)
    contribution = margin * (retention / (1 + discount_rate)) ** paid
    cost = marketing * retention ** (spent - 1.0) / (1 + discount_rate) ** (spent - 0.5)
    return float(contribution.sum() - cost.sum())


def retention_multiple(retention: ArrayLike, discount_rate: ArrayLike) -> NDArray[np.float64]:
    """Lifetime value as a multiple of the margin, r / (1+d-r), for constant margin and retention.

    It counts payments from the next period on: the present one is not in it (Gupta & Lehmann
    2003, *Journal of Interactive Marketing* 17(1), 9-24). On the chain that stays with
    probability r, it is V - R with R = 1.

    Parameters
    ----------
    retention : array_like
        r: probability of staying, per period.
    discount_rate : array_like
        d: fraction per period.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> retention_multiple([0.6, 0.7, 0.8, 0.9], 0.12).round(2).tolist()
    [1.15, 1.67, 2.5, 4.09]
    """
    _check_retention("retention_multiple", retention, discount_rate)
    retention, rate = np.asarray(retention, dtype=float), np.asarray(discount_rate, dtype=float)
    return retention / (1 + rate - retention)


class AcquisitionOptimum(NamedTuple):
    """Best spend on winning one prospect, and what it brings."""

    spend: float
    response: float
    profit: float


def blattberg_deighton_optimum(
    margin: float, *, ceiling: float, spend: float, response: float
) -> AcquisitionOptimum:
    """Spend per prospect, in currency, that maximises the first year's profit from acquisition.

    A spend A wins the share a(A) = c (1 - exp(-k A)) of prospects; k follows from one known point
    (spend, response). The profit a(A) m - A is largest at A* = ln(k c m) / k, or at 0 where
    k c m <= 1 (Blattberg & Deighton 1996, *Harvard Business Review* 74(4), 136-144).

    Parameters
    ----------
    margin : float
        m: currency that a won customer brings.
    ceiling : float
        c: share of prospects that unlimited spending would win.
    spend, response : float
        A spend per prospect, in currency, and the share of prospects that it wins.

    Returns
    -------
    AcquisitionOptimum
        (spend, response, profit), per prospect.

    Examples
    --------
    >>> best = blattberg_deighton_optimum(50, ceiling=0.40, spend=5, response=0.20)
    >>> f"{best.spend:.3f} {best.response:.4f} {best.profit:.2f}"
    '7.356 0.2557 5.43'
    """
    problems = []
    if not 0 < response < ceiling <= 1:
        problems.append(
            "shares must satisfy 0 < `response` < `ceiling` <= 1, "
            f"got response {response!r} and ceiling {ceiling!r}; write 20 % as 0.20"
        )
    if not spend > 0:
        problems.append(f"`spend` must be above 0, got {spend!r}")
    raise_problems(SpecError, "blattberg_deighton_optimum", problems)
    steepness = -math.log1p(-response / ceiling) / spend
    best = max(0.0, math.log(max(steepness * ceiling * margin, 1.0)) / steepness)
    won = -ceiling * math.expm1(-steepness * best)
    return AcquisitionOptimum(best, won, won * margin - best)


def _check_retention(owner: str, retention: ArrayLike, discount_rate: ArrayLike) -> None:
    """Refuse a retention that is no probability and a rate under which the sum has no end."""
    retention, rate = np.asarray(retention, dtype=float), np.asarray(discount_rate, dtype=float)
    problems = []
    if not ((retention >= 0) & (retention <= 1)).all():
        problems.append(
            f"`retention` must lie between 0 and 1, got {retention.tolist()}; write 75 % as 0.75"
        )
    if not (np.isfinite(rate) & (rate > -1)).all():
        problems.append(f"`discount_rate` must be finite and above -1, got {rate.tolist()}")
    elif owner == "retention_multiple" and not (1 + rate > retention).all():
        problems.append("1 + `discount_rate` must exceed `retention`, or the sum has no end")
    raise_problems(SpecError, owner, problems)
