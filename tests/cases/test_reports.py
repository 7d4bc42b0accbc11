"""Reports and scores: what they say of customers, and which files they can read."""

import warnings

import numpy as np
import pandas as pd
import pytest

from crmlab.analyst.model import build_model, typical_rates
from crmlab.analyst.orders import sample_orders, summarise_orders
from crmlab.analyst.plan import make_plan
from crmlab.analyst.scoring import read_draws, score_orders
from crmlab.analyst.sources import Sources, make_panel
from crmlab.cli import analyst
from crmlab.inference import fit
from crmlab.reading import ReadingOptions, read_sales
from tests.cases.faults import fault, given, need

# --- files that need an option --------------------------------------------------------------------

OPEN = "28_score_needs_date_order.csv"  # every day and every month is at most 12


@pytest.fixture
def said_once(desk):
    """A report on orders whose dates need an option, which its manifest keeps."""
    words = ["report", str(given(OPEN)), "--out", "r28", "--sample", "100"]
    need(analyst.main(words) == analyst.Code.DATA, "the dates are open without it")
    need(analyst.main([*words, "--date-order", "day-month"]) == 0, "a report with it")
    need('"date_order": "day-month"' in (desk / "r28/manifest.json").read_text(), "it is kept")
    return desk


@fault("`score` does not read as its report did: the option has to be given again")
def test_score_reads_as_its_report_did(said_once, capsys):
    capsys.readouterr()
    assert analyst.main(["score", str(given(OPEN)), "--report", "r28"]) == analyst.Code.FINE
    n_customers = pd.read_csv(given(OPEN))["customer_id"].nunique()
    assert len(capsys.readouterr().out.splitlines()) == 1 + n_customers


def test_fit_takes_the_options_of_reading(said_once):
    words = ["fit", str(given(OPEN)), "--date-order", "day-month", "--out", "fitted"]
    assert analyst.main(words) == analyst.Code.FINE
    assert (said_once / "fitted/model.json").is_file()


# --- customers under a contract -------------------------------------------------------------------


def test_constant_gaps_point_to_the_models_of_contracts(desk):
    path = given("34_monthly_subscription.csv")
    days = pd.read_csv(path, parse_dates=["date"]).groupby("customer")["date"]
    need((days.diff().dropna().dt.days.between(28, 31)).all(), "everybody pays once a month")
    need(analyst.main(["report", str(path), "--out", "r34", "--sample", "100"]) == 0, "a report")
    page = (desk / "r34/report.html").read_text(encoding="utf-8")
    quality = (desk / "r34/quality.json").read_text(encoding="utf-8")
    assert "crmlab.contract" in page + quality


# --- silent customers -----------------------------------------------------------------------------

START, WEEKS, KEPT_BACK, CUSTOMERS = pd.Timestamp("2022-01-03"), 104, 52, 3_000
SILENT = 213  # days: seven months


def season(week):
    return 1 + 0.25 * np.sin(2 * np.pi * (week - 10) / 52) + 1.2 * (46 <= week % 52 <= 50)


def invent_shop(seed=7):
    """Two years of a growing shop with a season, and the year after: customer_id, date, amount.

    Customers join, order at rates of their own (Gamma) and are lost after a geometric time.
    """
    rng = np.random.default_rng(seed)
    weeks = np.arange(WEEKS)
    joining = np.exp(0.012 * weeks) * (1 + 0.8 * (weeks % 52 >= 46))
    join = rng.choice(WEEKS, size=CUSTOMERS, p=joining / joining.sum())
    rate = rng.gamma(0.8, 0.13, size=CUSTOMERS)
    life = rng.geometric(1 / 60, size=CUSTOMERS)
    ticket = np.exp(rng.normal(3.6, 0.5, size=CUSTOMERS))
    rows = []
    for i in range(CUSTOMERS):
        for week in range(join[i], WEEKS + KEPT_BACK):
            alive = week - join[i] < life[i]
            n = 1 if week == join[i] else rng.poisson(rate[i] * season(week)) if alive else 0
            for _ in range(n):
                day = START + pd.Timedelta(days=int(7 * week + rng.integers(7)))
                amount = ticket[i] * np.exp(rng.normal(0, 0.35)) * (1 + 0.002 * week)
                rows.append((f"K{i:05d}", day, round(amount, 2)))
    orders = pd.DataFrame(rows, columns=["customer_id", "date", "amount"]).sort_values("date")
    end = START + pd.Timedelta(days=7 * WEEKS - 1)
    return orders[orders["date"] <= end], orders[orders["date"] > end]


@pytest.fixture(scope="module")
def silent():
    """26: customers of one order who are silent for seven months, and whether they came back."""
    seen, future = invent_shop()
    need((len(seen), len(future)) == (11_789, 6_757), "the invented shop")
    base = seen.groupby("customer_id")["date"].agg(["size", "max"])
    quiet = (base["max"].max() - base["max"]).dt.days >= SILENT
    ids = base.index[(base["size"] == 1) & quiet]
    came = np.isin(ids, future["customer_id"])
    need(len(ids) == 498 and round(came.mean(), 2) == 0.07, "498 customers, of whom 7 % came back")
    return seen, ids, came


@pytest.mark.slow
@fault("of 498 customers with one order, silent for 7 months, 22 % are said to order: 7 % did")
def test_a_silent_customer_s_probability_of_an_order_comes_true(silent):
    """The stages of a report, at their mode: a second where sampling takes minutes.

    The report itself, which samples, said 0.21.
    """
    seen, ids, came = silent
    sales = read_sales(seen, ReadingOptions(today="2026-12-01"))
    plan = make_plan(sales.orders, sales.window)
    histories = summarise_orders(sales.orders, sales.window)
    sample = sample_orders(sales.orders, sales.window, 1_200, seed=1)
    panel = Sources(sales.window[0]).panel(sample, plan)
    fitted = fit(build_model(typical_rates(plan), may_lose=False), panel, method="map", seed=1)
    need(not fitted.problems, "the mode was found")
    drawn = read_draws(fitted, plan.year)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one draw has no Monte Carlo error
        scored = score_orders(
            sales.orders, histories["T"], plan, fitted, drawn, read=make_panel
        ).customers
    said = scored.set_index("customer_id").loc[ids, "p_order"]
    assert said.mean() == pytest.approx(came.mean(), abs=0.03)
