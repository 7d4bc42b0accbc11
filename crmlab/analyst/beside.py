"""The part of the page on the files beside the orders: how they were read, what they add."""

import pandas as pd

import crmlab.demo.sentences as say
from crmlab.analyst.sentences import signed
from crmlab.analyst.study import Study
from crmlab.channels import OrdinalSurvey
from crmlab.reading import Events
from crmlab.report.parts import Table

_FORM = ("encoding", "delimiter", "header")


def describe_files(study: Study) -> list[tuple[str, str, Table]]:
    """Describe each file: its title, what became of it, and how every row of it was read.

    Parameters
    ----------
    study : Study
    """
    verdicts = {one.kind: one for one in study.verdicts}
    described = []
    for one in study.events:
        verdict = verdicts.get(one.kind)
        if verdict is None:
            said = "What was done to customers; no channel of the stages, which are what they do."
        elif verdict.is_used:
            since, until = (day.date() for day in one.recorded)
            said = (
                f"A channel of the stages: {verdict.why}. Recorded from {since} to {until}; what "
                "lies before and after is taken as unknown."
            )
        else:
            said = f"Not used for the stages: {verdict.why}."
        described.append((f"{one.kind.capitalize()}: {one.quality.source}", said, _reading(one)))
    return described


def _reading(events: Events) -> Table:
    quality = events.quality
    form = [d.choice for d in quality.decisions if d.what in _FORM]
    rows = [
        *([("file", ", ".join(form), "found in its first lines")] if form else []),
        *((d.what, d.choice, d.evidence) for d in quality.decisions if d.what not in _FORM),
        ("rows read", say.number(quality.rows_read), ""),
        *((f.what, say.number(f.rows), f.done) for f in quality.findings),
        ("rows used", say.number(quality.rows_used), ""),
    ]
    return Table(
        f"how-{events.kind}",
        f"How the {events.kind} were read, and what became of each row.",
        ["What", "choice or count", "evidence, or what was done"],
        rows,
        words=True,
    )


def beside_tables(study: Study) -> dict[str, Table]:
    """Make the tables of what files add, of what stages look like in them, and of actions.

    Parameters
    ----------
    study : Study
    """
    tables = {}
    if len(study.added):
        tables |= {"added": _table_of_added(study.added), "looks": _table_of_looks(study)}
    if len(study.acted):
        tables["acted"] = _table_of_acted(study)
    return tables


def _table_of_added(added: pd.DataFrame) -> Table:
    rows = [
        [
            name,
            say.percent(row["likeliest"], 1),
            f"{row['entropy']:.2f}",
            say.percent(row["changed"], 1),
            signed(row["log_score"]),
        ]
        for name, row in added.iterrows()
    ]
    return Table(
        "added-table",
        "The same customers under the same fit, with more and with less to read. The log score is "
        "that of the orders of the test, less that of orders alone; higher is better.",
        [
            "What is read",
            "probability of the most likely stage",
            "entropy (bits)",
            "another stage than by orders",
            "log score",
        ],
        rows,
    )


def _table_of_looks(study: Study) -> Table:
    """Say what each stage looks like in each channel."""
    columns, head = [], []
    for channel in study.fit.model.channels:
        for parameter in channel.parameter_names:
            values = study.drawn.seen[f"{channel.name}_{parameter}"]
            columns.append(channel.mean(**{parameter: values}).mean(axis=(0, 1)))
            if isinstance(channel, OrdinalSurvey):
                head.append(f"mean level of answers (1 to {channel.n_levels})")
            else:
                head.append(f"{channel.name.replace('_', ' ')} per {study.plan.period}")
    rows = [
        [name, *(f"{column[k]:.3g}" for column in columns)] for k, name in enumerate(study.names)
    ]
    return Table("looks", "What a customer in each stage does, on average.", ["Stage", *head], rows)


def _table_of_acted(study: Study) -> Table:
    costs = study.acted["cost"].notna().any()
    rows = [
        [
            str(name),
            say.number(row["rows"]),
            say.number(row["customers"]),
            *([f"{row['cost']:,.2f}" if row["cost"] == row["cost"] else ""] if costs else []),
            say.number(row["followed"]),
            *(
                say.percent(row[word], 1) if row["followed"] else ""
                for word in ("fell", "fell_others", "rose", "rose_others")
            ),
        ]
        for name, row in study.acted.iterrows()
    ]
    return Table(
        "acted-table",
        f"Customers to whom something was done in the last {study.plan.season} "
        f"{study.plan.period}s, beside others who got nothing then and stood in the same stages.",
        [
            "Action",
            "times in all",
            "customers in all",
            *(["mean cost"] if costs else []),
            "customers in the season",
            "fell",
            "others: fell",
            "rose",
            "others: rose",
        ],
        rows,
    )
