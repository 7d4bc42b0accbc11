"""How far conclusions hang on the prior: power-scaling, without a second fit.

The prior of each part of a model is raised to a power near 1, and the draws are weighted
accordingly. If the posterior follows the prior's power but not the likelihood's, the prior speaks;
if it follows both, they pull in different directions.
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
from crmlab.transitions import CovariateLogit, Horseshoe, OrderedLogit, StickyDirichlet
from crmlab.transitions.driven import DrivenTransitions
from crmlab.transitions.effects import Groups, group_moves, group_origins


def sensitivity_data(fit: Fit, *, draws: int = 1000) -> xr.DataTree:
    """Give a posterior with the log-densities that power-scaling reads.

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
        the initial law is uniform, and is left out; so are the parts of which the posterior keeps
        no trace (``attrs["left_out"]``): Horseshoe scales and customers' correlations.

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
    """Say how much each parameter of a fit hangs on the prior and on the likelihood.

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
    """Log-density of each prior at each draw (sample,); and what could not be had."""
    flat = posterior.stack(sample=("chain", "draw"), create_index=False)
    values = {n: v.transpose("sample", ...).values for n, v in flat.data_vars.items()}
    space = fit.model.space
    found = {}
    for channel in fit.model.channels:
        found |= _of_channel(channel, space, values)
    moves, left_out = _of_moves(getattr(fit.model, "transitions", None), space, values)
    return {**found, **moves}, left_out


def _of_channel(channel: Channel, space: StageSpace, values: dict) -> dict[str, Floats]:
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt
    from pytensor.compile.mode import Mode

    found = {}
    for name, prior in channel.parameters(space).items():
        if name in channel.known:
            continue
        full = f"{channel.name}_{name}"
        draw = pt.TensorType("float64", (None,) * prior.ndim)("draw")
        mode = Mode(linker="py", optimizer="fast_compile")
        with pytensor.config.change_flags(cxx=""):
            density = pytensor.function([draw], pt.sum(pm.logp(prior, draw)), mode=mode)
        found[full] = np.array([float(density(row)) for row in values[full]])
    return found


def _of_moves(
    law: object, space: StageSpace, values: dict[str, Floats]
) -> tuple[dict[str, Floats], list[str]]:
    if isinstance(law, StickyDirichlet):
        weights = law.alpha(space)[space.mask] - 1
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(values["transition_matrix"][:, space.mask], 1e-300))
        return {"transition_matrix": logs @ weights}, []
    if isinstance(law, CovariateLogit):
        groups, base = group_moves(space, law.shared), _of_logits(law, space, values)
    elif isinstance(law, OrderedLogit):
        groups, base = group_origins(space, law.shared), _of_thresholds(law, space, values)
    else:
        raise SpecError(
            f"sensitivity_data: the prior of {type(law).__name__} cannot be read from its "
            "posterior; use StickyDirichlet, CovariateLogit or OrderedLogit."
        )
    effects, left_out = _of_effects(law, groups, values)
    own, lost = _of_customers(law, space, values)
    return {**base, **effects, **own}, [*left_out, *lost]


def _normal(values: Floats, centre: Floats | float, scale: Floats | float) -> Floats:
    """Log-density of independent normals, summed over all but the draws, up to a constant."""
    scale = np.broadcast_to(scale, values.shape)
    terms = -0.5 * ((values - centre) / scale) ** 2 - np.log(scale)
    return terms.reshape(len(values), -1).sum(axis=1)


def _of_logits(law: CovariateLogit, space: StageSpace, values: dict) -> dict[str, Floats]:
    moves = np.nonzero(space.mask & ~np.eye(len(space), dtype=bool))
    probs = law.typical_probs(space)
    typical = np.log(probs[moves] / probs[moves[0], moves[0]])
    return {"base_logits": _normal(values["base_logits"][:, *moves], typical, law.spread)}


def _of_thresholds(law: OrderedLogit, space: StageSpace, values: dict) -> dict[str, Floats]:
    """Take lowest thresholds, and logarithms of the gaps above them, for normal."""
    order = [space.index(name) for name in law.low_to_high or space.names]
    total = 0.0
    for k, allowed in enumerate(space.mask):
        rungs = [j for j in order if allowed[j]][:-1]
        if not rungs:
            continue
        below = np.cumsum([law.typical_probs(space)[k, j] for j in rungs])
        typical, cuts = np.log(below / (1 - below)), values["thresholds"][:, k, rungs]
        total = total + _normal(cuts[:, :1], typical[0], law.spread)
        if len(rungs) > 1:
            gaps = np.log(np.diff(cuts, axis=1))
            total = total + _normal(gaps, np.log(np.diff(typical)), law.spread / 2)
    return {"thresholds": total}


def _of_effects(
    law: DrivenTransitions, groups: Groups, values: dict
) -> tuple[dict[str, Floats], list[str]]:
    """Effects of covariates and segments, each group's once."""

    def gathered(name: str) -> Floats:
        return np.stack([groups.gather(row) for row in values[name]])

    found, left_out = {}, []
    if isinstance(law.effect_scale, Horseshoe):
        left_out = [f"{name}_effect" for name in law.covariates]
    else:
        scales = np.broadcast_to(law.effect_scale, len(law.covariates))
        for name, scale in zip(law.covariates, scales, strict=True):
            found[f"{name}_effect"] = _normal(gathered(f"{name}_effect"), 0.0, scale)
    if law.segments:
        sd = gathered("segment_sd")
        found["segment_sd"] = _normal(sd, 0.0, law.segments.scale)
        for name in law.segments.columns:
            found[f"{name}_effect"] = _normal(gathered(f"{name}_effect"), 0.0, sd)
    return found, left_out


def _of_customers(
    law: DrivenTransitions, space: StageSpace, values: dict
) -> tuple[dict[str, Floats], list[str]]:
    if law.customers is None:
        return {}, []
    make = group_moves if isinstance(law, CovariateLogit) else group_origins
    groups = make(space, law.customers.shared)
    sd = np.stack([groups.gather(row) for row in values["customer_sd"]])
    lost = [name for name in values if name.startswith("customer_corr_")]
    return {"customer_sd": _normal(sd, 0.0, law.customers.scale)}, lost
