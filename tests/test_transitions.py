import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import stats

import crmlab as crm
from crmlab.errors import SpecError
from crmlab.models.base import coords
from crmlab.transitions import break_sticks
from tests import interpreted

FUNNEL = crm.StageSpace(
    ("new", "growing", "loyal", "lost"),
    moves=(
        ("new", "loyal"),
        ("new", "lost"),
        ("growing", "new"),
        ("growing", "loyal"),
        ("growing", "lost"),
        ("loyal", "growing"),
    ),
)
STICKY = crm.StickyDirichlet(stickiness=2.5, concentration=0.8)


def built(space, transitions=STICKY):
    with pm.Model(coords=coords(space)) as model:
        transitions.matrix(space, None)
    return model


@pytest.fixture(scope="module")
def draws():
    return interpreted.draw(built(FUNNEL)["transition_matrix"], draws=4000, seed=1)


# The law of the rows ------------------------------------------------------------------------------


def test_rows_have_the_moments_of_dirichlet_distributions(draws):
    alpha = STICKY.alpha(FUNNEL)
    assert alpha.tolist() == [
        [3.3, 0.0, 0.8, 0.8],
        [0.8, 3.3, 0.8, 0.8],
        [0.0, 0.8, 3.3, 0.0],
        [0.0, 0.0, 0.0, 3.3],
    ]
    for row, weights in zip(draws.transpose(1, 0, 2), alpha, strict=True):
        allowed = weights > 0
        if allowed.sum() == 1:
            continue
        exact = stats.dirichlet(weights[allowed])
        n, sd = len(draws), np.sqrt(exact.var())
        # Five standard errors. That of a covariance is at most sqrt(sd_i sd_j / n), since
        # deviations of probabilities stay below 1.
        assert (np.abs(row[:, allowed].mean(axis=0) - exact.mean()) < 5 * sd / np.sqrt(n)).all()
        gap = np.abs(np.cov(row[:, allowed].T) - exact.cov())
        assert (gap < 5 * np.outer(sd, sd) ** 0.5 / np.sqrt(n)).all()


def test_rows_sum_to_one_and_forbidden_moves_are_exactly_zero(draws):
    assert draws.sum(axis=-1) == pytest.approx(1, abs=1e-12)
    assert (draws[:, ~FUNNEL.mask] == 0).all()
    assert (draws[:, FUNNEL.mask] > 0).all()


def test_an_absorbing_row_has_no_choice(draws):
    assert (draws[:, 3] == [0, 0, 0, 1]).all()


def test_without_moves_nothing_is_random():
    still = crm.StageSpace(("a", "b"), moves=())
    model = built(still)
    assert model.value_vars == []
    assert interpreted.evaluate(model["transition_matrix"])[0].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("space", [FUNNEL, crm.KNAPP, crm.StageSpace(("a", "b"))], ids=len)
def test_log_density_is_that_of_dirichlet_distributions(space):
    """By the change of variables from the unconstrained values to the free entries of each row."""
    model, alpha = built(space), STICKY.alpha(space)
    to_matrix, start = interpreted.as_function_of_vector(model, [model["transition_matrix"]])
    logp = interpreted.log_density(model)
    x = start + np.random.default_rng(2).normal(size=len(start))

    def free_entries(point):
        """All but the last allowed entry of each row determine the matrix."""
        matrix = to_matrix(point)[0]
        return np.concatenate([row[w > 0][:-1] for row, w in zip(matrix, alpha, strict=True)])

    steps = 1e-6 * np.eye(len(x))
    jacobian = np.stack([free_entries(x + h) - free_entries(x - h) for h in steps]) / 2e-6
    rows = zip(to_matrix(x)[0], alpha, strict=True)
    expected = sum(
        stats.dirichlet.logpdf(row[w > 0], w[w > 0]) for row, w in rows if (w > 0).sum() > 1
    )
    expected += np.linalg.slogdet(jacobian)[1]
    assert float(logp(x)[0]) == pytest.approx(expected, abs=1e-5)


def test_the_matrix_is_a_variable_of_the_model():
    model = built(FUNNEL)
    assert model.named_vars_to_dims["transition_matrix"] == ("stage_from", "stage_to")


# Breaking sticks ----------------------------------------------------------------------------------


def break_by_hand(shares):
    left, pieces = 1.0, []
    for share in shares:
        pieces.append(left * share)
        left *= 1 - share
    return [*pieces, left]


def test_sticks_are_broken_one_after_the_other():
    shares = np.array([[0.5, 0.2, 0.9, 0.0], [0.1, 0.0, 0.0, 0.0]])
    is_last = np.array([[False, False, False, True], [False, True, False, False]])
    found = interpreted.evaluate(break_sticks(pt.constant(shares), is_last))[0]
    assert found[0] == pytest.approx(break_by_hand([0.5, 0.2, 0.9]), rel=1e-14)
    assert found[1].tolist() == [0.1, 0.9, 0.0, 0.0]


def test_a_stick_that_is_used_up_leaves_exactly_nothing():
    shares = np.array([[1.0, 0.3, 0.0]])
    is_last = np.array([[False, False, True]])
    found = interpreted.evaluate(break_sticks(pt.constant(shares), is_last))[0]
    assert found.tolist() == [[1.0, 0.0, 0.0]]


def test_tiny_shares_keep_a_finite_gradient():
    shares = pt.dmatrix("shares")
    matrix = break_sticks(shares, np.array([[False, False, True]]))
    slope = interpreted.function([shares], [pt.grad(pt.log(matrix[0, 2]), shares)])
    value = np.array([[1e-300, 1 - 1e-12, 0.0]])
    assert slope(value)[0][0] == pytest.approx([-1.0, -1e12, 0.0], rel=1e-3)


# What is refused ----------------------------------------------------------------------------------


def test_weights_that_make_no_dirichlet_are_refused_at_once():
    with pytest.raises(SpecError) as error:
        crm.StickyDirichlet(stickiness=-1, concentration=0)
    assert "`stickiness` must be finite and at least 0, got -1" in str(error.value)
    assert "`concentration` must be finite and above 0, got 0" in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_are_finite(value):
    with pytest.raises(SpecError, match="2 problems"):
        crm.StickyDirichlet(stickiness=value, concentration=value)


def test_a_design_of_one_s_own_is_checked_by_the_model_that_takes_it():
    class Odd(crm.StickyDirichlet):
        design = crm.transitions.Design("x", [1.0], lag=2)

    assert Odd.design == crm.transitions.Design(("x",), (1.0,), lag=2)
    with pytest.raises(SpecError, match="`lag` must be 0 or 1, got 2"):
        crm.ObservedMarkov(crm.StageSpace(("low", "high")), Odd())
