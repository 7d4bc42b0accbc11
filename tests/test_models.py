import itertools
import math
from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st
from scipy import stats

import crmlab as crm
from crmlab import chains
from crmlab.errors import DataError, SpecError
from crmlab.inference.log_density import read_log_density
from crmlab.models.base import coords
from crmlab.models.emissions import Scorer, encode, find_window
from crmlab.models.kernel import shared
from crmlab.models.kernel.op import compiled, panel_loglik
from crmlab.models.kernel.scalar import forward_backward
from crmlab.models.ordering import OrderedWithin, spread_start
from tests import interpreted
from tests.oracles import panels, paths
from tests.oracles.chains import CAV_COUNTS, CAV_MEANS
from tests.ragged import (
    FIRST,
    KNOWN,
    LAST,
    MATRIX,
    SPACE,
    cells_of,
    given_parameters,
    oracle_laws,
    ragged_panel,
)

# The kernel ---------------------------------------------------------------------------------------

KERNEL = compiled(shared.loglik_and_gradient)
N, T, K = 5, 4, 3
WINDOWS = np.stack([FIRST, LAST], axis=-1)
CELLS = np.arange(N * T).reshape(N, T)


def on_dense(kernel):
    """Call a kernel as if each cell had evidence of its own, (customer, period, stage)."""

    def call(initial, matrices, logs, first=FIRST, last=LAST):
        cells = np.arange(logs[..., 0].size).reshape(*logs.shape[:2], 1)
        table, windows = logs.reshape(-1, logs.shape[-1]), np.stack([first, last], axis=-1)
        times = np.ones(len(logs))
        loglik, d_initial, d_matrices, d_table = kernel(
            initial, matrices, table, cells, windows, times
        )
        return loglik, d_initial, d_matrices, d_table.reshape(logs.shape)

    return call


class Problem:
    """Random evidence of five customers with ragged windows, missing cells and forbidden moves."""

    def __init__(self, shape=(1, 1), seed=1):
        rng = np.random.default_rng(seed)
        allowed = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1]])
        weights = rng.gamma(1.0, size=(*shape, K, K)) * allowed
        self.matrices = weights / weights.sum(axis=-1, keepdims=True)
        self.initial = np.array([0.7, 0.3, 0.0])
        self.logs = rng.normal(-3, 2, size=(N, T, K))
        self.logs[0, 2] = self.logs[2, 0] = 0.0  # nothing was seen
        self.logs[1, 3, 0] = -np.inf  # impossible in one stage

    @property
    def arguments(self):
        return self.initial, self.matrices, self.logs

    def customer(self, n):
        """Initial law, matrices and evidence of one customer's window, for the oracle."""
        shared_n, shared_t = self.matrices.shape[:2]
        moves = [self.matrices[n % shared_n, t % shared_t] for t in range(FIRST[n], LAST[n])]
        return self.initial, moves, self.logs[n, FIRST[n] : LAST[n] + 1].tolist()


SHAPES = pytest.mark.parametrize(
    "shape", [(1, 1), (1, T - 1), (N, 1), (N, T - 1)], ids=["shared", "by t", "by n", "by n and t"]
)
KERNELS = pytest.mark.parametrize(
    "kernel",
    [lambda: on_dense(forward_backward), lambda: on_dense(KERNEL)],
    ids=["plain", "compiled"],
)


@SHAPES
@KERNELS
def test_loglik_is_the_sum_over_all_paths(kernel, shape):
    problem = Problem(shape)
    expected = math.fsum(paths.loglik(*problem.customer(n)) for n in range(N - 1))
    assert kernel()(*problem.arguments)[0] == pytest.approx(expected, abs=1e-10)


@SHAPES
def test_loglik_equals_the_readable_recursion(shape):
    problem = Problem(shape)
    seen = np.arange(N - 1)
    matrices = problem.matrices[: N - 1] if shape[0] > 1 else problem.matrices
    readable = chains.forward(
        problem.initial, matrices, problem.logs[seen], FIRST[seen], LAST[seen]
    )
    assert on_dense(forward_backward)(*problem.arguments)[0] == pytest.approx(
        readable.loglik.sum(), abs=1e-10
    )


@SHAPES
@KERNELS
def test_gradients_are_posterior_expected_counts(kernel, shape):
    """d/d log b is a smoothed probability; d/dP is an expected count over the probability."""
    problem = Problem(shape)
    _, d_initial, d_matrices, d_logs = kernel()(*problem.arguments)
    starts, moves = np.zeros(K), np.zeros_like(problem.matrices)
    smoothed = np.zeros((N, T, K))
    for n in range(N - 1):
        for path, prob in paths.path_probs(*problem.customer(n)).items():
            starts[path[0]] += prob
            for t, (i, j) in enumerate(itertools.pairwise(path), start=FIRST[n]):
                moves[n % shape[0], t % shape[1], i, j] += prob
            smoothed[n, np.arange(FIRST[n], LAST[n] + 1), path] += prob
    possible = problem.matrices > 0
    assert d_logs == pytest.approx(smoothed, abs=1e-10)
    assert d_initial[:2] * problem.initial[:2] == pytest.approx(starts[:2], abs=1e-10)
    found = (d_matrices * problem.matrices)[possible]
    assert found == pytest.approx(moves[possible], abs=1e-10)


@SHAPES
def test_gradients_equal_central_differences(shape):
    """For every number that is free: a move that is never possible has no slope to speak of."""
    problem = Problem(shape)
    problem.logs[1, 3, 0] = -5.0
    arrays = [problem.initial, problem.matrices, problem.logs]
    gradients = on_dense(forward_backward)(*problem.arguments)[1:]
    for which, array in enumerate(arrays):
        for index in np.ndindex(array.shape):
            if which == 1 and array[index] == 0:
                continue
            ahead, behind = (
                on_dense(forward_backward)(*_shifted(arrays, which, index, step))[0]
                for step in (1e-6, -1e-6)
            )
            slope = (ahead - behind) / 2e-6
            assert gradients[which][index] == pytest.approx(slope, rel=1e-6, abs=1e-7)


def _shifted(arrays, which, index, step):
    changed = [array.copy() for array in arrays]
    changed[which][index] += step
    return changed


@SHAPES
def test_pytensor_agrees_with_the_gradient(shape):
    problem = Problem(shape)
    problem.logs[1, 3, 0] = -5.0
    allowed = problem.matrices > 0

    def loglik(initial, weights, logs):
        matrices = pt.switch(allowed, pt.exp(weights), 0.0)
        return panel_loglik(
            initial, matrices, [logs.reshape((N * T, K))], [CELLS], WINDOWS, np.ones(N)
        )

    weights = np.log(np.where(allowed, problem.matrices, 1.0))
    with pytensor.config.change_flags(cxx=""):
        pytensor.gradient.verify_grad(
            loglik,
            [problem.initial, weights, problem.logs],
            rng=np.random.default_rng(1),
            mode=interpreted.MODE,
        )


def test_a_plain_matrix_serves_everybody():
    problem = Problem()
    inputs = [pt.constant(problem.initial), pt.constant(problem.matrices[0, 0])]
    table = pt.constant(problem.logs.reshape(N * T, K))
    value = panel_loglik(*inputs, [table], [CELLS], WINDOWS, np.ones(N))
    expected = on_dense(forward_backward)(*problem.arguments)[0]
    assert interpreted.evaluate(value)[0] == pytest.approx(float(expected), rel=1e-14)


@KERNELS
def test_an_impossible_history_has_no_likelihood_and_no_gradient(kernel):
    problem = Problem()
    problem.logs[2, 1] = -np.inf
    loglik, *gradients = kernel()(*problem.arguments)
    assert loglik == -np.inf
    assert all((gradient == 0).all() for gradient in gradients)


def crowd(n_states, n_channels, seed):
    """Arguments of the kernel for 21 customers in 9 periods, some never observed."""
    rng = np.random.default_rng(seed)
    n_customers, n_periods, n_values = 21, 9, 4
    matrix = rng.dirichlet(np.ones(n_states), size=(1, 1, n_states))
    table = rng.normal(-2, 2, size=(n_channels * n_values, n_states))
    codes = rng.integers(n_values, size=(n_customers, n_periods, n_channels))
    first = rng.integers(1, 4, size=n_customers)
    last = np.where(rng.random(n_customers) < 0.1, -1, first + rng.integers(0, 6, n_customers))
    starts = n_values * np.arange(n_channels)
    windows = np.stack([first, last], axis=-1)
    times = rng.integers(1, 5, n_customers).astype(float)
    return rng.dirichlet(np.ones(n_states)), matrix, table, codes + starts, windows, times


def assert_walks_agree(arguments):
    """Eight side by side and one by one: the same up to rounding."""
    together, alone = KERNEL(*arguments), forward_backward(*arguments)
    for found, expected in zip(together, alone, strict=True):
        assert found == pytest.approx(expected, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("n_states", [1, 2, 3, 8, 10])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_eight_side_by_side_do_as_one_by_one(n_states, n_channels):
    assert_walks_agree(crowd(n_states, n_channels, seed=n_states))


@pytest.mark.parametrize("kernel", [forward_backward, KERNEL], ids=["plain", "compiled"])
def test_a_history_counts_as_often_as_customers_have_it(kernel):
    *arguments, codes, windows, times = crowd(3, 2, seed=4)
    each = np.repeat(np.arange(len(times)), times.astype(int))
    once = kernel(*arguments, codes, windows, times)
    apart = kernel(*arguments, codes[each], windows[each], np.ones(len(each)))
    for found, expected in zip(once, apart, strict=True):
        assert found == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("depth", [200.0, 700.0, 2000.0])
def test_channels_that_contradict_each_other_lose_nobody(depth):
    """One rules out what another asks for: the product of densities vanishes, not the sum."""
    initial, matrix, table, codes, windows, times = crowd(3, 2, seed=5)
    table[0], table[4] = [0.0, -depth, -depth], [-depth, 0.0, -depth]
    codes[2], codes[11, 4] = [0, 4], [0, 4]
    windows[2], windows[11] = [1, 6], [2, 7]
    assert_walks_agree((initial, matrix, table, codes, windows, times))


def test_one_impossible_history_in_a_crowd_is_enough():
    initial, matrix, table, codes, windows, times = crowd(3, 2, seed=6)
    table[0] = -np.inf
    loglik, *gradients = KERNEL(initial, matrix, table, codes, windows, times)
    assert loglik == -np.inf
    assert all((gradient == 0).all() for gradient in gradients)


@KERNELS
def test_customers_who_were_never_observed_say_nothing(kernel):
    problem = Problem()
    nobody = np.full(N, -1)
    loglik, *gradients = kernel()(*problem.arguments, 0 * FIRST, nobody)
    assert loglik == 0
    assert all((gradient == 0).all() for gradient in gradients)


@KERNELS
@pytest.mark.parametrize("shift", [-1e6, -800.0, 800.0, 1e6])
def test_extreme_log_densities_shift_the_loglik_and_nothing_else(kernel, shift):
    problem = Problem()
    plain = kernel()(*problem.arguments)
    shifted = kernel()(problem.initial, problem.matrices, problem.logs + shift, FIRST, LAST)
    n_cells = (LAST - FIRST + 1).sum()
    assert shifted[0] == pytest.approx(plain[0] + n_cells * shift, rel=1e-12)
    for one, other in zip(shifted[1:], plain[1:], strict=True):
        assert one == pytest.approx(other, rel=1e-7, abs=1e-9)


@KERNELS
def test_a_stage_out_of_reach_that_explains_all_far_better_leaves_finite_gradients(kernel):
    """A thousand visits speak for "active", but from "dormant" nobody gets there."""
    initial, matrix = np.array([1.0, 0.0, 0.0]), np.array([[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1.0]])
    logs = np.zeros((1, 6, 3))
    logs[0, :, 0] = -4000.0
    loglik, *gradients = kernel()(initial, matrix[None, None], logs, np.array([0]), np.array([5]))
    assert loglik == -24_000
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    # What is possible keeps its exact gradient: six periods, one start and five stays.
    assert gradients[0][0] == 1
    assert gradients[1][0, 0, 0, 0] == 5
    assert (gradients[2] == [[[1, 0, 0]] * 6]).all()


@KERNELS
def test_a_near_miracle_leaves_finite_gradients(kernel):
    """One path of probability 1e-300 is left, beside a stage out of reach with no future."""
    initial = np.array([1.0, 0.0, 0.0])
    matrix = np.array([[1.0, 1e-300, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    logs = np.zeros((1, 3, 3))
    logs[0, 1] = [-np.inf, -400.0, 0.0]
    logs[0, 2, 2] = -np.inf
    window = np.array([0]), np.array([2])
    with np.errstate(over="ignore"):  # what overflows is stopped in the next step
        loglik, *gradients = kernel()(initial, matrix[None, None], logs, *window)
    assert loglik == pytest.approx(np.log(1e-300) - 400)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


# The panel of tests/ragged.py ---------------------------------------------------------------------

# PyTensor keeps a constant such as 1.5 in single precision, but not 1.3.
LEARNED = (
    crm.Poisson("visits", typical_rate=2.0, spread=1.3),
    crm.Bernoulli("complaint", typical_prob=(0.1, 0.1, 0.5), confidence=4),
    crm.ZeroInflatedSpend("spend", typical_spend=20.0),
    crm.OrdinalSurvey("survey", typical_location=(0.0, 1.0, -1.0), prior_sd=1.3),
    crm.StageLabel("report"),
)


@pytest.fixture(scope="module")
def panel():
    return ragged_panel()


# Reading a panel ----------------------------------------------------------------------------------


def test_scores_are_the_log_densities_of_what_was_seen(panel):
    parameters = given_parameters(KNOWN)
    found = Scorer(panel, KNOWN, SPACE)(parameters)
    channel_laws, cells = oracle_laws(parameters), cells_of(panel, [c.name for c in KNOWN])
    for n in range(N):
        expected = panels.evidence(cells, channel_laws, K, n, FIRST[n], LAST[n])
        window = slice(FIRST[n], LAST[n] + 1)
        assert found[n, window] == pytest.approx(np.array(expected).reshape(-1, K), abs=1e-10)
        outside = np.delete(found[n], np.arange(T)[window], axis=0)
        assert (outside == 0).all()


@pytest.mark.parametrize("channel", KNOWN, ids=lambda channel: channel.name)
def test_each_channel_alone_gives_the_enumerated_loglik(panel, channel):
    rows = {**given_parameters(KNOWN)}
    scores = Scorer(panel, (channel,), SPACE)(rows)
    matrix, initial = np.array(MATRIX), np.array([0.7, 0.2, 0.1])
    found = on_dense(forward_backward)(initial, matrix[None, None], scores)[0]
    cells, channel_laws = cells_of(panel, [channel.name]), oracle_laws(rows)
    expected = panels.loglik(initial, matrix, cells, channel_laws, FIRST, LAST)
    assert found == pytest.approx(expected, abs=1e-10)


def test_windows_are_found(panel):
    window = find_window(panel)
    assert window.first.tolist() == FIRST.tolist()
    assert window.last.tolist() == LAST.tolist()


def test_codes_point_to_distinct_values_and_missing_cells_behind_them(panel):
    values, codes = encode(panel, KNOWN[0], SPACE)
    cells = panel["visits"].values
    assert (np.diff(values) > 0).all()
    assert np.array_equal(np.append(values, np.nan)[codes], cells, equal_nan=True)


def test_labels_are_read_by_name_whatever_their_codes(panel):
    """Another firm lists its stages in another order, and lacks one."""
    names = ["lost", "new"]
    report = panel["report"].copy(data=np.full((5, 4), np.nan))
    report[0, :2] = [0, 1]
    other = panel.assign(report=report.assign_attrs(categories=names))
    values, codes = encode(other, KNOWN[4], SPACE)
    assert np.append(values, np.nan)[codes][0, :2].tolist() == [2.0, 0.0]


def test_what_lies_outside_the_window_is_not_read(panel):
    poisoned = panel.assign(visits=panel["visits"].where(panel["observed"], -99.0))
    crm.HiddenMarkov(SPACE, channels=KNOWN).check(poisoned)
    assert -99.0 not in encode(poisoned, KNOWN[0], SPACE).values


def check(panel, channels=KNOWN):
    crm.HiddenMarkov(SPACE, channels=channels).check(panel)


def test_all_problems_of_a_panel_are_reported_at_once(panel):
    bad = panel.drop_vars("complaint").assign(
        visits=panel["visits"] + 0.5,
        spend=-panel["spend"] - 1,
        survey=panel["survey"] + 5,
        report=panel["report"].assign_attrs(categories=["new", "loyal", "gone"]),
    )
    with pytest.raises(DataError) as error:
        check(bad)
    message = str(error.value)
    assert "HiddenMarkov cannot read this panel: 5 problems" in message
    assert "'visits' must be a count (0, 1, 2, ...), got e.g. [" in message
    assert "channel 'complaint' is not among its variables" in message
    assert "'spend' must be an amount of at least 0" in message
    assert "'survey' must be a whole level from 1 to 5" in message
    assert "'report' reports stages ['gone'] that are not in" in message


def hole(panel):
    observed = panel["observed"].copy()
    observed[0, 1] = False
    return panel.assign(observed=observed)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda panel: panel["visits"], "must be an xarray.Dataset made by to_panel"),
        (lambda panel: panel.isel(period=0), r"lacks the dims \['period'\]"),
        (lambda panel: panel.drop_vars("observed"), "lacks the boolean variable 'observed'"),
        (
            lambda panel: panel.assign(observed=panel["observed"].any("period")),
            "'observed' must have dims",
        ),
        (
            lambda panel: panel.assign(visits=panel["visits"].sum("period")),
            "'visits' must have dims",
        ),
        (lambda panel: panel.isel(customer_id=slice(0)), "it has no customer_id"),
        (lambda panel: panel.isel(period=slice(0)), "it has no period"),
        (hole, r"the window of 1 customers has holes, e.g. \[0\]; mark what was not seen"),
        (
            lambda panel: panel.assign(report=panel["report"] + 3),
            "'report' has code .*, but only 3 stages to name",
        ),
    ],
)
def test_a_panel_of_another_form_is_refused(panel, spoil, sentence):
    with pytest.raises(DataError, match=sentence):
        check(spoil(panel))


def dated(dates, freq):
    """A panel of two customers in periods with these dates."""
    dims = ("customer_id", "period")
    cells = {
        "visits": (dims, np.ones((2, len(dates)))),
        "observed": (dims, [[True] * len(dates)] * 2),
    }
    return xr.Dataset(cells, {"customer_id": [7, 8], "period": np.array(dates)}, {"freq": freq})


COUNTED = crm.HiddenMarkov(
    crm.StageSpace(("a", "b")), channels=(crm.Poisson("visits"),), ordered_by="visits_rate"
)


@settings(deadline=None, max_examples=60)
@given(
    freq=st.sampled_from(("D", "W", "M", "Q", "Y")),
    start=st.dates(date(1990, 1, 1), date(2030, 1, 1)),
    n=st.integers(3, 40),
    data=st.data(),
)
def test_any_dated_panel_is_read_and_none_with_a_period_left_out(freq, start, n, data):
    order = {"customer_id": 7, "date": start, "channel": "visits", "value": 1.0}
    last = (pd.Period(start, freq=freq) + n).start_time
    customers, window = pd.DataFrame({"customer_id": [7]}), (pd.Timestamp(start), last)
    tables = crm.CustomerTables(customers, pd.DataFrame([order]), window=window)
    panel = crm.to_panel(tables, freq=freq)
    COUNTED.check(panel)
    k = data.draw(st.integers(1, panel.sizes["period"] - 2))
    after = str(panel["period"].values[k + 1])[:10]
    with pytest.raises(DataError, match=f"is followed, after a gap, by {after}"):
        COUNTED.check(panel.drop_isel(period=k))
    swapped = [*range(k), k + 1, k, *range(k + 2, panel.sizes["period"])]
    with pytest.raises(DataError, match=r"is followed by .* \(\d+ such places\)"):
        COUNTED.check(panel.isel(period=swapped))


def test_without_a_length_of_the_period_only_the_order_is_checked():
    days = np.array(["2024-01-01", "2024-02-01", "2024-06-01"], dtype="datetime64[ns]")
    COUNTED.check(dated(days, None))
    COUNTED.check(dated(days, "a season"))
    with pytest.raises(DataError, match="2024-06-01 is followed by 2024-02-01"):
        COUNTED.check(dated(days[[0, 2, 1]], None))


def test_all_faults_of_the_axes_are_told_at_once_with_their_places():
    panel = dated(np.arange(4), None).isel(customer_id=[0, 1, 0], period=[0, 1, 1, 3])
    panel = panel.assign(observed=panel["observed"].astype(float).where(panel["period"] != 3))
    with pytest.raises(DataError) as error:
        COUNTED.check(panel)
    message = str(error.value)
    assert "1 customers more than once, e.g. [7]" in message
    assert "but 1 is followed by 1 (1 such places)" in message
    assert "3 cells are missing, e.g. that of customer 7 in period 3" in message


def test_codes_without_names_must_be_stages_too(panel):
    report = xr.DataArray(np.full((5, 4), 3.0), dims=("customer_id", "period"))
    with pytest.raises(DataError, match="'report' has code 3, but only 3 stages to name"):
        check(panel.assign(report=report))


# Hidden stages: the posterior ---------------------------------------------------------------------

HIDDEN = crm.HiddenMarkov(
    SPACE, crm.StickyDirichlet(stickiness=1.5), LEARNED, ordered_by="visits_rate"
)


@pytest.fixture(scope="module")
def hidden(panel):
    """The built model; its reported variables as a function of the unconstrained values."""
    built = HIDDEN.build(panel)
    report, start = interpreted.as_function_of_vector(
        built, [built[name] for name in HIDDEN.posterior_names]
    )
    return built, report, start


def log_prior(values):
    """Prior density of everything learned, up to the constant of the ordering, by SciPy."""
    alpha = HIDDEN.transitions.alpha(SPACE)
    shares = []
    for row, weights in zip(values["transition_matrix"], alpha, strict=True):
        order = sorted(np.flatnonzero(weights), key=lambda j: weights[j] != weights.max())
        left, weight_left = 1.0, weights.sum()
        for j in order[:-1]:
            weight_left -= weights[j]
            shares.append(stats.beta.logpdf(row[j] / left, weights[j], weight_left))
            left -= row[j]
    label_weights = 10 * (0.1 + 0.7 * np.eye(3))
    return math.fsum(
        [
            *shares,
            stats.dirichlet.logpdf(values["initial_probs"], np.ones(3)),
            stats.lognorm.logpdf(values["visits_rate"], s=1.3, scale=2.0).sum(),
            stats.beta.logpdf(values["complaint_prob"], [0.4, 0.4, 2], [3.6, 3.6, 2]).sum(),
            stats.lognorm.logpdf(values["spend_median"], s=1.0, scale=20.0).sum(),
            stats.halfnorm.logpdf(values["spend_sigma"]).sum(),
            stats.norm.logpdf(values["survey_location"], [0.0, 1.0, -1.0], 1.3).sum(),
            sum(
                stats.dirichlet.logpdf(row, weights)
                for row, weights in zip(values["report_confusion"], label_weights, strict=True)
            ),
        ]
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_log_density_is_prior_plus_enumerated_likelihood(hidden, panel, seed):
    built, report, start = hidden
    x = start + np.random.default_rng(seed).normal(0, 0.7, len(start))
    values = dict(zip(HIDDEN.posterior_names, report(x), strict=True))
    cells = cells_of(panel, [channel.name for channel in LEARNED])
    loglik = panels.loglik(
        values["initial_probs"],
        values["transition_matrix"],
        cells,
        oracle_laws(values),
        FIRST,
        LAST,
    )
    found = interpreted.log_density(built, jacobian=False)(x)[0]
    assert float(found) == pytest.approx(log_prior(values) + loglik, abs=1e-8)


def test_the_ordered_parameter_rises_within_each_phase_wherever_the_sampler_goes():
    """Coming apart it falls in listed order; the phases are not ordered against each other."""
    stages, phases = ("new", "loyal", "cooling", "gone"), ("together",) * 2 + ("apart",) * 2
    space = crm.StageSpace(stages, phases)
    channels = (crm.Poisson("visits"), crm.StageLabel("report"))
    model = crm.HiddenMarkov(space, channels=channels, ordered_by="visits_rate")
    cells = {name: (("customer_id", "period"), [[0.0, 1.0]]) for name in ("visits", "report")}
    observed = (("customer_id", "period"), [[True, True]])
    panel = xr.Dataset({**cells, "observed": observed}, {"customer_id": [1], "period": [0, 1]})
    built = model.build(panel)
    report, start = interpreted.as_function_of_vector(built, [built["visits_rate"]])
    noise = np.random.default_rng(4).normal(0, 2, (50, len(start)))
    rates = np.array([report(x)[0] for x in [start, *(start + noise)]])
    assert (rates[:, 0] < rates[:, 1]).all()
    assert (rates[:, 2] > rates[:, 3]).all()
    assert 0 < (rates[:, 1] < rates[:, 2]).mean() < 1
    assert 0 < (rates[:, 3] < rates[:, 0]).mean() < 1


def test_known_parameters_are_held_fixed(panel):
    channels = (KNOWN[0], *LEARNED[1:])
    built = crm.HiddenMarkov(SPACE, channels=channels, initial_probs=(0.7, 0.2, 0.1)).build(panel)
    free = {variable.name for variable in built.free_RVs}
    assert free.isdisjoint({"visits_rate", "initial_probs"})
    rate, initial = interpreted.evaluate(built["visits_rate"], built["initial_probs"])
    assert rate.tolist() == [1.0, 4.0, 0.2]
    assert initial.tolist() == [0.7, 0.2, 0.1]


def test_posterior_names_are_what_the_build_registers(hidden):
    built, _, _ = hidden
    assert HIDDEN.posterior_names == (
        "initial_probs",
        "transition_matrix",
        "visits_rate",
        "complaint_prob",
        "spend_prob",
        "spend_median",
        "spend_sigma",
        "survey_location",
        "report_confusion",
    )
    assert set(HIDDEN.posterior_names) <= set(built.named_vars)
    assert built.named_vars_to_dims["report_confusion"] == ("stage", "stage_to")


def test_reading_a_panel_gives_all_data_of_the_density(panel):
    arrays, data = HIDDEN.read(panel), read_log_density(HIDDEN, panel).data
    assert set(arrays) == set(data)
    for name, array in arrays.items():
        assert np.array_equal(data[name], array)


# Hidden stages: what is refused -------------------------------------------------------------------

VISITS = crm.Poisson("visits")
LADDER = crm.StageSpace(("dormant", "active"))
TWO_PHASES = crm.StageSpace(("growing", "fading"), phases=("together", "apart"))


@pytest.mark.parametrize(
    ("make", "sentences"),
    [
        (
            lambda: crm.HiddenMarkov(LADDER),
            ["`channels` is empty: hidden stages need something that is seen"],
        ),
        (
            lambda: crm.HiddenMarkov(LADDER, channels=(VISITS,), ordered_by="spend_median"),
            ["`ordered_by` must name a learned parameter among ['visits_rate']"],
        ),
        (
            lambda: crm.HiddenMarkov(
                LADDER, channels=(crm.Poisson("visits", rate=(1, 2)),), ordered_by="visits_rate"
            ),
            ["`ordered_by` must name a learned parameter among [], got 'visits_rate'"],
        ),
        (
            lambda: crm.HiddenMarkov(
                LADDER, channels=(crm.StageLabel("stage"),), ordered_by="stage_confusion"
            ),
            ["`ordered_by` must name a learned parameter among []"],
        ),
        (
            lambda: crm.HiddenMarkov(LADDER, channels=(VISITS,)),
            ["nothing ties the stages to their names", "`ordered_by`", "StageLabel"],
        ),
        (
            lambda: crm.HiddenMarkov(TWO_PHASES, channels=(VISITS,), ordered_by="visits_rate"),
            ["coming together and coming apart look alike", "`typical_location`"],
        ),
        (
            lambda: crm.HiddenMarkov(TWO_PHASES, channels=(VISITS,)),
            ["nothing ties the stages", "look alike"],
        ),
        (
            lambda: crm.HiddenMarkov(
                LADDER,
                channels=(VISITS,),
                ordered_by="visits",
                initial_probs=(0.5, 0.6),
            ),
            ["`ordered_by` must name", "`initial_probs` must be 2 probabilities that sum to 1"],
        ),
        (
            lambda: crm.HiddenMarkov(LADDER, channels=(VISITS, VISITS), ordered_by="visits_rate"),
            ["channel name 'visits' occurs twice"],
        ),
        (
            lambda: crm.HiddenMarkov(LADDER, channels=(crm.Poisson("visits", rate=(1, 2, 3)),)),
            ["`rate` of channel 'visits' must have one value per stage (2: dormant, active)"],
        ),
    ],
)
def test_a_model_whose_stages_would_mean_nothing_is_refused(make, sentences):
    with pytest.raises(SpecError) as error:
        make()
    assert "HiddenMarkov: " in str(error.value)
    assert all(sentence in str(error.value) for sentence in sentences), str(error.value)


@pytest.mark.parametrize(
    "channel",
    [
        crm.StageLabel("stage"),
        crm.Poisson("visits", typical_rate=(1.0, 5.0)),
        crm.OrdinalSurvey("survey", location=(1.0, -1.0)),
    ],
    ids=lambda channel: type(channel).__name__,
)
def test_one_channel_that_says_something_of_each_stage_is_enough(channel):
    crm.HiddenMarkov(TWO_PHASES, channels=(channel,))


# Stages in order ----------------------------------------------------------------------------------

GROUPS = ((0, 1, 2), (5, 4, 3))
ORDERED = OrderedWithin(GROUPS)


@pytest.mark.parametrize(
    ("groups", "rising"),
    [
        (((0, 1, 2),), [-1.0, 0.5, 4.0]),
        (GROUPS, [-1.0, 0.5, 4.0, 9.0, 2.0, -3.0]),
        (((0,), (1,)), [3.0, 1.0]),
        (((1, 0),), [4.0, 2.0]),
    ],
)
def test_ordering_comes_back_from_a_round_trip(groups, rising):
    transform = OrderedWithin(groups)
    there, back = interpreted.evaluate(
        transform.forward(pt.constant(rising)),
        transform.backward(transform.forward(pt.constant(rising))),
    )
    assert np.isfinite(there).all()
    assert back == pytest.approx(np.array(rising), rel=1e-14)


def test_any_unconstrained_vector_gives_values_in_order():
    for z in np.random.default_rng(1).normal(0, 2, (20, 6)):
        x = interpreted.evaluate(ORDERED.backward(pt.constant(z)))[0]
        for group in GROUPS:
            assert (np.diff(x[list(group)]) > 0).all()


def test_the_jacobian_of_the_ordering_equals_a_numeric_one():
    z = pt.dvector("z")
    back = interpreted.function([z], [ORDERED.backward(z), ORDERED.log_jac_det(z)])
    at = np.random.default_rng(2).normal(size=6)
    columns = [(back(at + h)[0] - back(at - h)[0]) / 2e-6 for h in 1e-6 * np.eye(6)]
    numeric = np.linalg.slogdet(np.stack(columns))[1]
    assert float(back(at)[1]) == pytest.approx(numeric, abs=1e-8)


@pytest.mark.parametrize(
    "make",
    [
        partial(pm.LogNormal.dist, 0.5, 1.2, shape=6),
        partial(pm.Normal.dist, np.arange(6.0), 1.0),
        partial(pm.Beta.dist, 2.0, np.arange(1.0, 7.0)),
    ],
    ids=["above zero", "any number", "a share"],
)
def test_starting_values_rise_within_each_phase_inside_the_support(make):
    start = spread_start(make(), GROUPS)
    for group in GROUPS:
        assert (np.diff(start[list(group)]) > 0).all()
    assert np.isfinite(interpreted.evaluate(pm.logp(make(), start))[0]).all()


def test_an_ordered_prior_is_the_law_of_sorted_draws():
    """Truncated to rising values, three independent draws have six times their joint density."""
    prior = pm.LogNormal.dist(0.5, 1.2, shape=3)
    with pm.Model() as model:
        model.register_rv(prior, "rate", transform=OrderedWithin(((0, 1, 2),)))
    to_rate, start = interpreted.as_function_of_vector(model, [model["rate"]])
    logp = interpreted.log_density(model)
    x = start + np.array([0.3, -0.4, 0.2])
    columns = [(to_rate(x + h)[0] - to_rate(x - h)[0]) / 2e-6 for h in 1e-6 * np.eye(3)]
    jacobian = np.linalg.slogdet(np.stack(columns))[1]
    expected = stats.lognorm.logpdf(to_rate(x)[0], s=1.2, scale=np.exp(0.5)).sum() + jacobian
    assert float(logp(x)[0]) == pytest.approx(expected, abs=1e-7)


# Observed stages ----------------------------------------------------------------------------------

OBSERVED = crm.ObservedMarkov(SPACE, crm.StickyDirichlet(stickiness=2.0, concentration=0.5))


def reported(rows, names=SPACE.names):
    """A panel of reports by name; "" for none, None outside the window."""
    codes = [[names.index(s) if s else np.nan for s in row] for row in rows]
    observed = [[s is not None for s in row] for row in rows]
    return xr.Dataset(
        {
            "stage": (("customer_id", "period"), codes, {"categories": list(names)}),
            "observed": (("customer_id", "period"), observed),
        },
        coords={"customer_id": np.arange(len(rows)), "period": np.arange(len(rows[0]))},
    )


REPORTS = reported(
    [
        ["new", "new", "loyal", "lost"],
        [None, "loyal", "", "new"],
        ["", "loyal", "loyal", None],
        [None, None, None, None],
        ["new", "lost", "lost", "lost"],
    ]
)


def test_moves_are_counted_between_neighbouring_reports():
    assert OBSERVED.count_moves(REPORTS).tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 2]]


def test_starts_are_counted_where_a_window_begins_with_a_report():
    assert OBSERVED.count_starts(REPORTS).tolist() == [2, 1, 0]


@pytest.mark.bits
def test_counts_do_not_depend_on_the_order_in_which_stages_are_listed():
    listed = ("lost", "loyal", "new")
    names = [
        [SPACE.names[int(code)] if seen and code == code else ("" if seen else None)
         for code, seen in zip(codes, observed, strict=True)]
        for codes, observed in zip(
            REPORTS["stage"].values, REPORTS["observed"].values, strict=True
        )
    ]  # fmt: skip
    other = reported(names, names=listed)
    assert np.array_equal(OBSERVED.count_moves(other), OBSERVED.count_moves(REPORTS))


def test_the_closed_form_is_dirichlet_with_counts_added():
    draws = OBSERVED.sample_exact(REPORTS, (4, 5000), np.random.default_rng(1))
    matrix, initial = draws["transition_matrix"], draws["initial_probs"]
    assert matrix.shape == (4, 5000, 3, 3)
    assert (matrix[..., ~SPACE.mask] == 0).all()
    weights = np.array([[3.5, 1.5, 1.5], [0.5, 3.5, 1.5], [0, 0, 4.5]])
    for row, alpha in zip(matrix.reshape(-1, 3, 3).transpose(1, 0, 2), weights, strict=True):
        _assert_dirichlet(row[:, alpha > 0], alpha[alpha > 0])
    _assert_dirichlet(initial.reshape(-1, 3), np.array([3.0, 2.0, 1.0]))
    assert (draws["stage_confusion"] == np.eye(3)).all()


def _assert_dirichlet(draws, alpha):
    """Means within five standard errors; marginals by a Kolmogorov-Smirnov bound of 1e-6."""
    if len(alpha) == 1:
        assert (draws == 1).all()
        return
    exact = stats.dirichlet(alpha)
    assert (np.abs(draws.mean(axis=0) - exact.mean()) < 5 * np.sqrt(exact.var() / len(draws))).all()
    bound = np.sqrt(np.log(2 / 1e-6) / (2 * len(draws)))
    for column, a in zip(draws.T, alpha, strict=True):
        assert stats.kstest(column, stats.beta(a, alpha.sum() - a).cdf).statistic < bound


def test_the_cav_row_has_its_printed_posterior_mean():
    """First row of the transition counts of 622 heart transplant patients, prior 1."""
    space = crm.StageSpace(("well", "mild", "severe", "dead"))
    rows = [
        ["well", name] for name, n in zip(space.names, CAV_COUNTS, strict=True) for _ in range(n)
    ]
    panel = reported(rows, space.names)
    model = crm.ObservedMarkov(space)
    assert model.count_moves(panel)[0].tolist() == list(CAV_COUNTS)
    weights = model.transitions.alpha(space) + model.count_moves(panel)
    means = weights[0] / weights[0].sum()
    for mean, printed in zip(means, CAV_MEANS, strict=True):
        assert abs(mean - float(printed)) <= 0.5e-4
    draws = model.sample_exact(panel, (1, 4000), np.random.default_rng(2))["transition_matrix"]
    sd = np.sqrt(means * (1 - means) / (weights[0].sum() + 1))
    assert (np.abs(draws[0, :, 0].mean(axis=0) - means) < 5 * sd / np.sqrt(4000)).all()


def test_the_pymc_model_is_the_closed_form_up_to_a_constant():
    built = OBSERVED.build(REPORTS)
    report, start = interpreted.as_function_of_vector(
        built, [built["transition_matrix"], built["initial_probs"]]
    )
    logp = interpreted.log_density(built, jacobian=False)
    weights = OBSERVED.transitions.alpha(SPACE) + OBSERVED.count_moves(REPORTS)
    prior = OBSERVED.transitions.alpha(SPACE)
    gaps = []
    for x in start + np.random.default_rng(3).normal(0, 1, (5, len(start))):
        matrix, initial = report(x)
        gap = float(logp(x)[0]) - stats.dirichlet.logpdf(initial, [3.0, 2.0, 1.0])
        for row, after, before in zip(matrix, weights, prior, strict=True):
            allowed = before > 0
            if allowed.sum() > 1:
                # In the sticks' coordinates the prior differs from the Dirichlet by a Jacobian,
                # which the two share: compare what the data added.
                gap -= stats.dirichlet.logpdf(row[allowed], after[allowed])
                gap += stats.dirichlet.logpdf(row[allowed], before[allowed])
        gaps.append(gap - _log_sticks_prior(matrix, prior))
    assert np.ptp(gaps) < 1e-8


def _log_sticks_prior(matrix, alpha):
    """Prior density of the sticks, staying first, by SciPy."""
    total = 0.0
    for k, (row, weights) in enumerate(zip(matrix, alpha, strict=True)):
        order = [k, *(j for j in np.flatnonzero(weights) if j != k)]
        left = 1.0
        for m, j in enumerate(order[:-1]):
            rest = weights[order[m + 1 :]].sum()
            total += stats.beta.logpdf(row[j] / left, weights[j], rest)
            left -= row[j]
    return total


def test_moves_that_the_space_forbids_are_reported_with_their_counts():
    panel = reported([["lost", "new"], ["lost", "loyal"], ["lost", "new"], ["new", "loyal"]])
    with pytest.raises(DataError) as error:
        OBSERVED.check(panel)
    message = str(error.value)
    assert "ObservedMarkov cannot read this panel: 2 problems" in message
    assert "2 moves lost -> new are not allowed by the space" in message
    assert "1 moves lost -> loyal are not allowed by the space" in message


def test_an_observed_model_reads_another_variable_if_told_so():
    model = replace(OBSERVED, label="told")
    model.check(REPORTS.rename(stage="told"))
    assert model.posterior_names[-1] == "told_confusion"
    with pytest.raises(DataError, match="channel 'told' is not among its variables"):
        model.check(REPORTS)


def test_coords_name_the_stages_three_times():
    names = list(SPACE.names)
    assert coords(SPACE) == {"stage": names, "stage_from": names, "stage_to": names}
