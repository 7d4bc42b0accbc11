"""Evaluate PyTensor graphs and PyMC models in plain Python: slow to run, nothing to compile."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pymc.pytensorf import join_nonshared_inputs
from pytensor.compile.mode import Mode

MODE = Mode(linker="py", optimizer=None)


def function(inputs, outputs):
    with pytensor.config.change_flags(cxx=""):
        return pytensor.function(inputs, outputs, mode=MODE, on_unused_input="ignore")


def evaluate(*outputs):
    """Values of graphs without inputs."""
    return [np.asarray(value) for value in function([], list(outputs))()]


def draw(variable, draws, seed):
    with pytensor.config.change_flags(cxx=""):
        return pm.draw(variable, draws=draws, random_seed=seed, mode=MODE)


def as_function_of_vector(model, outputs):
    """Outputs of a model as a function of its unconstrained values, joined; and where they start.

    `outputs` are graphs in the model's random variables.
    """
    start = model.initial_point()
    graphs = model.replace_rvs_by_values(outputs)
    graphs, x = join_nonshared_inputs(start, graphs, model.value_vars)
    flat = np.concatenate([np.ravel(start[v.name]) for v in model.value_vars]).astype(float)
    return function([x], graphs), flat


def log_density(model, *, jacobian=True):
    """Log-density of a model as a function of its unconstrained values, joined."""
    start = model.initial_point()
    (graph,), x = join_nonshared_inputs(start, [model.logp(jacobian=jacobian)], model.value_vars)
    return function([x], [graph, pt.grad(graph, x)])
