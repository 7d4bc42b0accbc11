"""How rules that forecast purchases and spend are scored and compared."""

import numpy as np
import pandas as pd
from scipy import special

from crmlab.evaluation import forecast_errors
from validation.retention_rivals import Floats, fit_logit, log_scores

PROB, N_BOOT = 0.9, 4000


def score(probs: dict[str, Floats], came: Floats) -> pd.DataFrame:
    """Log score, Brier score, mean, and the line of calibration of each rule."""
    rows = {}
    for name, table in probs.items():
        intercept, slope = calibration_line(table, came)
        rows[name] = {
            "log score": log_scores(table, came).mean(),
            "Brier": ((table - came) ** 2).mean(),
            "mean said": table.mean(),
            "intercept": intercept,
            "slope": slope,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def calibration_line(probs: Floats, came: Floats) -> tuple[float, float]:
    """Logit of the outcome on the logit of the forecast: (0, 1) is perfect; NaN if all equal."""
    if np.ptp(probs) < 1e-12:
        return np.nan, np.nan
    said = special.logit(probs.clip(1e-6, 1 - 1e-6)).ravel()
    line = fit_logit(np.column_stack([np.ones(len(said)), said]), came.ravel(), np.zeros(2))
    return float(line[0]), float(line[1])


def compare(probs: dict[str, Floats], came: Floats, tested: str, seed: int) -> pd.DataFrame:
    """How much better the tested rule did than each other, resampling customers in pairs."""
    rows = {}
    for name in probs.keys() - {tested}:
        logs = log_scores(probs[tested], came) - log_scores(probs[name], came)
        brier = (probs[name] - came) ** 2 - (probs[tested] - came) ** 2
        found = {"log score": logs.mean(axis=1), "Brier": brier.mean(axis=1)}
        rows[name] = gained(found, seed)
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("log score gained")


def gained(gains: dict[str, Floats], seed: int) -> dict[str, float]:
    """Mean of what each customer gained, with an interval from resampled customers."""
    row, tail = {}, (1 - PROB) / 2
    for words, each in gains.items():
        n = len(each)
        weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), N_BOOT) / n
        low, high = np.quantile(weights @ each, [tail, 1 - tail])
        row |= {f"{words} gained": each.mean(), f"{words} low": low, f"{words} high": high}
    return row


def score_spend(spend: dict[str, Floats], actual: Floats, tested: str, seed: int) -> pd.DataFrame:
    """Errors of the spend forecast, and what the tested rule gained in absolute error."""
    wrong = {name: np.abs(values - actual) for name, values in spend.items()}
    more = {
        name: gained({"MAE": wrong[name] - wrong[tested]}, seed) for name in spend if name != tested
    }
    table = forecast_errors(actual, spend).join(pd.DataFrame.from_dict(more, orient="index"))
    return table.sort_values("mean_absolute_error")


def verdict(table: pd.DataFrame, words: str, tested: str) -> str:
    """Say whom the tested rule beat, with whom it drew, and who beat it."""
    low, high = table[f"{words} low"], table[f"{words} high"]
    groups = {
        "better than": table.index[low > 0],
        "not told apart from": table.index[(low <= 0) & (high >= 0)],
        "worse than": table.index[high < 0],
    }
    said = [f"{how} {', '.join(names)}" for how, names in groups.items() if len(names)]
    return f'By {words}, "{tested}" is {"; ".join(said)}.\n'
