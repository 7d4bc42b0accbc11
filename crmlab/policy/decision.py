"""What a firm should do in each stage, from a fit and named actions, with labels throughout."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.actions import Action, check_actions
from crmlab.errors import SpecError, check_one_of
from crmlab.inference import Fit
from crmlab.policy.choice import choose_policy
from crmlab.policy.inputs import read_weights
from crmlab.policy.uncertain_effects import EffectDraws, draw_action_matrices
from crmlab.prediction import transition_matrices
from crmlab.value.inputs import FIRSTS, by_stage, margins_by_draw
from crmlab.value.rates import DiscountRate, rate_per_period, spell

NOTHING = "nothing"


def decide(
    fit: Fit,
    actions: Sequence[Action],
    *,
    margin: Mapping[str, float] | ArrayLike | xr.DataArray,
    discount_rate: float | DiscountRate,
    effects: Mapping[str, EffectDraws] | None = None,
    n_customers: Mapping[str, float] | ArrayLike | None = None,
    first: str = "next",
    at: Mapping[str, float] | None = None,
    draws: int = 200,
) -> xr.Dataset:
    """Best action in each stage over the posterior, how certain it is, and the money at stake.

    The fit supplies the matrices without action. Each action tilts them by its log odds ratios and
    costs its `cost` once per customer and period. Doing nothing is always a choice.

    Parameters
    ----------
    fit : Fit
        Posterior of customers to whom nothing was done. A model with covariates gives the mean
        matrix of the customers (``transition_matrices(..., by="population")``).
    actions : sequence of Action
        Their numbers are taken as known, except those that `effects` replaces.
    margin : mapping, array_like of shape (stage,), or DataArray (chain, draw, stage)
        Currency per customer and period in each stage, as in `lifetime_value`.
    discount_rate : float or DiscountRate
        A bare number is a fraction per period of the fit's panel.
    effects : mapping of action to mapping of move to draws, optional
        What is uncertain: for an action, posterior draws in place of its numbers, keyed
        as in `Action`: log odds ratios by kind of move or by (from, to), probabilities by the
        (from, to) of an added move. A DataArray with dims chain and draw is paired with the draws
        of the fit; an array (n,) is a separate posterior, from an experiment, say. This
        uncertainty then enters `prob_best`, `regret` and `evpi`.
    n_customers : mapping of stage name to float, or array_like of shape (stage,), optional
        Customers in each stage, as weights; one in each if left out.
    first : {"next", "current"}
        The period of the first margin that counts, as in `stage_value`. The action of the current
        period is paid for in any case, so only `value` and `value_untreated` depend on it.
    at : mapping of covariate to number, optional
        Covariates to set, as in `transition_matrices`.
    draws : int
        Posterior draws to use in all, evenly thinned.

    Returns
    -------
    Dataset
        `policy` (stage): name of the action; `prob_best` (action, stage); `value`,
        `value_untreated` and `regret` (chain, draw, stage), in currency per customer; `evpi`, in
        currency for all customers. The attr `exact` is 0 where not all policies were compared, and
        `evpi` is then an upper bound (see `choose_policy`).

    Raises
    ------
    SpecError
        Actions, effects, margins or counts that do not fit the stages, or covariates that the model
        does not have.
    """
    space = fit.model.space
    names = (NOTHING, *(action.name for action in actions))
    check_actions("decide", actions, space)
    if NOTHING in names[1:]:
        raise SpecError(f"decide: {NOTHING!r} is the name of doing nothing; rename the action")
    check_one_of("decide", "first", first, FIRSTS)
    matrices = transition_matrices(fit, at=at, by="population", draws=draws)
    margins = _one_per_draw(margins_by_draw("decide", margin, space.names, matrices), matrices)
    P = draw_action_matrices(matrices, space, actions, effects or {})
    cost = np.array([0.0, *(action.cost for action in actions)])
    per_period = rate_per_period(discount_rate, fit.panel.attrs.get("freq"))
    counts = _counts(n_customers, space.names)
    options: dict = {"discount_rate": per_period, "n_customers": counts}
    found = choose_policy(P, margins, cost, **options)
    untreated = choose_policy(P[:, :1], margins, cost[:1], **options).value
    past = 0.0 if first == "current" else margins  # of the current period, whatever the action
    lead = ("chain", "draw", "stage")
    shape = (*matrices.shape[:2], len(space))
    return xr.Dataset(
        {
            "policy": ("stage", np.array(names)[found.policy]),
            "prob_best": (("action", "stage"), found.prob_best),
            "value": (lead, (found.value - past).reshape(shape)),
            "value_untreated": (lead, (untreated - past).reshape(shape)),
            "regret": (lead, found.regret.reshape(shape)),
            "evpi": found.evpi,
        },
        coords={
            "stage": list(space.names),
            "action": list(names),
            **{dim: matrices[dim].values for dim in ("chain", "draw")},
        },
        attrs={
            "discount_rate": float(per_period),
            "discount_rate_given": spell(discount_rate),
            "unit": "currency of the margins",
            "exact": int(found.exact),
        },
    )


def _one_per_draw(margins: NDArray, matrices: xr.DataArray) -> NDArray:
    """Margins (draws, K), repeated where they are known."""
    shape = (*matrices.shape[:2], matrices.shape[-1])
    if margins.shape[-1:] != shape[-1:]:
        raise SpecError(f"decide: `margin` needs {shape[-1]} numbers, got shape {margins.shape}")
    return np.broadcast_to(margins, shape).reshape(-1, shape[-1])


def _counts(n_customers: object, names: tuple[str, ...]) -> NDArray:
    if n_customers is not None:
        n_customers = by_stage("decide", "n_customers", n_customers, names)
    return read_weights("decide", n_customers, len(names))
