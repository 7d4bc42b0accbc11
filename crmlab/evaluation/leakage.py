"""Does an export give away the answer? An audit of every column against the channels.

A simulated world knows the stages; its tables should not reveal more than the channels do. Two
things are reported.

* **The bound**: the log score of the oracle, which has the exported channels and the true
  parameters (`crmlab.evaluation.oracle`). Whoever uses these columns predicts no better on average.
* **The leaks**: columns that add information to the oracle's, by name. If a column x is clean, then
  given the channels y, the true stages are one draw from the oracle's p(stages | y), whatever x is.
  So if a statistic of stages and x is computed for the true stages and for draws of the oracle,
  every rank of the true one is equally probable. That test is exact for every sample size and
  every column, whether x is a function of the channels or has nothing to do with them.

The statistic cuts the column into classes and counts stages class by class: over all periods, in
the first, and in the last. The squared distance of the counts from their mean, in the metric of
the draws' own covariance, is a score test of "the column tilts the oracle's odds". The p-value
compares with the largest statistic of all columns in each draw (Westfall and Young 1993,
Resampling-Based Multiple Testing; from memory), so **the false alarm rate of a whole audit is at
most `alpha`**, however many columns there are.

A world that is not a StageWorld has no such oracle. Then `reference` is an array of stage
probabilities given the channels, or None; `crmlab.evaluation.stage_regression` then learns them.
Permuting the unexplained residuals among the customers replaces the draws. That is exact for a
column unrelated to everything else. It also names columns whose information the probabilities do
not use fully: outside influences on the relationship (a segment), and columns that the regression
reads badly. It is a screen, not a verdict; name what is `trusted`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Bools, Floats, Ints, count_problems, is_count
from crmlab.errors import DataError, SpecError, error_of, raise_problems
from crmlab.evaluation.oracle import Oracle, sample_stage_paths, stage_oracle
from crmlab.evaluation.stage_regression import learned_probs
from crmlab.evaluation.stages import log_score
from crmlab.generators.stage_world import StageWorld
from crmlab.stages import StageSpace
from crmlab.tables import CustomerTables, to_panel

_MOST_CLASSES = 8
_QUANTILES = 5
_PARTS = {"all periods": slice(None), "first period": slice(1), "last period": slice(-1, None)}
_SHRINK = 5.0  # customers' worth of agreement with the oracle, in estimates of a column's gain


@dataclass(frozen=True, eq=False)
class LeakageReport:
    """What an export reveals about the stages.

    Parameters
    ----------
    columns : DataFrame
        One row per column, largest statistic first: `column` ("table.column"), `where` (all
        periods, the first or the last, where the statistic is largest), `statistic` (standard
        deviations above what clean columns have), `p_value` (in the whole audit), `gain` (log
        score added there to the oracle's, on held-out customers [nats per customer and period];
        noise may make it negative) and `leaks`.
    bound : float
        Log score of the oracle given all exported channels [nats per customer and period].
    bound_at_the_time : float or None
        The same given the channels up to each period only.
    chance : float
        Log score of the shares of the stages in each period, which needs no customer's data.
    alpha : float
        False alarm rate of the audit.
    """

    columns: pd.DataFrame
    bound: float
    bound_at_the_time: float | None
    chance: float
    alpha: float

    @property
    def leaks(self) -> tuple[str, ...]:
        """Names of the columns that say more about the stage than the channels do."""
        return tuple(self.columns.loc[self.columns["leaks"], "column"])

    def __str__(self) -> str:
        """Report in sentences."""
        said = (
            f"Channels carry the stage to a log score of {self.bound:.3f} (chance: "
            f"{self.chance:.3f}) nats per customer and period. "
        )
        if not self.leaks:
            return said + (
                f"None of {len(self.columns)} columns adds to it (false alarm rate of the audit: "
                f"{self.alpha:g})."
            )
        return said + f"These columns add to it: {', '.join(self.leaks)}."


def audit_leakage(
    tables: CustomerTables,
    reference: StageWorld | ArrayLike | None,
    *,
    seed: int,
    space: StageSpace | None = None,
    trusted: Sequence[str] = (),
    alpha: float = 0.005,
    n_draws: int = 399,
) -> LeakageReport:
    """Find columns that tell more about the stage than the channels may.

    Parameters
    ----------
    tables : CustomerTables
        Simulated, with truth.
    reference : StageWorld, array_like of shape (N, T, K), or None
        The world, with the policy of these tables; or, for other worlds, probabilities of the
        stages given all that the channels show, in the order of the customers and periods; or
        None, and such probabilities are learned on other customers.
    seed : int
    space : StageSpace, optional
        K stages; needed unless `reference` is a StageWorld.
    trusted : sequence of str
        Tables ("touchpoints") and columns ("customers.segment") that may carry the stage: they are
        not audited, and learned probabilities use them.
    alpha : float
        False alarm rate of the whole audit.
    n_draws : int
        Histories drawn; alpha must be at least 1 / (n_draws + 1).

    Returns
    -------
    LeakageReport
        It covers every column of the customers (also their id), every further column of a record
        table, every channel that the world does not have, and every further table: its columns
        (the mean of numbers, the first of words) and its rows, per customer and period.

    Raises
    ------
    SpecError, DataError
        The truth or the stage space is missing, or shapes do not fit.

    Examples
    --------
    >>> from crmlab.channels import Poisson
    >>> from crmlab.generators.base import simulate
    >>> space = StageSpace(("low", "high"))
    >>> world = StageWorld(space, (0.5, 0.5), ((0.9, 0.1), (0.1, 0.9)),
    ...                    (Poisson("visits", rate=(0.5, 2.0)),), n_periods=6)
    >>> print(audit_leakage(simulate(world, 100, seed=1), world, seed=2))
    Channels carry the stage to a log score of -0.296 (chance: -0.682) nats per customer and
    period. None of 1 columns adds to it (false alarm rate of the audit: 0.005).
    """
    rng = np.random.default_rng(seed)
    space = reference.space if isinstance(reference, StageWorld) else space
    space = _check(tables, space, alpha, n_draws)
    stages = true_stages(tables, space)
    known = _names_of(reference) if isinstance(reference, StageWorld) else set(tables.channels)
    found, allowed = _part_trusted(dict(_candidates(tables, known, stages.shape)), trusted)
    oracle, probs = _read_reference(tables, reference, stages, len(space), allowed)
    sums = _draw_sums(found, stages, probs, oracle, n_draws, rng)
    table = _rank({key: _distances(values) for key, values in sums.items()}, alpha)
    gains = [
        _gain(found[column], stages, probs, part)
        for column, part in zip(table["column"], table["where"], strict=True)
    ]
    table.insert(4, "gain", gains)
    here = stages >= 0
    now = None if oracle is None else log_score(oracle.filtered, stages)
    bound = log_score(probs[here], stages[here])
    return LeakageReport(table, bound, now, _chance(stages, len(space)), alpha)


def true_stages(tables: CustomerTables, space: StageSpace) -> Ints:
    """Return the true stages as positions in the space, (N, T); -1 where a customer has none.

    Raises
    ------
    DataError
        The tables have no truth, or it names other stages.
    """
    if tables.truth is None or "stages" not in tables.truth:
        raise DataError("the tables have no truth: only a simulated world can be audited")
    truth = tables.truth["stages"]
    strangers = sorted(set(truth["stage"].astype(object)) - set(space.names))
    if strangers:
        raise DataError(f"the truth names {', '.join(strangers)}: not stages of the space")
    codes = truth.assign(code=pd.Categorical(truth["stage"], categories=list(space.names)).codes)
    wide = codes.pivot(index="customer_id", columns="period", values="code")
    wide = wide.reindex(index=tables.customers["customer_id"], columns=list(tables.periods))
    return wide.fillna(-1).to_numpy(dtype=np.int64)


def _check(
    tables: CustomerTables, space: StageSpace | None, alpha: float, n_draws: int
) -> StageSpace:
    problems = []
    if space is None:
        problems.append("`space` must be given where `reference` is not a StageWorld")
    problems += count_problems({"n_draws": n_draws}, at_least=19)
    if is_count(n_draws, 19) and not 1 / (n_draws + 1) <= alpha < 1:
        problems.append(
            f"`alpha` must be at least 1 / (n_draws + 1) = {1 / (n_draws + 1):.4g} and below 1, "
            f"got {alpha!r}; increase `n_draws`"
        )
    if tables.is_dated:
        problems.append("`tables` must have periods, as simulated ones do")
    if problems or space is None:
        raise error_of(SpecError, "audit_leakage", problems)
    return space


def _read_reference(
    tables: CustomerTables,
    reference: object,
    stages: Ints,
    n_stages: int,
    allowed: Sequence[Ints],
) -> tuple[Oracle | None, Floats]:
    """Return the oracle, if any, and the stage probabilities given the channels."""
    if isinstance(reference, StageWorld):
        if (stages < 0).any():
            raise DataError("the truth must hold a stage for each customer and period")
        oracle = stage_oracle(tables, reference)
        return oracle, oracle.smoothed
    if reference is None:
        return None, learned_probs(tables, stages, n_stages, allowed)
    probs = np.asarray(reference, dtype=float)
    if probs.shape != (*stages.shape, n_stages):
        raise SpecError(
            f"audit_leakage: `reference` must have shape {(*stages.shape, n_stages)} (customers, "
            f"periods, stages), got {probs.shape}"
        )
    return None, probs


def _names_of(world: StageWorld) -> set[str]:
    return {channel.name for channel in world.channels} | {a.name for a in world.actions}


# Columns ------------------------------------------------------------------------------------------


def _candidates(
    tables: CustomerTables, known: set[str], shape: tuple[int, int]
) -> Iterator[tuple[str, Ints]]:
    """Name each column that the oracle does not use, and cut it into classes: (N,) or (N, T)."""
    for column in tables.customers:
        yield f"customers.{column}", _classes(tables.customers[column])
    for form, frame in tables.records():
        extras = [c for c in frame if c not in (*form.required, "period", form.value)]
        yield from _cells(form.name, frame, extras, tables, shape)
    for name, frame in tables.more.items():
        if "customer_id" in frame:
            extras = [c for c in frame if c not in ("customer_id", "period")]
            counted = frame.assign(rows=1)
            yield from _cells(name, counted, [*extras, "rows"], tables, shape)
    strangers = [name for name in tables.channels if name not in known]
    panel = to_panel(tables, freq="M", channels=strangers)
    for name in strangers:
        values = pd.Series(panel[name].values.ravel())
        yield f"{tables.channels[name]}.{name}", _classes(values).reshape(shape)


def _part_trusted(
    found: dict[str, Ints], trusted: Sequence[str]
) -> tuple[dict[str, Ints], list[Ints]]:
    """Separate the columns to audit from the classes of those that may carry the stage."""
    tables = {name.split(".")[0] for name in found}
    unknown = [name for name in trusted if name not in found and name not in tables]
    raise_problems(
        SpecError,
        "audit_leakage",
        [f"`trusted` names {name!r}, which is not a table or column here" for name in unknown],
    )
    allowed = {n for n in found if n in trusted or n.split(".")[0] in trusted}
    audited = {name: codes for name, codes in found.items() if name not in allowed}
    if not audited:
        raise SpecError("audit_leakage: `trusted` leaves no column to audit")
    return audited, [found[name] for name in found if name in allowed]


def _cells(
    table: str,
    frame: pd.DataFrame,
    columns: list[str],
    tables: CustomerTables,
    shape: tuple[int, int],
) -> Iterator[tuple[str, Ints]]:
    """Aggregate columns to one value per customer and period, or per customer."""
    customers = pd.Index(tables.customers["customer_id"], name="customer_id")
    keys = ["customer_id", "period"] if "period" in frame else ["customer_id"]
    grid = customers
    if "period" in frame:
        grid = pd.MultiIndex.from_product([customers, tables.periods], names=keys)
    for column in columns:
        is_count = column == "rows"
        values = frame[column]
        numeric = pd.api.types.is_numeric_dtype(values)
        how = "sum" if is_count else "mean" if numeric else "first"
        cell = frame.groupby(keys, observed=True)[column].agg(how).reindex(grid)
        codes = _classes((cell.fillna(0) if is_count else cell).reset_index(drop=True))
        yield f"{table}.{column}", codes.reshape(shape) if "period" in frame else codes


def _classes(values: pd.Series) -> Ints:
    """Cut a column into a few classes, 0, 1, ...; what is missing is a class of its own."""
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    is_time = pd.api.types.is_datetime64_any_dtype(values)
    if (numeric or is_time) and values.nunique() > _MOST_CLASSES:
        ranks = values.rank(method="average", pct=True)
        cut = np.ceil(ranks.astype(float) * _QUANTILES)
        return cut.fillna(0).to_numpy(dtype=np.int64)
    common = values.value_counts().index[:_MOST_CLASSES]
    place = pd.Series(np.arange(1, len(common) + 1), index=common.astype(object))
    known = values.astype(object).map(place).fillna(len(common) + 1)
    return known.where(values.notna().to_numpy(), 0).to_numpy(dtype=np.int64)


# The test -----------------------------------------------------------------------------------------


def _in_part(values: NDArray, stages: Ints, part: str) -> NDArray:
    """Keep some of each customer's periods; values without periods stay as they are."""
    if values.ndim == 1 or part == "all periods":
        return values
    here = stages >= 0
    ends = {"first period": here.argmax(axis=1), "last period": _last(here)}
    return values[np.arange(len(values)), ends[part]][:, None]


def _last(here: Bools) -> Ints:
    return here.shape[1] - 1 - here[:, ::-1].argmax(axis=1)


def _draw_sums(
    found: Mapping[str, Ints],
    stages: Ints,
    probs: Floats,
    oracle: Oracle | None,
    n_draws: int,
    rng: np.random.Generator,
) -> dict[tuple[str, str], Floats]:
    """Sum each column by class and stage: the true ones first, then those of the draws."""
    pairs = [(name, part) for name in found for part in _PARTS]
    if oracle is None:
        residuals = _residuals(stages, probs)
        orders = np.stack([np.arange(len(stages)), *_shuffles(len(stages), n_draws, rng)])
        return {
            (name, part): _exchanged(
                _in_part(found[name], stages, part), _in_part(residuals, stages, part), orders
            )
            for name, part in pairs
        }
    paths = np.concatenate([stages[None], sample_stage_paths(oracle, n_draws, rng)])
    return {
        (name, part): _counts(
            _in_part(found[name], stages, part), paths[..., _PARTS[part]], probs.shape[-1]
        )
        for name, part in pairs
    }


def _residuals(stages: Ints, probs: Floats) -> Floats:
    """Return what came true minus its probability, centred at each age of a relationship."""
    here = stages >= 0
    residuals = (np.eye(probs.shape[-1])[stages] - probs) * here[..., None]
    age = np.arange(stages.shape[1]) - here.argmax(axis=1)[:, None]
    for since in np.unique(age[here]):
        same = here & (age == since)
        residuals[same] -= residuals[same].mean(axis=0)
    return residuals


def _counts(codes: Ints, paths: Ints, n_stages: int) -> Floats:
    """Count stages by class of the column, for each draw of paths: (draws, classes x K)."""
    classes = codes if codes.ndim == 2 else codes[:, None]
    cells = classes * n_stages + paths
    size = (classes.max() + 1) * n_stages
    return np.stack([np.bincount(cell.ravel(), minlength=size) for cell in cells]).astype(float)


def _shuffles(n: int, n_draws: int, rng: np.random.Generator) -> Iterator[Ints]:
    return (rng.permutation(n) for _ in range(n_draws))


def _exchanged(codes: Ints, residuals: Floats, orders: Ints) -> Floats:
    """Sum residuals by class, with customers in each of these orders: (draws, classes x K)."""
    if codes.ndim == 1:
        residuals = residuals.sum(axis=1, keepdims=True)
    one_hot = np.eye(codes.max() + 1)[codes.ravel()].T
    flat = (residuals[order].reshape(one_hot.shape[1], -1) for order in orders)
    return np.stack([(one_hot @ values).ravel() for values in flat])


def _distances(sums: Floats) -> Floats:
    """Squared distance of each draw from the mean of all, standardised over the draws."""
    spread = sums.std(axis=0)
    z = (sums - sums.mean(axis=0))[:, spread > 1e-9] / spread[spread > 1e-9]
    if not z.shape[1]:
        return np.zeros(len(sums))
    weight = z.shape[1] / sum(z.shape)  # shrink correlations, the more so the fewer draws
    covariance = (1 - weight) * (z.T @ z) / len(z) + weight * np.eye(z.shape[1])
    distance = np.einsum("di,di->d", z, np.linalg.solve(covariance, z.T).T)
    return (distance - distance.mean()) / max(distance.std(), 1e-12)


def _rank(statistics: Mapping[tuple[str, str], Floats], alpha: float) -> pd.DataFrame:
    """Compare each column's best statistic with the largest one of each draw."""
    values = np.stack(list(statistics.values()))
    highest = values[:, 1:].max(axis=0)
    p_values = (1 + (highest >= values[:, :1]).sum(axis=1)) / (1 + len(highest))
    table = pd.DataFrame(list(statistics), columns=["column", "where"]).assign(
        statistic=values[:, 0], p_value=p_values, leaks=p_values <= alpha
    )
    table = table.sort_values("statistic", ascending=False, kind="stable")
    return table.drop_duplicates("column", ignore_index=True)


def _gain(codes: Ints, stages: Ints, probs: Floats, part: str) -> float:
    """Log score that a column adds on customers who were not used to estimate its effect."""
    classes = np.broadcast_to(codes if codes.ndim == 2 else codes[:, None], stages.shape)
    fold = np.broadcast_to(np.arange(len(stages))[:, None] % 2, stages.shape)
    cells = [_in_part(values, stages, part) for values in (classes, stages, probs, fold)]
    here = cells[1] >= 0
    classes, stages, probs, fold = (values[here] for values in cells)
    gains = [
        _gain_on(classes, stages, probs, fold != held_out, fold == held_out)
        for held_out in np.unique(fold)
        if (fold != held_out).any()
    ]
    return float(np.mean(gains)) if gains else 0.0


def _gain_on(
    classes: Ints, stages: Ints, probs: Floats, fitted: NDArray, held_out: NDArray
) -> float:
    """Multiply the oracle's odds by (seen / expected), class by class, and score the result."""
    n_stages = probs.shape[-1]
    seen = np.full((classes.max() + 1, n_stages), _SHRINK)
    expected = seen.copy()
    np.add.at(seen, (classes[fitted], stages[fitted]), 1.0)
    np.add.at(expected, classes[fitted], probs[fitted])
    tilted = probs[held_out] * (seen / expected)[classes[held_out]]
    tilted = tilted / tilted.sum(axis=-1, keepdims=True)
    return log_score(tilted, stages[held_out]) - log_score(probs[held_out], stages[held_out])


def _chance(stages: Ints, n_stages: int) -> float:
    """Score the shares of the stages in each period, over those who have one."""
    hits = np.eye(n_stages)[stages] * (stages >= 0)[..., None]
    shares = hits.sum(axis=0) / np.maximum((stages >= 0).sum(axis=0), 1)[:, None]
    given = np.broadcast_to(shares, (*stages.shape, n_stages))
    return log_score(given[stages >= 0], stages[stages >= 0])
