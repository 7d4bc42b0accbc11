"""Stages keep their meaning through a parameter that rises from stage to stage in each phase.

Without it a posterior has one copy for each relabelling of the stages, and "active" in one chain is
"dormant" in the next. The parameter is ordered on its unconstrained scale, by the change of
variables x_1 = z_1, x_k = x_{k-1} + exp(z_k).
"""

from copy import copy
from typing import TYPE_CHECKING

import numpy as np
from pymc.distributions.distribution import _support_point, support_point
from pymc.distributions.transforms import _default_transform
from pymc.logprob.transforms import Transform

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

Groups = tuple[tuple[int, ...], ...]


class OrderedWithin(Transform):
    """Values that increase along each group of positions.

    Parameters
    ----------
    groups : tuple of tuples of int
        Positions in ascending order, one tuple per phase; together they cover all stages.
    """

    name = "ordered_within"
    ndim_supp = 1

    def __init__(self, groups: Groups) -> None:
        self.sequence = np.concatenate([np.array(group) for group in groups])
        self.starts = np.concatenate([np.arange(len(group)) == 0 for group in groups])
        self.back = np.argsort(self.sequence)
        membership = np.cumsum(self.starts)
        position = np.arange(len(self.sequence))
        self.sums = (membership[:, None] == membership) & (position <= position[:, None])

    def backward(self, value: "TensorVariable", *inputs: object) -> "TensorVariable":
        """Add up the steps within each group."""
        import pytensor.tensor as pt

        steps = pt.where(self.starts, value, pt.exp(pt.where(self.starts, 0.0, value)))
        return pt.dot(self.sums.astype(float), steps)[self.back]

    def forward(self, value: "TensorVariable", *inputs: object) -> "TensorVariable":
        """Recover the steps within each group."""
        import pytensor.tensor as pt

        ordered = value[self.sequence]
        steps = ordered - pt.concatenate([ordered[:1], ordered[:-1]])
        return pt.where(self.starts, ordered, pt.log(pt.where(self.starts, 1.0, steps)))

    def log_jac_det(self, value: "TensorVariable", *inputs: object) -> "TensorVariable":
        """Sum the log-steps."""
        import pytensor.tensor as pt

        return pt.sum(pt.where(self.starts, 0.0, value), axis=-1)


def spread_start(prior: "TensorVariable", groups: Groups) -> np.ndarray:
    """Return starting values around the prior's centre that rise within each group."""
    inputs = prior.owner.inputs
    default = _default_transform(prior.owner.op, prior)
    center = support_point(prior)
    start = _evaluate(center if default is None else default.forward(center, *inputs))
    for group in groups:
        if len(group) > 1:
            # Sorted first: the prior's centres may be equal, or fall where the values must rise.
            start[list(group)] = np.sort(start[list(group)]) + np.linspace(-1, 1, len(group))
    return start if default is None else _evaluate(default.backward(start, *inputs))


def start_in_order(prior: "TensorVariable", groups: Groups) -> "TensorVariable":
    """Return the same prior, whose support point is in order: a sampler starts there.

    Initial values would say the same, but PyMC cannot transform models that have them, which
    `pm.compute_log_likelihood` and `pm.do` need.
    """
    import pytensor.tensor as pt

    node, start = prior.owner, spread_start(prior, groups)
    op = copy(node.op)
    op.__class__ = type(type(op).__name__, (type(op),), {})
    _support_point.register(type(op), lambda op, rv, *inputs: pt.constant(start))
    return op.make_node(*node.inputs).outputs[node.outputs.index(prior)]


def _evaluate(graph: "TensorVariable") -> np.ndarray:
    """Value of a graph without inputs."""
    from crmlab.models.numpy_graph import to_numpy

    return np.array(to_numpy([], [graph])[0]()[0], dtype=float)
