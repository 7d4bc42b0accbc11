"""Future periods: given covariates, stage probabilities and simulated observations."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from crmlab.arrays import Floats, Ints, upper_edges
from crmlab.chains.motion import move_probs
from crmlab.channels import Channel
from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.prediction.customers import Customers


def design_ahead(customers: Customers, n_periods: int, future: xr.Dataset | None) -> Floats | None:
    """Covariates of future moves (customer or 1, horizon or 1, column)."""
    design, panel = customers.transitions.design, customers.panel
    if customers.design is None:
        return None
    changing = [name for name in design.variables if "period" in panel[name].dims]
    needed = np.arange(1, n_periods + 1 - design.lag)
    raise_problems(SpecError, "forecast", _future_problems(panel, future, changing, needed))
    observed = np.ones((panel.sizes["customer_id"], n_periods + 1), dtype=bool)
    ahead = {name: panel[name] for name in design.variables if name not in changing}
    ahead |= {name: _continue(customers, name, future, needed) for name in changing}
    panel = xr.Dataset({**ahead, "observed": (("customer_id", "period"), observed)})
    panel = panel.assign_coords(
        customer_id=customers.panel["customer_id"].values, period=np.arange(n_periods + 1)
    )
    raise_problems(DataError, "forecast, period 0 being the last", design.check(panel))
    return design.read(panel)["covariates"]


def _future_problems(
    panel: xr.Dataset,
    future: xr.Dataset | None,
    changing: Sequence[str],
    needed: Ints,
) -> list[str]:
    """List the future covariates that are missing."""
    if not changing or len(needed) == 0:
        return []
    if not isinstance(future, xr.Dataset) or "horizon" not in future.coords:
        return [
            f"the covariates {changing} change: give their values to come as `future`, a Dataset "
            f"with dims (customer_id, horizon) or (horizon,) and horizon 1 to {needed[-1]}"
        ]
    problems = [f"`future` lacks {name!r}" for name in changing if name not in future]
    allowed = {"customer_id", "horizon"}
    problems += [
        f"{name!r} of `future` must have the dim horizon and may have customer_id, got "
        f"{future[name].dims}"
        for name in changing
        if name in future and not {"horizon"} <= set(future[name].dims) <= allowed
    ]
    late = sorted(set(needed.tolist()) - set(future["horizon"].values.tolist()))
    if late:
        problems.append(f"`future` lacks the horizons {late}")
    if "customer_id" in future.dims:
        ids = panel["customer_id"].values
        absent = ids[~np.isin(ids, future["customer_id"].values)]
        if len(absent):
            problems.append(f"`future` lacks {len(absent)} customers, e.g. {absent[:3].tolist()}")
    return problems


def _continue(
    customers: Customers, name: str, future: xr.Dataset | None, needed: Ints
) -> xr.DataArray:
    """Join a covariate's value in each customer's last period with its future values."""
    last = np.maximum(customers.window.last, 0)
    held = customers.panel[name]
    if "customer_id" in held.dims:
        now = held.transpose("customer_id", "period").values[np.arange(len(last)), last]
    else:
        now = held.values[last]
    n_ahead = len(needed)
    cells = np.full((len(last), n_ahead), np.nan)
    if n_ahead and future is not None:
        given = future[name].sel(horizon=needed)
        if "customer_id" in given.dims:
            given = given.sel(customer_id=customers.panel["customer_id"].values)
            given = given.transpose("customer_id", "horizon")
        cells[:] = given.values
    if customers.transitions.design.lag:
        first, end = now[:, None], np.zeros((len(last), 1))  # no move leaves the last one
        return xr.DataArray(np.hstack([first, cells, end]), dims=("customer_id", "period"))
    if "customer_id" not in given.dims:
        return xr.DataArray(np.append(0.0, given.values), dims="period")
    return xr.DataArray(np.hstack([0.0 * cells[:, :1], cells]), dims=("customer_id", "period"))


def step_ahead(now: Floats, matrices: Floats, n_periods: int) -> Floats:
    """Stage probabilities of future periods (customer, horizon, stage)."""
    steps = [now]
    for h in range(n_periods):
        steps.append(move_probs(steps[-1], matrices[:, h % matrices.shape[1]]))
    return np.stack(steps[1:], axis=1)


def walk(now: Floats, matrices: Floats, n_periods: int, rng: np.random.Generator) -> Ints:
    """Simulate one stage path per customer (customer, horizon)."""
    u = rng.random((n_periods + 1, len(now)))
    edges = upper_edges(matrices)
    who = np.arange(len(now)) % len(matrices)
    stage = (u[0][:, None] >= upper_edges(now)).sum(axis=1)
    path = []
    for h, step in enumerate(u[1:]):
        stage = (step[:, None] >= edges[who, h % matrices.shape[1], stage]).sum(axis=1)
        path.append(stage)
    return np.stack(path, axis=1)


def forecast_name(channel: Channel, labels: Mapping[str, object]) -> str:
    """Return a channel's name in a forecast, where a dim may already have that name."""
    return f"{channel.name}_reported" if channel.name in labels else channel.name
