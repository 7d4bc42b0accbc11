"""The page: a study in, one self-contained HTML text out."""

import re
from functools import partial

import numpy as np
import pandas as pd

import crmlab.analyst.sentences as say
from crmlab.analyst.advice import tell_monday
from crmlab.analyst.cohorts import PERIOD_NAMES
from crmlab.analyst.customers import fallen
from crmlab.analyst.figures import draw_figures
from crmlab.analyst.glossary import WORDS
from crmlab.analyst.history import Past, draw_history, look_back, tell_begin, tell_sales
from crmlab.analyst.holdout import name_of, other_version
from crmlab.analyst.purchase_models import BGNBD_NAME, LARGEST_SAMPLE
from crmlab.analyst.replicates import replicated_draws
from crmlab.analyst.scoring import DRAWS, FEW_DRAWS, MANY
from crmlab.analyst.study import Study
from crmlab.analyst.tables import count_segments, describe_files, make_tables
from crmlab.plots import style
from crmlab.report.numbers import listed, number, percent
from crmlab.report.parts import read_template

FILES = {
    "next_actions.csv": "whom to do what for, for import into a CRM system",
    "customers.csv": "every customer, with stage, worth and their uncertainty",
    "customers_columns.csv": "what each column of these two files means",
    "quality.json": "how the files were read, and what was set aside",
    "manifest.json": "versions, parameters, seed and checksums: what is needed to make the tables "
    "again, byte for byte",
    "fit/": "the fitted model, with which crmlab score scores other customers",
}


def render_report(study: Study, customers: pd.DataFrame, *, pseudonyms: bool, made: str) -> str:
    """Write the page.

    Parameters
    ----------
    study : Study
    customers : DataFrame
        The table of customers, as it is written, or its rows of `to_act_upon`.
    pseudonyms : bool
        Whether ids are pseudonyms.
    made : str
        The version of crmlab, and the seed.
    """
    style("page")
    past = look_back(study)
    render = partial(
        read_template("crmlab.analyst", "report.html.jinja").render,
        **_describe_study(study),
        **_describe_files(study),
        tiles=_tiles(study),
        sentences=_sentences(study, past),
        monday=tell_monday(study, customers),
        cohort=PERIOD_NAMES[past.cohorts.unit],
        figures=draw_history(past, study.unit) | draw_figures(study),
        tables=make_tables(study, customers),
        alarms=_alarms(study),
        pseudonyms=pseudonyms,
        made=made,
    )
    return render(words=_find_words(render(words={})))


def _describe_study(study: Study) -> dict[str, object]:
    """Return the facts that the text of the page mentions."""
    plan, chosen = study.plan, study.holdout.chosen
    n_customers, n_sample = len(study.scored.customers), study.fit.panel.sizes["customer_id"]
    return {
        "plan": plan,
        "period": plan.period,
        "cutoff": plan.cutoff.date(),
        "first": plan.first.date(),
        "last": plan.last.date(),
        "names": study.names,
        "lowest": WORDS[study.names[0]],
        "chosen": chosen,
        "other": name_of(other_version(chosen)),
        "n_customers": number(n_customers),
        "n_sample": number(n_sample),
        "sampled": n_sample < n_customers,
        "shortened": _shortened(n_customers),
        "n_tested": number(study.holdout.n_customers),
        "n_replicates": len(replicated_draws(study.drawn)),
        "worth_of": study.worth_of,
        "has_amounts": study.has_amounts,
        "discount": percent(study.settings.discount),
        "rival": BGNBD_NAME in study.holdout.errors.index,
    }


def _find_words(text: str) -> dict[str, str]:
    """Find the words that a page uses, outside its style and its figures."""
    shown = re.sub(r"<style>.*?</style>|data:[^\"]*", "", text, flags=re.DOTALL)
    return {
        word: meaning
        for word, meaning in WORDS.items()
        if re.search(rf"\b{re.escape(word.split(' (')[0])}", shown, re.IGNORECASE)
    }


def _describe_files(study: Study) -> dict[str, object]:
    """Return what the text of the page says about files."""
    used = study.used_files
    qualities = [study.sales.quality, *(one.quality for one in study.events)]
    return {
        "source": study.sales.quality.source,
        "sources": listed(["orders", *used]),
        "used": used,
        "named": listed(used).capitalize() if used else "",
        "files": FILES,
        "described": describe_files(study),
        "answered": _answered(study),
        "personal": [name for quality in qualities for name in quality.personal],
        "cost": f"{study.action_cost:,.2f} {study.unit}" if study.action_cost > 0 else "",
    }


def _shortened(n_customers: int) -> str:
    """Say what uses fewer customers or draws if there are very many customers."""
    if n_customers <= MANY:
        return ""
    return (
        f"With so many customers, {FEW_DRAWS} draws of the fit are read instead of {DRAWS}, and "
        "BG/NBD and the Gamma-Gamma model are fitted to a stratified sample of "
        f"{number(LARGEST_SAMPLE)}."
    )


def _answered(study: Study) -> str:
    """Return the share of observed cells with an answer; an empty string without surveys."""
    panel = study.fit.panel
    if "surveys" not in panel:
        return ""
    return percent(float(panel["surveys"].notnull().sum() / panel["observed"].sum()), 1)


def _sentences(study: Study, past: Past) -> dict[str, str]:
    plan, test = study.plan, study.holdout
    sentences = {
        "data": say.tell_data(study),
        "begin": tell_begin(study.sales.window[0], len(study.known)),
        "sales": tell_sales(past.sales, study.unit),
        "segments": say.tell_segments(count_segments(study)),
        "stand": say.tell_stand(study),
        "sure": say.tell_sure(test.reliability, plan.n_ahead, plan.period),
        "drift": say.tell_drift(study),
        "worth": say.tell_worth(study),
        "test": say.tell_test(test),
        "fit": say.tell_fit(study.check),
        "sample": say.tell_sample(study.sizes, len(study.scored.customers)),
    }
    if len(study.contributions):
        sentences["added"] = say.tell_added(study.contributions)
        sentences["alone"] = say.tell_alone(test)
    if len(study.actions):
        sentences["followed"] = say.tell_followed(study.actions, plan.season, plan.period)
    return sentences


def _tiles(study: Study) -> list[tuple[str, str]]:
    value = study.scored.totals["value"]
    mean, _, _ = say.round_together(value.mean(), *np.quantile(value, (0.05, 0.95)))
    return [
        (number(len(study.purchases.histories)), "customers"),
        (number(len(study.sales.orders)), "orders"),
        (
            number(int(fallen(study.scored).sum())),
            f"fell to a lower stage in {study.plan.season} {study.plan.period}s",
        ),
        (number(mean), f"{study.unit} expected in the next {study.plan.year} {study.plan.period}s"),
    ]


def _alarms(study: Study) -> list[str]:
    problems = study.fit.problems
    found = [f"The fit has not converged: {'; '.join(problems)}."] if problems else []
    return [*found, *(f"The file says little: {remark}." for remark in study.fit.remarks)]
