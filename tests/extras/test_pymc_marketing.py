"""PyMC-Marketing behind the face of the purchase models; each model checked by the other's code.

Agreement is asked to a relative 5e-4: both look for the same maximum with stopping rules of their
own, and on a flat top the parameters differ more than what they predict.
"""

import numpy as np
import pandas as pd
import pytest

from crmlab.btyd import (
    BGBB,
    BGNBD,
    MBGNBD,
    Buyers,
    ParetoNBD,
    buyers_posterior,
    count_purchases,
    fit_bgbb,
    fit_buyers,
    fit_marketing,
)
from crmlab.btyd.gamma_gamma import GammaGamma
from crmlab.btyd.marketing import read_population
from crmlab.contract import fit_sbg, fit_sbg_marketing
from crmlab.datasets import dataset_path, load_cdnow_sample
from crmlab.errors import DataError
from crmlab.tables import split_holdout, tables_from_orders
from crmlab.value import per_year
from crmlab.value.any_model import customer_value, expected_purchases, expected_spend, prob_alive

# What PyMC-Marketing imports is deprecated elsewhere; that is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

CLOSE = 5e-4
QUESTIONS = (
    (prob_alive, {}),
    (expected_purchases, {"n_periods": 39}),
    (expected_spend, {"n_periods": 6}),
    (customer_value, {"n_periods": 6, "fraction": 0.3, "discount_rate": per_year(0.1)}),
)


@pytest.fixture(scope="module")
def shop():
    tables = tables_from_orders(load_cdnow_sample(), window=("1997-01-01", "1998-06-30"))
    return split_holdout(tables, cutoff="1997-10-01")[0]


@pytest.mark.parametrize("kind", [BGNBD, MBGNBD, ParetoNBD])
def test_the_same_peak_and_the_same_answers(shop, kind):
    theirs = fit_marketing(kind, count_purchases(shop), seed=1)
    ours = fit_buyers(kind, shop)
    np.testing.assert_allclose(theirs.population.logs(), ours.population.logs(), atol=CLOSE)
    spend = read_population(GammaGamma, theirs.spend_model)
    np.testing.assert_allclose(spend.logs(), ours.spend.logs(), atol=CLOSE)
    for ask, options in QUESTIONS:
        answer, expected = ask(theirs, **options), ask(ours, **options)
        assert answer.dims == ("chain", "draw", "customer_id")
        assert answer.name == expected.name
        np.testing.assert_array_equal(answer["customer_id"], expected["customer_id"])
        np.testing.assert_allclose(answer[0, 0], expected, rtol=CLOSE, err_msg=ask.__name__)


def donors():
    counts = pd.read_csv(dataset_path("published/donations.csv"))
    rows = counts.loc[counts.index.repeat(counts["customers"])].reset_index(drop=True)
    return rows.drop(columns="customers").rename_axis("customer_id")


def test_bg_bb_on_the_donors():
    histories = donors()
    theirs = fit_marketing(BGBB, histories, seed=1, freq="Y")
    columns = [histories[name] for name in ("frequency", "recency", "T")]
    ours = Buyers(fit_bgbb(*columns), histories, "Y")
    np.testing.assert_allclose(theirs.population.logs(), ours.population.logs(), atol=CLOSE)
    for ask, options in QUESTIONS[:2]:
        np.testing.assert_allclose(ask(theirs, **options)[0, 0], ask(ours, **options), rtol=CLOSE)
    with pytest.raises(DataError, match="non-homogeneous"):
        fit_marketing(BGBB, histories.assign(T=np.arange(len(histories)) % 2 + 6), seed=1)


@pytest.mark.parametrize(
    "survivors",
    [[1000, 631, 468, 382, 326, 289, 262, 241], [1000, 869, 743, 653, 593, 551, 517, 491]],
    ids=["regular", "high end"],
)
def test_contracts_have_the_same_peak(survivors):
    (theirs,) = fit_sbg_marketing(survivors, seed=1)
    ours = fit_sbg(survivors)
    np.testing.assert_allclose(theirs.logs(), ours.logs(), atol=CLOSE)
    lifetimes = [found.discounted_lifetime(0.1, renewals=4) for found in (theirs, ours)]
    assert lifetimes[0] == pytest.approx(lifetimes[1], rel=CLOSE)


@pytest.mark.filterwarnings("default")  # their sampler warns of short chains
def test_two_posteriors_agree(shop):
    """Theirs by NUTS under their priors, ours by importance resampling: 2,357 customers decide."""
    theirs = fit_marketing(BGNBD, count_purchases(shop), seed=1, method="mcmc", n_draws=250)
    ours = buyers_posterior(BGNBD, shop, seed=2, n_draws=1000)
    totals = [
        expected_purchases(found, n_periods=39, draws=500).sum("customer_id")
        for found in (theirs, ours)
    ]
    means, spreads = (
        [float(getattr(total, what)()) for total in totals] for what in ("mean", "std")
    )
    # Priors and draws (some 200 effective ones) move the mean by less than a third of the spread.
    assert abs(means[0] - means[1]) < spreads[1] / 3
    assert 0.8 < spreads[0] / spreads[1] < 1.25
    thinned = expected_purchases(theirs, n_periods=1, draws=100)
    assert thinned.sizes["chain"] * thinned.sizes["draw"] <= 200
