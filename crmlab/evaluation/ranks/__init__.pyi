"""The public names of crmlab.evaluation.ranks."""

from crmlab.evaluation.ranks.study import (
    Calibration as Calibration,
    Replicate as Replicate,
    calibrate as calibrate,
    replicate as replicate,
)
from crmlab.evaluation.ranks.uniformity import (
    rank_band as rank_band,
    rank_p_value as rank_p_value,
)
from crmlab.models.prior import (
    draw_prior as draw_prior,
)
from crmlab.models.simulation import (
    empty_panel as empty_panel,
    simulate_panel as simulate_panel,
)
