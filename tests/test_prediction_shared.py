"""Eight draws at once, shared beginnings once: the same bits as one draw and customer at a time."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

import crmlab as crm
from crmlab.inference import Fit
from crmlab.prediction.customers import read_customers
from crmlab.prediction.draws import each_draw, thin_draws
from crmlab.prediction.population import summarise, summarise_one
from crmlab.prediction.shared import filter_draws, is_shared

SPACE = crm.StageSpace(("lost", "idle", "active"), moves=(("idle", "active"), ("active", "idle"),
                       ("idle", "lost")))  # fmt: skip
CHANNELS = crm.Poisson("visits"), crm.Poisson("calls")
T, N_DRAWS = 9, 22


def make_fit():
    """Draws that were made up: nobody asks where they come from."""
    rng = np.random.default_rng(3)
    size = (2, N_DRAWS // 2)
    matrix = rng.uniform(0.05, 1.0, (*size, 3, 3)) * SPACE.mask
    draws = {
        "initial_probs": (("chain", "draw", "stage"), rng.dirichlet((2, 3, 4), size)),
        "transition_matrix": (
            ("chain", "draw", "stage_from", "stage_to"),
            matrix / matrix.sum(axis=-1, keepdims=True),
        ),
        "visits_rate": (("chain", "draw", "stage"), rng.gamma(30, (1e-3, 0.01, 0.1), (*size, 3))),
        "calls_rate": (("chain", "draw", "stage"), rng.gamma(30, (0.1, 0.01, 1e-3), (*size, 3))),
    }
    names = {dim: list(SPACE.names) for dim in ("stage", "stage_from", "stage_to")}
    posterior = xr.Dataset(draws, names)
    model = crm.HiddenMarkov(SPACE, channels=CHANNELS, ordered_by="visits_rate")
    return Fit(model, make_panel([[0, T - 1, [0] * T, [0] * T]]), xr.DataTree.from_dict(
        {"posterior": posterior}
    ))  # fmt: skip


def make_panel(histories):
    """Histories are lists of first period, last period, visits and calls; -1 is a missing cell."""
    observed = np.array([[a <= t <= b for t in range(T)] for a, b, _, _ in histories])
    cells = np.array([[visits, calls] for _, _, visits, calls in histories], dtype=float)
    cells = np.where((cells >= 0) & observed[:, None], cells, np.nan)
    dims = ("customer_id", "period")
    data = {
        "visits": (dims, cells[:, 0]),
        "calls": (dims, cells[:, 1]),
        "observed": (dims, observed),
    }
    return xr.Dataset(data, {"customer_id": np.arange(len(histories)), "period": np.arange(T)})


FIT = make_fit()
COUNTS = st.lists(st.integers(-1, 2), min_size=T, max_size=T)
HISTORIES = st.lists(
    st.tuples(st.integers(0, T - 1), st.integers(-1, T - 1), COUNTS, COUNTS),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """PyTensor changes Python's limit of recursion when it is imported; hypothesis objects."""
    score(FIT.panel)


def score(panel, ago=2, draws=N_DRAWS):
    return crm.prediction.score_histories(FIT, panel=panel, ago=ago, draws=draws)


@settings(max_examples=25, deadline=None)
@given(HISTORIES, st.data())
def test_merged_histories_give_the_same_bits_as_one_customer_at_a_time(histories, data):
    alike = data.draw(st.lists(st.sampled_from(histories), max_size=8))  # some occur again
    panel = make_panel([*histories, *alike])
    together = score(panel)
    for n in range(panel.sizes["customer_id"]):
        alone = score(panel.isel(customer_id=[n]))
        for name in ("now", "earlier", "loglik"):
            assert together[name].isel(customer_id=[n]).identical(alone[name])


@settings(max_examples=25, deadline=None)
@given(HISTORIES, st.integers(0, T), st.sampled_from([1, 7, 16, 22]))
def test_eight_draws_at_once_give_the_same_bits_as_the_general_recursion(histories, ago, draws):
    customers = read_customers(FIT, make_panel(histories))
    assert is_shared(customers)
    each = list(each_draw(thin_draws(FIT, draws)))
    for found, one in zip(summarise(customers, each, ago), each, strict=True):
        expected = summarise_one(customers, one, ago)
        np.testing.assert_array_equal(found.now, expected.now)
        np.testing.assert_array_equal(found.earlier, expected.earlier)
        assert found.occupancy == pytest.approx(expected.occupancy, rel=1e-12)
        assert found.loglik == pytest.approx(expected.loglik, rel=1e-12)


def test_where_channels_contradict_each_other_the_digits_survive():
    """No stage can bring eight hundred visits and as many calls."""
    usual, odd = [1] * T, [1, 1, 800, 1, 1, 1, 1, 1, 1]
    panel = make_panel([[0, T - 1, usual, usual], [0, T - 1, odd, odd]])
    found = score(panel)
    expected = crm.current_stage_probs(FIT, panel=panel, draws=N_DRAWS)
    assert found["now"].identical(expected.rename("now"))
    loglik = crm.prediction.customer_loglik(FIT, panel=panel, draws=N_DRAWS)
    assert found["loglik"].values == pytest.approx(loglik["log_likelihood"]["customer"].values)
    customers = read_customers(FIT, panel)
    assert filter_draws(customers, list(each_draw(FIT.posterior))[:8], 0).faint.all()
