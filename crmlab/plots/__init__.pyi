"""The public names of crmlab.plots."""

from crmlab.plots.curves import (
    plot_calibration as plot_calibration,
    plot_prediction as plot_prediction,
    plot_survival as plot_survival,
)
from crmlab.plots.decisions import (
    describe_alive_map as describe_alive_map,
    describe_policy_map as describe_policy_map,
    describe_qini as describe_qini,
    describe_regret as describe_regret,
    plot_alive_map as plot_alive_map,
    plot_policy_map as plot_policy_map,
    plot_qini as plot_qini,
    plot_regret as plot_regret,
)
from crmlab.plots.figure import (
    describe_trend as describe_trend,
    figure_html as figure_html,
    show as show,
)
from crmlab.plots.graph import (
    plot_stage_graph as plot_stage_graph,
)
from crmlab.plots.lives import (
    describe_lives as describe_lives,
    plot_lives as plot_lives,
)
from crmlab.plots.matrices import (
    plot_row_posterior as plot_row_posterior,
    plot_transition_matrix as plot_transition_matrix,
)
from crmlab.plots.ranks import (
    plot_rank_ecdf as plot_rank_ecdf,
)
from crmlab.plots.residuals import (
    plot_pseudo_residuals as plot_pseudo_residuals,
)
from crmlab.plots.sentences import (
    describe_stage_value as describe_stage_value,
    describe_survival as describe_survival,
)
from crmlab.plots.shares import (
    plot_stage_probs as plot_stage_probs,
)
from crmlab.plots.staircase import (
    plot_staircase as plot_staircase,
)
from crmlab.plots.steps import (
    describe_steps as describe_steps,
    plot_step_worth as plot_step_worth,
)
from crmlab.plots.styles import (
    StageMark as StageMark,
    stage_colours as stage_colours,
    stage_markers as stage_markers,
    style as style,
)
from crmlab.plots.worth import (
    plot_stage_value as plot_stage_value,
)
