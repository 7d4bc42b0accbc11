"""Does inference find what the world has put in?

Two questions, of two strengths. *Recovery*: one large world, whose parameters must lie where the
posterior says. *Simulation-based calibration* (Talts et al. 2018, arXiv 1804.06788): many small
worlds drawn from the prior; the rank of each true value among posterior draws is then uniform. The
log-likelihood of the data is ranked too, since it sees mistakes that no parameter sees (Modrak et
al. 2023, Bayesian Analysis, "Simulation-based calibration checking for Bayesian computation").

Bounds follow from the probability of a false alarm, which is stated; planted mistakes must fail.
"""

import itertools

import arviz_stats
import numpy as np
import pytest
from scipy import stats

import crmlab as crm
from crmlab import chains
from crmlab.inference.log_density import read_log_density, run_nuts
from crmlab.models.emissions import Scorer, find_window

# Of a standard normal, one value in ten thousand lies further out.
FAR = stats.norm.isf(0.5e-4)

SPACE = crm.StageSpace(
    ("dormant", "occasional", "active"),
    moves=(
        ("dormant", "occasional"),
        ("occasional", "dormant"),
        ("occasional", "active"),
        ("active", "occasional"),
        ("active", "dormant"),
    ),
)
MATRIX = ((0.85, 0.15, 0.0), (0.1, 0.7, 0.2), (0.05, 0.15, 0.8))
KNOWN = (
    crm.Poisson("visits", rate=(0.2, 1.5, 5.0)),
    crm.ZeroInflatedSpend("spend", (0.05, 0.3, 0.8), (10, 20, 45), (0.6, 0.5, 0.4)),
    crm.OrdinalSurvey("survey", location=(-1.0, 0.2, 1.2), response_rate=0.4),
)


def standardised_errors(posterior, truth):
    """(posterior mean - truth) / (posterior sd with its Monte Carlo error), free numbers only."""
    errors = {}
    for name, value in truth.items():
        draws = posterior[name]
        sd = draws.std(("chain", "draw")).values
        free = sd > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            noise = np.hypot(sd, arviz_stats.mcse(draws, method="mean").values)
        gap = draws.mean(("chain", "draw")).values - np.asarray(value, dtype=float)
        assert np.abs(gap[~free]).max(initial=0.0) < 1e-12, "what is known stays as it is"
        errors[name] = gap[free] / noise[free]
    return errors


def worst(errors):
    return max(np.abs(values).max(initial=0.0) for values in errors.values())


# Hidden stages ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world():
    return crm.StageWorld(SPACE, (0.3, 0.5, 0.2), MATRIX, KNOWN, n_periods=12)


@pytest.fixture(scope="module")
def tables(world):
    return crm.simulate(world, 250, seed=3)


@pytest.fixture(scope="module")
def hidden_fit(tables):
    channels = (crm.Poisson("visits"), crm.ZeroInflatedSpend("spend"), crm.OrdinalSurvey("survey"))
    model = crm.HiddenMarkov(
        SPACE, crm.StickyDirichlet(stickiness=1.0), channels, ordered_by="visits_rate"
    )
    return crm.fit(model, crm.to_panel(tables, freq="M"), draws=500, tune=300, seed=1)


@pytest.mark.sampling
@pytest.mark.slow
def test_bursts_and_periods_since_are_recovered():
    """Thirteen free numbers of calls with bursts and of periods since."""
    channels = (
        crm.NegativeBinomial("calls", rate=(0.3, 1.0, 6.0), shape=(0.6, 2.0, 1.5)),
        crm.Geometric("since", prob=(0.1, 0.3, 0.8)),
    )
    world = crm.StageWorld(SPACE, (0.3, 0.5, 0.2), MATRIX, channels, n_periods=12)
    panel = crm.to_panel(crm.simulate(world, 250, seed=4), freq="M")
    learned = (crm.NegativeBinomial("calls"), crm.Geometric("since"))
    model = crm.HiddenMarkov(
        SPACE, crm.StickyDirichlet(stickiness=1.0), learned, ordered_by="calls_rate"
    )
    fitted = crm.fit(model, panel, draws=500, tune=500, seed=1)
    assert fitted.problems == ()
    assert worst(standardised_errors(fitted.posterior, truth_of(world))) < FAR


def truth_of(world):
    given = {f"{c.name}_{name}": v for c in world.channels for name, v in c.known.items()}
    return {
        "initial_probs": world.initial_probs,
        "transition_matrix": world.transition_matrix,
        **given,
    }


def true_stages(tables):
    """Indices (customer, period)."""
    names = tables.truth["stages"]["stage"].to_numpy()
    return np.array([SPACE.index(name) for name in names]).reshape(-1, 12)


@pytest.mark.sampling
@pytest.mark.slow
def test_hidden_stages_and_their_channels_are_recovered(hidden_fit, world):
    """Twenty-five free numbers, none further out than one value in ten thousand."""
    assert hidden_fit.problems == ()
    assert worst(standardised_errors(hidden_fit.posterior, truth_of(world))) < FAR


@pytest.mark.sampling
@pytest.mark.slow
def test_another_truth_is_not_recovered(hidden_fit, world):
    """Without power the test above would prove nothing.

    A fifth more visits must be noticed, and actives who mostly fall to the bottom.
    """
    others = {
        "visits_rate": 1.2 * np.asarray(truth_of(world)["visits_rate"]),
        "transition_matrix": (*MATRIX[:2], (0.15, 0.05, 0.8)),
    }
    errors = standardised_errors(hidden_fit.posterior, others)
    for values in errors.values():
        assert np.abs(values).max() > FAR


@pytest.mark.sampling
@pytest.mark.slow
def test_posteriors_are_as_sharp_as_the_data_allow(hidden_fit, tables, world):
    """Had the stages been seen, the standard deviation would be that of a mean of n cells.

    Hidden stages can only widen it; with channels as different as these, to less than twice, which
    is three quarters of the information.
    """
    cells = np.bincount(true_stages(tables).ravel(), minlength=3)
    rate, prob = np.array(KNOWN[0].rate), np.array(KNOWN[1].prob)
    seen = {"visits_rate": np.sqrt(rate / cells), "spend_prob": np.sqrt(prob * (1 - prob) / cells)}
    for name, sharpest in seen.items():
        ratio = hidden_fit.posterior[name].std(("chain", "draw")).values / sharpest
        assert (ratio > 0.9).all(), name
        assert (ratio < 2).all(), name


@pytest.mark.sampling
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["filtered", "smoothed", "predicted"])
def test_stage_probabilities_mean_what_they_say(hidden_fit, tables, kind):
    """Of all cells given 30 % for a stage, 30 % are in it: no bias per stage and level of belief.

    Errors are summed by customer, whose cells hang together, and customers are independent.
    """
    probs = crm.stage_probs(hidden_fit, kind=kind, draws=40, average=True).values
    stages = true_stages(tables)
    n_tested = 0
    for k, (low, high) in itertools.product(range(3), ((0.0, 0.2), (0.2, 0.8), (0.8, 1.01))):
        p, hit = probs[..., k], stages == k
        inside = (p >= low) & (p < high)
        if inside.any(axis=1).sum() < 100:  # too few customers for a normal law
            continue
        by_customer = ((hit - p) * inside).sum(axis=1)
        error = by_customer.sum() / np.sqrt((by_customer**2).sum())
        assert abs(error) < FAR, (SPACE.names[k], low)
        n_tested += 1
    assert n_tested >= 6


# Observed stages ----------------------------------------------------------------------------------


def test_observed_stages_are_recovered():
    label = crm.StageLabel("stage", confusion=np.eye(3))
    world = crm.StageWorld(SPACE, (0.3, 0.5, 0.2), MATRIX, (label,), n_periods=12)
    panel = crm.to_panel(crm.simulate(world, 500, seed=4), freq="M")
    fit = crm.fit(crm.ObservedMarkov(SPACE), panel, draws=1000, seed=1)
    assert worst(standardised_errors(fit.posterior, truth_of(world))) < FAR


# Simulation-based calibration ---------------------------------------------------------------------

# Overall chance of a false alarm in one table of ranks, shared by its columns.
SIZE = 1e-3


def p_values(ranks, n_draws, n_bins):
    """Chi-square test of uniformity for each column; ranks run from 0 to n_draws."""
    bins = np.asarray(ranks) * n_bins // (n_draws + 1)
    expected = len(bins) / n_bins
    counts = np.stack([np.bincount(column, minlength=n_bins) for column in bins.T])
    return stats.chi2.sf(((counts - expected) ** 2 / expected).sum(axis=1), n_bins - 1)


def is_calibrated(ranks, n_draws, n_bins):
    found = p_values(ranks, n_draws, n_bins)
    return found.min() >= SIZE / len(found)


N_EXACT = 99  # draws, so that ranks fall into 100 / 20 per bin
OBSERVED = crm.ObservedMarkov(SPACE, crm.StickyDirichlet(stickiness=1.0, concentration=0.8))
ALPHA = OBSERVED.transitions.alpha(SPACE)
FREE = np.argwhere(SPACE.mask)


def dirichlet_rows(rng):
    rows = np.zeros((3, 3))
    for row, weights in zip(rows, ALPHA, strict=True):
        row[weights > 0] = rng.dirichlet(weights[weights > 0])
    return rows


@pytest.fixture(scope="module")
def exact_worlds():
    """Five hundred true laws from the prior, and a panel of four customers from each."""
    rng = np.random.default_rng(11)
    label = (crm.StageLabel("stage", confusion=np.eye(3)),)
    worlds = [
        crm.StageWorld(SPACE, rng.dirichlet(np.ones(3)), dirichlet_rows(rng), label, n_periods=6)
        for _ in range(500)
    ]
    return [
        (world, crm.to_panel(crm.simulate(world, 4, seed=seed), freq="M"))
        for seed, world in enumerate(worlds)
    ]


def exact_ranks(exact_worlds, model=OBSERVED):
    """Ranks of initial probabilities and of allowed moves."""
    ranks = []
    for seed, (world, panel) in enumerate(exact_worlds):
        draws = model.sample_exact(panel, (1, N_EXACT), np.random.default_rng(seed))
        below = draws["transition_matrix"][0] < np.array(world.transition_matrix)
        starts = draws["initial_probs"][0] < np.array(world.initial_probs)
        ranks.append([*starts.sum(axis=0), *below.sum(axis=0)[tuple(FREE.T)]])
    return np.array(ranks)


def test_the_closed_form_is_calibrated(exact_worlds):
    assert is_calibrated(exact_ranks(exact_worlds), N_EXACT, 20)


class Transposed(crm.ObservedMarkov):
    """Counts moves backwards."""

    def count_moves(self, panel):
        return super().count_moves(panel).T * self.space.mask


class Shifted(crm.ObservedMarkov):
    """Counts moves over two periods as if they were one."""

    def count_moves(self, panel):
        return super().count_moves(panel.isel(period=slice(None, None, 2))) * self.space.mask


class Overconfident(crm.ObservedMarkov):
    """Counts every move twice."""

    def count_moves(self, panel):
        return 2 * super().count_moves(panel)


@pytest.mark.parametrize("planted", [Transposed, Shifted, Overconfident])
def test_a_mistake_in_the_closed_form_is_caught(exact_worlds, planted):
    model = planted(SPACE, OBSERVED.transitions)
    assert not is_calibrated(exact_ranks(exact_worlds, model), N_EXACT, 20)


def test_another_prior_than_the_worlds_is_caught(exact_worlds):
    flat = crm.ObservedMarkov(SPACE, crm.StickyDirichlet(stickiness=3.0, concentration=0.8))
    assert not is_calibrated(exact_ranks(exact_worlds, flat), N_EXACT, 20)


# One run gives 300 draws, thinned to 20, which are close to independent.
N_WORLDS, N_CUSTOMERS, N_PERIODS = 100, 24, 8
N_RUN, N_KEPT, N_BINS = 300, 20, 7


class LoyaltyWorlds:
    """Worlds from the prior of `loyalty_model`, and the ranks of their truths."""

    def __init__(self, model):
        self.model, self.space = model, model.space
        rng = np.random.default_rng(21)
        worlds = [self._draw(rng) for _ in range(N_WORLDS)]
        self.worlds = [
            (world, crm.to_panel(crm.simulate(world, N_CUSTOMERS, seed=seed), freq="M"))
            for seed, world in enumerate(worlds)
        ]
        self.density = read_log_density(model, self.worlds[0][1])

    def _draw(self, rng):
        """One law from the prior; rates out of order are drawn again."""
        alpha = self.model.transitions.alpha(self.space)
        visits = self.model.channels[0]
        rate = np.array([1.0, 0.0])
        while rate[0] >= rate[1]:
            rate = rng.lognormal(np.log(visits.typical_rate), visits.spread)
        matrix = [rng.dirichlet(weights) for weights in alpha]
        channels = (crm.Poisson("visits", rate=rate),)
        return crm.StageWorld(self.space, rng.dirichlet([1, 1]), matrix, channels, N_PERIODS)

    def ranks(self, n_worlds, spoil=dict):
        """Ranks of five free numbers and of the log-likelihood; `spoil` plants a mistake."""
        return np.array(
            [
                self._ranks(world, panel, spoil, seed)
                for seed, (world, panel) in enumerate(self.worlds[:n_worlds])
            ]
        )

    def _ranks(self, world, panel, spoil, seed):
        density = self.density.with_data(spoil(self.model.read(panel)))
        kept, _ = run_nuts(density, draws=N_RUN, tune=150, chains=1, seed=seed)
        thin = {name: values[0, :: N_RUN // N_KEPT] for name, values in kept.items()}
        truth = {
            "initial_probs": np.array(world.initial_probs),
            "transition_matrix": np.array(world.transition_matrix),
            "visits_rate": np.array(world.channels[0].rate),
        }
        loglik = self._loglik(panel)
        draws = [{name: values[i] for name, values in thin.items()} for i in range(N_KEPT)]
        summaries = [[*_free(draw), loglik(draw)] for draw in draws]
        return (np.array(summaries) < [*_free(truth), loglik(truth)]).sum(axis=0)

    def _loglik(self, panel):
        score, window = Scorer(panel, self.model.channels, self.space), find_window(panel)

        def loglik(values):
            law = values["initial_probs"], values["transition_matrix"]
            return chains.forward(*law, score(values), *window).loglik.sum()

        return loglik


def _free(values):
    return [
        values["initial_probs"][0],
        values["transition_matrix"][0, 0],
        values["transition_matrix"][1, 0],
        *values["visits_rate"],
    ]


@pytest.fixture(scope="module")
def loyalty_worlds(loyalty_model):
    return LoyaltyWorlds(loyalty_model)


@pytest.mark.sampling
@pytest.mark.slow
def test_hidden_stages_are_calibrated(loyalty_worlds):
    ranks = loyalty_worlds.ranks(N_WORLDS)
    assert is_calibrated(ranks, N_KEPT, N_BINS), p_values(ranks, N_KEPT, N_BINS)


def shift_by_a_period(arrays):
    """Read each observation one period late, the last one first."""
    late = np.roll(arrays["visits_codes"], 1, axis=1)
    return {**arrays, "visits_codes": np.ascontiguousarray(late)}


def count_everybody_twice(arrays):
    return {
        **arrays,
        "times": 2 * arrays["times"],
    }


@pytest.mark.sampling
@pytest.mark.slow
@pytest.mark.parametrize("mistake", [shift_by_a_period, count_everybody_twice])
def test_a_mistake_in_the_hidden_model_is_caught(loyalty_worlds, mistake):
    assert not is_calibrated(loyalty_worlds.ranks(35, mistake), N_KEPT, N_BINS)
