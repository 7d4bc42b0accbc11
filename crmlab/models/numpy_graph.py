"""A PyTensor graph as a function that NumPy evaluates, node by node.

Nothing is compiled, so a model that this computer has never seen starts at once, and the first run
gives the same bits as the thousandth. A stage model has about two hundred nodes on small arrays, of
which all but one take a microsecond or two; the likelihood, which takes the time, is one node in
machine code (`crmlab.models.kernel`).

PyTensor's own Python linker calls `Op.perform`, whose checks take ten times as long as the
arithmetic. `convert` therefore has a short way for the operations that models consist of, and calls
`perform` for all others: an extension may use any operation.
"""

from collections.abc import Callable, Sequence
from functools import reduce, singledispatch
from itertools import pairwise
from operator import attrgetter
from threading import Lock
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import NDArray
from pytensor import scalar
from pytensor.compile.builders import OpFromGraph
from pytensor.compile.mode import optdb
from pytensor.compile.rewriting import inline_ofg_node
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Apply, Constant, Variable
from pytensor.graph.fg import AbstractFunctionGraph, FunctionGraph
from pytensor.graph.op import HasInnerGraph, Op
from pytensor.graph.rewriting.basic import dfs_rewriter, node_rewriter
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.graph.traversal import graph_inputs
from pytensor.scalar.math import Softplus
from pytensor.tensor.basic import Split
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise

SHORT = ("bool", "int8", "uint8", "int16", "uint16")
REWRITES = RewriteDatabaseQuery(include=["fast_compile"], exclude=["inplace"])
NUMPY_ONLY: dict[type, Callable] = {
    scalar.Second: lambda like, value: np.broadcast_to(value, np.broadcast(like, value).shape),
    Softplus: lambda x: np.logaddexp(0.0, x),
    scalar.Identity: lambda x: x,
}


Function = Callable[..., list[Any]]


def compose(graph: AbstractFunctionGraph) -> Function:
    """Write a graph as one line of Python per node, which any number of threads may run at once.

    Parameters
    ----------
    graph : AbstractFunctionGraph
        Its inputs are the arguments, its outputs the results. No operation may work in place.
    """
    order = graph.toposort()
    variables = [*graph.inputs, *graph.outputs, *(v for node in order for v in node.inputs)]
    variables += [v for node in order for v in node.outputs]
    names = {variable: f"v{i}" for i, variable in enumerate(dict.fromkeys(variables))}
    space = {names[v]: v.data for v in names if isinstance(v, Constant)}
    space |= {f"f{k}": convert(node.op, node) for k, node in enumerate(order)}
    lines = [
        f"{_listed(names, node.outputs)} = f{k}({_listed(names, node.inputs)})"
        for k, node in enumerate(order)
    ]
    lines.append(f"return [{_listed(names, graph.outputs)}]")
    body = "\n    ".join(lines)
    exec(f"def evaluate({_listed(names, graph.inputs)}):\n    {body}", space)
    quiet: Function = np.errstate(all="ignore")(space["evaluate"])  # the caller looks at the values
    return quiet


def _listed(names: dict[Variable, str], variables: Sequence[Variable]) -> str:
    return ", ".join(names[variable] for variable in variables)


def to_numpy(
    inputs: Sequence[Variable], outputs: Sequence[Any]
) -> tuple[Function, dict[str, NDArray]]:
    """Turn outputs into a function of inputs, and of the shared variables that they depend on.

    Parameters
    ----------
    inputs, outputs : sequence of PyTensor variables

    Returns
    -------
    function : callable
        ``function(*inputs, *shared)`` gives the list of outputs.
    shared : dict of str to ndarray
        Today's values of the shared variables by name, in the order of the arguments.

    Examples
    --------
    >>> import pytensor
    >>> import pytensor.tensor as pt
    >>> x, rate = pt.dvector("x"), pytensor.shared(np.array(2.0), name="rate")
    >>> function, shared = to_numpy([x], [pt.exp(-rate * x).sum()])
    >>> float(function(np.zeros(3), *shared.values())[0])
    3.0
    """
    shared = [v for v in graph_inputs(outputs) if isinstance(v, SharedVariable)]
    graph = FunctionGraph([*inputs, *shared], outputs, clone=True)
    optdb.query(REWRITES).rewrite(graph)
    dfs_rewriter(_open).rewrite(graph)
    return compose(graph), {str(v.name): np.asarray(v.get_value(borrow=True)) for v in shared}


@node_rewriter([OpFromGraph])
def _open(graph: FunctionGraph, node: Apply) -> list[Variable]:
    """Put the nodes of an operation that is made of others in its place."""
    return inline_ofg_node(node)


@singledispatch
def convert(op: Op, node: Apply) -> Callable:
    """Return a function of arrays that does what a node does: `perform`, if nothing is shorter."""
    n_outputs = len(node.outputs)

    def perform(*inputs: Any) -> Any:
        cells: list[list[Any]] = [[None] for _ in range(n_outputs)]
        op.perform(node, [v if v is None else np.asarray(v) for v in inputs], cells)
        return cells[0][0] if n_outputs == 1 else [cell[0] for cell in cells]

    if not isinstance(op, HasInnerGraph):
        return perform
    turns = Lock()  # a graph inside keeps its arguments where all threads see them

    def perform_alone(*inputs: Any) -> Any:
        with turns:
            return perform(*inputs)

    return perform_alone


@convert.register
def _convert_elementwise(op: Elemwise, node: Apply) -> Callable:
    kind, dtype = op.scalar_op, node.outputs[0].type.dtype
    if isinstance(kind, scalar.Cast):
        return lambda x: np.asarray(x, dtype)
    for one, function in NUMPY_ONLY.items():
        if isinstance(kind, one):
            return function
    name, n_inputs, _ = op.nfunc_spec or (None, 0, 0)
    short = all(v.type.dtype in SHORT for v in node.inputs)  # NumPy would answer in half precision
    if name is None or (short and dtype.startswith("float")):
        return convert.dispatch(Op)(op, node)
    function = attrgetter(name.removeprefix("scipy."))(scipy if name.startswith("scipy") else np)
    return function if n_inputs == len(node.inputs) else lambda *x: reduce(function, x)


@convert.register
def _convert_axes(op: DimShuffle, node: Apply) -> Callable:
    """Move axes, then insert new ones; to drop an axis is rare, and checked by `perform`."""
    if op.drop:
        return convert.dispatch(Op)(op, node)
    index = tuple(None if axis < 0 else slice(None) for axis in op._new_order)
    if tuple(op.shuffle) == tuple(sorted(op.shuffle)):
        return lambda x: np.asarray(x)[index]
    return lambda x: np.transpose(x, op.shuffle)[index]


@convert.register
def _convert_reduction(op: CAReduce, node: Apply) -> Callable:
    functions = {scalar.Add: np.add, scalar.Mul: np.multiply, scalar.Maximum: np.maximum}
    function = functions.get(type(op.scalar_op))
    if function is None or node.inputs[0].type.dtype != node.outputs[0].type.dtype:
        return convert.dispatch(Op)(op, node)
    axis = tuple(range(node.inputs[0].type.ndim)) if op.axis is None else tuple(op.axis)
    return lambda x: function.reduce(x, axis=axis)


@convert.register
def _convert_split(op: Split, node: Apply) -> Callable:
    perform, sizes = convert.dispatch(Op)(op, node), node.inputs[1]
    if not isinstance(sizes, Constant):
        return perform
    ends = np.cumsum([0, *sizes.data]).tolist()
    parts = [(slice(None),) * op.axis + (slice(*pair),) for pair in pairwise(ends)]

    def split(x: Any, _: Any) -> Any:
        return [x[part] for part in parts] if x.shape[op.axis] == ends[-1] else perform(x, _)

    return split
