"""Figures: one style, colours that every reader can tell apart, names on the lines.

Each plot function takes arrays or DataArrays and `ax=None`, draws, and returns the Axes; it
computes nothing but layout and summaries of draws. `show` puts a figure in a notebook together
with the sentence that says what it shows.

Style and display (`style`, `figure`):

* `style`: set the style of all figures
* `stage_colours`: the colour of each stage
* `stage_markers`: the marker and dash of each stage, for grey print
* `StageMark`: a marker and a dash
* `show`: show a figure with its sentence
* `figure_html`: a figure as one self-contained piece of HTML

Stages and moves (`staircase`, `steps`, `graph`, `matrices`):

* `plot_staircase`: the stages as treads, up on the left, down on the right
* `plot_step_worth`: the staircase with the worth of each stage and each move
* `plot_stage_graph`: the stages of any space and the moves between them
* `plot_transition_matrix`: a transition matrix as a shaded table
* `plot_row_posterior`: what is known about one row of a transition matrix

Customers over time (`lives`, `shares`, `curves`):

* `plot_lives`: the contacts of some customers, a strip each
* `plot_stage_probs`: the probabilities of the stages over time
* `plot_survival`: the share of customers left after each period
* `plot_prediction`: what happened, compared with what models predicted

Value and decisions (`worth`, `decisions`):

* `plot_stage_value`: the worth of each stage with its uncertainty
* `plot_policy_map`: the best action by stage and budget
* `plot_qini`: the gain from treating the best-scored customers
* `plot_regret`: the cost of not knowing, as data come in
* `plot_alive_map`: the probability of being alive, by frequency and recency

Checks (`curves`, `ranks`, `residuals`):

* `plot_calibration`: predicted probabilities compared with how often the stage occurred
* `plot_rank_ecdf`: how far ranks are from uniform
* `plot_pseudo_residuals`: pseudo-residuals of a channel against the normal distribution

Sentences:

* `describe_lives`: how long and how busy the lives are
* `describe_steps`: which moves gain and lose most
* `describe_survival`: the share left where each curve ends
* `describe_stage_value`: which stage is worth most and least
* `describe_policy_map`: the smallest budget at which each stage gets an offer
* `describe_qini`: whom each score should treat, and the gain
* `describe_regret`: what each rule has lost at the end
* `describe_alive_map`: how likely frequent buyers who fell silent are still alive
* `describe_trend`: the start, end, peak and low of a series
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
