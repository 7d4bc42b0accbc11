"""Scores for more customers than memory holds: block after block, on any executor.

A score is what the fit says about a customer's last observed period. It does not depend on the
block or the worker. Blocks come back in the order in which they went in, and only a few are being
computed at a time, so memory use stays constant however many customers there are.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.arrays import count_problems
from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.inference import Fit
from crmlab.inference.result import warn_if_unconverged
from crmlab.models.base import StageModel
from crmlab.prediction.draws import count_draws, thin_draws
from crmlab.prediction.stages import current_stage_probs

ON_THEIR_WAY = 8  # blocks; enough to keep some workers busy
AXES = ["customer_id", "period"]


def score_customers(
    fit: Fit,
    panels: xr.Dataset | Iterable[xr.Dataset],
    *,
    block: int = 20_000,
    draws: int = 20,
    worth: Mapping[str, float] | None = None,
    executor: Executor | None = None,
) -> Iterator[pd.DataFrame]:
    """Score customers block by block: the stage of each in the last period that was seen.

    Parameters
    ----------
    fit : Fit
    panels : xr.Dataset or iterable of xr.Dataset
        One panel, or many that are read one by one as needed (`read_panels` reads a folder).
        All periods of a customer must be in one of them.
    block : int
        Customers per block; a larger panel is cut.
    draws : int
        Posterior draws to average over, evenly thinned from the chains.
    worth : mapping of stage to number, optional
        Worth of a customer in each stage, in your currency; adds a column with the expectation.
    executor : concurrent.futures.Executor, optional
        Where the blocks are computed: threads, processes, or a cluster's. In this thread if left
        out. With processes, start the program under ``if __name__ == "__main__":``.

    Yields
    ------
    pd.DataFrame
        Per block: `customer_id`, `stage` (the most likely one), ``p_<stage>`` for each stage, and
        `expected_worth`. A customer who was never observed has the initial probabilities.

    Raises
    ------
    SpecError
        An option is wrong.
    DataError
        A panel does not match the model.
    """
    names = fit.model.space.names
    _check_options(block, draws, worth, names)
    warn_if_unconverged(fit)
    known = (
        fit.model,
        thin_draws(fit, draws).load(),
        None if worth is None else [worth[n] for n in names],
    )
    tasks = ((*known, part) for part in _cut(panels, block))
    return compute_in_order(_score_block, tasks, executor)


def read_panels(folder: str | Path) -> Iterator[xr.Dataset]:
    """Read a folder of Parquet files as panels, one file at a time.

    Parameters
    ----------
    folder : path
        Its files ``*.parquet`` hold one row per customer and observed period, with the columns
        `customer_id`, `period` and the variables of the panel; all rows of a customer are in one
        file.

    Yields
    ------
    xr.Dataset
        A panel; periods without a row are unobserved.

    Raises
    ------
    DataError
        There are no such files, a column is missing, or a row occurs twice.
    """
    files = sorted(Path(folder).glob("*.parquet"))
    if not files:
        raise DataError(f"{folder} holds no file *.parquet to read panels from.")
    return (_read_panel(file) for file in files)


def _read_panel(file: Path) -> xr.Dataset:
    rows = pd.read_parquet(file)
    problems = [f"column {name!r} is missing" for name in AXES if name not in rows]
    if not problems and (twice := rows.duplicated(AXES)).any():
        first = rows.loc[twice, AXES].iloc[0].tolist()
        problems.append(f"{int(twice.sum())} rows occur twice, e.g. customer and period {first}")
    raise_problems(DataError, f"{file.name} is not a panel", problems)
    panel = rows.assign(observed=1.0).set_index(AXES).to_xarray()
    return panel.assign(observed=panel["observed"].notnull())


def _check_options(
    block: int, draws: int, worth: Mapping[str, float] | None, names: tuple[str, ...]
) -> None:
    problems = count_problems({"block": block, "draws": draws})
    if worth is not None and set(worth) != set(names):
        problems.append(f"`worth` must name each of {list(names)}, got {list(worth)}")
    raise_problems(SpecError, "score_customers", problems)


def _cut(panels: xr.Dataset | Iterable[xr.Dataset], block: int) -> Iterator[xr.Dataset]:
    for panel in [panels] if isinstance(panels, xr.Dataset) else panels:
        for start in range(0, panel.sizes["customer_id"], block):
            yield panel.isel(customer_id=slice(start, start + block))


def compute_in_order[T](
    compute: Callable[..., T], tasks: Iterable[tuple], executor: Executor | None
) -> Iterator[T]:
    """Hand out tasks, a few at a time, and yield their results in the same order.

    Parameters
    ----------
    compute : callable
        Takes the arguments of one task.
    tasks : iterable of tuple
    executor : concurrent.futures.Executor, optional
        In this thread if left out.
    """
    if executor is None:
        yield from (compute(*task) for task in tasks)
        return
    waiting: deque[Future] = deque()
    try:
        for task in tasks:
            waiting.append(executor.submit(compute, *task))
            if len(waiting) >= ON_THEIR_WAY:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _score_block(
    model: StageModel, posterior: xr.Dataset, worth: list[float] | None, panel: xr.Dataset
) -> pd.DataFrame:
    """Score one block; a worker needs nothing else."""
    fit = Fit(model, panel, xr.DataTree.from_dict({"posterior": posterior}))
    n_draws = count_draws(posterior)
    probs = current_stage_probs(fit, panel=panel, draws=n_draws, average=True).values
    names = np.array(model.space.names)
    columns = {f"p_{name}": probs[:, k] for k, name in enumerate(names)}
    if worth is not None:
        columns["expected_worth"] = (probs * np.asarray(worth, dtype=float)).sum(axis=1)
    stage = names[probs.argmax(axis=1)]
    return pd.DataFrame({"customer_id": panel["customer_id"].values, "stage": stage, **columns})
