"""Transitions that covariates, segments and customers push; models and predictions with them."""

import itertools
import math
import re

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from hypothesis import given, strategies as st
from scipy import stats

import crmlab as crm
from crmlab.errors import DataError, SpecError
from crmlab.inference import Fit
from crmlab.inference.fitting import check_possible
from crmlab.inference.log_density import LogDensity, read_log_density
from crmlab.models.base import coords
from crmlab.models.emissions import Window, merge_histories
from crmlab.transitions.covariates import mean_design, read_design
from crmlab.transitions.effect_priors import _lkj_factor, group_moves, group_origins
from tests import interpreted
from tests.oracles import moves, paths
from tests.oracles.channels import poisson
from tests.ragged import FIRST, LAST, SPACE, ragged_panel

N, T, K = 5, 4, 3
SEEN = range(4)  # the fifth customer was never observed
LADDER = crm.StageSpace(("low", "middle", "high"))
PAIR = crm.StageSpace(("dormant", "active"))
CHANNELS = (crm.Poisson("visits", rate=(1.0, 4.0, 0.2)),)
CONTACTS, AGE, SEASON = "contacts", "age", "season"


@pytest.fixture(scope="module")
def panel():
    """The ragged panel, with a covariate of each form and a segment; gaps outside the windows."""
    rng = np.random.default_rng(7)
    plain = ragged_panel()
    contacts = xr.DataArray(rng.normal(size=(N, T)), dims=("customer_id", "period"))
    return plain.assign(
        contacts=contacts.where(plain["observed"]),
        age=("customer_id", rng.normal(size=N)),
        season=("period", [0.5, -1.0, 2.0, 0.3]),
        region=("customer_id", [0.0, 1.0, 1.0, 0.0, np.nan], {"categories": ["north", "south"]}),
    )


REGION = crm.transitions.Segments("region", ("north", "south"))
LOGITS = {
    "one per kind": crm.CovariateLogit((CONTACTS, AGE, SEASON)),
    "one per move": crm.CovariateLogit((CONTACTS,), shared="move"),
    "one per origin, lagged": crm.CovariateLogit((CONTACTS,), shared="origin", lag=1),
    "segments": crm.CovariateLogit((AGE,), segments=REGION),
    "many": crm.CovariateLogit((CONTACTS, AGE), effect_scale=crm.transitions.Horseshoe(n_matter=1)),
    "customers": crm.CovariateLogit(customers=crm.transitions.CustomerEffects()),
    "correlated customers": crm.CovariateLogit(
        (CONTACTS,), customers=crm.transitions.CustomerEffects(correlated=True)
    ),
    "by period alone": crm.CovariateLogit((SEASON,)),
}
ORDERED = {
    "ordered": crm.transitions.OrderedLogit((CONTACTS, AGE)),
    "ordered, other way up": crm.transitions.OrderedLogit(
        (SEASON,), low_to_high=("lost", "new", "loyal")
    ),
    "ordered, shared": crm.transitions.OrderedLogit((CONTACTS,), shared="all", segments=REGION),
    "ordered, customers": crm.transitions.OrderedLogit(
        (CONTACTS,), customers=crm.transitions.CustomerEffects(shared="origin", correlated=True)
    ),
}
EVERY = {**LOGITS, **ORDERED}
EVERY_KIND = pytest.mark.parametrize("transitions", EVERY.values(), ids=EVERY.keys())


def drawn(transitions, space, panel, seed=1):
    """One prior draw: the posterior variables, customers' normals, and PyTensor's matrices."""
    with pm.Model(coords=coords(space)) as model:
        matrices = transitions.matrix(space, panel)
    names = transitions.posterior_names(space)
    asked = [model[name] for name in names]
    asked += [model["customer_normals"]] if transitions.customers else []
    found = interpreted.draw([*asked, matrices], 1, seed)
    parameters = dict(zip(names, found, strict=False))
    return parameters, found[len(names)] if transitions.customers else None, found[-1]


# The laws, by hand --------------------------------------------------------------------------------


def test_the_check_exercise_of_the_ordered_logit():
    """Thresholds (-1.5, 1.0), effect 1.2: down, stay, up, without and with the event."""
    draw = {
        "thresholds": np.array([[0, 0, 0], [-1.5, 1.0, 0], [0, 0, 0]]),
        "event_effect": np.array([0.0, 1.2, 0.0]),
    }
    transitions = crm.transitions.OrderedLogit(("event",))
    found = transitions.matrices(LADDER, draw, np.array([[[0.0], [1.0]]]))[0, :, 1]
    printed = (("0.1824", "0.5486", "0.2689"), ("0.0630", "0.3872", "0.5498"))
    for row, words in zip(found, printed, strict=True):
        for value, word in zip(row, words, strict=True):
            assert abs(value - float(word)) <= 0.5e-4


def test_two_stages_of_which_one_is_left_are_a_logistic_regression():
    space = crm.StageSpace(("here", "gone"), moves=(("here", "gone"),))
    x = np.array([-2.0, 0.0, 0.7, 30.0])
    effect = np.array([[0.0, -0.8], [0.0, 0.0]])
    draw = {"base_logits": np.array([[0.0, 0.4], [0.0, 0.0]]), "x_effect": effect}
    found = crm.CovariateLogit(("x",)).matrices(space, draw, x[None, :, None])
    by_hand = 1 / (1 + np.exp(-(0.4 - 0.8 * x)))
    assert found[0, :, 0, 1] == pytest.approx(by_hand, rel=1e-12)
    assert (found[0, :, 1] == [0, 1]).all()
    cuts = {"thresholds": np.array([[-0.4, 0.0], [0, 0]]), "x_effect": np.array([-0.8, 0.0])}
    ordered = crm.transitions.OrderedLogit(("x",)).matrices(space, cuts, x[None, :, None])
    assert ordered[0, :, 0, 1] == pytest.approx(by_hand, rel=1e-12)


def rows_by_hand(transitions, space, parameters, x, offset):
    """One matrix by the oracle: `x` {column: number}, `offset` what the customer adds."""
    rows = []
    for k in range(len(space)):
        allowed = [j for j in range(len(space)) if space.mask[k, j]]
        if isinstance(transitions, crm.CovariateLogit):
            odds = {
                j: parameters["base_logits"][k, j]
                + sum(value * parameters[f"{c}_effect"][k, j] for c, value in x.items())
                + (0.0 if offset is None else offset[k, j])
                for j in allowed
                if j != k
            }
            rows.append(moves.logit_row(k, odds))
            continue
        order = [space.index(name) for name in transitions.low_to_high or space.names]
        rungs = [j for j in order if j in allowed]
        propensity = sum(value * parameters[f"{c}_effect"][k] for c, value in x.items())
        propensity += 0.0 if offset is None else offset[k]
        cuts = [parameters["thresholds"][k, j] for j in rungs[:-1]]
        rows.append(moves.ordered_row(rungs, cuts, propensity))
    return np.array(moves.as_matrix(rows))


def covariates_by_hand(transitions, panel, n, t):
    """What the move of customer n from period t to t + 1 reads, by name of the column."""
    at = t if transitions.lag else t + 1
    cells = {
        CONTACTS: lambda: panel[CONTACTS].values[n, at],
        AGE: lambda: panel[AGE].values[n],
        SEASON: lambda: panel[SEASON].values[at],
    }
    x = {name: cells[name]() for name in transitions.covariates}
    if transitions.segments:
        code = panel["region"].values[n]
        x |= {"region_north": float(code == 0), "region_south": float(code == 1)}
    return x


def offset_by_hand(transitions, parameters, normals, space):
    """What a customer adds, from standard deviations and correlations of the posterior."""
    if not transitions.customers:
        return None
    by_move = isinstance(transitions, crm.CovariateLogit)
    groups = (group_moves if by_move else group_origins)(space, transitions.customers.shared)
    index, offset = groups.index, np.zeros(groups.index.shape)
    place = {g: tuple(np.argwhere(index == g)[0]) for g in range(len(groups.names))}
    corr = np.eye(len(place))
    if transitions.customers.correlated:
        for g, name in enumerate(groups.names):
            corr[g] = [parameters[f"customer_corr_{name}"][place[h]] for h in place]
    effects = np.linalg.cholesky(corr) @ normals
    for g, at in place.items():
        offset[index == g] = effects[g] * parameters["customer_sd"][at]
    return offset


@EVERY_KIND
def test_both_faces_show_the_law_of_the_oracle(transitions, panel):
    """Every move inside a window: covariates at their period, effects on their moves."""
    parameters, normals, tensor = drawn(transitions, SPACE, panel)
    design = transitions.design.read(panel)["covariates"]
    offsets = None if normals is None else transitions.customer_offsets(SPACE, parameters, normals)
    array = transitions.matrices(SPACE, parameters, design, offsets)
    assert array == pytest.approx(tensor, abs=1e-12)
    for n in SEEN:
        mine = None if normals is None else normals[n]
        offset = offset_by_hand(transitions, parameters, mine, SPACE)
        for t in range(FIRST[n], LAST[n]):
            x = covariates_by_hand(transitions, panel, n, t)
            by_hand = rows_by_hand(transitions, SPACE, parameters, x, offset)
            found = array[n % len(array), t % array.shape[1]]
            assert found == pytest.approx(by_hand, abs=1e-12)
            assert (found[~SPACE.mask] == 0).all()


@pytest.mark.parametrize(
    ("transitions", "shape"),
    [
        (LOGITS["by period alone"], (1, T - 1)),
        (crm.CovariateLogit((AGE,)), (N, 1)),
        (LOGITS["one per kind"], (N, T - 1)),
        (LOGITS["customers"], (N, 1)),
    ],
)
def test_matrices_have_no_longer_axes_than_they_need(transitions, shape, panel):
    assert transitions.design.read(panel)["covariates"].shape[:2] == shape


@pytest.mark.parametrize("kind", [crm.CovariateLogit, crm.transitions.OrderedLogit])
@pytest.mark.parametrize("space", [SPACE, LADDER, crm.KNAPP], ids=len)
def test_zero_effects_are_the_homogeneous_chain_exactly(kind, space):
    """And with nothing to read the model registers one matrix, as every other does."""
    with pm.Model(coords=coords(space)) as model:
        kind().matrix(space, None)
    plain = kind().posterior_names(space)
    base, matrix = interpreted.draw([model[name] for name in plain], 1, 3)
    transitions, groups = kind(("x",)), group_moves(space, "kind")
    shape = groups.index.shape if kind is crm.CovariateLogit else (len(space),)
    draw = {plain[0]: base, "x_effect": np.zeros(shape)}
    found = transitions.matrices(space, draw, np.random.default_rng(1).normal(size=(2, 3, 1)))
    assert found.shape == (2, 3, len(space), len(space))
    assert (found == matrix).all()
    assert plain[1] == "transition_matrix"


@pytest.mark.parametrize("kind", [crm.CovariateLogit, crm.transitions.OrderedLogit])
@given(x=st.floats(-1e4, 1e4), seed=st.integers(0, 50))
def test_any_covariate_gives_probabilities(kind, x, seed):
    """Rows sum to 1, what is forbidden is exactly 0, and nothing overflows."""
    rng = np.random.default_rng(seed)
    shape = (K, K) if kind is crm.CovariateLogit else (K,)
    cuts = np.cumsum(rng.gamma(1.0, size=(K, K)), axis=1) - 2
    draw = {"base_logits": rng.normal(size=(K, K)), "thresholds": cuts}
    draw["x_effect"] = rng.normal(size=shape)
    found = kind(("x",)).matrices(SPACE, draw, np.array([[[x]]]))[0, 0]
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (found[~SPACE.mask] == 0).all()
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-12)


def test_no_probability_of_the_ordered_logit_is_lost_to_rounding():
    """Far from a threshold, the difference of two logistic functions would be exactly 0."""
    draw = {"thresholds": np.array([[0.0, 0.1, 0]] * 3), "x_effect": np.ones(3)}
    found = crm.transitions.OrderedLogit(("x",)).matrices(LADDER, draw, np.array([[[-60.0]]]))[
        0, 0, 1
    ]
    assert found[1] == pytest.approx(math.exp(-60) * (1 - math.exp(-0.1)), rel=1e-6)
    assert found[2] == pytest.approx(math.exp(-60.1), rel=1e-6)


def test_typical_moves_are_the_centre_of_the_priors():
    for kind in (crm.CovariateLogit, crm.transitions.OrderedLogit):
        transitions = kind(typical_stay=(0.9, 0.7, 0.5), spread=1e-9)
        with pm.Model(coords=coords(SPACE)) as model:
            transitions.matrix(SPACE, None)
        matrix = interpreted.draw(model["transition_matrix"], 1, 1)
        expected = [[0.9, 0.05, 0.05], [0.15, 0.7, 0.15], [0, 0, 1]]
        assert matrix == pytest.approx(np.array(expected), abs=1e-6)


# Priors -------------------------------------------------------------------------------------------


def test_correlations_of_customers_have_the_lkj_law():
    """Any one correlation of n: (r + 1) / 2 ~ Beta(a, a), a = eta + (n - 2) / 2."""
    with pm.Model():
        factor = _lkj_factor("partial", 3, eta=2.0)
    draws = interpreted.draw(factor, 2000, 5)
    table = draws @ draws.swapaxes(1, 2)
    assert np.diagonal(table, axis1=1, axis2=2) == pytest.approx(1, abs=1e-12)
    bound = np.sqrt(np.log(2 / 1e-6) / (2 * len(draws)))  # Kolmogorov-Smirnov, size 1e-6
    for i, j in itertools.combinations(range(3), 2):
        dist = stats.beta(2.5, 2.5, loc=-1, scale=2)
        assert stats.kstest(table[:, i, j], dist.cdf).statistic < bound


def test_effects_have_the_scales_that_were_asked_for():
    transitions = crm.CovariateLogit((CONTACTS, AGE), effect_scale=(0.2, 2.0), shared="all")
    panel = ragged_panel().assign(contacts=("customer_id", np.ones(N)))
    panel = panel.assign(age=("customer_id", np.arange(N)))
    with pm.Model(coords=coords(SPACE)) as model:
        transitions.matrix(SPACE, panel)
    names = ("contacts_effect", "age_effect")
    draws = interpreted.draw([model[name] for name in names], 1000, 2)
    for values, scale in zip(draws, (0.2, 2.0), strict=True):
        # Five standard errors of a standard deviation: 5 / sqrt(2 n).
        assert values[:, 0, 1].std() == pytest.approx(scale, rel=5 / np.sqrt(2000))
        assert (values[:, 0, 1] == values[:, 1, 2]).all()
        assert (values[:, [0, 1, 2], [0, 1, 2]] == 0).all()


def test_the_horseshoe_leaves_few_effects_alone_and_shrinks_the_rest():
    with pm.Model():
        effects = crm.transitions.Horseshoe(n_matter=2, n_moves=1000).register("effects", (20, 1))
    draws = np.abs(interpreted.draw(effects, 400, 3))[..., 0]
    share = (draws > 0.3).mean()
    assert 0.01 < share < 0.25
    assert draws.max() < 20  # the slab holds back what a Cauchy law would let go


# The design ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lag", "move"), [(0, 1), (1, 2)])
def test_a_shift_in_one_period_moves_one_matrix(lag, move, panel):
    """A campaign in period 2 alone acts on the move into it, or (lag 1) out of it."""
    campaign = panel.assign(campaign=("period", [0.0, 0.0, 1.0, 0.0]))
    transitions = crm.CovariateLogit(("campaign",), lag=lag)
    parameters, _, tensor = drawn(transitions, SPACE, campaign)
    found = transitions.matrices(
        SPACE, parameters, transitions.design.read(campaign)["covariates"]
    )[0]
    assert found == pytest.approx(tensor[0], abs=1e-12)
    usual = [t for t in range(T - 1) if t != move]
    assert (found[usual] == found[usual[0]]).all()
    assert np.abs(found[move] - found[usual[0]]).max() > 0.01


@pytest.mark.bits
def test_cells_that_no_move_reads_may_hold_anything(panel):
    contacts = panel[CONTACTS].copy()
    contacts[1, :2] = np.nan  # before the window of customer 1, and its first period: no move in
    contacts[4] = np.inf  # never observed
    spoilt = panel.assign(contacts=contacts)
    transitions = crm.CovariateLogit((CONTACTS,))
    assert transitions.design.check(spoilt) == []
    assert np.array_equal(
        transitions.design.read(spoilt)["covariates"], transitions.design.read(panel)["covariates"]
    )


def test_means_are_taken_over_the_moves_inside_the_windows(panel):
    design = read_design(panel, (CONTACTS, SEASON))
    cells = [(n, t + 1) for n in SEEN for t in range(FIRST[n], LAST[n])]
    expected = [
        np.mean([panel[CONTACTS].values[cell] for cell in cells]),
        np.mean([panel[SEASON].values[t] for _, t in cells]),
    ]
    assert mean_design(design, panel) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("labels", "held"),
    [
        (("north", "south"), ("customer_id", ["north", "south", "south", "north", "south"])),
        ((10.0, 20.0), ("customer_id", [10.0, 20.0, 20.0, 10.0, 20.0])),
        (
            ("north", "south"),
            ("customer_id", [0.0, 1, 1, 0, 1], {"categories": ["north", "south"]}),
        ),
    ],
    ids=["names", "numbers", "codes of names"],
)
def test_segments_are_read_however_the_panel_holds_them(labels, held, panel):
    design = read_design(panel.assign(region=held), (), crm.transitions.Segments("region", labels))
    # The last two customers never move inside their windows, so nothing is read of them.
    assert design[:, 0].tolist() == [[1, 0], [0, 1], [0, 1], [0, 0], [0, 0]]


def test_a_panel_of_one_period_has_no_moves(panel):
    one = panel.isel(period=[0])
    transitions = crm.CovariateLogit((CONTACTS,))
    assert transitions.design.check(one) == []
    built = hidden(transitions).build(one)
    value, gradient = interpreted.log_density(built)(density_start(built))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_histories_with_different_covariates_are_different():
    window = Window(np.zeros(4, int), np.ones(4, int))
    codes = [np.array([[0, 1], [0, 1], [0, 1], [2, 2]])]
    x = np.array([1.0, 2.0, 1.0, 1.0])[:, None, None]
    found = merge_histories(window, codes, x)
    assert sorted(found.times) == [1, 1, 2]
    for example, times in zip(found.example, found.times, strict=True):
        assert times == (2 if x[example, 0, 0] == 1 and codes[0][example, 0] == 0 else 1)
    assert len(merge_histories(window, codes, x[:1]).times) == 2  # shared by all: no difference


def test_customers_with_effects_of_their_own_are_never_merged():
    window = Window(np.zeros(3, int), np.array([1, 1, -1]))
    found = merge_histories(window, [np.zeros((3, 2), int)], apart=True)
    assert found.times.tolist() == [1, 1]
    assert set(found.example) == {0, 1}


# Hidden stages ------------------------------------------------------------------------------------


def hidden(transitions, **options):
    return crm.HiddenMarkov(SPACE, transitions, CHANNELS, **options)


def density_start(built):
    start = built.initial_point()
    return np.concatenate([np.ravel(start[v.name]) for v in built.value_vars]).astype(float)


def evidence(panel, n):
    """Log-densities of one customer's window, 0 where the visits were lost."""
    counts = panel["visits"].values[n, FIRST[n] : LAST[n] + 1]
    return [[0.0 if np.isnan(y) else poisson(y, rate) for rate in CHANNELS[0].rate] for y in counts]


def crowd(panel):
    """The panel with its customers twice, but for one covariate of one of the second five."""
    twice = panel.isel(customer_id=[*range(N), *range(N)]).assign_coords(
        customer_id=np.arange(2 * N)
    )
    contacts = twice[CONTACTS].copy()
    contacts[N, 2] += 1.0
    return twice.assign(contacts=contacts)


@EVERY_KIND
def test_the_likelihood_is_the_sum_over_all_paths(transitions, panel):
    many = (
        crowd(panel) if CONTACTS in transitions.covariates and not transitions.customers else panel
    )
    model = hidden(transitions, initial_probs=(0.6, 0.3, 0.1))
    built = model.build(many)
    names = transitions.posterior_names(SPACE)
    asked = [*model.merged_loglik(built, many), *(built[name] for name in names)]
    asked += [built["customer_normals"]] if transitions.customers else []
    report, start = interpreted.as_function_of_vector(built, asked)
    x = start + np.random.default_rng(2).normal(0, 0.5, len(start))
    loglik, *values = report(x)
    parameters = dict(zip(names, values, strict=False))
    expected = 0.0
    place = rows_of(model, many) if transitions.customers else {}
    for n in range(many.sizes["customer_id"]):
        if n % N == 4:
            continue
        normals = values[-1][place[n]] if transitions.customers else None
        offset = offset_by_hand(transitions, parameters, normals, SPACE)
        matrices = [
            rows_by_hand(
                transitions, SPACE, parameters, covariates_by_hand(transitions, many, n, t), offset
            )
            for t in range(FIRST[n % N], LAST[n % N])
        ]
        expected += paths.loglik((0.6, 0.3, 0.1), matrices, evidence(many, n % N))
    assert float(loglik) == pytest.approx(expected, abs=1e-9)


def rows_of(model, panel):
    """Row of the density that belongs to each customer who was seen, found by her visits."""
    arrays = model.read(panel)
    seen = np.append(arrays["visits_values"], np.nan)[arrays["visits_codes"]]
    inside = panel["visits"].where(panel["observed"]).values
    return {
        n: next(
            row
            for row in range(len(seen))
            if np.array_equal(seen[row], inside[n], equal_nan=True)
            and arrays["first"][row] == FIRST[n]
        )
        for n in SEEN
    }


@EVERY_KIND
def test_reading_a_panel_gives_all_data_of_the_density(transitions, panel):
    """So that the compiled density serves any other panel of the same shape."""
    model = hidden(transitions)
    arrays, data = model.read(panel), read_log_density(model, panel).data
    assert set(data) == set(arrays) - {"covariate_means"}
    for name in data:
        assert np.array_equal(data[name], arrays[name])
    assert set(model.posterior_names) <= set(model.build(panel).named_vars)


# What is refused, and what is warned about --------------------------------------------------------


def test_a_missing_covariate_is_refused_with_its_place(panel):
    contacts = panel[CONTACTS].copy()
    contacts[0, 2], contacts[2, 1] = np.nan, np.inf
    with pytest.raises(DataError) as error:
        hidden(crm.CovariateLogit((CONTACTS,))).check(panel.assign(contacts=contacts))
    message = str(error.value)
    ids, periods = panel["customer_id"].values, panel["period"].values
    assert "covariate 'contacts' is missing or not finite where a move needs it" in message
    assert f"customer {ids[0]} in period {periods[2]}" in message
    assert f"customer {ids[2]} in period {periods[1]}" in message
    assert "fill it in" in message
    left = hidden(crm.CovariateLogit((CONTACTS,), lag=1))
    with pytest.raises(DataError, match=f"customer {ids[0]} in period {periods[2]}"):
        left.check(panel.assign(contacts=contacts))


def test_covariates_that_do_not_change_are_refused_with_their_place_too(panel):
    age, season = panel[AGE].copy(), panel[SEASON].copy()
    age[2], season[3] = np.nan, np.nan
    with pytest.raises(DataError) as error:
        hidden(crm.transitions.OrderedLogit((AGE, SEASON))).check(
            panel.assign(age=age, season=season)
        )
    ids, periods = panel["customer_id"].values, panel["period"].values
    assert f"'age' is missing or not finite where a move needs it: customer {ids[2]}" in str(
        error.value
    )
    assert f"'season' is missing or not finite where a move needs it: period {periods[3]}" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("spoil", "transitions", "words"),
    [
        (
            lambda p: p.drop_vars(CONTACTS),
            LOGITS["one per move"],
            "covariate 'contacts' is not among its variables",
        ),
        (
            lambda p: p.assign(age=("customer_id", list("abcde"))),
            crm.CovariateLogit((AGE,)),
            "must hold numbers, got .*; use Segments",
        ),
        (lambda p: p, crm.CovariateLogit(("region",)), "holds codes of names, not amounts"),
        (
            lambda p: p.assign(age=("pet", [1.0])),
            crm.CovariateLogit((AGE,)),
            "'age' must have dims among",
        ),
        (lambda p: p.drop_vars("region"), LOGITS["segments"], "'region' is not in the panel"),
        (
            lambda p: p,
            crm.CovariateLogit(segments=crm.transitions.Segments("region", ("north", "west"))),
            r"'region' puts 2 customers, e.g. .*, in none of the segments \['north', 'west'\]",
        ),
    ],
)
def test_a_panel_without_what_the_moves_read_is_refused(spoil, transitions, words, panel):
    with pytest.raises(DataError, match=words):
        hidden(transitions).check(spoil(panel))


def test_a_covariate_that_can_show_no_effect_is_warned_about(panel):
    dull = panel.assign(dull=("period", [3.0] * T))
    (remark,) = hidden(crm.CovariateLogit(("dull",))).remarks(dull)
    assert re.search("'dull' is 3 in every move: .* leave it out", remark)


@pytest.mark.parametrize("factor", [1e4, 1e-4])
def test_a_covariate_on_a_wild_scale_is_warned_about(factor, panel):
    wild = panel.assign(wild=factor * panel[CONTACTS])
    (remark,) = hidden(crm.CovariateLogit(("wild",))).remarks(wild)
    assert re.search("'wild' has a standard deviation of .*; divide it by", remark)


def test_usual_covariates_are_taken_in_silence(panel):
    assert hidden(LOGITS["one per kind"]).remarks(panel) == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: crm.CovariateLogit(("x", "x")), "`covariates` must differ"),
        (lambda: crm.CovariateLogit(("x",), effect_scale=0.0), "`effect_scale` must be a Horsesh"),
        (lambda: crm.CovariateLogit(("x",), effect_scale=(1, 2)), r"one per covariate \(1\)"),
        (lambda: crm.CovariateLogit(typical_stay=1.0), "typical_stay` must be above 0 and below 1"),
        (lambda: crm.CovariateLogit(spread=np.inf), "`spread` must be finite and above 0"),
        (lambda: crm.transitions.OrderedLogit(lag=2), "`lag` must be 0 or 1, got 2"),
        (lambda: crm.CovariateLogit(shared="stage"), "CovariateLogit: `shared`"),
        (
            lambda: crm.transitions.OrderedLogit(customers=crm.transitions.CustomerEffects()),
            "`customers.shared`",
        ),
        (
            lambda: crm.transitions.CustomerEffects(scale=0),
            "`scale` must be finite and above 0",
        ),
        (
            lambda: crm.transitions.CustomerEffects(shared="x"),
            "CustomerEffects: `shared`",
        ),
        (lambda: crm.transitions.Segments("region", ("north",)), "`labels` must be two or more"),
        (
            lambda: crm.transitions.Segments("region", ("n", "s"), scale=-1),
            "`scale` must be finite",
        ),
        (
            lambda: crm.transitions.Horseshoe(slab_scale=0),
            "`slab_scale` must be finite and above 0, got 0",
        ),
        (lambda: hidden(crm.CovariateLogit(typical_stay=(0.5, 0.5))), "has 2 values for 3 stages"),
        (
            lambda: hidden(crm.transitions.OrderedLogit(low_to_high=("new",))),
            "`low_to_high` must list",
        ),
        (lambda: hidden(crm.CovariateLogit(), initial_probs="stationary"), "no move leads back"),
        (lambda: hidden(crm.CovariateLogit(), initial_probs="known"), "'stationary' or None"),
    ],
)
def test_knobs_that_make_no_model_are_refused(make, words):
    with pytest.raises(SpecError, match=words):
        make()


def test_a_model_with_covariates_builds_on_a_panel_only():
    with pm.Model(coords=coords(SPACE)), pytest.raises(SpecError, match=r"with \['contacts'\]"):
        crm.CovariateLogit((CONTACTS,)).matrix(SPACE, None)


# The stationary law -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transitions",
    [
        crm.StickyDirichlet(),
        crm.CovariateLogit((CONTACTS, AGE)),
        crm.transitions.OrderedLogit((SEASON,)),
    ],
    ids=lambda transitions: type(transitions).__name__,
)
def test_the_stationary_law_is_kept_by_the_matrix_at_mean_covariates(transitions, panel):
    model = crm.HiddenMarkov(LADDER, transitions, CHANNELS, initial_probs="stationary")
    built = model.build(panel)
    names = ("initial_probs", *transitions.posterior_names(LADDER))
    report, start = interpreted.as_function_of_vector(built, [built[name] for name in names])
    x = start + np.random.default_rng(3).normal(size=len(start))
    parameters = dict(zip(names, report(x), strict=True))
    found = parameters["initial_probs"]
    if isinstance(transitions, crm.StickyDirichlet):
        matrix = parameters["transition_matrix"]
    else:
        means = dict(
            zip(
                transitions.covariates,
                transitions.design.read(panel)["covariate_means"],
                strict=True,
            )
        )
        matrix = rows_by_hand(transitions, LADDER, parameters, means, None)
    assert found @ matrix == pytest.approx(found, abs=1e-12)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    value, gradient = interpreted.log_density(built)(x)
    step = 1e-6 * np.random.default_rng(4).normal(size=len(x))
    density = interpreted.log_density(built)
    slope = (density(x + step)[0] - density(x - step)[0]) / 2
    assert np.isfinite(value)
    assert gradient @ step == pytest.approx(float(slope), rel=1e-4, abs=1e-9)


# Predictions --------------------------------------------------------------------------------------

MOVING = crm.CovariateLogit((CONTACTS, AGE, SEASON))
DIFFERING = crm.CovariateLogit(
    (CONTACTS,), shared="all", customers=crm.transitions.CustomerEffects(shared="all", scale=1.5)
)
STEP_BACK = crm.CovariateLogit((CONTACTS, AGE), lag=1)


def hand_made_fit(transitions, panel, n_draws=2):
    """A fit whose draws are prior draws of the moves, with known channels."""
    model = hidden(transitions, initial_probs=(0.6, 0.3, 0.1))
    draws = [drawn(transitions, SPACE, panel, seed)[0] for seed in range(1, n_draws + 1)]
    draws = [{**one, "initial_probs": np.array([0.6, 0.3, 0.1])} for one in draws]
    draws = [{**one, "visits_rate": np.array(CHANNELS[0].rate)} for one in draws]
    variables = {
        name: (
            ("chain", "draw", "stage", "stage_to")[: 2 + draws[0][name].ndim],
            np.stack([one[name] for one in draws])[None],
        )
        for name in model.posterior_names
    }
    names = list(SPACE.names)
    labels = {"chain": [0], "draw": np.arange(n_draws), "stage": names, "stage_to": names}
    posterior = xr.Dataset(variables)
    posterior = posterior.assign_coords({k: v for k, v in labels.items() if k in posterior.dims})
    return Fit(model, panel, xr.DataTree.from_dict({"posterior": posterior}))


def draw_of(fit, draw):
    return {name: values.values[0, draw] for name, values in fit.posterior.data_vars.items()}


def problem(fit, panel, draw, n, offset=None):
    """Initial law, matrices and evidence of one customer's window, for the oracle."""
    transitions, parameters = fit.model.transitions, draw_of(fit, draw)
    matrices = [
        rows_by_hand(
            transitions, SPACE, parameters, covariates_by_hand(transitions, panel, n, t), offset
        )
        for t in range(FIRST[n], LAST[n])
    ]
    return parameters["initial_probs"], matrices, evidence(panel, n)


@pytest.mark.parametrize("kind", ["filtered", "predicted", "smoothed"])
@pytest.mark.parametrize("transitions", [MOVING, STEP_BACK, ORDERED["ordered"]], ids=repr)
def test_stage_probs_equal_enumeration_with_matrices_that_change(transitions, kind, panel):
    fit = hand_made_fit(transitions, panel)
    found = crm.stage_probs(fit, kind=kind)
    for draw, n in itertools.product(range(2), SEEN):
        expected = getattr(paths, kind)(*problem(fit, panel, draw, n))
        window = found.values[0, draw, n, FIRST[n] : LAST[n] + 1]
        assert window == pytest.approx(np.array(expected), abs=1e-10)
    assert np.isnan(found.values[0, :, 4]).all()


def test_the_most_likely_path_equals_enumeration_with_matrices_that_change(panel):
    fit = hand_made_fit(MOVING, panel, n_draws=1)
    found = crm.most_likely_path(fit).values
    for n in SEEN:
        arguments = problem(fit, panel, 0, n)
        path = tuple(SPACE.index(name) for name in found[n, FIRST[n] : LAST[n] + 1])
        best = paths.best_log_joint(*arguments)
        assert paths.log_joint(*arguments, path) == pytest.approx(best, abs=1e-10)


def integrate(fit, panel, draw, n, ask):
    """Sum over what a customer may be like, by Gauss-Hermite quadrature: weights, answers."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    moving = SPACE.mask & ~np.eye(K, dtype=bool)
    sd = draw_of(fit, draw)["customer_sd"][0, 1]
    total = 0.0
    for node, weight in zip(nodes, weights, strict=True):
        arguments = problem(fit, panel, draw, n, node * sd * moving)
        total = total + weight * np.array(ask(*arguments))
    return total


def joint(kind, initial, matrices, logs):
    """Stage probabilities times the likelihood of what they are given; and that likelihood."""
    probs = getattr(paths, kind)(initial, matrices, logs)
    blank = [[0.0] * K]
    lengths = {"filtered": (1, []), "predicted": (0, []), "smoothed": (len(logs), [])}[kind]
    rows = []
    for t, row in enumerate(probs):
        upto = len(logs) if kind == "smoothed" else t + lengths[0]
        given = [*logs[:upto], *blank * (len(logs) - upto)]
        mass = math.exp(paths.loglik(initial, matrices, given))
        rows.append([*(mass * p for p in row), mass])
    return rows


@pytest.mark.parametrize("kind", ["filtered", "predicted", "smoothed"])
def test_effects_of_customers_are_summed_out(kind, panel):
    """Against quadrature. 64 points of a population miss its mean by a few thousandths."""
    fit = hand_made_fit(DIFFERING, panel)
    found = crm.stage_probs(fit, kind=kind).values
    plain = hand_made_fit(crm.CovariateLogit((CONTACTS,), shared="all"), panel)
    differs = 0.0
    for draw, n in itertools.product(range(2), SEEN):
        table = integrate(fit, panel, draw, n, lambda *given: joint(kind, *given))
        window = found[0, draw, n, FIRST[n] : LAST[n] + 1]
        assert window == pytest.approx(table[:, :K] / table[:, K:], abs=0.01)
        alone = getattr(paths, kind)(*problem(fit, panel, draw, n, np.zeros((K, K))))
        differs = max(differs, np.abs(window - alone).max())
    assert differs > 0.02, "ignoring the effects would pass"
    assert plain.model.posterior_names[1:3] == ("base_logits", "contacts_effect")


def ahead(panel, n_periods, **cells):
    labels = {"customer_id": panel["customer_id"].values, "horizon": np.arange(1, n_periods + 1)}
    return xr.Dataset(cells, coords=labels)


def test_forecasts_take_the_covariates_to_come(panel):
    fit = hand_made_fit(MOVING, panel)
    contacts = np.random.default_rng(9).normal(size=(N, 3))
    season = np.array([1.0, -0.5, 0.0])
    future = ahead(
        panel, 3, contacts=(("customer_id", "horizon"), contacts), season=("horizon", season)
    )
    found = crm.forecast(fit, n_periods=3, seed=1, future=future)["stage_probs"].values
    now = crm.current_stage_probs(fit).values
    for draw, n in itertools.product(range(2), range(N)):
        probs = now[0, draw, n]
        for h in range(3):
            x = {CONTACTS: contacts[n, h], AGE: panel[AGE].values[n], SEASON: season[h]}
            probs = probs @ rows_by_hand(MOVING, SPACE, draw_of(fit, draw), x, None)
            assert found[0, draw, n, h] == pytest.approx(probs, abs=1e-10)


def test_with_a_lag_the_first_move_takes_the_last_period(panel):
    panel = panel.assign(contacts=panel[CONTACTS].fillna(0.25))
    fit = hand_made_fit(STEP_BACK, panel)
    one = crm.forecast(fit, n_periods=1, seed=1)["stage_probs"].values
    future = ahead(panel, 1, contacts=("horizon", [3.0]))
    two = crm.forecast(fit, n_periods=2, seed=1, future=future)["stage_probs"].values
    now = crm.current_stage_probs(fit).values
    for draw, n in itertools.product(range(2), SEEN):
        probs = now[0, draw, n]
        for h, contacts in enumerate((panel[CONTACTS].values[n, LAST[n]], 3.0)):
            x = {CONTACTS: contacts, AGE: panel[AGE].values[n]}
            probs = probs @ rows_by_hand(STEP_BACK, SPACE, draw_of(fit, draw), x, None)
            assert two[0, draw, n, h] == pytest.approx(probs, abs=1e-10)
    assert one[..., 0, :] == pytest.approx(two[..., 0, :], abs=1e-12)


def test_forecasts_without_the_covariates_to_come_are_refused(panel):
    fit = hand_made_fit(MOVING, panel, n_draws=1)
    with pytest.raises(SpecError, match=r"covariates \['contacts', 'season'\] change: give"):
        crm.forecast(fit, n_periods=2, seed=1)
    future = ahead(panel, 2, contacts=("horizon", [0.0, 1.0])).isel(customer_id=[0, 1])
    with pytest.raises(SpecError) as error:
        crm.forecast(fit, n_periods=3, seed=1, future=future)
    for words in ("lacks 'season'", "lacks the horizons [3]", "lacks 3 customers"):
        assert words in str(error.value)
    flat = ahead(panel, 2, contacts=("customer_id", np.ones(N)), season=("horizon", [0.0, 0.0]))
    with pytest.raises(SpecError, match="'contacts' of `future` must have the dim horizon"):
        crm.forecast(fit, n_periods=2, seed=1, future=flat)
    holes = ahead(panel, 2, contacts=("horizon", [0.0, np.nan]), season=("horizon", [0.0, 0.0]))
    with pytest.raises(DataError, match=r"'contacts' is missing or not finite .*period 2"):
        crm.forecast(fit, n_periods=2, seed=1, future=holes)


def test_futures_of_customers_who_differ_spread_more_than_those_of_the_typical_one(panel):
    """Each draw takes one customer of the population; their mean is the law summed out."""
    nobody = panel.isel(customer_id=np.full(400, 4)).assign_coords(customer_id=np.arange(400))
    fit = hand_made_fit(DIFFERING, panel, n_draws=1)
    future = ahead(nobody, 1, contacts=("horizon", [0.5]))
    found = crm.forecast(fit, n_periods=1, seed=3, panel=nobody, future=future)
    laws = found["stage_probs"].values[0, 0, :, 0]
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    parameters = draw_of(fit, 0)
    moving = SPACE.mask & ~np.eye(K, dtype=bool)
    sd = parameters["customer_sd"][0, 1]
    each = np.array(
        [
            parameters["initial_probs"]
            @ rows_by_hand(DIFFERING, SPACE, parameters, {CONTACTS: 0.5}, node * sd * moving)
            for node in nodes
        ]
    )
    mean = weights @ each / weights.sum()
    spread = np.sqrt(weights @ (each - mean) ** 2 / weights.sum())
    assert (spread > 0.01).any()
    # Five standard errors, and what 64 points miss.
    assert (np.abs(laws.mean(axis=0) - mean) < 5 * spread / np.sqrt(400) + 0.01).all()
    assert laws.std(axis=0) == pytest.approx(spread, rel=0.25, abs=0.005)


@pytest.mark.bits
@pytest.mark.parametrize(
    "transitions", [LOGITS["many"], DIFFERING, ORDERED["ordered, shared"]], ids=repr
)
def test_a_fit_comes_back_from_disk_and_predicts_the_same(transitions, panel, tmp_path):
    fit = hand_made_fit(transitions, panel)
    fit.save(tmp_path / "fit")
    loaded = crm.load_fit(tmp_path / "fit")
    assert loaded.model == fit.model
    found = crm.stage_probs(loaded, kind="smoothed")
    assert found.equals(crm.stage_probs(fit, kind="smoothed"))


def test_new_customers_are_scored_by_their_own_covariates(panel):
    """Any other panel with the same variables: here the same customers, the other way round."""
    fit = hand_made_fit(MOVING, panel)
    turned = panel.isel(customer_id=slice(None, None, -1))
    found = crm.stage_probs(fit, kind="smoothed", panel=turned)
    xr.testing.assert_allclose(
        found.isel(customer_id=slice(None, None, -1)), crm.stage_probs(fit, kind="smoothed")
    )
    with pytest.raises(DataError, match="'age' is not among"):
        crm.stage_probs(fit, kind="smoothed", panel=panel.drop_vars("age"))


# Recovery -----------------------------------------------------------------------------------------


def simulated_panel(n_customers, n_periods, effect, seed):
    """Two stages; each contact multiplies the odds of rising, and divides those of falling."""
    rng = np.random.default_rng(seed)
    contacts = rng.poisson(1.0, size=(n_customers, n_periods)).astype(float)
    stage = np.zeros((n_customers, n_periods), dtype=int)
    stage[:, 0] = rng.random(n_customers) < 0.5
    for t in range(1, n_periods):
        rise = 1 / (1 + np.exp(2.0 - effect * contacts[:, t]))
        stay = 1 - 1 / (1 + np.exp(1.0 + 0.5 * effect * contacts[:, t]))
        stage[:, t] = rng.random(n_customers) < np.where(stage[:, t - 1] == 1, stay, rise)
    visits = rng.poisson(np.array([0.3, 3.0])[stage]).astype(float)
    dims = ("customer_id", "period")
    return xr.Dataset(
        {
            "visits": (dims, visits),
            "contacts": (dims, contacts),
            "observed": (dims, np.ones_like(stage, dtype=bool)),
        },
        coords={"customer_id": np.arange(n_customers), "period": np.arange(n_periods)},
    )


@pytest.mark.sampling
@pytest.mark.slow
def test_what_moves_customers_is_recovered():
    """Four numbers, none further out than 4 posterior deviations: odds of 1 in 4,000 each."""
    panel = simulated_panel(150, 10, effect=0.8, seed=3)
    visits = crm.Poisson("visits", typical_rate=(0.5, 4.0), spread=0.5)
    model = crm.HiddenMarkov(PAIR, crm.CovariateLogit((CONTACTS,)), (visits,), "visits_rate")
    fit = crm.fit(model, panel, draws=400, tune=400, seed=5)
    assert fit.problems == ()
    effects, base = fit.posterior["contacts_effect"], fit.posterior["base_logits"]
    truth = {(0, 1): (0.8, -2.0), (1, 0): (-0.4, -1.0)}
    for (i, j), (effect, logit) in truth.items():
        for values, true in ((effects[..., i, j], effect), (base[..., i, j], logit)):
            assert abs(float(values.mean()) - true) < 4 * float(values.std())
    assert float(effects[..., 0, 1].mean()) > 4 * float(effects[..., 0, 1].std())


def test_an_impossible_panel_names_its_customers_though_moves_are_driven(panel):
    """The start of the sampler is examined whatever the matrices are made of."""
    visits = crm.Poisson("visits", rate=(0.0, 0.0, 1.0))
    transitions = crm.CovariateLogit((CONTACTS,), customers=crm.transitions.CustomerEffects())
    model = crm.HiddenMarkov(LADDER, transitions, (visits,), initial_probs=(1.0, 0.0, 0.0))
    assert (panel["visits"][:, 0] > 0).any()
    built = model.build(panel)
    names = model.posterior_names
    function, flat = interpreted.as_function_of_vector(built, [built[name] for name in names])
    density = LogDensity(interpreted.log_density(built), function, {}, flat, names)
    with pytest.raises(DataError, match="impossible under HiddenMarkov for"):
        check_possible(model, panel, density)


# What cannot be learned is refused ----------------------------------------------------------------


def test_kinds_that_go_both_ways_are_two_groups():
    """Stated kinds, too: one effect would lift customers and drop them."""
    names = ("low", "mid", "high")
    moves = [crm.stages.Move(a, b, "skip") for a in names for b in names if a != b]
    groups = group_moves(crm.StageSpace(names, moves=moves), "kind")
    assert groups.names == ("skip", "skip_down")
    assert (groups.index == groups.index.T).sum() == len(names)  # only where nothing moves


@pytest.mark.parametrize("space", [crm.StageSpace(tuple("abcd")), crm.KNAPP, crm.stages.LIFECYCLE])
def test_no_kind_ties_a_move_and_its_return(space):
    index = group_moves(space, "kind").index
    both = space.mask & space.mask.T & ~np.eye(len(space), dtype=bool)
    assert (index != index.T)[both].all()


def test_what_stages_emit_drives_no_move_into_the_same_period():
    names, visits = ("a", "b"), crm.Poisson("visits", rate=(1, 2))
    for law in (crm.CovariateLogit, crm.transitions.OrderedLogit):
        with pytest.raises(SpecError, match=r"covariate 'visits' is emitted .* use lag=1"):
            crm.HiddenMarkov(crm.StageSpace(names), law(("visits",)), (visits,))
        crm.HiddenMarkov(crm.StageSpace(names), law(("visits",), lag=1), (visits,))
    with pytest.raises(SpecError, match=r"covariate 'stage' is emitted .* use lag=1"):
        crm.ObservedMarkov(crm.StageSpace(names), crm.CovariateLogit(("stage",)))


@pytest.mark.parametrize(
    "law",
    [
        crm.CovariateLogit(("x",)),
        crm.CovariateLogit(customers=crm.transitions.CustomerEffects()),
        crm.CovariateLogit(segments=crm.transitions.Segments("s", (1, 2))),
        crm.transitions.OrderedLogit(("x",)),
    ],
    ids=["covariate", "customers", "segments", "ordered"],
)
def test_nothing_drives_moves_where_nothing_can_move(law):
    space = crm.StageSpace(("a", "b"), moves=())
    with pytest.raises(SpecError, match="nothing can move in this space"):
        crm.HiddenMarkov(space, law, (crm.Poisson("visits", rate=(1, 2)),))
