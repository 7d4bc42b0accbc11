"""The page: a study in, one self-contained HTML text out."""

import numpy as np
import pandas as pd
import xarray as xr

import crmlab.analyst.sentences as tell
import crmlab.demo.sentences as say
from crmlab.analyst.beside import beside_tables, describe_files
from crmlab.analyst.buying import MOST
from crmlab.analyst.customers import ACTIONS, describe_columns, fallen, most_to_win, suggest
from crmlab.analyst.holdout import name_of
from crmlab.analyst.scoring import DRAWS, FEW_DRAWS, MANY
from crmlab.analyst.study import Study
from crmlab.analyst.window import describe_periods
from crmlab.demo.orders import BGNBD_NAME
from crmlab.plots import (
    plot_calibration,
    plot_prediction,
    plot_stage_probs,
    plot_stage_value,
    style,
)
from crmlab.reading import Quality
from crmlab.report.parts import Table, element, read_template


def render_report(study: Study, customers: pd.DataFrame, *, pseudonyms: bool, made: str) -> str:
    """Write the page.

    Parameters
    ----------
    study : Study
    customers : DataFrame
        The table beside the page, as it is written, or its rows of `most_to_win`.
    pseudonyms : bool
        Whether ids are pseudonyms.
    made : str
        The version of crmlab, and the seed.
    """
    style("page")
    plan = study.plan
    return read_template("crmlab.analyst", "report.html.jinja").render(
        source=study.sales.quality.source,
        period=plan.period,
        plan=plan,
        cutoff=plan.cutoff.date(),
        first=plan.first.date(),
        last=plan.last.date(),
        names=study.names,
        n_customers=say.number(len(study.scored.customers)),
        n_sample=say.number(study.fit.panel.sizes["customer_id"]),
        n_tested=say.number(study.holdout.n_customers),
        worth_of=_worth_of(study),
        discount=say.percent(study.settings.discount),
        sampled=study.fit.panel.sizes["customer_id"] < len(study.scored.customers),
        shortened=_shortened(study),
        sources=say.listed(["orders", *_used(study)]),
        used=_used(study),
        named=_named(study),
        beside=describe_files(study),
        answered=_answered(study),
        other=name_of("lost" if study.holdout.chosen == "asleep" else "asleep"),
        chosen=study.holdout.chosen,
        tiles=_tiles(study),
        sentences=_sentences(study, len(study.scored.customers)),
        figures=_figures(study),
        tables=_tables(study, customers),
        alarms=_alarms(study),
        personal=[n for q in _qualities(study) for n in q.personal],
        cost=_cost(study),
        pseudonyms=pseudonyms,
        has_amounts=study.has_amounts,
        rival=BGNBD_NAME in study.holdout.errors.index,
        made=made,
    )


def _shortened(study: Study) -> str:
    """Say what is done with fewer customers or draws, where there are very many customers."""
    if len(study.scored.customers) <= MANY:
        return ""
    return (
        f"With so many customers, {FEW_DRAWS} draws of the fit are read instead of {DRAWS}, and "
        f"BG/NBD and the Gamma-Gamma model are fitted to a stratified {say.number(MOST)} of them."
    )


def _used(study: Study) -> list[str]:
    """Name the files that became channels."""
    return [one.kind for one in study.verdicts if one.is_used]


def _named(study: Study) -> str:
    """Name these files at the beginning of a sentence."""
    used = _used(study)
    return say.listed(used).capitalize() if used else ""


def _qualities(study: Study) -> list[Quality]:
    return [study.sales.quality, *(one.quality for one in study.events)]


def _answered(study: Study) -> str:
    """Say in which share of the observed cells there is an answer; nothing without surveys."""
    panel = study.fit.panel
    if "surveys" not in panel:
        return ""
    return say.percent(float(panel["surveys"].notnull().sum() / panel["observed"].sum()), 1)


def _cost(study: Study) -> str:
    """Write the usual cost of an action; nothing if it is not known."""
    known = study.action_cost > 0
    return f"{study.action_cost:,.2f} {study.unit}" if known else ""


def _worth_of(study: Study) -> str:
    if not study.has_amounts:
        return "orders"
    return "revenue" if study.settings.margin == 1 else "margin"


def _sentences(study: Study, n_customers: int) -> dict[str, str]:
    plan = study.plan
    return {
        "data": tell.tell_data(study),
        "stand": tell.tell_stand(study),
        "sure": tell.tell_sure(study.holdout.reliability, plan.n_ahead, plan.period),
        "drift": tell.tell_drift(study),
        "worth": tell.tell_worth(study),
        "test": tell.tell_test(study.holdout),
        "fit": tell.tell_fit(study.check),
        "added": tell.tell_added(study.added) if len(study.added) else "",
        "alone": tell.tell_alone(study.holdout) if len(study.added) else "",
        "acted": tell.tell_acted(study.acted, plan.season, plan.period) if len(study.acted) else "",
        "sample": tell.tell_sample(study.moved, n_customers),
    }


def _tiles(study: Study) -> list[tuple[str, str]]:
    orders, total = study.sales.orders, study.scored.totals
    mean, _, _ = tell.round_together(
        total["value"].mean(), *np.quantile(total["value"], (0.05, 0.95))
    )
    return [
        (say.number(len(study.buying.histories)), "customers"),
        (say.number(len(orders)), "orders"),
        (say.number(int(fallen(study.scored).sum())), "fell to a lower stage in a season"),
        (say.number(mean), f"{study.unit} expected in a year"),
    ]


def _alarms(study: Study) -> list[str]:
    problems = study.fit.problems
    found = [f"The fit has not converged: {'; '.join(problems)}."] if problems else []
    return [*found, *(f"The file tells little: {remark}." for remark in study.fit.remarks)]


# --- figures --------------------------------------------------------------------------------------


def _figures(study: Study) -> dict[str, object]:
    test, plan, space = study.holdout, study.plan, study.fit.model.space
    river = study.scored.river
    total = river.sum(axis=-1, keepdims=True)
    shares = xr.DataArray(
        river / np.where(total > 0, total, 1),
        dims=("chain", "draw", "period", "stage"),
        coords={"period": np.arange(1, plan.n_periods + 1), "stage": list(study.names)},
        attrs={"freq": plan.freq},
    )
    first = int(np.argmax(total[0, 0, :, 0] > 0))
    shares = shares.isel(period=slice(first, None)).expand_dims(customer_id=[0])
    names = [name_of(test.chosen), *(n for n in test.tracks if "(" not in n and n != "actual")]
    times = np.arange(plan.n_seen, plan.n_periods + 1)
    start = {n: np.insert(v, 0, 0.0, axis=-1) for n, v in test.tracks.items()}
    ahead = plot_prediction(
        start["actual"],
        {name: start[name] for name in names},
        cutoff=plan.n_seen,
        periods=times,
        quantity="Repeat orders in the test",
        period_name=plan.period.capitalize(),
    )
    ahead.xaxis.get_major_locator().set_params(integer=True)
    worth = study.drawn.worth * _mean_spend(study)
    flat = xr.DataArray(worth, dims=("chain", "draw", "stage"), coords={"stage": list(study.names)})
    return {
        "river": element(plot_stage_probs(shares, space), _tell_river(shares, plan.period)),
        "tracks": element(ahead, _tell_tracks(study, names)),
        "sure": element(plot_calibration(test.reliability), _tell_bins(test.reliability)),
        "worth": element(
            plot_stage_value(flat, space, unit=study.unit), _tell_stages(study, worth)
        ),
    }


def _mean_spend(study: Study) -> float:
    return float((study.buying.per_order() * study.settings.margin).mean())


def _tell_river(shares: xr.DataArray, period: str) -> str:
    mean = shares.mean(("chain", "draw", "customer_id")).transpose("period", "stage").values
    names = shares["stage"].values
    ends = [
        f"'{name}' {'fall' if mean[-1, k] < mean[0, k] else 'rise'} from "
        f"{say.percent(mean[0, k])} to {say.percent(mean[-1, k])}"
        for k, name in enumerate(names)
    ]
    begin, end = shares["period"].values[[0, -1]]
    return f"From {period} {begin} to {period} {end}, customers in {say.listed(ends)}."


def _tell_tracks(study: Study, names: list[str]) -> str:
    tracks = study.holdout.tracks
    said = [f"{name} says {say.number(np.atleast_2d(tracks[name]).mean(0)[-1])}" for name in names]
    return (
        f"By the end of the test there were {say.number(tracks['actual'][-1])} repeat orders; "
        f"{say.listed(said)}."
    )


def _tell_bins(table: pd.DataFrame) -> str:
    gap = (table["observed"] - table["predicted"]).abs()
    row = table.loc[gap.idxmax()]
    return (
        f"The largest gap is in the group that was given {say.percent(row['predicted'])}: "
        f"{say.percent(row['observed'])} of it ordered."
    )


def _tell_stages(study: Study, worth: np.ndarray) -> str:
    means = worth.mean(axis=(0, 1))
    best, least = study.names[int(means.argmax())], study.names[int(means.argmin())]
    return (
        f"An average customer is worth {say.money(means.max(), study.unit)} in '{best}' and "
        f"{say.money(means.min(), study.unit)} in '{least}'."
    )


# --- tables ---------------------------------------------------------------------------------------


def _tables(study: Study, customers: pd.DataFrame) -> dict[str, Table]:
    return {
        "decisions": _table_of_decisions(study),
        "findings": _table_of_findings(study),
        "stages": _table_of_stages(study),
        "flow": _table_of_flow(study),
        "fallen": _table_of_fallen(study, customers),
        "errors": _table_of_errors(study),
        "check": _table_of_check(study),
        "moved": _table_of_moved(study),
        "columns": Table(
            "columns",
            "customers.csv: one row per customer.",
            ["Column", "Meaning"],
            list(describe_columns(study).items()),
            words=True,
        ),
        "actions": _table_of_actions(study),
        **beside_tables(study),
    }


def _table_of_decisions(study: Study) -> Table:
    periods = describe_periods(study.sales, study.plan)
    decisions = (*study.sales.quality.decisions, periods)
    rows = [(d.what, d.choice, d.evidence) for d in decisions]
    return Table(
        "how-read", "How the file was read.", ["What", "choice", "evidence"], rows, words=True
    )


def _table_of_findings(study: Study) -> Table:
    quality = study.sales.quality
    rows = [
        ("rows read", say.number(quality.rows_read), ""),
        *((f.what, say.number(f.rows), f.done) for f in quality.findings),
        ("rows used", say.number(quality.rows_used), "orders"),
    ]
    return Table(
        "quality",
        "The rows of the file. Those that are used and those set aside add up to those read.",
        ["Rows", "count", "what was done"],
        rows,
        words=True,
    )


def _table_of_stages(study: Study) -> Table:
    drawn, plan = study.drawn, study.plan
    size = study.scored.stages.reshape(-1, len(study.names))
    low, high = np.quantile(size, (0.05, 0.95), axis=0)
    rate, stay = drawn.rate.mean((0, 1)), np.diagonal(drawn.matrix.mean((0, 1)))
    rows = [
        [
            name,
            say.number(size[:, k].mean()),
            f"{say.number(low[k])} to {say.number(high[k])}",
            say.number(1 / rate[k], 1 if 1 / rate[k] < 30 else 0),
            say.number(1 / (1 - stay[k])) if stay[k] < 1 - 1e-9 else "for ever",
        ]
        for k, name in enumerate(study.names)
    ]
    return Table(
        "stages",
        f"The stages on {plan.last.date()}.",
        [
            "Stage",
            "customers expected there",
            "90% interval",
            f"{plan.period}s between orders",
            f"{plan.period}s until it is left",
        ],
        rows,
    )


def _table_of_flow(study: Study) -> Table:
    frame, names = study.scored.customers, study.names
    counts = pd.crosstab(frame["before"], frame["now"]).reindex(
        index=range(len(names)), columns=range(len(names)), fill_value=0
    )
    rows = [[name, *(say.number(n) for n in counts.loc[k])] for k, name in enumerate(names)]
    plan = study.plan
    return Table(
        "flow",
        f"Customers by most likely stage {plan.season} {plan.period}s before the end (rows; newer "
        "customers: in their first) and at the end (columns).",
        ["From \\ to", *names],
        rows,
    )


def _table_of_fallen(study: Study, customers: pd.DataFrame) -> Table:
    top = most_to_win(customers)
    rows = [
        [
            str(row["customer_id"])[:60],
            row["last_order"],
            row["stage_a_season_ago"],
            row["most_likely_stage"],
            say.percent(row["p_order_next_year"]),
            say.number(row["value"], _digits(study)),
            say.number(row["repair_value"], _digits(study)),
        ]
        for _, row in top.iterrows()
    ]
    return Table(
        "drifting",
        f"The {len(rows)} with most to win, of those who fell.",
        [
            "Customer",
            "last order",
            "stood in",
            "stands in",
            "will order in a year",
            f"worth ({study.unit})",
            f"repair ({study.unit})",
        ],
        rows,
        word_columns=(2, 3),
    )


def _digits(study: Study) -> int:
    return 0 if study.scored.customers["repair"].max() >= 10 else 1


def _table_of_errors(study: Study) -> Table:
    test = study.holdout
    rows = [
        [
            name,
            say.number(row["total"]),
            say.signed_percent(row["total_error"], 1),
            f"{row['mean_absolute_error']:.3f}",
            f"{row['root_mean_squared_error']:.3f}",
            say.number(test.log_scores[version], 1) if version else "\N{EN DASH}",
        ]
        for name, row in test.errors.iterrows()
        for version in [next((v for v in test.log_scores if name_of(v) == name), "")]
    ]
    actual = test.tracks["actual"][-1]
    return Table(
        "errors",
        f"The test: {say.number(actual)} repeat orders were made by "
        f"{say.number(test.n_customers)} customers. Errors per customer are in orders; a higher "
        "log score is better.",
        [
            "Rule",
            "total",
            "error of total",
            "mean absolute error",
            "root mean squared error",
            "log score",
        ],
        rows,
        best=(int(test.errors["root_mean_squared_error"].argmin()),),
    )


def _table_of_check(study: Study) -> Table:
    rows = [
        [
            tell.class_name(study.check, edge),
            say.percent(row["seen"], 1),
            say.percent(row["expected"], 1),
            f"{say.percent(row['low'], 1)} to {say.percent(row['high'], 1)}",
        ]
        for edge, row in study.check.iterrows()
    ]
    return Table(
        "check",
        "Customers by repeat orders in the whole window: as they are, and as the model makes them "
        "when it is left to itself.",
        ["Class", "seen", "made by the model", "90% interval"],
        rows,
    )


def _table_of_moved(study: Study) -> Table:
    rows = [
        [
            say.number(size),
            say.number(row["stages"]),
            say.number(row["mean"]),
            f"{say.number(row['low'])} to {say.number(row['high'])}",
        ]
        for size, row in study.moved.iterrows()
    ]
    return Table(
        "moved",
        f"Orders expected within {study.plan.year} {study.plan.period}s of the same customers (the "
        "largest sample), by how many of them the model was fitted to.",
        ["Customers in the fit", "stages", "orders expected", "90% interval"],
        rows,
    )


def _table_of_actions(study: Study) -> Table:
    counts = suggest(study.scored, study.action_cost).value_counts()
    rows = [(word, say.number(counts.get(word, 0)), what) for word, what in ACTIONS.items()]
    return Table(
        "actions",
        "What the table suggests, as something to test.",
        ["Word", "customers", "meaning"],
        rows,
        words=True,
    )
