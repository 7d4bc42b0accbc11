"""Figures: one style, colours that every reader can tell apart, names on the lines.

Each plot function takes arrays or DataArrays and `ax=None`, draws, and returns the Axes; it
computes nothing but layout and summaries of draws. `show` puts a figure in a notebook together
with the sentence that says what it shows.
"""

from crmlab.plots.curves import plot_calibration, plot_prediction, plot_survival
from crmlab.plots.decisions import (
    describe_alive_map,
    describe_policy_map,
    describe_qini,
    describe_regret,
    plot_alive_map,
    plot_policy_map,
    plot_qini,
    plot_regret,
)
from crmlab.plots.figure import describe_trend, figure_html, show
from crmlab.plots.graph import plot_stage_graph
from crmlab.plots.lives import describe_lives, plot_lives
from crmlab.plots.matrices import plot_row_posterior, plot_transition_matrix
from crmlab.plots.ranks import plot_rank_ecdf
from crmlab.plots.sentences import describe_stage_value, describe_survival
from crmlab.plots.shares import plot_stage_probs
from crmlab.plots.staircase import plot_staircase
from crmlab.plots.steps import describe_steps, plot_step_worth
from crmlab.plots.style import StageMark, stage_colours, stage_markers, style
from crmlab.plots.worth import plot_stage_value

__all__ = [
    "StageMark",
    "describe_alive_map",
    "describe_lives",
    "describe_policy_map",
    "describe_qini",
    "describe_regret",
    "describe_stage_value",
    "describe_steps",
    "describe_survival",
    "describe_trend",
    "figure_html",
    "plot_alive_map",
    "plot_calibration",
    "plot_lives",
    "plot_policy_map",
    "plot_prediction",
    "plot_qini",
    "plot_rank_ecdf",
    "plot_regret",
    "plot_row_posterior",
    "plot_stage_graph",
    "plot_stage_probs",
    "plot_stage_value",
    "plot_staircase",
    "plot_step_worth",
    "plot_survival",
    "plot_transition_matrix",
    "show",
    "stage_colours",
    "stage_markers",
    "style",
]
