"""Sentences computed from numbers: each reports them whichever way they fall.

No sentence of the demo is written with its outcome in mind. A verdict ("wins", "too low", "more
often") is chosen by comparing the numbers, and reversed numbers reverse it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from crmlab.evaluation import FlagQuality
from crmlab.report.numbers import listed, money, number, off_by, percent, plural

# --- the bank -------------------------------------------------------------------------------------


def tell_accuracy(scores: pd.DataFrame) -> str:
    """Say how often the model is right, compared with the oracle and the guess."""
    model, oracle, guess = (scores.loc[name, "stage"] for name in ("model", "oracle", "guess"))
    lost = oracle - model
    close = (
        "as good as one can be with these records"
        if lost < 0.01
        else f"{percent(lost)[:-1]} points short of the best that these records allow"
    )
    verdict = "far better than guessing" if model > guess + 0.1 else "little better than guessing"
    return (
        f"The model names the right one of ten stages in {percent(model)} of cases; knowing the "
        f"world's true parameters would give {percent(oracle)}, and always naming the commonest "
        f"stage {percent(guess)}: {verdict}, and {close}."
    )


def tell_sides(scores: pd.DataFrame, mistakes: Mapping[str, float]) -> str:
    """Say how often the side is right, and which kind of mistake is the most common."""
    kinds = {
        "mirror": "takes a stage for its mirror (the same tread, the other side)",
        "neighbour": "is one tread off, on the right side",
        "other": "is further off",
    }
    commonest = max(mistakes, key=lambda kind: mistakes[kind])
    return (
        f"The side, together or apart, is right in {percent(scores.loc['model', 'side'])} of "
        f"cases. Of the wrong stages, {percent(mistakes[commonest])} are of one kind: the model "
        f"{kinds[commonest]}."
    )


def tell_calibration(table: pd.DataFrame) -> str:
    """Say whether probabilities mean what they say, judged by the worst bin with enough cases."""
    inside = (table["lower"] <= table["predicted"]) & (table["predicted"] <= table["upper"])
    gap = (table["observed"] - table["predicted"]).abs()
    worst = gap.idxmax()
    row = table.loc[worst]
    verdict = (
        "The probabilities mean what they say"
        if inside.mean() >= 0.75
        else "The probabilities do not quite mean what they say"
    )
    return (
        f"{verdict}: in {inside.sum()} of {len(table)} bins the predicted probability lies in the "
        f"90% interval of what came true; the largest gap is in the bin around "
        f"{percent(row['predicted'])}, of which {percent(row['observed'])} came true."
    )


def tell_flags(quality: FlagQuality) -> str:
    """Say how many flags are right, and how many customers are missed."""
    if quality.n_flagged == 0:
        return f"No customer is flagged, though {quality.n_true} are coming apart."
    missed = quality.n_true - quality.n_right
    return (
        f"Of {plural(quality.n_flagged, 'customer')} flagged as coming apart, {quality.n_right} "
        f"really are ({percent(quality.precision)}); of the {quality.n_true} who really are, "
        f"{missed} are missed ({percent(1 - quality.recall)})."
    )


def tell_year(year: Mapping[str, float]) -> str:
    """Say whether flagged customers left more often in the hidden year."""
    flagged, others = year["flagged"], year["others"]
    if flagged > others:
        times = f" ({flagged / others:.1f} times as often)" if others > 0 else ""
        verdict = f"{percent(flagged)} of the flagged had left and {percent(others)} of the others"
        verdict += times
    else:
        verdict = (
            f"only {percent(flagged)} of the flagged had left, and {percent(others)} of the "
            "others: the flag was no warning"
        )
    gap = year["expected"] / year["happened"] - 1
    return (
        f"A year later {verdict}. In all the model had expected {number(year['expected'])} "
        f"customers to be gone by then, and {number(year['happened'])} were ({off_by(gap)})."
    )


def tell_staircase(matrix: pd.DataFrame) -> str:
    """Say how customers move at the top of the staircase in a quarter, according to the model."""
    top, first = matrix.loc["bonding"], matrix.loc["differentiating"]
    back = first["integrating"] + first["bonding"]
    onwards = first["circumscribing"] + first["terminating"]
    verdict = "more go on down than come back" if onwards > back else "more come back than go on"
    return (
        f"As the model learned it, {percent(top['bonding'])} of the customers in bonding stay "
        f"for another quarter and {percent(top['differentiating'])} begin to differentiate; of "
        f"those who differentiate, {percent(back)} come back up in a quarter and "
        f"{percent(onwards)} go on down or leave: {verdict}."
    )


def tell_confusions(counts: pd.DataFrame) -> str:
    """Say which stage is named correctly most often, and which least often."""
    right = pd.Series(counts.to_numpy().diagonal() / counts.sum(axis=1), index=counts.index)
    best, worst = right.idxmax(), right.idxmin()
    row = counts.loc[worst].drop(worst)
    return (
        f"The model recognises {best} best ({percent(right[best])} of its quarters are named so) "
        f"and {worst} worst ({percent(right[worst])}), which it most often takes for "
        f"{row.idxmax()} ({percent(row.max() / counts.loc[worst].sum())})."
    )


def tell_river(shares: pd.DataFrame) -> str:
    """Say how the base moves: shares of those coming together, apart and gone, first and last."""
    first, last = shares.iloc[0], shares.iloc[-1]
    parts = [
        f"{name} {'fall' if last[name] < first[name] else 'rise'} from {percent(first[name])} to "
        f"{percent(last[name])}"
        for name in ("those coming together", "those coming apart", "those who have left")
    ]
    return f"From quarter 1 to quarter {shares.index[-1]}, {listed(parts)} of all customers."


def tell_example(row: Mapping[str, Any]) -> str:
    """Say what the model believes about one customer, and whether that is right."""
    right = row["most_likely_stage"] == row["true_stage"]
    verdict = "which is right" if right else f"while the truth is {row['true_stage']}"
    return (
        f"At the end of quarter 8 the model gives {percent(row['p_coming_apart'])} to coming apart "
        f"and finds {row['most_likely_stage']} most likely, {verdict}; the customer is worth "
        f"{money(row['value'], 'EUR')}, and {money(row['value_at_risk'], 'EUR')} are at risk."
    )


def tell_risk(total: float, flagged: float, n_flagged: int, top: float, n_top: int) -> str:
    """Say how much is at risk, and how much of it lies with few customers."""
    return (
        f"The whole base would be worth {money(total, 'EUR')} more if everybody who drifts apart "
        f"stood on the same tread coming together; {percent(flagged / total)} of it lies with the "
        f"{n_flagged} flagged customers, {percent(top / total)} with the first {n_top} of the list."
    )


def tell_worth(worth: pd.DataFrame) -> str:
    """Say which stage is worth most, what the first step down costs, and how often it is right."""
    best = worth["mean"].idxmax()
    step = worth.loc["differentiating", "mean"] - worth.loc["bonding", "mean"]
    open_ended = worth.drop("terminating")  # customers who have left are surely worth nothing
    met = int(open_ended["true"].between(open_ended["low"], open_ended["high"]).sum())
    verb = "costs" if step < 0 else "gains"
    return (
        f"A customer is worth most in {best}, {money(worth.loc[best, 'mean'], 'EUR')} "
        f"({number(worth.loc[best, 'low'])} to {number(worth.loc[best, 'high'])}); the step from "
        f"bonding to differentiating {verb} {money(abs(step), 'EUR')}. The true worth lies in the "
        f"90% interval in {met} of {len(open_ended)} stages (terminating is worth 0 for certain)."
    )


def tell_base(now: pd.Series, true: pd.Series) -> str:
    """Say where the base is according to the model, and how far that is from the truth."""
    gap = (now - true).abs()
    living = now.drop("terminating")
    top = living.idxmax()
    return (
        f"After two years the model puts {percent(now['terminating'])} of the customers in "
        f"terminating (true: {percent(true['terminating'])}); of the other stages, "
        f"{top} is the fullest with {percent(now[top])} (true: {percent(true[top])}). No share is "
        f"off by more than {percent(gap.max(), 1)[:-1]} points."
    )


# --- the shop -------------------------------------------------------------------------------------


def tell_why(errors: pd.DataFrame, rival: str = "BG/NBD", ours: str = "stages") -> str:
    """Explain why one model is closer in total."""
    gaps = errors["total_error"]
    if abs(gaps[rival]) < abs(gaps[ours]):
        pace = "too fast" if gaps[ours] < 0 else "too slowly"
        return (
            f"The reason: {rival} gives each customer an individual rate and probability of "
            "leaving, so those who have stayed long are expected to stay; within one level of the "
            "stages all slip back at the same pace, whatever their past, so the base empties "
            f"{pace}."
        )
    return (
        f"The reason: the stages let customers slow down and speed up again, while {rival} gives "
        "each customer one rate, and an end."
    )


def tell_levels(stages: pd.DataFrame) -> str:
    """Describe the highest and the lowest level."""
    low, high = stages.iloc[0], stages.iloc[-1]
    return (
        f"In '{stages.index[-1]}' a customer orders every {high['weeks_between']:.1f} weeks and "
        f"stays {number(high['sojourn'])} weeks on average; in '{stages.index[0]}', where "
        f"{number(low['customers'])} of {number(stages['customers'].sum())} customers most likely "
        f"are, there is one order in {number(low['weeks_between'])} weeks."
    )


def tell_rehearsal(actual: float, scores: pd.DataFrame) -> str:
    """Say which version forecast the rehearsal better."""
    asleep, lost = scores.loc["asleep"], scores.loc["lost"]
    gap = lost["log_score"] - asleep["log_score"]
    winner, loser = ("lost", "asleep") if gap > 0 else ("asleep", "lost")
    won, beaten = (scores.loc[name, "expected"] / actual - 1 for name in (winner, loser))
    return (
        f"In the rehearsal the version '{winner}' forecast the weekly orders better, by "
        f"{number(abs(gap), 1)} points of log score; its total was {off_by(won)}, that of "
        f"'{loser}' {off_by(beaten)}. So the forecast is made with '{winner}'."
    )


def tell_winner(errors: pd.DataFrame, rival: str = "BG/NBD", ours: str = "stages") -> str:
    """Say which model wins on which measure."""
    measures = {
        "the total": errors["total_error"].abs(),
        "the absolute error per customer": errors["mean_absolute_error"],
        "the squared error per customer": errors["root_mean_squared_error"],
    }
    by_rival = [name for name, score in measures.items() if score[rival] < score[ours]]
    by_us = [name for name in measures if name not in by_rival]
    if not by_us:
        return f"{rival} wins on every measure: {listed(by_rival)}."
    if not by_rival:
        return f"The stages win on every measure: {listed(by_us)}."
    ahead, behind = (rival, "the stages"), ("The stages", rival)
    if len(by_rival) > len(by_us):
        return f"{ahead[0]} wins on {listed(by_rival)}; {ahead[1]} win on {listed(by_us)}."
    return f"{behind[0]} win on {listed(by_us)}; {behind[1]} wins on {listed(by_rival)}."


def tell_totals(actual: float, errors: pd.DataFrame) -> str:
    """Say how far each total is off."""
    said = [
        f"{name} expected {number(row['total'])} ({off_by(row['total_error'])})"
        for name, row in errors.iterrows()
    ]
    return f"In weeks 40 to 78 there were {number(actual)} repeat orders; {listed(said)}."


def tell_classes(table: pd.DataFrame, rival: str = "BG/NBD", ours: str = "stages") -> str:
    """Say where the two models differ most from what happened."""
    gaps = {name: (table[name] - table["actual"]).abs() for name in (ours, rival)}
    better = int((gaps[ours] < gaps[rival]).sum())
    worst = (table["customers"] * gaps[ours]).idxmax()
    row, few = table.loc[worst], f"{worst} or more" if worst == table.index[-1] else str(worst)
    return (
        f"The stages are closer to what happened in {better} of {len(table)} classes of customers, "
        f"{rival} in {len(table) - better}. Most of the stages' error lies with those who had made "
        f"{few} repeat {'order' if few == '1' else 'orders'}: {row['actual']:.2f} orders each, "
        f"{row[ours]:.2f} expected ({rival}: {row[rival]:.2f})."
    )


def tell_alive(stages: pd.DataFrame, n_silent: int, n_alive: int) -> str:
    """Compare P(alive) with the stages, for the customers in the lowest one."""
    low = stages.index[0]
    row = stages.iloc[0]
    head = (
        f"BG/NBD calls {number(n_alive)} of the {number(n_silent)} customers who never ordered "
        "again alive for certain, because in that model one can only leave after a repeat order"
    )
    if row["customers"] == 0:
        return f"{head}; the stages put no customer in '{low}'."
    return (
        f"{head}; the stages put {number(row['customers'])} customers in '{low}'. These ordered "
        f"{row['actual']:.2f} times each in the 39 weeks that followed ({row['expected']:.2f} "
        f"expected), the others {_others(stages):.2f} times."
    )


def _others(stages: pd.DataFrame) -> float:
    rest = stages.iloc[1:]
    rest = rest[rest["customers"] > 0]
    if rest.empty:
        return float("nan")
    return float(np.average(rest["actual"], weights=rest["customers"]))


def tell_value(total: float, low: float, high: float, top_share: float) -> str:
    """Say what the shop's base is worth for a year, and how much of it lies with a tenth."""
    return (
        f"The 2,357 customers are expected to bring {money(total, 'USD')} in the year after week "
        f"39 ({number(low)} to {number(high)}); the best tenth brings {percent(top_share)} of it."
    )
