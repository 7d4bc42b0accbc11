"""Fill the compile cache: fit a small model with each kernel, so that no reader has to wait.

numba compiles the kernels once per computer, which takes about 15 seconds each, and then loads them
from ``.cache/``. To warm another, add a line to `KINDS`.
"""

import io
import os
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import (
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from multiprocessing import get_context
from typing import TYPE_CHECKING

from crmlab.cli.environment import say

if TYPE_CHECKING:
    import xarray as xr

    from crmlab.models.base import StageModel
    from crmlab.stages import StageSpace

Kind = tuple[str, Callable[[], object]]  # a label, and a function that another process can run

_N_CUSTOMERS = 12
_N_PERIODS = 6


def warm_cache(kinds: Sequence[Kind] | None = None, *, workers: int | None = None) -> int:
    """Compile all that the course needs, one line of progress for each.

    Parameters
    ----------
    kinds : sequence of (str, callable), optional
        Labels and functions that compile; by default, all of `KINDS`.
    workers : int, optional
        Number of parallel processes; by default, one per core.

    Returns
    -------
    int
        0 if all kinds compiled, otherwise 1. A failure does not stop the others.
    """
    kinds = KINDS if kinds is None else kinds
    with _make_pool(min(workers or os.cpu_count() or 1, len(kinds))) as pool:
        labels = {pool.submit(_time, compile_it): label for label, compile_it in kinds}
        places = (f"[{place}/{len(kinds)}]" for place in range(1, len(kinds) + 1))
        fine = [_tell(next(places), labels[done], done) for done in as_completed(labels)]
    return 0 if all(fine) else 1


def _make_pool(workers: int) -> Executor:
    """Make a pool of new processes: forked ones would share locks."""
    if workers == 1:
        return ThreadPoolExecutor(1)
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def _time(compile_it: Callable[[], object]) -> float:
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a dozen draws always warn, and nobody uses them
        compile_it()
    return time.perf_counter() - started


def _tell(place: str, label: str, done: Future[float]) -> bool:
    problem = done.exception()
    took = f"{type(problem).__name__}: {problem}" if problem else f"{done.result():.0f} s"
    say(f"  {place} {label}: {took}")
    return problem is None


def draw_figure() -> None:
    """List the fonts of this computer and draw one figure in memory."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    figure, axes = plt.subplots()
    sns.lineplot(x=[0, 1], y=[0, 1], ax=axes)
    figure.savefig(io.BytesIO(), format="png")
    plt.close(figure)


def fit_alike() -> None:
    """Fit hidden stages among which all customers move alike, and score the customers."""
    import crmlab as crm

    space = make_space()
    model = make_hidden_model(space, "visits")
    found = crm.fit(model, make_panel(space, "visits"), draws=20, tune=20, seed=1)
    crm.prediction.score_histories(found, draws=2)


def fit_moved() -> None:
    """Fit hidden stages among which a covariate moves the customers."""
    import crmlab as crm

    space = make_space()
    panel = make_panel(space, "visits")
    panel = panel.assign(call=(panel["visits"] > 1).astype(float))
    moves = crm.CovariateLogit(("call",))
    model = crm.HiddenMarkov(space, moves, (crm.Poisson("visits"),), ordered_by="visits_rate")
    crm.fit(model, panel, draws=20, tune=20, seed=1)


def make_space() -> "StageSpace":
    """Return a space of three stages."""
    import crmlab as crm

    return crm.StageSpace(("dormant", "occasional", "active"))


def make_hidden_model(space: "StageSpace", *channels: str) -> "StageModel":
    """Return a model that learns the parameters of these channels, ordered by the first one."""
    import crmlab as crm

    learned = {
        "visits": crm.Poisson("visits"),
        "reply": crm.Bernoulli("reply"),
        "spend": crm.ZeroInflatedSpend("spend"),
        "survey": crm.OrdinalSurvey("survey"),
        "stage": crm.StageLabel("stage"),
    }
    orders = {"visits": "visits_rate", "reply": "reply_prob", "survey": "survey_location"}
    return crm.HiddenMarkov(
        space,
        crm.StickyDirichlet(stickiness=2),
        tuple(learned[name] for name in channels),
        ordered_by=orders.get(channels[0]),
    )


def make_panel(
    space: "StageSpace",
    *channels: str,
    n_customers: int = _N_CUSTOMERS,
    n_periods: int = _N_PERIODS,
) -> "xr.Dataset":
    """Return a panel of simulated customers of three stages."""
    import crmlab as crm

    shown = {
        "visits": crm.Poisson("visits", rate=(0.3, 1.5, 4.0)),
        "reply": crm.Bernoulli("reply", prob=(0.1, 0.4, 0.8)),
        "spend": crm.ZeroInflatedSpend(
            "spend", prob=(0.1, 0.4, 0.8), median=(20.0, 30.0, 40.0), sigma=(0.5, 0.5, 0.5)
        ),
        "survey": crm.OrdinalSurvey("survey", location=(-1.0, 0.0, 1.0)),
        "stage": crm.StageLabel("stage", confusion=((1, 0, 0), (0, 1, 0), (0, 0, 1))),
    }
    world = crm.StageWorld(
        space,
        initial_probs=(0.3, 0.4, 0.3),
        transition_matrix=((0.8, 0.15, 0.05), (0.1, 0.8, 0.1), (0.05, 0.15, 0.8)),
        channels=tuple(shown[name] for name in channels),
        n_periods=n_periods,
    )
    return crm.to_panel(crm.simulate(world, n_customers, seed=1), freq="M")


KINDS: tuple[Kind, ...] = (
    ("figures", draw_figure),
    ("stages among which all customers move alike", fit_alike),
    ("stages among which a covariate moves customers", fit_moved),
)
