"""What stage models have to beat on a panel of purchases: short rules, each given only the past.

A rule takes a `Panel` that ends with the last known quarter and says the probability of a purchase
in each of the quarters to come (customer, horizon). It cannot peek: what is not in the panel that
it is handed does not exist for it. Where a rule has variants, `choose` hides the last quarters of
the past, and takes the variant that forecast them best.

Quarter 1 is the purchase that made everybody a customer: it counts for recency and for amounts,
not for how often somebody buys.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

import crmlab as crm
from crmlab.btyd import spend_posterior

Floats = NDArray[np.float64]
FIRST_ORIGIN = 3  # histories shorter than this are all alike
PSEUDO = 5.0  # customers of average behaviour that every RFM cell starts with
N_DRAWS = 100  # of a population of buyers or spenders
N_CHOICE = 2  # last quarters of the past by which variants are chosen


class Panel(NamedTuple):
    """Purchases (0 or 1), amounts and expenses (currency), each (customer, quarter)."""

    bought: Floats
    amount: Floats
    expense: Floats

    def until(self, quarter: int) -> "Panel":
        """Forget everything after a quarter."""
        return Panel(*(values[:, :quarter] for values in self))

    @property
    def n_quarters(self) -> int:
        return self.bought.shape[1]


Rule = Callable[[Panel, int], Floats]


# History ------------------------------------------------------------------------------------------


def recency(past: Panel) -> Floats:
    """Quarters since the last purchase, 0 if it was in the last quarter."""
    return np.argmax(past.bought[:, ::-1] > 0, axis=1).astype(float)


def frequency(past: Panel) -> Floats:
    """Share of the quarters after the first in which she bought."""
    return past.bought[:, 1:].mean(axis=1)


def mean_amount(past: Panel) -> Floats:
    """Mean amount of a quarter with a purchase [currency]."""
    return past.amount.sum(axis=1) / past.bought.sum(axis=1)


def last_amount(past: Panel) -> Floats:
    """Amount of the last quarter with a purchase [currency]."""
    last = past.n_quarters - 1 - recency(past).astype(int)
    return past.amount[np.arange(len(last)), last]


def short_features(past: Panel) -> Floats:
    """Recency, frequency, log of the last amount and of the last expense."""
    columns = recency(past), frequency(past), np.log1p(last_amount(past))
    return np.column_stack([*columns, np.log1p(past.expense[:, -1])])


def long_features(past: Panel) -> Floats:
    """The short ones, the last two quarters, mean expense, and how long she has been watched."""
    age = np.full(len(past.bought), np.log(past.n_quarters))
    care = np.log1p(past.expense).mean(axis=1)
    return np.column_stack([short_features(past), past.bought[:, -2:], care, age])


def pairs(
    past: Panel, step: int, describe: Callable[[Panel], NDArray]
) -> tuple[NDArray, Floats, NDArray]:
    """Histories inside the past, whether a purchase followed `step` quarters on, and the now."""
    origins = range(FIRST_ORIGIN, past.n_quarters - step + 1)
    said = np.concatenate([describe(past.until(q)) for q in origins])
    came = np.concatenate([past.bought[:, q + step - 1] for q in origins])
    return said, came, describe(past)


# Rules --------------------------------------------------------------------------------------------


def constant(past: Panel, n_ahead: int, *, n_last: int | None = None) -> Floats:
    """Give everybody the share of purchases in the last quarters (all but the first if None)."""
    quarters = past.bought[:, 1:] if n_last is None else past.bought[:, -n_last:]
    return np.full((len(past.bought), n_ahead), quarters.mean())


def rfm(past: Panel, n_ahead: int, *, with_amount: bool) -> Floats:
    """Share of purchases in each customer's cell of recency, frequency (and amount)."""
    describe = partial(rfm_cells, with_amount=with_amount)
    return np.column_stack([_by_cell(*pairs(past, h, describe)) for h in range(1, n_ahead + 1)])


def rfm_cells(past: Panel, *, with_amount: bool) -> NDArray[np.int64]:
    """Number the cells: recency 0, 1, 2, 3 and more; frequency in thirds; amount in halves."""
    r = np.minimum(recency(past), 3).astype(int)
    f = np.minimum(frequency(past) * 3, 2).astype(int)
    amounts = mean_amount(past)
    m = (amounts > np.median(amounts)) if with_amount else np.zeros(len(r))
    return 6 * r + 2 * f + m.astype(int)


def _by_cell(cells: NDArray[np.int64], came: Floats, now: NDArray[np.int64]) -> Floats:
    size = max(cells.max(), now.max()) + 1
    n, k = np.bincount(cells, minlength=size), np.bincount(cells, came, minlength=size)
    return ((k + PSEUDO * came.mean()) / (n + PSEUDO))[now]


def logit(
    past: Panel, n_ahead: int, *, describe: Callable[[Panel], Floats], penalty: float
) -> Floats:
    """Logistic regressions on lagged behaviour, one for each number of quarters ahead."""
    steps = [_by_logit(*pairs(past, h, describe), penalty) for h in range(1, n_ahead + 1)]
    return np.column_stack(steps)


def _by_logit(X: Floats, y: Floats, now: Floats, penalty: float) -> Floats:
    center, scale = X.mean(axis=0), X.std(axis=0) + 1e-9
    known = np.column_stack([np.ones(len(X)), (X - center) / scale])
    slopes = fit_logit(known, y, np.r_[0.0, np.full(X.shape[1], penalty)])
    return special.expit(slopes[0] + (now - center) / scale @ slopes[1:])


def fit_logit(X: Floats, y: Floats, penalties: Floats) -> Floats:
    """Maximise the log-likelihood less half of the penalties times the squared slopes."""

    def loss(b: Floats) -> tuple[float, Floats]:
        eta = X @ b
        value = np.logaddexp(0, eta).sum() - y @ eta + 0.5 * penalties @ b**2
        return value, X.T @ (special.expit(eta) - y) + penalties * b

    return optimize.minimize(loss, np.zeros(X.shape[1]), jac=True, method="L-BFGS-B").x


def bgbb(past: Panel, n_ahead: int) -> Floats:
    """BG/BB: the first purchase makes the customer; means over draws of the population.

    The most likely population of these data has a parameter at infinity, so one with priors.
    """
    bought = past.bought[:, 1:]
    n = np.full(len(bought), bought.shape[1])
    history = bought.sum(axis=1), np.where(bought.any(axis=1), n - recency(past), 0), n
    found = crm.btyd.population_posterior(crm.btyd.BGBB, *history, seed=1, n_draws=N_DRAWS)
    upto = [
        np.mean([p.expected_purchases(h, *history) for p in found.populations], axis=0)
        for h in range(n_ahead + 1)
    ]
    return np.diff(np.stack(upto, axis=1), axis=1)


RULES: dict[str, tuple[tuple[str, Rule], ...]] = {
    "logit on lagged behaviour": tuple(
        (f"{words} features, penalty {penalty:g}", partial(logit, describe=f, penalty=penalty))
        for words, f in (("short", short_features), ("long", long_features))
        for penalty in (1.0, 10.0, 100.0)
    ),
    "RFM cells": (
        ("recency and frequency", partial(rfm, with_amount=False)),
        ("recency, frequency and amount", partial(rfm, with_amount=True)),
    ),
    "BG/BB": (("draws from the posterior of its population", bgbb),),
    "constant rate": (
        ("all quarters after the first", constant),
        ("the last three quarters", partial(constant, n_last=3)),
        ("the last quarter", partial(constant, n_last=1)),
    ),
}


def choose(variants: Sequence[tuple[str, Rule]], past: Panel) -> tuple[str, Rule]:
    """Take the variant with the best log score of the last quarters of the past."""
    if len(variants) == 1:
        return variants[0]
    start = past.n_quarters - N_CHOICE
    came = past.bought[:, start:]

    def score(variant: tuple[str, Rule]) -> float:
        return float(log_scores(variant[1](past.until(start), N_CHOICE), came).mean())

    return max(variants, key=score)


def log_scores(probs: Floats, came: Floats) -> Floats:
    """Log probability of what came, cell by cell [nats]."""
    return special.xlogy(came, probs) + special.xlog1py(1 - came, -probs)


# Amounts ------------------------------------------------------------------------------------------


def amount_to_come(past: Panel) -> Floats:
    """Mean amount of each customer's purchases to come, by Gamma-Gamma with priors [currency]."""
    history = past.bought.sum(axis=1), mean_amount(past)
    found = spend_posterior(*history, seed=1, n_draws=N_DRAWS)
    return np.mean([p.expected_spend(*history) for p in found.populations], axis=0)
