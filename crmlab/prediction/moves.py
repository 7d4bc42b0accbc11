"""Future moves, customer by customer, under covariates that stay as they are now.

A model with covariates does not have one transition matrix: each customer has their own, which
follows from the covariates and the customer's effects. These functions keep the covariates as they
are, or as they are set, and average over each customer's effects, given what was seen.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.arrays import Floats, Ints
from crmlab.errors import SpecError, check_one_of, raise_problems
from crmlab.inference import Fit
from crmlab.prediction.customers import Customers, Parameters, read_customers
from crmlab.prediction.draws import check_memory, collect, count_draws, thin_draws
from crmlab.prediction.population import find_places, probs_now

ROWS = 2**15  # transition matrices made at a time
MATRIX: tuple[str, ...] = ("stage_from", "stage_to")


def transition_matrices(
    fit: Fit,
    *,
    at: Mapping[str, float] | None = None,
    by: str = "customer",
    panel: xr.Dataset | None = None,
    draws: int = 200,
) -> xr.DataArray:
    """Transition matrix of the next move, per posterior draw: for each customer or for all.

    Parameters
    ----------
    fit : Fit
    at : mapping of covariate to number, optional
        Covariates to set, the same for all customers, in the panel's units. The others stay
        as each customer's last observed period has them.
    by : {"customer", "population"}
        A matrix for each customer, or the mean over the customers.
    panel : xr.Dataset, optional
        Matrices of these customers instead of those of the fit.
    draws : int
        Posterior draws to use in all, evenly thinned from the chains: those of `thin_draws`.

    Returns
    -------
    xr.DataArray with dims (chain, draw, customer_id, stage_from, stage_to)
        Without customer_id where all customers share the matrix of a draw: in a model without
        covariates and effects, and with ``by="population"``. Where customers have effects of their
        own, the mean over these effects, given what was seen. Rows sum to 1.

    Raises
    ------
    SpecError
        `at` names something that is not a covariate of the model, or the result would not fit the
        memory budget of 1 GiB.
    DataError
        The panel does not match the model.

    Notes
    -----
    ``E_u [P(x, u)]`` given what was seen, where x are the covariates and u the customer's effects.
    It is the matrix of one move. Over several moves, a customer who tends to stay keeps staying,
    which powers of a mean ignore; `lifetime_value` and `expected_purchases` average last.

    Examples
    --------
    >>> import crmlab as crm
    >>> space = crm.StageSpace(("dormant", "active"))
    >>> stages = [[0, 0, 0, 1], [1, 1, 0, 0], [1, 1, 1, 1]]
    >>> cells = {"stage": (("customer_id", "period"), np.array(stages, dtype=float)),
    ...          "observed": (("customer_id", "period"), np.ones((3, 4), dtype=bool))}
    >>> panel = xr.Dataset(cells, coords={"customer_id": range(3), "period": range(4)})
    >>> result = crm.fit(crm.ObservedMarkov(space), panel, seed=1)
    >>> dict(transition_matrices(result, draws=10).sizes)
    {'chain': 2, 'draw': 5, 'stage_from': 2, 'stage_to': 2}
    """
    check_one_of("transition_matrices", "by", by, ("customer", "population"))
    customers, chosen = read_customers(fit, panel), thin_draws(fit, draws)
    groups = group_next_moves(customers, at, "transition_matrices")
    names = list(fit.model.space.names)
    labels: dict[str, Any] = dict.fromkeys(MATRIX, names)
    dims, ids = MATRIX, customers.panel["customer_id"].values
    if groups is not None and by == "customer":
        dims, labels["customer_id"] = ("customer_id", *MATRIX), ids
        size = (len(ids), *fit.model.space.mask.shape)
        check_memory("transition_matrices", count_draws(chosen), size)

    def matrices(parameters: Parameters) -> Floats:
        if groups is None:
            return customers.matrices(parameters, None)[0, 0]
        parts = _follow_groups(customers, parameters, groups)
        found = np.concatenate([np.einsum("np,npij->nij", weights, P) for weights, _, P in parts])
        if by == "customer":
            return found[groups.which]
        return np.average(found, axis=0, weights=groups.times)

    return collect(matrices, chosen, dims, labels)


def expect_by_customer(
    fit: Fit,
    chosen: xr.Dataset,
    worth: Callable[[Parameters, Floats], Floats],
    *,
    at: Mapping[str, float] | None = None,
    panel: xr.Dataset | None = None,
    owner: str = "expect_by_customer",
) -> xr.DataArray:
    """Average the worth of a stage over each customer's possible stages and effects.

    Parameters
    ----------
    fit : Fit
    chosen : xr.Dataset
        Draws of `thin_draws`; variables added to them are passed to `worth` with the rest.
    worth : callable
        ``worth(parameters, matrices)`` gives numbers by stage (..., K) from one draw and transition
        matrices (..., K, K).
    at, panel
        As in `transition_matrices`.
    owner : str
        Name of the function that error messages mention.

    Returns
    -------
    xr.DataArray with dims (chain, draw, customer_id)

    Notes
    -----
    ``sum over u and s of p(u, s | what was seen) worth(s; P(x, u))``: a customer's effects are
    averaged last, so they stay the same over all the periods that `worth` covers.
    """
    customers = read_customers(fit, panel)
    groups = group_next_moves(customers, at, owner)

    def expectation(parameters: Parameters) -> Floats:
        if groups is None:
            values = worth(parameters, customers.matrices(parameters, None)[0, 0])
            return (probs_now(customers, parameters, None) * values).sum(axis=-1)
        parts = _follow_groups(customers, parameters, groups)
        found = [
            np.einsum("np,npk,npk->n", weights, now, worth(parameters, matrices))
            for weights, now, matrices in parts
        ]
        return np.concatenate(found)[groups.which]

    labels = {"customer_id": customers.panel["customer_id"].values}
    return collect(expectation, chosen, ("customer_id",), labels)


class Groups(NamedTuple):
    """Customers with the same history and the same covariates of the next move."""

    history: Ints  # (group,)
    design: Floats  # (group, column)
    which: Ints  # (customer,): the group of each
    times: Ints  # (group,): customers in it


def group_next_moves(
    customers: Customers, at: Mapping[str, float] | None, owner: str
) -> Groups | None:
    """Group customers by what their next move depends on; None if all have one matrix.

    Covariates are the last that were recorded (0 where nothing was), or set by `at`.
    """
    columns, at = list(customers.columns), dict(at or {})
    problems = [
        f"{name!r} is not among the covariates {columns} of the model"
        for name in at
        if name not in columns
    ]
    problems += [
        f"{name!r} must be set to a finite number, got {value!r}"
        for name, value in at.items()
        if not (np.isscalar(value) and np.isfinite(value))
    ]
    raise_problems(SpecError, f"{owner}: `at`", problems)
    if customers.design is None:
        return None
    design = customers.read_design(_last_period(customers))[:, 0]
    design = np.repeat(design, len(customers.seen) // len(design), axis=0)
    design[:, [columns.index(name) for name in at]] = list(at.values())
    known = np.column_stack([customers.histories.which, design])
    rows, which, times = np.unique(known, axis=0, return_inverse=True, return_counts=True)
    return Groups(rows[:, 0].astype(np.int64), rows[:, 1:], which.ravel(), times)


def _last_period(customers: Customers) -> xr.Dataset:
    """Panel of two periods, both equal to each customer's last observed one."""
    panel, last = customers.panel, np.maximum(customers.window.last, 0)
    observed = (("customer_id", "period"), np.ones((len(last), 2), dtype=bool))
    held: dict[str, Any] = {"observed": observed}
    for name in customers.transitions.design.variables:
        held[name] = panel[name]
        if "period" in panel[name].dims:
            cells = np.atleast_2d(panel[name].transpose(..., "period").values)
            cells = pd.DataFrame(cells, dtype=float).ffill(axis=1).fillna(0.0).values
            whose = np.arange(len(last)) % len(cells)
            now = np.repeat(cells[whose, last][:, None], 2, axis=1)
            held[name] = (("customer_id", "period"), now)
    return xr.Dataset(held).drop_vars("period", errors="ignore")


def _follow_groups(
    customers: Customers, parameters: Parameters, groups: Groups
) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Return weights (groups, P), stages now (groups, P, K) and matrices (groups, P, K, K)."""
    places = find_places(customers, parameters)
    size = max(1, ROWS // len(places.points))
    for start in range(0, len(groups.history), size):
        some = slice(start, start + size)
        history = groups.history[some]
        matrices = matrices_at(customers, parameters, groups.design[some], places.points)
        yield places.weights[history], places.now[history], matrices


def matrices_at(
    customers: Customers, parameters: Parameters, rows: Floats, points: Floats
) -> Floats:
    """Matrices of covariates (row, column) at points of the population (row, point, K, K)."""
    design = np.repeat(rows, len(points), axis=0)[:, None]
    normals = np.tile(points, (len(rows), 1)) if customers.n_effects else None
    matrices = customers.matrices(parameters, design, normals)
    return matrices.reshape(len(rows), len(points), *matrices.shape[2:])
