from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from scipy import stats

import crmlab as crm
from crmlab.arrays import upper_edges
from crmlab.errors import SpecError
from crmlab.generators import kernels
from crmlab.streams import Streams
from crmlab.tables import CustomerTables
from crmlab.testing import check_generator

SPACE = crm.StageSpace(
    ("new", "loyal", "lost"), moves=(("new", "loyal"), ("new", "lost"), ("loyal", "lost"))
)
MATRIX = ((0.6, 0.3, 0.1), (0.0, 0.9, 0.1), (0.0, 0.0, 1.0))
CHANNELS = (
    crm.Poisson("visits", rate=(1.0, 4.0, 0.0)),
    crm.ZeroInflatedSpend("spend", (0.2, 0.6, 0.0), (15, 30, 1), (0.5, 0.8, 1.0)),
    crm.OrdinalSurvey("survey", location=(0.0, 1.0, -2.0), response_rate=0.4),
    crm.StageLabel("report", confusion=0.7 * np.eye(3) + 0.1, response_rate=0.5),
)
WORLD = crm.StageWorld(SPACE, (0.7, 0.2, 0.1), MATRIX, CHANNELS, n_periods=8)


@pytest.fixture(scope="module")
def tables():
    return crm.simulate(WORLD, 2000, seed=5)


@pytest.fixture(scope="module")
def stages(tables):
    """True stage indices (customer, period)."""
    names = tables.truth["stages"]["stage"].to_numpy().reshape(2000, 8)
    return np.vectorize(SPACE.names.index)(names)


# The stages ---------------------------------------------------------------------------------------


def assert_frequencies(counts, probs):
    """Chi-square test of size 1e-6; what has probability zero must not occur at all."""
    counts, probs = np.asarray(counts), np.asarray(probs)
    assert (counts[probs == 0] == 0).all()
    possible = probs > 0
    expected = counts.sum() * probs[possible]
    statistic = ((counts[possible] - expected) ** 2 / expected).sum()
    assert statistic < stats.chi2.isf(1e-6, max(possible.sum() - 1, 1))


def test_stages_start_by_the_initial_law(stages):
    assert_frequencies(np.bincount(stages[:, 0], minlength=3), WORLD.initial_probs)


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_stages_move_by_the_transition_matrix(stages, stage):
    came_from, went_to = stages[:, :-1].ravel(), stages[:, 1:].ravel()
    assert_frequencies(np.bincount(went_to[came_from == stage], minlength=3), MATRIX[stage])


def test_stages_have_no_longer_memory(stages):
    """Given the stage now, the next one does not depend on the one before."""
    now_loyal = stages[:, 1:-1] == 1
    for before in (0, 1):
        chosen = now_loyal & (stages[:, :-2] == before)
        assert_frequencies(np.bincount(stages[:, 2:][chosen], minlength=3), MATRIX[1])


def test_rounding_never_opens_a_forbidden_move():
    # Thirds to nine digits pass for a row that sums to 1; what they miss must not go to "lost".
    edges = upper_edges([[1 / 3, 1 / 3, 1 / 3 - 1e-9, 0.0]])
    assert edges[0, 2:].tolist() == [1.0, 1.0]
    assert (edges[0] < 1 - 2.0**-53).sum() == 2


# What the channels show ---------------------------------------------------------------------------


def test_each_cell_is_the_quantile_of_its_address(tables, stages):
    customers, periods = np.arange(2000), np.arange(8)
    panel = crm.to_panel(tables, freq="M")
    for channel in CHANNELS:
        u = Streams(5).uniforms(channel.name, customers[:, None], periods, channel.n_uniforms)
        given = {name: value[stages] for name, value in channel.known.items()}
        expected = channel.sample(u, **given)
        assert panel[channel.name].values == pytest.approx(expected, nan_ok=True)


def test_what_did_not_happen_leaves_no_row(tables):
    assert (tables.events["value"] != 0).all()
    assert tables.surveys["value"].notna().all()
    assert tables.labels["stage"].notna().all()


def test_labels_are_stage_names_in_the_order_of_the_space(tables):
    assert list(tables.labels["stage"].cat.categories) == list(SPACE.names)


def test_a_channel_that_never_happens_is_still_a_variable():
    silent = crm.Poisson("orders", rate=(0.0, 0.0, 0.0))
    world = replace(WORLD, channels=(CHANNELS[0], silent))
    panel = crm.to_panel(crm.simulate(world, 3, seed=1), freq="M")
    assert (panel["orders"] == 0).all()


def test_a_world_without_channels_has_customers_and_truth_only():
    tables = crm.simulate(replace(WORLD, channels=()), 3, seed=1)
    assert list(tables.records()) == []
    assert len(tables.truth["stages"]) == 24


# Compiled loops -----------------------------------------------------------------------------------

MANY = replace(WORLD, n_periods=12)


@pytest.fixture(scope="module")
def drawn():
    """A world that is drawn by plain NumPy."""
    return MANY.draw(Streams(5), np.arange(3000))


@pytest.mark.bits
@pytest.mark.parametrize("name", ["compiled", "interpreted"])
def test_compiled_loops_give_the_same_bits(drawn, name, monkeypatch):
    """Interpreted, the loops are held to NumPy too, on a few customers."""
    n = 3000 if name == "compiled" else 40
    if name == "interpreted":
        monkeypatch.setattr(kernels, "compiled", lambda loop: loop)
    monkeypatch.setattr(kernels, "WORTH_COMPILING", 1)
    with np.errstate(over="ignore"):
        made = MANY.draw(Streams(5), np.arange(n))
    assert np.array_equal(made.stages, drawn.stages[:n])
    for channel in CHANNELS:
        values, expected = made.values[channel.name], drawn.values[channel.name][:n]
        assert np.array_equal(values, expected, equal_nan=True), channel.name


@pytest.mark.bits
def test_large_worlds_have_the_tables_of_small_ones(monkeypatch):
    small = crm.simulate(MANY, 300, seed=5)
    monkeypatch.setattr(kernels, "WORTH_COMPILING", 1)
    large = crm.simulate(MANY, 300, seed=5)
    for name in ("customers", "events", "surveys", "labels"):
        pd.testing.assert_frame_equal(getattr(small, name), getattr(large, name), check_exact=True)
    assert small.truth["stages"].equals(large.truth["stages"])


@pytest.mark.bits
def test_worlds_with_actions_show_the_same_through_compiled_loops(monkeypatch):
    mail = crm.actions.Action("mail", 1.0, {"exit": -1.0})
    world = replace(MANY, actions=(mail,), policy=crm.actions.RandomPolicy({"mail": 0.5}))
    plain = world.draw(Streams(2), np.arange(300))
    monkeypatch.setattr(kernels, "WORTH_COMPILING", 1)
    made = world.draw(Streams(2), np.arange(300))
    assert np.array_equal(made.stages, plain.stages)
    for name, values in plain.values.items():
        assert np.array_equal(values, made.values[name], equal_nan=True)


@pytest.mark.bits
@given(st.lists(st.floats(0, 60), min_size=1, max_size=4), st.integers(0, 2**20))
def test_counts_from_the_table_are_those_of_the_channel(rates, seed):
    """Also where there is no table: rates above 50 are sampled as in small worlds."""
    channel = crm.Poisson("n", rate=rates)
    customers = np.arange(200)
    stages = np.arange(200)[:, None] % len(rates)
    made = kernels.show(Streams(seed), customers, channel, stages)
    u = Streams(seed).uniforms("n", customers, 0)
    assert np.array_equal(made[:, 0], channel.sample(u, rate=channel.known["rate"][stages[:, 0]]))


# Twins --------------------------------------------------------------------------------------------


@pytest.mark.bits
def test_worlds_that_differ_in_one_channel_share_the_rest(tables):
    spendthrift = replace(CHANNELS[1], median=(20.0, 60.0, 1.0))
    twin = crm.simulate(replace(WORLD, channels=(CHANNELS[0], spendthrift)), 2000, seed=5)
    assert twin.truth["stages"].equals(tables.truth["stages"])
    one, other = (crm.to_panel(t, freq="M") for t in (tables, twin))
    assert one["visits"].equals(other["visits"])
    # The same chance, another price: the ratio is that of the medians wherever money is spent.
    ratio = (other["spend"] / one["spend"]).values[one["spend"].values > 0]
    assert set(ratio.round(9)) <= {round(20 / 15, 9), 2.0, 1.0}
    assert ((one["spend"] > 0) == (other["spend"] > 0)).all()


@pytest.mark.bits
def test_a_longer_world_begins_like_the_shorter_one(tables):
    longer = crm.simulate(replace(WORLD, n_periods=11), 2000, seed=5)
    start = longer.truth["stages"].query("period < 8").reset_index(drop=True)
    assert start.equals(tables.truth["stages"])


def test_a_world_keeps_the_contract_of_generators():
    check_generator(WORLD, seed=3)


# Provenance and truth -----------------------------------------------------------------------------


def test_provenance_says_how_to_make_the_world_again(tables):
    assert tables.provenance["seed"] == 5
    assert tables.provenance["n_customers"] == 2000
    assert tables.provenance["crmlab"] == crm.__version__
    names = {**vars(crm.stages), **vars(crm.actions)}
    names |= {name: getattr(crm, name) for name in dir(crm) if name[0].isupper()}
    again = eval(tables.provenance["generator"], names)
    assert again == WORLD


def test_truth_stays_out_of_the_panel(tables):
    bare = replace(tables, truth=None)
    assert crm.to_panel(tables, freq="M").identical(crm.to_panel(bare, freq="M"))


# What is refused ----------------------------------------------------------------------------------


def test_everything_wrong_with_a_world_is_reported_at_once():
    with pytest.raises(SpecError) as error:
        crm.StageWorld(SPACE, (0.5, 0.2, 0.1), MATRIX, (crm.Poisson("visits"),), n_periods=0)
    message = str(error.value)
    assert "`initial_probs` must be 3 probabilities that sum to 1" in message
    assert "`n_periods` must be a whole number of at least 1, got 0" in message
    assert "channel 'visits' must be given ['rate']" in message


@pytest.mark.parametrize("probs", [(0.5, 0.5), (1.5, -0.5, 0.0), (np.nan, 0.5, 0.5)])
def test_initial_probs_are_a_distribution(probs):
    with pytest.raises(SpecError, match="`initial_probs` must be 3 probabilities"):
        replace(WORLD, initial_probs=probs)


def test_a_world_makes_no_move_that_its_space_forbids():
    with pytest.raises(SpecError, match="'lost' -> 'new' has probability"):
        replace(WORLD, transition_matrix=(*MATRIX[:2], (0.1, 0.0, 0.9)))


def test_channels_must_fit_the_space_of_the_world():
    with pytest.raises(SpecError, match="`rate` of channel 'visits' must have one value per"):
        replace(WORLD, channels=(crm.Poisson("visits", rate=(1.0, 2.0)),))


@pytest.mark.parametrize("n_customers", [0, -1, 2.5, "many"])
def test_the_number_of_customers_is_a_positive_integer(n_customers):
    with pytest.raises(SpecError, match="simulate: `n_customers`"):
        crm.simulate(WORLD, n_customers, seed=1)


# The contract catches broken worlds ---------------------------------------------------------------


class Sequential(crm.Generator):
    """A world whose chance runs on from customer to customer."""

    def sample(self, streams, customers):
        rng = np.random.default_rng(streams.seed)
        rows = {"customer_id": customers, "period": 0, "value": rng.normal(size=len(customers))}
        return CustomerTables(
            pd.DataFrame({"customer_id": customers}),
            events=pd.DataFrame({**rows, "channel": "mood"}),
            truth={"stages": pd.DataFrame({"customer_id": customers})},
        )


class Frozen(crm.Generator):
    """A world that does not look at its seed, and keeps no truth."""

    def sample(self, streams, customers):
        events = pd.DataFrame({"customer_id": customers, "period": 0, "channel": "visits"})
        return CustomerTables(pd.DataFrame({"customer_id": customers}), events=events)


def test_a_world_with_a_sequential_generator_breaks_the_contract():
    with pytest.raises(AssertionError) as error:
        check_generator(Sequential(), seed=0)
    assert "a customer differs in another set of customers: events" in str(error.value)


def test_a_world_without_chance_and_truth_breaks_the_contract():
    with pytest.raises(AssertionError) as error:
        check_generator(Frozen(), seed=0)
    assert "the seed changes nothing" in str(error.value)
    assert "`truth` is missing" in str(error.value)
