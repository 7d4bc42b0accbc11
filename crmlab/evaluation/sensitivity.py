"""How much conclusions depend on the prior: power-scaling, without a second fit.

The prior of each part of a model is raised to a power near 1, and the draws are weighted
accordingly. If the posterior responds to the prior's power but not to the likelihood's, the prior
dominates; if it responds to both, they pull in different directions.
"""

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.inference import Fit
from crmlab.models.prior import log_priors
from crmlab.prediction.likelihood import customer_loglik


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
    dims = ("chain", "draw")
    varies = [n for n, v in posterior.data_vars.items() if bool((v.max(dims) > v.min(dims)).any())]
    return xr.DataTree.from_dict(
        {
            "posterior": posterior[varies],
            "log_likelihood": tree["log_likelihood"].to_dataset(),
            "log_prior": log_priors(fit.model, posterior),
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
