"""The page of the demo: results in, one self-contained HTML text out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

import crmlab.demo.bank as b
import crmlab.demo.figures as draw
import crmlab.demo.sentences as say
import crmlab.demo.shop as o
from crmlab.analyst.holdout import STAGES
from crmlab.analyst.purchase_models import BGNBD_NAME, NAIVE
from crmlab.analyst.tables import tabulate_errors
from crmlab.plots import plot_calibration, plot_stage_value, style
from crmlab.report.numbers import money, number, percent, signed_percent, span
from crmlab.report.parts import Table, element, read_template, tabulate
from crmlab.stages import K10_MARGINS, KNAPP

TITLE = "Where do the customers stand?"
BANK_FILE, SHOP_FILE = "bank_customers.csv", "orders_customers.csv"
N_TOP = 12


def render_page(bank: "b.Bank", shop: "o.Shop", customers: Mapping[str, pd.DataFrame]) -> str:
    """Write the whole page.

    Parameters
    ----------
    bank : Bank
    shop : Shop
    customers : mapping of file name to DataFrame
        The files written with the page.

    Returns
    -------
    str
        HTML that needs no other file.
    """
    style("page")
    first, second = _bank_part(bank, customers[BANK_FILE]), _shop_part(shop)
    return read_template("crmlab.demo", "page.html.jinja").render(
        title=TITLE,
        bank=first,
        shop=second,
        short=_in_short(first["sentences"], second["sentences"]),
        alarms=_alarms(bank, shop),
        files=_describe_files(customers),
        made=_tell_settings(bank, shop),
    )


# --- part one -------------------------------------------------------------------------------------


def _bank_part(bank: "b.Bank", customers: pd.DataFrame) -> dict[str, Any]:
    scores, confusions = b.score_stages(bank), b.count_confusions(bank)
    calibration, worth = b.calibrate_stages(bank), b.compare_worth(bank)
    flags, top = b.judge_flags(bank), _list_top(customers)
    mistakes = b.split_mistakes(confusions)
    example = top.iloc[0]
    sentences = {
        "base": say.tell_base(*_shares_now(bank)),
        "example": say.tell_example(example),
        "accuracy": say.tell_accuracy(scores),
        "sides": say.tell_sides(scores, mistakes),
        "flags": say.tell_flags(flags),
        "year": say.tell_year(b.judge_year(bank)),
        "risk": _tell_risk(bank, top),
        "worth": say.tell_worth(worth),
    }
    figures = {
        "staircase": element(draw.draw_staircase(bank), say.tell_staircase(_mean_matrix(bank))),
        "base": element(draw.draw_base(bank), say.tell_river(_phase_shares(bank))),
        "customer": element(
            draw.draw_customer(bank, int(example["customer_id"])), _tell_band(bank, example)
        ),
        "confusions": element(draw.draw_confusions(confusions), say.tell_confusions(confusions)),
        "calibration": element(plot_calibration(calibration), say.tell_calibration(calibration)),
        "worth": element(
            plot_stage_value(bank.worth_of_stages, KNAPP, unit="EUR"), _tell_widths(worth)
        ),
    }
    return {
        "n_customers": f"{b.N_CUSTOMERS:,}",
        "n_seen": b.N_SEEN,
        "n_hidden": b.N_HIDDEN,
        "rate": percent(b.YEARLY_RATE),
        "margin_low": number(K10_MARGINS.min()),
        "margin_high": number(K10_MARGINS.max()),
        "example": {"id": int(example["customer_id"])},
        "tiles": _bank_tiles(scores, flags, worth),
        "sentences": sentences,
        "figures": figures,
        "tables": {
            "scores": _table_of_scores(scores),
            "top": _table_of_top(top),
            "worth": _table_of_worth(worth),
        },
    }


def _list_top(customers: pd.DataFrame) -> pd.DataFrame:
    """List the flagged customers with the most at risk; all customers if none is flagged."""
    flagged = customers[customers["flagged"] == 1]
    pool = flagged if len(flagged) else customers
    order = ["value_at_risk", "p_coming_apart", "customer_id"]
    return pool.sort_values(order, ascending=[False, False, True], kind="stable").head(N_TOP)


def _shares_now(bank: "b.Bank") -> tuple[pd.Series, pd.Series]:
    names = list(KNAPP.names)
    believed = bank.probs_now.mean(("chain", "draw", "customer_id")).values
    true = np.bincount(bank.now, minlength=len(names)) / len(bank.now)
    return pd.Series(believed, names), pd.Series(true, names)


def _mean_matrix(bank: "b.Bank") -> pd.DataFrame:
    names = list(KNAPP.names)
    return pd.DataFrame(bank.matrices.mean(("chain", "draw")).values, names, names)


def _phase_shares(bank: "b.Bank") -> pd.DataFrame:
    mean = bank.hindsight.mean(("chain", "draw", "customer_id")).transpose("period", "stage").values
    return pd.DataFrame(
        {
            "those coming together": mean[:, ~b.APART].sum(axis=1),
            "those coming apart": mean[:, b.DRIFTING].sum(axis=1),
            "those who have left": mean[:, b.LEFT],
        },
        index=range(1, len(mean) + 1),
    )


def _tell_band(bank: "b.Bank", example: pd.Series) -> str:
    place = np.flatnonzero(bank.fit.panel["customer_id"].values == example["customer_id"])[0]
    apart = bank.probs[place][:, b.DRIFTING].sum(axis=1)
    return (
        f"The probability that customer {example['customer_id']} is coming apart goes from "
        f"{percent(apart[0])} in quarter 1 to {percent(apart[-1])} in quarter "
        f"{len(apart)}; it is highest in quarter {apart.argmax() + 1}, at "
        f"{percent(apart.max())}."
    )


def _tell_widths(worth: pd.DataFrame) -> str:
    width = worth["high"] - worth["low"]
    widest, best = width.idxmax(), worth["mean"].idxmax()
    return (
        f"Worth is highest in {best} ({money(worth.loc[best, 'mean'], 'EUR')}) and least sure "
        f"in {widest}, whose interval is {money(width[widest], 'EUR')} wide."
    )


def _tell_risk(bank: "b.Bank", top: pd.DataFrame) -> str:
    risk = bank.at_risk.mean(("chain", "draw")).values
    shown = np.isin(bank.fit.panel["customer_id"].values, top["customer_id"])
    return say.tell_risk(
        risk.sum(),
        risk[bank.flagged].sum(),
        int(bank.flagged.sum()),
        risk[shown].sum(),
        len(top),
    )


def _bank_tiles(
    scores: pd.DataFrame, flags: "b.FlagQuality", worth: pd.DataFrame
) -> list[tuple[str, str]]:
    model, oracle = scores.loc["model"], scores.loc["oracle"]
    return [
        (
            percent(model["stage"]),
            f"of stages named rightly (best possible: {percent(oracle['stage'])})",
        ),
        (
            percent(model["side"]),
            f"of sides, together or apart (best possible: {percent(oracle['side'])})",
        ),
        (f"{flags.n_right} of {flags.n_flagged}", "flagged customers really coming apart"),
        (f"{number(worth.loc['bonding', 'mean'])} EUR", "worth of a customer in bonding"),
    ]


def _table_of_scores(scores: pd.DataFrame) -> Table:
    names = {
        "model": "the model",
        "oracle": "an oracle (knows the parameters)",
        "guess": "a guess (the commonest)",
    }
    columns = {
        "Judge": lambda row: names[row.name],
        "right stage of ten": lambda row: percent(row["stage"], 1),
        "right side": lambda row: percent(row["side"], 1),
        "log score": lambda row: number(row["log_score"], 2),
    }
    caption = "How often each judge is right, over all customer-quarters before leaving."
    return tabulate("judges", caption, scores, columns, best=(0,))


def _table_of_top(top: pd.DataFrame) -> Table:
    columns = {
        "Customer": lambda row: str(row["customer_id"]),
        "most likely stage": lambda row: row["most_likely_stage"],
        "coming apart": lambda row: percent(row["p_coming_apart"]),
        "gone in a year": lambda row: percent(row["p_left_in_a_year"]),
        "worth now (EUR)": lambda row: (
            f"{number(row['value'])} ({span(row['value_low'], row['value_high'])})"
        ),
        "at risk (EUR)": lambda row: number(row["value_at_risk"]),
        "truth": lambda row: f"{row['true_stage']} {'✓' if _is_drifting(row) else '✗'}",
    }
    caption = (
        "Flagged customers with most at risk. Worth with its central 90% interval; ✓ = really "
        "coming apart."
    )
    return tabulate("top", caption, top, columns, word_columns=(1, 6))


def _is_drifting(row: pd.Series) -> bool:
    return bool(b.DRIFTING[KNAPP.index(row["true_stage"])])


def _table_of_worth(worth: pd.DataFrame) -> Table:
    columns = {
        "Stage": lambda row: row.name,
        "mean": lambda row: number(row["mean"]),
        "90% interval": lambda row: span(row["low"], row["high"]),
        "true worth": lambda row: number(row["true"]),
        "inside?": lambda row: "yes" if row["low"] <= row["true"] <= row["high"] else "no",
    }
    caption = "Worth of a customer in each stage, EUR, beside the truth."
    return tabulate("worth-of-stages", caption, worth, columns)


# --- part two -------------------------------------------------------------------------------------


def _shop_part(shop: "o.Shop") -> dict[str, Any]:
    errors, classes = o.score_forecasts(shop), o.compare_by_frequency(shop)
    stages, tracks = o.describe_stages(shop), o.track_weeks(shop)
    actual, rehearsal = float(shop.actual.sum()), shop.rehearsal
    sentences = {
        "rehearsal": say.tell_rehearsal(rehearsal.actual, rehearsal.scores),
        "stages": say.tell_levels(stages),
        "totals": say.tell_totals(actual, errors),
        "winner": say.tell_winner(errors),
        "why": say.tell_why(errors),
        "classes": say.tell_classes(classes),
        "alive": _tell_alive(shop, stages),
        "value": _tell_value(shop),
    }
    figures = {
        "tracking": element(draw.draw_tracking(tracks), _tell_tracks(tracks)),
        "classes": element(draw.draw_classes(classes), _tell_slopes(classes)),
    }
    first = shop.weekly[np.arange(len(shop.weekly)), o.find_window(shop.panel).first]
    days = 7 * (shop.summary["T"] % 1)
    return {
        "loglik": number(o.PUBLISHED.loglik(*shop.rivals.history).sum(), 1),
        "published_loglik": number(o.PUBLISHED_LOGLIK, 1),
        "first_week_orders": number(first.sum()),
        "first_week_days": number(days.mean(), 1),
        "mean_spend": number(shop.mean_spend, 2),
        "tiles": _shop_tiles(actual, errors),
        "sentences": sentences,
        "figures": figures,
        "tables": {
            "rehearsal": _table_of_rehearsal(rehearsal),
            "stages": _table_of_stages(stages),
            "scores": _table_of_errors(errors),
        },
    }


def _tell_alive(shop: "o.Shop", stages: pd.DataFrame) -> str:
    silent = shop.summary["frequency"].to_numpy() == 0
    certain = silent & (shop.rivals.prob_alive().to_numpy() == 1)
    return say.tell_alive(stages, int(silent.sum()), int(certain.sum()))


def _tell_value(shop: "o.Shop") -> str:
    total = shop.value.sum("customer_id")
    low, high = total.quantile([0.05, 0.95]).values
    each = np.sort(shop.value.mean(("chain", "draw")).values)[::-1]
    tenth = each[: round(len(each) / 10)].sum() / each.sum()
    digits = int(np.floor(np.log10(max((high - low) / 2, 1))))
    mean, low, high = (round(float(v), -digits) for v in (total.mean(), low, high))
    return say.tell_value(mean, low, high, tenth)


def _tell_tracks(tracks: Mapping[str, np.ndarray]) -> str:
    actual = tracks["actual"]
    at = {"week 39": o.N_SEEN - 1, "week 78": o.N_WEEKS - 1}
    parts = [
        f"by {when} there were {number(actual[k])} repeat orders, where the stages say "
        f"{number(np.mean(tracks[STAGES], axis=0)[k])} and BG/NBD "
        f"{number(tracks[BGNBD_NAME][k])}"
        for when, k in at.items()
    ]
    return f"{'; '.join(parts)}.".capitalize().replace("bg/nbd", "BG/NBD")


def _tell_slopes(classes: pd.DataFrame) -> str:
    low, high = classes.iloc[0], classes.iloc[-1]
    return (
        f"Customers without a repeat order in weeks 1 to 39 made {low['actual']:.2f} in weeks 40 "
        f"to 78 (stages {low[STAGES]:.2f}, BG/NBD {low[BGNBD_NAME]:.2f}, same rate "
        f"{low[NAIVE]:.2f}); those with {classes.index[-1]} or more made {high['actual']:.1f} "
        f"(stages {high[STAGES]:.1f}, BG/NBD {high[BGNBD_NAME]:.1f}, same rate "
        f"{high[NAIVE]:.1f})."
    )


def _shop_tiles(actual: float, errors: pd.DataFrame) -> list[tuple[str, str]]:
    tiles = [(number(actual), "repeat orders in weeks 40 to 78")]
    for name, row in errors.iterrows():
        label = f"{name}: expected {number(row['total'])}"
        tiles.append((signed_percent(row["total_error"]), label))
    return tiles


def _table_of_rehearsal(rehearsal: "o.Rehearsal") -> Table:
    columns = {
        "Version": lambda row: f"silent customers are {row.name}",
        "orders expected": lambda row: number(row["expected"]),
        "orders made": lambda row: number(rehearsal.actual),
        "log score": lambda row: number(row["log_score"], 1),
    }
    caption = (
        "The rehearsal: weeks 27 to 39, forecast from weeks 1 to 26. A higher log score is better."
    )
    best = (int(rehearsal.scores["log_score"].argmax()),)
    return tabulate("rehearsal", caption, rehearsal.scores, columns, best=best)


def _table_of_stages(stages: pd.DataFrame) -> Table:
    columns = {
        "Level": lambda row: row.name,
        "weeks between orders": lambda row: number(
            row["weeks_between"], int(row["weeks_between"] < 30)
        ),
        "weeks per stay": lambda row: (
            number(row["sojourn"]) if np.isfinite(row["sojourn"]) else "never left"
        ),
        "customers": lambda row: number(row["customers"]),
        "orders expected, weeks 40 to 78": lambda row: _or_dash(row["expected"]),
        "orders made": lambda row: _or_dash(row["actual"]),
        "P(alive) by BG/NBD": lambda row: _or_dash(row["prob_alive"]),
    }
    caption = (
        "The four levels, as learned from weeks 1 to 39, and the customers who most likely stood "
        "there. The last three columns are means over these customers."
    )
    return tabulate("levels", caption, stages, columns)


def _or_dash(value: float) -> str:
    return "\N{EN DASH}" if np.isnan(value) else f"{value:.2f}"


def _table_of_errors(errors: pd.DataFrame) -> Table:
    return tabulate_errors(
        errors,
        "Weeks 40 to 78. Errors per customer are in orders. The absolute error favours forecasts "
        "that are too low, since most customers order nothing; the squared error and the total do "
        "not.",
    )


# --- the frame ------------------------------------------------------------------------------------


def _in_short(bank: Mapping[str, str], shop: Mapping[str, str]) -> list[str]:
    return [
        bank["accuracy"],
        bank["flags"],
        bank["worth"],
        f"{shop['totals']} {shop['winner']}",
    ]


def _alarms(bank: "b.Bank", shop: "o.Shop") -> list[str]:
    """Name the fits that have not converged, for the top of the page."""
    fits = {"the bank": bank.fit, "the shop": shop.fit}
    return [
        f"The fit of {name} has not converged: {'; '.join(fitted.problems)}."
        for name, fitted in fits.items()
        if fitted.problems
    ]


def _describe_files(customers: Mapping[str, pd.DataFrame]) -> list[Table]:
    columns = {BANK_FILE: b.COLUMNS, SHOP_FILE: o.COLUMNS}
    return [
        Table(
            name.removesuffix(".csv"),
            f"{name}: {number(len(frame))} rows.",
            ["Column", "Meaning"],
            list(columns[name].items()),
            words=True,
        )
        for name, frame in customers.items()
    ]


def _tell_settings(bank: "b.Bank", shop: "o.Shop") -> Table:
    rows = [
        [
            name,
            f"{sizes['chain']} chains of {sizes['draw']} draws (seed {fitted.idata.attrs['seed']})",
            "; ".join(fitted.problems) or "no sign of trouble",
        ]
        for name, fitted in (("the bank", bank.fit), ("the shop", shop.fit))
        if (sizes := fitted.posterior.sizes)
    ]
    return Table(
        "sampler",
        "The sampler (No-U-Turn), and what the convergence checks say: R-hat at most 1.02, "
        "effective sample size at least 100 per chain, no divergence.",
        ["Fit", "draws", "verdict"],
        rows,
        words=True,
    )
