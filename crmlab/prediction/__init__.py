"""From a fit to stages: where customers stood, where they stand, where they go.

Every function walks the posterior draw by draw: each draw is one complete set of parameters, for
which the recursions of `crmlab.chains` are exact. Averaging afterwards keeps the uncertainty about
the parameters; averaging the parameters first would lose it.

Where customers have effects of their own, a draw describes their population. Each customer's
effects are then summed out over fixed points of that population, each weighted by what
was seen of the customer: the same for customers of the fit as for new ones, of whom little or
nothing was seen.
"""

from crmlab.prediction.contrasts import occupancy_effects, transition_effects
from crmlab.prediction.covariates import add_indicators, add_pillars, add_square, standardise
from crmlab.prediction.draws import thin_draws
from crmlab.prediction.likelihood import customer_loglik
from crmlab.prediction.moves import transition_matrices
from crmlab.prediction.paths import sample_stages
from crmlab.prediction.scoring import read_panels, score_customers
from crmlab.prediction.stages import (
    current_stage_probs,
    forecast,
    most_likely_path,
    score_histories,
    stage_probs,
)

__all__ = [
    "add_indicators",
    "add_pillars",
    "add_square",
    "current_stage_probs",
    "customer_loglik",
    "forecast",
    "most_likely_path",
    "occupancy_effects",
    "read_panels",
    "sample_stages",
    "score_customers",
    "score_histories",
    "stage_probs",
    "standardise",
    "thin_draws",
    "transition_effects",
    "transition_matrices",
]
