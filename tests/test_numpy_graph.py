"""A graph that NumPy evaluates gives what PyTensor's own Python linker gives."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.raise_op import Assert

from crmlab.models.numpy_graph import convert, to_numpy
from tests import interpreted

X = np.array([[-2.5, 0.0, 1.0], [3.0, 40.0, 0.25]])
x = pt.dmatrix("x")
small = pt.constant(np.array([1, 2, 3], dtype="int8"))

GRAPHS = {
    "elementwise": pt.exp(-pt.sqr(x)) + pt.log1p(pt.abs(x)) * pt.sigmoid(x),
    "sums of many": pt.add(x, 2 * x, 3 * x, x[0]),
    "softplus": pt.softplus(10 * x),
    "switch and compare": pt.switch(pt.lt(x, 0.5), x, pt.zeros_like(x)),
    "cast": pt.cast(x, "int64") + 1,
    "short integers": pt.exp(small) + pt.sqrt(small),
    "a division of integers": pt.cast(x, "int64") / 4,
    "powers": pt.pow(pt.abs(x), 1.5),
    "log of gamma": pt.gammaln(pt.abs(x) + 1),
    "without an nfunc": pt.log1mexp(-pt.abs(x) - 0.5),
    "axes": x.T[:, None, :] + pt.transpose(x)[..., None],
    "a dropped axis": x[:1].squeeze(0),
    "reductions": pt.concatenate([x.sum(axis=0), x.prod(axis=1), x.max(axis=(0, 1))[None]]),
    "a whole sum": x.sum(),
    "any and all": pt.stack([pt.gt(x, 3).any(), pt.gt(x, -9).all()]),
    "cumulated": pt.cumsum(x, axis=1),
    "parts": pt.concatenate(pt.split(x, [1, 2], n_splits=2, axis=1)[::-1], axis=1),
    "set": pt.set_subtensor(x[:, 1:], x[:, :1] * 2),
    "picked": x[np.array([1, 0, 1]), np.array([2, 2, 0])],
    "softmax": pt.special.softmax(x, axis=-1),
    "logsumexp": pt.logsumexp(x, axis=0),
    "a product of matrices": x @ x.T,
    "solved": pt.linalg.solve(x @ x.T, pt.ones(2)),
    "gradient": pt.grad(pt.sum(pt.logsumexp(x, axis=1) * pt.softplus(x[:, 0])), x),
    "a constant": pt.constant(np.arange(3.0)),
    "a shape that is known in part": pt.specify_shape(x * 1, (None, 3)),
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_numpy_gives_what_pytensor_gives(graph):
    function, shared = to_numpy([x], [graph])
    (expected,) = interpreted.function([x], [graph])(X)
    (found,) = function(X)
    assert not shared
    assert np.shape(found) == np.shape(expected)
    assert np.asarray(found).dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-300)


def test_nothing_is_changed_in_place():
    before = X.copy()
    function, _ = to_numpy([x], [pt.inc_subtensor(x[0], 5.0), x + 1])
    first, again = function(X), function(X)
    assert np.array_equal(X, before)
    assert all(map(np.array_equal, first, again))


def test_shared_variables_are_arguments():
    rate = pytensor.shared(np.array(2.0), name="rate")
    function, shared = to_numpy([x], [x * rate])
    assert list(shared) == ["rate"]
    assert np.array_equal(function(X, np.array(3.0))[0], 3 * X)


def test_what_is_not_finite_does_not_warn():
    function, _ = to_numpy([x], [pt.log(x), 1 / x, pt.exp(1e4 * x)])
    assert not np.isfinite(function(X)[0]).all()


def test_an_error_of_an_operation_comes_through():
    checked = Assert("must rise")(x, pt.eq(x.shape[0], 3))
    function, _ = to_numpy([x], [checked])
    with pytest.raises(AssertionError, match="must rise"):
        function(X)


def test_threads_share_a_function():
    """Also one with a loop inside, whose arguments PyTensor keeps in one place."""
    total = pytensor.scan(
        lambda row, s: s + pt.exp(row).sum(), x, pt.zeros(()), return_updates=False
    )
    function, _ = to_numpy([x], [total])
    points = [X * k / 50 for k in range(60)]
    expected = [function(point)[0] for point in points]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda point: function(point)[0], points))
    assert all(map(np.array_equal, found, expected))


def test_an_operation_that_is_not_known_is_performed():
    node = pt.linalg.det(x @ x.T).owner
    assert convert(node.op, node).__qualname__.startswith("convert.")
    assert to_numpy([x], [node.out])[0](X)[0] == pytest.approx(np.linalg.det(X @ X.T))
