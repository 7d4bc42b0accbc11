"""The tables of the report, with cells as they are printed."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from crmlab.analyst.advice import ADVICE, describe_actions, prob_below
from crmlab.analyst.customers import ACTIONS, describe_columns, most_to_win, most_worth, suggest
from crmlab.analyst.holdout import name_of
from crmlab.analyst.plan import describe_periods
from crmlab.analyst.segments import cross_segments, rfm_segments
from crmlab.analyst.sentences import class_name
from crmlab.analyst.sources import Verdict
from crmlab.analyst.study import Study
from crmlab.channels import OrdinalSurvey
from crmlab.reading import Decision, Events, Quality
from crmlab.report.numbers import (
    listed,
    number,
    percent,
    percent_span,
    plural,
    signed,
    signed_percent,
    span,
)
from crmlab.report.parts import Table, tabulate

_FORM = ("encoding", "delimiter", "header", "format")
# What overrides a decision, by the first words of what was decided; a column has its own option.
_OVERRIDES = {
    "encoding": "--encoding",
    "delimiter": "--delimiter",
    "sheet": "--table",
    "table": "--table",
    "dates": "--date-order",
    "time zone": "--timezone",
    "amounts": "--decimal",
    "status": "--no-sale",
    "id of zero": "--guests",
    "periods": "--since, --until",
}
_SOMEBODY = 0.5  # customers expected in a stage, below which it is printed as nobody


def make_tables(study: Study, customers: pd.DataFrame) -> dict[str, Table]:
    """Make all tables of the page that have a row, except those on how further files were read.

    Parameters
    ----------
    study : Study
    customers : DataFrame
        The table of customers, or its rows of `to_act_upon`.
    """
    tables = {
        "decisions": _table_of_decisions(study),
        "findings": _table_of_findings(study),
        "stages": _table_of_stages(study),
        "flow": _table_of_flow(study),
        "segments": _table_of_segments(study),
        "fallen": _table_of_fallen(study, customers),
        "top": _table_of_top(study, customers),
        "errors": _table_of_errors(study),
        "check": _table_of_check(study),
        "sizes": _table_of_sizes(study),
        "columns": _explain(
            "columns", "customers.csv: one row per customer.", describe_columns(study)
        ),
        "next": _explain(
            "next-columns",
            "next_actions.csv: one row per customer with a suggested action, for a CRM system.",
            describe_actions(study),
        ),
        "actions": _table_of_actions(study),
        **_tables_of_files(study),
    }
    return {name: table for name, table in tables.items() if table.rows}


def _explain(anchor: str, caption: str, meanings: Mapping[str, str]) -> Table:
    return Table(anchor, caption, ["Column", "Meaning"], list(meanings.items()), words=True)


def _table_of_decisions(study: Study) -> Table:
    periods = describe_periods(study.sales, study.plan)
    decisions = (*study.sales.quality.decisions, periods)
    ordered = sorted(decisions, key=lambda decision: decision.what in _FORM)
    rows = [(d.what, d.choice, _add_override(d)) for d in ordered]
    caption = "How the file was read; in brackets, the option that overrides a guess."
    return Table("how-read", caption, ["What", "choice", "evidence"], rows, words=True)


def _add_override(decision: Decision) -> str:
    """Write the evidence and, unless it names one, the option that overrides the decision."""
    role, _, noun = decision.what.rpartition(" ")
    options = (said for word, said in _OVERRIDES.items() if decision.what.startswith(word))
    option = f"--{role}" if noun == "column" else next(options, "")
    if not option or option in decision.evidence:
        return decision.evidence
    return f"{decision.evidence} ({option})"


def _table_of_findings(study: Study) -> Table:
    return Table(
        "quality",
        "The rows of the file. Rows read, less those set aside, are the rows used; the lines "
        "below these say what is unusual about rows that are used.",
        ["Rows", "count", "what was done"],
        _list_findings(study.sales.quality, "orders"),
        words=True,
    )


def _table_of_stages(study: Study) -> Table:
    drawn, period = study.drawn, study.plan.period
    size = study.scored.stages.reshape(-1, len(study.names))
    low, high = np.quantile(size, (0.05, 0.95), axis=0)
    stay = np.diagonal(drawn.matrix.mean((0, 1)))
    frame = pd.DataFrame(
        {"size": size.mean(axis=0), "low": low, "high": high, "gap": 1 / drawn.rate.mean((0, 1)),
         "stay": stay}, index=study.names,
    )  # fmt: skip
    held = frame[frame["size"] >= _SOMEBODY]
    columns = {
        "Stage": lambda row: row.name,
        "customers expected there": lambda row: number(row["size"]),
        "90% interval": lambda row: span(row["low"], row["high"]),
        f"{period}s between orders": lambda row: number(row["gap"], int(row["gap"] < 30)),
        f"{period}s per stay": lambda row: (
            number(1 / (1 - row["stay"])) if row["stay"] < 1 - 1e-9 else "never left"
        ),
    }
    caption = f"The stages on {study.plan.last.date()}.{_tell_left_out(study.names, held.index)}"
    return tabulate("stages", caption, held, columns)


def _tell_left_out(names: Sequence[str], held: pd.Index) -> str:
    """Name the stages that a table leaves out because nobody is in them."""
    empty = [f"'{name}'" for name in names if name not in held]
    return f" Nobody is in {listed(empty).replace(' and ', ' or ')}." if empty else ""


def _table_of_flow(study: Study) -> Table:
    frame, names = study.scored.customers, study.names
    counts = pd.crosstab(frame["before"], frame["now"]).reindex(
        index=range(len(names)), columns=range(len(names)), fill_value=0
    )
    counts = counts.set_axis(names).set_axis(names, axis=1)
    counts = counts.loc[counts.sum(axis=1) > 0, counts.sum() > 0]
    plan = study.plan
    empty = _tell_left_out(names, counts.index.union(counts.columns))
    return tabulate(
        "flow",
        f"Customers by most likely stage {plan.season} {plan.period}s before the end, on "
        f"{plan.season_start.date()} (rows; for newer customers, in their first {plan.period}), "
        f"and at the end, on {plan.last.date()} (columns).{empty}",
        counts,
        {"From \\ to": lambda row: row.name, **_count_columns(counts.columns)},
    )


def _count_columns(names: Sequence[str]) -> dict[str, Callable[[pd.Series], str]]:
    def count(name: str) -> Callable[[pd.Series], str]:
        return lambda row: number(row[name])

    return {name: count(name) for name in names}


def count_segments(study: Study) -> pd.DataFrame:
    """Count customers by RFM segment (rows) and most likely stage (columns)."""
    now = study.scored.customers.set_index("customer_id")["now"]
    counts = cross_segments(rfm_segments(study.known), now, len(study.names))
    return counts.set_axis(list(study.names), axis=1)


def _table_of_segments(study: Study) -> Table:
    counts = count_segments(study)
    held = counts.loc[:, counts.sum() > 0]
    columns = {
        "RFM segment": lambda row: row.name,
        "customers": lambda row: number(row.sum()),
        **_count_columns(held.columns),
    }
    caption = (
        "Customers by RFM segment (rows) and most likely stage (columns)."
        f"{_tell_left_out(study.names, held.columns)}"
    )
    return tabulate("segments", caption, held, columns)


def _table_of_fallen(study: Study, customers: pd.DataFrame) -> Table:
    top, digits = most_to_win(customers), int(study.scored.customers["repair"].max() < 10)
    sure = prob_below(top, study.names)
    columns = {
        "Customer": lambda row: str(row["customer_id"])[:60],
        "last order": lambda row: row["last_order"],
        "stage then": lambda row: row["stage_a_season_ago"],
        "stage now": lambda row: row["most_likely_stage"],
        "how sure": lambda row: percent(sure[row.name]),
        "worth now": lambda row: number(row["value"], digits),
        "to win": lambda row: number(row["repair_value"], digits),
        "what to do": lambda row: ADVICE[row["suggested_action"]],
    }
    caption = (
        f"{_most(len(top))} to win, of those who fell (in {study.unit}). How sure: the probability "
        "of being below the stage then."
    )
    return tabulate("drifting", caption, top, columns, word_columns=(2, 3, 7))


def _table_of_top(study: Study, customers: pd.DataFrame) -> Table:
    top = most_worth(customers)
    digits = int(study.scored.customers["value"].max() < 10)
    columns = {
        "Customer": lambda row: str(row["customer_id"])[:60],
        "last order": lambda row: row["last_order"],
        "orders": lambda row: number(row["orders"]),
        "paid so far": lambda row: number(row["amount"]),
        "stage": lambda row: row["most_likely_stage"],
        "probability of an order in a year": lambda row: percent(row["p_order_next_year"]),
        "worth": lambda row: number(row["value"], digits),
        "what to do": lambda row: ADVICE[row["suggested_action"]],
    }
    if not study.has_amounts:
        del columns["paid so far"]
    place = list(columns).index
    plan = study.plan
    ahead = f"{plan.year} {plan.period}s"
    caption = f"{_most(len(top))} expected worth in the next {ahead} (in {study.unit})."
    return tabulate(
        "top", caption, top, columns, word_columns=(place("stage"), place("what to do"))
    )


def _most(n: int) -> str:
    return f"The {plural(n, 'customer')} with most"


def _table_of_errors(study: Study) -> Table:
    test = study.holdout
    scores = {name_of(version): score for version, score in test.log_scores.items()}
    caption = (
        f"The test: {number(test.tracks['actual'][-1])} repeat orders were made by "
        f"{number(test.n_customers)} customers. Errors per customer are in orders; a higher log "
        "score is better."
    )
    return tabulate_errors(test.errors, caption, scores)


def tabulate_errors(
    errors: pd.DataFrame, caption: str, log_scores: Mapping[str, float] | None = None
) -> Table:
    """Make a table of how far off each rule was, with the best by squared error highlighted.

    Parameters
    ----------
    errors : DataFrame
        As `forecast_errors` gives it.
    caption : str
    log_scores : mapping of rule to float, optional
        Of the rules that give probabilities; adds a column.
    """
    columns = {
        "Rule": lambda row: row.name,
        "total": lambda row: number(row["total"]),
        "error of total": lambda row: signed_percent(row["total_error"], 1),
        "mean absolute error": lambda row: f"{row['mean_absolute_error']:.3f}",
        "root mean squared error": lambda row: f"{row['root_mean_squared_error']:.3f}",
    }
    if log_scores is not None:
        columns["log score"] = lambda row: (
            number(log_scores[row.name], 1) if row.name in log_scores else "\N{EN DASH}"
        )
    best = (int(errors["root_mean_squared_error"].argmin()),)
    return tabulate("errors", caption, errors, columns, best=best)


def _table_of_check(study: Study) -> Table:
    columns = {
        "Customers with": lambda row: class_name(study.check, row.name),
        "seen": lambda row: percent(row["seen"], 1),
        "made by the model": lambda row: percent(row["expected"], 1),
        "90% interval": lambda row: percent_span(row["low"], row["high"]),
    }
    caption = (
        "Customers by repeat orders in the whole window: as they are, and as the model makes them."
    )
    return tabulate("check", caption, study.check, columns)


def _table_of_sizes(study: Study) -> Table:
    columns = {
        "Customers in the fit": lambda row: number(row.name),
        "stages": lambda row: number(row["stages"]),
        "orders expected": lambda row: number(row["mean"]),
        "90% interval": lambda row: span(row["low"], row["high"]),
    }
    caption = (
        f"Orders expected of the same customers (the largest sample) in the next {study.plan.year} "
        f"{study.plan.period}s, by the number of customers in the fit."
    )
    return tabulate("sizes", caption, study.sizes, columns)


def _table_of_actions(study: Study) -> Table:
    counts = suggest(study.scored, study.action_cost).value_counts()
    rows = [(word, number(counts[word]), what) for word, what in ACTIONS.items() if word in counts]
    return Table(
        "actions",
        "What the table of customers suggests to test.",
        ["Word", "customers", "meaning"],
        rows,
        words=True,
    )


# --- files besides the orders ---------------------------------------------------------------------


def describe_files(study: Study) -> list[tuple[str, str, Table]]:
    """Describe each file: its title, how it is used, and how every row of it was read.

    Parameters
    ----------
    study : Study
    """
    verdicts = {one.kind: one for one in study.verdicts}
    return [
        (
            f"{one.kind.capitalize()}: {one.quality.source}",
            _describe_use(one, verdicts.get(one.kind)),
            _table_of_reading(one),
        )
        for one in study.events
    ]


def _describe_use(events: Events, verdict: Verdict | None) -> str:
    if verdict is None:
        return "Not used for the stages: it says what the firm did, not what customers do."
    if not verdict.is_used:
        return f"Not used for the stages: {verdict.why}."
    since, until = (day.date() for day in events.recorded)
    return (
        f"A channel of the stages: {verdict.why}. Recorded from {since} to {until}; what happened "
        "before and after is taken as unknown."
    )


def _table_of_reading(events: Events) -> Table:
    quality = events.quality
    form = [d.choice for d in quality.decisions if d.what in _FORM]
    rows = [
        *([("file", ", ".join(form), "found in its first lines")] if form else []),
        *((d.what, d.choice, d.evidence) for d in quality.decisions if d.what not in _FORM),
        *_list_findings(quality, ""),
    ]
    return Table(
        f"how-{events.kind}",
        f"How the {events.kind} were read, and what happened to each row.",
        ["What", "choice or count", "evidence, or what was done"],
        rows,
        words=True,
    )


def _list_findings(quality: Quality, noun: str) -> list[tuple[str, str, str]]:
    """List the rows read, those set aside, the rows used, and what is unusual about these."""
    aside, kept = (
        [
            (finding.what, number(finding.rows), finding.done)
            for finding in sorted(quality.findings, key=lambda finding: -finding.rows)
            if (finding.set_aside > 0) is is_aside
        ]
        for is_aside in (True, False)
    )
    used = ("rows used", number(quality.rows_used), noun)
    return [("rows read", number(quality.rows_read), ""), *aside, used, *kept]


def _tables_of_files(study: Study) -> dict[str, Table]:
    """Make the tables of what files add, how stages look in them, and of actions."""
    tables = {}
    if len(study.contributions):
        tables["contributions"] = _table_of_contributions(study.contributions)
        tables["looks"] = _table_of_looks(study)
    if len(study.actions):
        tables["followed"] = _table_of_followed(study)
    return tables


def _table_of_contributions(contributions: pd.DataFrame) -> Table:
    columns = {
        "Files read": lambda row: row.name,
        "probability of the most likely stage": lambda row: percent(row["likeliest"], 1),
        "entropy (bits)": lambda row: f"{row['entropy']:.2f}",
        "other stage than from orders": lambda row: percent(row["changed"], 1),
        "log score": lambda row: signed(row["log_score"]),
    }
    caption = (
        "The same customers under the same fit, read with fewer and with more files. The log score "
        "is that of the orders of the test, less that of orders alone; higher is better."
    )
    return tabulate("added-table", caption, contributions, columns)


def _table_of_looks(study: Study) -> Table:
    """Say what each stage looks like in each channel."""
    columns, head = [], []
    for channel in study.fit.model.channels:
        for parameter in channel.parameter_names:
            values = study.drawn.parameter(f"{channel.name}_{parameter}")
            columns.append(channel.mean(**{parameter: values}).mean(axis=(0, 1)))
            if isinstance(channel, OrdinalSurvey):
                head.append(f"mean level of answers (1 to {channel.n_levels})")
            else:
                head.append(f"{channel.name.replace('_', ' ')} per {study.plan.period}")
    rows = [
        [name, *(f"{column[k]:.3g}" for column in columns)] for k, name in enumerate(study.names)
    ]
    return Table("looks", "What a customer in each stage does, on average.", ["Stage", *head], rows)


def _table_of_followed(study: Study) -> Table:
    def share(name: str) -> Callable[[pd.Series], str]:
        return lambda row: percent(row[name], 1) if row["followed"] else ""

    columns = {
        "Action": lambda row: str(row.name),
        "times in all": lambda row: number(row["rows"]),
        "customers in all": lambda row: number(row["customers"]),
        "mean cost": lambda row: f"{row['cost']:,.2f}" if pd.notna(row["cost"]) else "",
        "customers in the season": lambda row: number(row["followed"]),
        "fell": share("fell"),
        "others: fell": share("fell_others"),
        "rose": share("rose"),
        "others: rose": share("rose_others"),
    }
    if study.actions["cost"].isna().all():
        del columns["mean cost"]
    caption = (
        f"Customers who got an action in the last {study.plan.season} {study.plan.period}s, and "
        "others in the same stages who got none."
    )
    return tabulate("acted-table", caption, study.actions, columns)
