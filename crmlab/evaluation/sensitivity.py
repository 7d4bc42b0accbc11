"""How much conclusions depend on the prior: power-scaling, without a second fit.

The prior of each part of a model is raised to a power near 1, and the draws are weighted
accordingly. If the posterior responds to the prior's power but not to the likelihood's, the prior
dominates; if it responds to both, they pull in different directions.
"""

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.arrays import Floats
from crmlab.channels import Channel
from crmlab.errors import SpecError
from crmlab.inference import Fit
from crmlab.prediction.likelihood import customer_loglik
from crmlab.stages import StageSpace


def sensitivity_data(fit: Fit, *, draws: int = 1000) -> xr.DataTree:
    """Return a posterior with the log-densities that power-scaling reads.

    Parameters
    ----------
    fit : Fit
    draws : int
        Posterior draws to use in all.

    Returns
    -------
    xr.DataTree
        ``posterior`` without what never varies, ``log_likelihood`` (customers' own effects averaged
        out) and ``log_prior``, a variable per prior (chain, draw), up to constants. The prior of
        the initial probabilities is uniform, and is left out; so are the parts of which the
        posterior keeps no trace (``attrs["left_out"]``): Horseshoe scales and customers'
        correlations.

    Raises
    ------
    SpecError
        The model's moves have a prior that is not known here.
    """
    tree = customer_loglik(fit, draws=draws)
    posterior = tree["posterior"].to_dataset()
    found, left_out = _log_priors(fit, posterior)
    dims = ("chain", "draw")
    size = tuple(posterior.sizes[dim] for dim in dims)
    priors = {name: (dims, values.reshape(size)) for name, values in found.items()}
    varies = [n for n, v in posterior.data_vars.items() if bool((v.max(dims) > v.min(dims)).any())]
    return xr.DataTree.from_dict(
        {
            "posterior": posterior[varies],
            "log_likelihood": tree["log_likelihood"].to_dataset(),
            "log_prior": xr.Dataset(
                priors, coords={dim: posterior[dim] for dim in dims}, attrs={"left_out": left_out}
            ),
        }
    )


def prior_sensitivity(fit: Fit, *, draws: int = 1000) -> pd.DataFrame:
    """Measure how much each parameter of a fit depends on the prior and on the likelihood.

    Parameters
    ----------
    fit, draws
        As `sensitivity_data` takes them.

    Returns
    -------
    DataFrame
        ArviZ's `psense_summary`: a row per number of the posterior with its sensitivity to the
        ``prior`` and to the ``likelihood`` (change of the distribution per doubling of the power;
        above 0.05 it matters) and a ``diagnosis``.

    References
    ----------
    Kallioinen, Paananen, Buerkner and Vehtari (2024), *Statistics and Computing* 34, article 57.
    """
    import arviz

    tree = sensitivity_data(fit, draws=draws)
    posterior = tree["posterior"].to_dataset()
    with np.errstate(invalid="ignore", divide="ignore"):  # of the numbers that never vary
        table = arviz.psense_summary(tree, var_names=list(posterior.data_vars))
    return table.dropna(subset=["prior", "likelihood"])


def _log_priors(fit: Fit, posterior: xr.Dataset) -> tuple[dict[str, Floats], list[str]]:
    """Log-density of each prior at each draw (sample,), and the names of those left out."""
    flat = posterior.stack(sample=("chain", "draw"), create_index=False)
    values = {str(n): v.transpose("sample", ...).values for n, v in flat.data_vars.items()}
    space = fit.model.space
    found: dict[str, Floats] = {}
    for channel in fit.model.channels:
        found |= _of_channel(channel, space, values)
    moves = fit.model.transitions.log_prior(space, values)
    if moves is None:
        raise SpecError(
            f"sensitivity_data: the prior of {type(fit.model.transitions).__name__} cannot be read "
            "from its posterior; use StickyDirichlet, CovariateLogit or OrderedLogit."
        )
    return {**found, **moves[0]}, moves[1]


def _of_channel(channel: Channel, space: StageSpace, values: dict) -> dict[str, Floats]:
    import pymc as pm
    import pytensor.tensor as pt

    from crmlab.models.numpy_graph import to_numpy

    found = {}
    for name, prior in channel.parameters(space).items():
        if name in channel.known:
            continue
        full = f"{channel.name}_{name}"
        draw = pt.TensorType("float64", (None,) * prior.ndim)("draw")
        density, _ = to_numpy([draw], [pt.sum(pm.logp(prior, draw))])
        found[full] = np.array([float(density(row)[0]) for row in values[full]])
    return found
