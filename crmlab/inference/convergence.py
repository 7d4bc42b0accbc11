"""The convergence gate: whether draws can be read."""

from collections.abc import Callable

import numpy as np
import xarray as xr

RHAT_LIMIT = 1.02
ESS_PER_CHAIN = 100

_Found = tuple[float, str]


def find_problems(idata: xr.DataTree, method: str = "nuts") -> list[str]:
    """List the reasons not to read these draws.

    The limits are rank-normalised R-hat at most 1.02 and a bulk effective sample size of at least
    100 per chain (Vehtari et al. 2021, *Bayesian Analysis* 16(2), section 4, who ask for 1.01 with
    four chains), and no divergences.
    """
    if method != "nuts":  # independent draws; what is wrong with a mode is in the attrs
        return []
    posterior = idata["posterior"].to_dataset()
    problems = _unreadable(posterior) or _mixing_problems(posterior)
    divergences = int(idata["sample_stats"]["diverging"].sum())
    return [*problems, *([f"{divergences} draws diverged"] if divergences else [])]


def _unreadable(posterior: xr.Dataset) -> list[str]:
    """List why R-hat and the effective sample size cannot even be computed."""
    if posterior.sizes["chain"] < 2 or posterior.sizes["draw"] < 4:
        return ["convergence can only be judged with at least 2 chains of 4 draws"]
    problems = [
        f"{name} has draws that are not finite"
        for name, values in posterior.data_vars.items()
        if not np.isfinite(values).all()
    ]
    if not problems and not any(moves.any() for moves in _moves(posterior).data_vars.values()):
        problems.append("no draw differs from another")
    return problems


def _mixing_problems(posterior: xr.Dataset) -> list[str]:
    import arviz_stats

    moves = _moves(posterior)
    with np.errstate(invalid="ignore", divide="ignore"):  # of what does not vary
        rhat = arviz_stats.rhat(posterior).fillna(np.inf).where(moves)
        ess = arviz_stats.ess(posterior, method="bulk").fillna(0.0).where(moves)
    (rhat, stray), (ess, slow) = _worst(rhat, max), _worst(ess, min)
    enough = ESS_PER_CHAIN * posterior.sizes["chain"]
    problems = []
    if rhat > RHAT_LIMIT:
        value = print_beside(rhat, RHAT_LIMIT, 2)
        problems.append(f"R-hat is {value} for {stray} (limit {RHAT_LIMIT})")
    if ess < enough:
        value = print_beside(ess, enough, 0)
        problems.append(f"the effective sample size is {value} for {slow} (limit {enough})")
    return problems


def print_beside(value: float, limit: float, decimals: int) -> str:
    """Print a number to so many decimals, or to as many as it takes to differ from its limit.

    Examples
    --------
    >>> print_beside(1.0374, 1.02, 2), print_beside(1.0204, 1.02, 2), print_beside(199.97, 200, 0)
    ('1.04', '1.0204', '199.97')
    """
    while decimals < 17 and float(f"{value:.{decimals}f}") == limit:
        decimals += 1
    return f"{value:.{decimals}f}"


def _moves(posterior: xr.Dataset) -> xr.Dataset:
    """Whether each number differs between draws; known numbers do not."""
    dims = ("chain", "draw")
    return posterior.max(dims) > posterior.min(dims)


def _worst(diagnostic: xr.Dataset, pick: Callable[[list[_Found]], _Found]) -> _Found:
    """Worst value over all parameters, and where; constants are NaN and have none."""
    found = [
        (float(value), str(name))
        for name, values in diagnostic.data_vars.items()
        for value in np.ravel(values)
        if not np.isnan(value)
    ]
    return pick(found)
