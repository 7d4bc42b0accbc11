"""From the value of a stage to the value of many customers: cohorts and the customer base."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.value.inputs import as_floats, by_stage, read_customers, read_probs

# A block of customers and its results stay within this many numbers at a time.
_BLOCK_NUMBERS = 4_000_000


def customer_equity(
    values: xr.DataArray | ArrayLike, *, n_customers: Mapping[str, float] | ArrayLike | None = None
) -> xr.DataArray | Floats:
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
    weights = xr.DataArray(_counts(n_customers, tuple(values["stage"].values)), dims="stage")
    return (values * weights).sum("stage").rename("customer_equity").assign_attrs(values.attrs)


def _counts(n_customers: Mapping[str, float] | ArrayLike | None, names: tuple[str, ...]) -> NDArray:
    """Read the customers in each stage, checked."""
    if n_customers is None:
        raise SpecError("customer_equity: values of stages need `n_customers`, one per stage.")
    counts = by_stage("customer_equity", "n_customers", n_customers, names)
    return read_customers("customer_equity", counts, len(names))


class BaseValue(NamedTuple):
    """Values of many customers, summarised over draws, and the total under each draw."""

    mean: Floats
    low: Floats
    high: Floats
    total: Floats


def value_in_blocks(
    stage_probs: ArrayLike | Iterable[ArrayLike], values: ArrayLike, *, prob: float = 0.9
) -> BaseValue:
    """Value very many customers in currency, block by block; memory does not grow with draws.

    Each customer's value under a draw is sum over s of p(stage s) V(s). All draws of one block are
    made, summarised and released, so 1,000,000 customers x 200 draws are never in memory together.

    Parameters
    ----------
    stage_probs : array_like of shape (customers, K), or iterable of blocks
        A block has shape (n, K), the same under every draw (observed stages,
        or probabilities averaged over draws), or (draws, n, K), each draw its own.
    values : array_like of shape (draws, K)
        Draws of the value per stage; flatten (chain, draw) first.
    prob : float
        Probability of the central (equal-tailed) interval per customer.

    Returns
    -------
    BaseValue
        `mean`, `low` and `high` per customer, and `total` per draw: customer equity.

    Raises
    ------
    SpecError
        A block does not fit the values, or does not hold probabilities.

    Examples
    --------
    >>> base = value_in_blocks([[1, 0], [0.5, 0.5]], [[10, 0], [20, 2]])
    >>> base.mean.tolist(), base.total.tolist()
    ([15.0, 8.0], [15.0, 31.0])
    """
    values = as_floats("values", values)
    _check_values(values, prob)
    return summarise_base(
        (_worth(probs, values) for probs in _blocks(stage_probs, len(values))), prob
    )


def summarise_base(blocks: Iterable[Floats], prob: float) -> BaseValue:
    """Summarise values (draws, customers) of one block of customers after the other."""
    tails = [(1 - prob) / 2, (1 + prob) / 2]
    summaries, total = [], np.zeros(())
    for worth in blocks:
        total = total + worth.sum(axis=1)
        summaries.append((worth.mean(axis=0), *_quantiles(worth, tails)))
    mean, low, high = (np.concatenate(parts) for parts in zip(*summaries, strict=True))
    return BaseValue(mean, low, high, total)


def _quantiles(worth: NDArray, probs: Sequence[float]) -> list[NDArray]:
    """Quantiles over draws (axis 0); by a sort, four times as fast as `np.quantile`."""
    ordered = np.sort(worth, axis=0)
    places = np.asarray(probs) * (len(worth) - 1)
    below = places.astype(int)
    above = np.minimum(below + 1, len(worth) - 1)
    shares = places - below
    return [
        (1 - share) * ordered[low] + share * ordered[high]
        for low, high, share in zip(below, above, shares, strict=True)
    ]


def _check_values(values: NDArray, prob: float) -> None:
    problems = []
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        problems.append(f"`values` must be finite, of shape (draws, K), got shape {values.shape}")
    problems += number_problems({"prob": prob}, above=0, below=1)
    raise_problems(SpecError, "value_in_blocks", problems)


def _blocks(stage_probs: ArrayLike | Iterable[ArrayLike], n_draws: int) -> Iterator[NDArray]:
    """Cut one array of stage probabilities into blocks; pass blocks on as they come."""
    if isinstance(stage_probs, Iterable) and not isinstance(stage_probs, np.ndarray | list | tuple):
        yield from (as_floats("stage_probs", probs) for probs in stage_probs)
        return
    probs = as_floats("stage_probs", stage_probs)
    if probs.ndim != 2 or not len(probs):
        raise SpecError(
            f"value_in_blocks: one array of `stage_probs` must have shape (customers, K), got "
            f"{probs.shape}; give probabilities that differ by draw as an iterable of blocks"
        )
    step = max(1, _BLOCK_NUMBERS // n_draws)
    yield from (probs[first : first + step] for first in range(0, len(probs), step))


def _worth(probs: NDArray, values: NDArray) -> NDArray:
    """Values (draws, n) of one block of customers."""
    by_draw = probs.ndim == 3 and len(probs) == len(values)
    if probs.shape[-1:] != values.shape[1:] or not (probs.ndim == 2 or by_draw):
        raise SpecError(
            f"value_in_blocks: a block of `stage_probs` must have shape (n, {values.shape[1]}) or "
            f"({len(values)}, n, {values.shape[1]}), got {probs.shape}"
        )
    if not (probs >= 0).all() or np.abs(probs.sum(axis=-1) - 1).max(initial=0.0) > 1e-6:
        raise SpecError("value_in_blocks: `stage_probs` must sum to 1 per customer, none below 0")
    return values @ probs.T if probs.ndim == 2 else (probs @ values[:, :, None])[..., 0]


def cohort_value(
    values: xr.DataArray | ArrayLike,
    start: Mapping[str, float] | ArrayLike | xr.DataArray,
    *,
    acquisition_cost: ArrayLike | xr.DataArray = 0.0,
    n_customers: float = 1.0,
) -> xr.DataArray | Floats:
    """Worth of a cohort at the moment it is won, in currency, net of what winning it cost.

    n (sum over s of start(s) V(s) - cost). With n = 1 and cost 0, it is the most that winning one
    such customer may cost.

    Parameters
    ----------
    values : DataArray with dim stage, or array_like of shape (..., K)
        Values of stages, as `stage_value` or `lifetime_value(by="stage")` give them; with
        ``first="current"`` if the period in which a customer is won is paid too.
    start : mapping of stage name to float, array_like of shape (..., K), or DataArray
        Where new customers start: probabilities, possibly a posterior (`initial_probs`).
    acquisition_cost : float, array_like or DataArray
        Currency per customer won. With a cost per contact, divide it by the share that is won.
    n_customers : float
        Customers in the cohort.

    Returns
    -------
    DataArray or ndarray
        What is left of the dims of `values`, usually (chain, draw).

    Raises
    ------
    SpecError
        `start` does not hold probabilities, or does not name the stages.

    Examples
    --------
    >>> round(float(cohort_value([138.3, 20.0], [0.9, 0.1], acquisition_cost=30)), 2)
    96.47
    """
    if not isinstance(values, xr.DataArray):
        values = as_floats("values", values)
        start = read_probs("cohort_value", "start", start, values.shape[-1])
        return n_customers * ((values * start).sum(axis=-1) - np.asarray(acquisition_cost, float))
    names = tuple(map(str, values["stage"].values))
    if isinstance(start, xr.DataArray) and {"chain", "draw"} <= set(start.dims):
        start = start.sel(stage=list(names))
    else:
        start = xr.DataArray(by_stage("cohort_value", "start", start, names), dims="stage")
    read_probs("cohort_value", "start", start.transpose(..., "stage").values, len(names))
    net = (values * start).sum("stage") - acquisition_cost
    return (n_customers * net).rename("cohort_value").assign_attrs(values.attrs)
