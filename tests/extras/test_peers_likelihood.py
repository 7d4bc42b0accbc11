"""The likelihood and the decoders of crmlab against hmmlearn and pymc-extras.

Both can express homogeneous chains; neither knows missing cells, covariates or several channels, so
the comparison stops there. Run by `make test-extras`.
"""

import numpy as np
import pytest
from hmmlearn import hmm

import crmlab as crm
from crmlab import chains
from crmlab.models.emissions import Scorer
from crmlab.models.kernel.scalar import forward_backward

# The peers import names from each other that newer versions have moved.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

INITIAL = np.array([0.3, 0.5, 0.2])
MATRIX = np.array([[0.8, 0.15, 0.05], [0.2, 0.6, 0.2], [0.05, 0.25, 0.7]])
RATES = np.array([0.4, 2.0, 6.0])
CONFUSION = np.array([[0.8, 0.15, 0.05], [0.1, 0.8, 0.1], [0.05, 0.25, 0.7]])
SPACE = crm.StageSpace(("dormant", "occasional", "active"))
LENGTHS = np.array([7, 3, 9, 1, 5])
N, T = len(LENGTHS), LENGTHS.max()


def make_world(channel):
    return crm.StageWorld(SPACE, INITIAL, MATRIX, (channel,), n_periods=int(T))


def ragged(channel, seed=1):
    """A panel whose customers end when they like, and its rows end to end, as hmmlearn reads."""
    panel = crm.to_panel(crm.simulate(make_world(channel), N, seed=seed), freq="M")
    inside = np.arange(T) < LENGTHS[:, None]
    panel = panel.assign(observed=(("customer_id", "period"), inside))
    cells = panel[channel.name].values
    return panel, cells[inside].astype(int)[:, None]


def scores(panel, channel):
    known = {f"{channel.name}_{name}": value for name, value in channel.known.items()}
    return Scorer(panel, (channel,), SPACE)(known)


def poisson_peer():
    model = hmm.PoissonHMM(n_components=3)
    model.lambdas_ = RATES[:, None]
    return model


def label_peer():
    model = hmm.CategoricalHMM(n_components=3)
    model.emissionprob_ = CONFUSION
    return model


PEERS = pytest.mark.parametrize(
    ("channel", "make_peer"),
    [
        (crm.Poisson("seen", rate=RATES), poisson_peer),
        (crm.StageLabel("seen", confusion=CONFUSION), label_peer),
    ],
    ids=["counts", "labels"],
)


def with_law(model):
    model.startprob_, model.transmat_ = INITIAL, MATRIX
    return model


@PEERS
def test_loglik_is_that_of_hmmlearn(channel, make_peer):
    panel, rows = ragged(channel)
    ours = chains.forward(INITIAL, MATRIX, scores(panel, channel), np.zeros(N, int), LENGTHS - 1)
    assert ours.loglik.sum() == pytest.approx(with_law(make_peer()).score(rows, LENGTHS), rel=1e-10)


@PEERS
def test_smoothed_probabilities_are_those_of_hmmlearn(channel, make_peer):
    panel, rows = ragged(channel)
    arguments = (INITIAL, MATRIX, scores(panel, channel), np.zeros(N, int), LENGTHS - 1)
    smoothed = chains.smooth(*arguments)[np.arange(T) < LENGTHS[:, None]]
    theirs = with_law(make_peer()).predict_proba(rows, LENGTHS)
    assert smoothed == pytest.approx(theirs, abs=1e-10)


@PEERS
def test_best_paths_are_those_of_hmmlearn(channel, make_peer):
    panel, rows = ragged(channel, seed=3)
    arguments = (INITIAL, MATRIX, scores(panel, channel), np.zeros(N, int), LENGTHS - 1)
    paths = chains.viterbi(*arguments)[np.arange(T) < LENGTHS[:, None]]
    theirs = with_law(make_peer()).predict(rows, LENGTHS)
    assert (paths == theirs).all()


def test_expected_counts_are_those_of_one_step_of_em():
    """The gradient times the matrix, each row made to sum to 1, is hmmlearn's next matrix."""
    channel = crm.Poisson("seen", rate=RATES)
    panel, rows = ragged(channel)
    peer = with_law(hmm.PoissonHMM(3, n_iter=1, params="st", init_params=""))
    peer.lambdas_ = RATES[:, None]
    peer.fit(rows, LENGTHS)
    log_b = scores(panel, channel)
    codes = np.arange(N * T).reshape(N, T, 1)
    windows = np.stack([np.zeros(N, int), LENGTHS - 1], axis=1)
    _, starts, moves, _ = forward_backward(
        INITIAL, MATRIX[None, None], log_b.reshape(-1, 3), codes, windows, np.ones(N)
    )
    counts = moves[0, 0] * MATRIX
    assert counts / counts.sum(axis=1, keepdims=True) == pytest.approx(peer.transmat_, abs=1e-8)
    assert starts * INITIAL / N == pytest.approx(peer.startprob_, abs=1e-8)


def summed_out(row):
    """Log-likelihood of one customer's counts, the chain summed out by pymc-extras."""
    import pymc as pm
    import pymc_extras as pmx
    import pytensor
    from pytensor.compile.mode import Mode

    with pm.Model() as model:
        start = pm.Categorical.dist(p=INITIAL)
        chain = pmx.DiscreteMarkovChain("chain", P=MATRIX, init_dist=start, shape=len(row))
        pm.Poisson("seen", mu=pm.math.constant(RATES)[chain], observed=row.astype(int))
    logp = pmx.marginalize(model, [chain]).logp()
    with pytensor.config.change_flags(cxx=""):
        mode = Mode(linker="py", optimizer="fast_compile")
        return float(pytensor.function([], logp, mode=mode)())


def test_loglik_is_that_of_a_marginalised_chain_of_pymc_extras():
    channel = crm.Poisson("seen", rate=RATES)
    panel = crm.to_panel(crm.simulate(make_world(channel), 3, seed=2), freq="M")
    ours = chains.forward(INITIAL, MATRIX, scores(panel, channel)).loglik
    theirs = [summed_out(row) for row in panel["seen"].values]
    assert ours == pytest.approx(theirs, rel=1e-8)
