"""The public names of crmlab.prediction."""

from crmlab.prediction.contrasts import (
    occupancy_effects as occupancy_effects,
    transition_effects as transition_effects,
)
from crmlab.prediction.covariates import (
    add_indicators as add_indicators,
    add_pillars as add_pillars,
    add_square as add_square,
    standardise as standardise,
)
from crmlab.prediction.draws import (
    thin_draws as thin_draws,
)
from crmlab.prediction.likelihood import (
    customer_loglik as customer_loglik,
)
from crmlab.prediction.moves import (
    transition_matrices as transition_matrices,
)
from crmlab.prediction.paths import (
    sample_stages as sample_stages,
)
from crmlab.prediction.scoring import (
    read_panels as read_panels,
    score_customers as score_customers,
)
from crmlab.prediction.stages import (
    current_stage_probs as current_stage_probs,
    forecast as forecast,
    most_likely_path as most_likely_path,
    score_histories as score_histories,
    stage_probs as stage_probs,
)
