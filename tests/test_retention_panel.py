"""The study of the retention panel, on an invented panel: rivals and scores, no sampling."""

import numpy as np
import pandas as pd
import pytest

from validation.retention_panel import (
    FITTED,
    N_AHEAD,
    N_KNOWN,
    PAIR,
    by_rules,
    read_panel,
    stage_model,
    stage_panel,
)
from validation.retention_rivals import (
    RULES,
    Panel,
    choose,
    constant,
    last_amount,
    recency,
    rfm_cells,
)
from validation.retention_scores import (
    calibration_line,
    compare,
    score,
    score_spend,
    verdict,
)

VARIANTS = [
    pytest.param(rule, id=f"{name}: {words}")
    for name, variants in RULES.items()
    for words, rule in variants
]


def invent(n=40, n_quarters=12, seed=4):
    """Rows like those of the real file: half of the customers buy often, half hardly ever."""
    rng = np.random.default_rng(seed)
    chance = np.where(np.arange(n) < n // 2, 0.85, 0.15)[:, None]
    bought = rng.random((n, n_quarters)) < chance
    bought[:, 0] = True
    spent = rng.gamma(4, 40, (n, n_quarters)) * rng.gamma(3, 1 / 3, (n, 1))
    return pd.DataFrame(
        {
            "customer": np.repeat(np.arange(1, n + 1), n_quarters),
            "quarter": np.tile(np.arange(1, n_quarters + 1), n),
            "purchase": bought.ravel().astype(int),
            "order_quantity": (spent * bought).ravel().round(2),
            "crossbuy": bought.ravel().astype(int),
            "ret_expense": (rng.random((n, n_quarters)) < 0.4).ravel() * 25.0,
        }
    )


@pytest.fixture(scope="module")
def panel():
    rows = invent()
    return read_panel(rows.sample(frac=1, random_state=0))  # in any order


@pytest.mark.parametrize("rule", VARIANTS)
def test_every_variant_tells_often_from_seldom(panel, rule):
    probs = rule(panel.until(N_KNOWN), N_AHEAD)
    assert probs.shape == (40, N_AHEAD)
    assert ((probs > 0) & (probs < 1)).all()
    if getattr(rule, "func", rule) is not constant:
        assert probs[:20].mean() > probs[20:].mean() + 0.1  # 0.7 in truth


@pytest.mark.bits
def test_what_is_foretold_does_not_hang_on_what_came(panel):
    later = Panel(*(np.hstack([v[:, :N_KNOWN], 1 - v[:, N_KNOWN:]]) for v in panel))
    one, other = (by_rules(p.until(N_KNOWN)) for p in (panel, later))
    assert one.notes == other.notes
    for name in one.probs:
        np.testing.assert_array_equal(one.probs[name], other.probs[name])


def test_variants_are_chosen_by_the_end_of_the_past(panel):
    def clairvoyant(past, n_ahead):
        start = past.n_quarters
        return panel.bought[:, start : start + n_ahead].clip(0.1, 0.9)

    def wrong(past, n_ahead):
        return 1 - clairvoyant(past, n_ahead)

    variants = [("wrong", wrong), ("right", clairvoyant)]
    assert choose(variants, panel.until(N_KNOWN))[0] == "right"


def test_history_by_hand():
    bought = np.array([[1.0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]])
    amount = bought * np.array([10.0, 20, 30, 40, 50, 60])
    past = Panel(bought, amount, 0 * bought)
    assert recency(past).tolist() == [3, 5, 0]
    assert last_amount(past).tolist() == [30, 10, 60]
    # Mean amounts 20, 10 and 35, median 20; shares after the first quarter 1/5, 0 and 1.
    assert rfm_cells(past, with_amount=True).tolist() == [18, 18, 5]


def test_scores_by_hand():
    came = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    probs = {"sure": 0.8 * came + 0.1, "coin": np.full((2, 3), 0.5)}
    table = score(probs, came)
    assert table.loc["sure", "log score"] == pytest.approx(np.log(0.9))
    assert table.loc["coin", "Brier"] == pytest.approx(0.25)
    assert np.isnan(table.loc["coin", "slope"])
    gained = compare(probs, came, "sure", seed=1).loc["coin"]
    # Both customers gain the same, so every resample does.
    for part in ("gained", "low", "high"):
        assert gained[f"log score {part}"] == pytest.approx(np.log(0.9 / 0.5))
        assert gained[f"Brier {part}"] == pytest.approx(0.24)


def test_the_verdict_by_hand():
    spend = {"mine": np.zeros(4), "far": np.full(4, 9.0), "near": np.r_[1.0, -1.0, 0, 0]}
    spend["true"] = np.ones(4)
    table = score_spend(spend, np.ones(4), "mine", seed=1)
    assert table.loc["far", "MAE gained"] == pytest.approx(7.0)
    sentence = verdict(table.drop(index="mine"), "MAE", "mine")
    assert sentence.endswith("is better than far; not told apart from near; worse than true.\n")


def test_the_line_of_calibration_finds_overconfidence():
    # One in five where 1/17 was said, four in five where 16/17: log odds of 2 log 4 for log 4.
    probs = np.repeat([1 / 17, 16 / 17], 50)[:, None]
    came = np.tile(np.r_[1.0, 0, 0, 0, 0], 10)[:, None]
    came = np.vstack([came, 1 - came])
    intercept, slope = calibration_line(probs, came)
    assert slope == pytest.approx(0.5, abs=1e-4)
    assert intercept == pytest.approx(0.0, abs=1e-4)


def test_the_stage_models_read_the_panel_from_the_second_quarter_on(panel):
    past = panel.until(N_KNOWN)
    table = stage_panel(past)
    for name, channel in zip(FITTED, ("spend", "purchase", "purchase"), strict=True):
        model = stage_model(name)
        assert [c.name for c in model.channels] == [channel]
        assert len(model.space) == 3 - (name == PAIR)
        model.check(table)
    assert table["period"].values.tolist() == list(range(2, N_KNOWN + 1))
    np.testing.assert_array_equal(table["spend"].values, past.amount[:, 1:])
