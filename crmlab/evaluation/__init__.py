"""How good a claim is: against the truth, a holdout, other models and the prior.

A score means something only in comparison: with a rule that needs no model (the same rate as
before, the commonest stage), or with one that knows what the model has to learn. Stages are
positions in their space, 0 to K - 1.

Was the stage right? (`stages`, `decoding`, `oracle`):

* `confusion_counts`: how often each true stage is taken for each stage
* `log_score`: the mean log-probability of what came true
* `brier_score`: the mean squared distance between probabilities and what came true
* `judge_decoder`: the stage probabilities of a decoder, against the truth
* `DecoderQuality`: what `judge_decoder` returns
* `stage_oracle`: stage probabilities under the true parameters: the best that can be known
* `Oracle`: what `stage_oracle` returns

Do probabilities mean what they say? Was a warning right? (`calibration`, `stages`):

* `calibration_table`: predicted probabilities and how often they came true
* `flag_quality`: precision and recall of a yes-or-no warning
* `FlagQuality`: what `flag_quality` returns

How far off was the forecast? (`forecasts`, `targeting`):

* `forecast_errors`: the errors of forecasts, per customer and in all
* `mean_by_class`: mean forecasts and what happened, by class of customers
* `score_values`: forecasts of value against what customers brought
* `score_targets`: what each method's list of customers loses against the best list
* `usual_shortcuts`: values and lists made the usual way, to compare with
* `ValueForecast`: what a method says that customers will bring
* `Shortlist`: the customers whom a method would treat

Which model predicts better? (`comparison`, `future`):

* `compare_fits`: how well each model predicts a customer it has not seen
* `leave_future_out`: how well a model predicts the next period, again and again
* `FutureScore`: what `leave_future_out` returns

Does the model make data like these? (`replicates`, `statistics`, `residuals`):

* `predictive_checks`: the panel replicated from the posterior
* `prior_checks`: panels drawn from the prior
* `check_statistics`: replicated panels against the data, statistic by statistic
* `seen_cells`: replicated panels in the shape that the plots of ArviZ read
* `pseudo_residuals`: where each cell lies in its predictive distribution, as a normal number

What was assumed beforehand? (`priors`, `sensitivity`):

* `describe_priors`: the prior of a model in the user's units
* `prior_sensitivity`: how much each parameter depends on prior and likelihood
* `sensitivity_data`: a posterior with the log-densities that this needs

Does an export give away the answer? (`leakage`):

* `audit_leakage`: columns that tell more about the stage than the channels may
* `LeakageReport`: what `audit_leakage` returns

Does the software recover what it simulates? Simulation-based calibration (`ranks`):

* `calibrate`: simulate from the prior, fit and rank the truths, many times
* `replicate`: the same, one world at a time, without end
* `Calibration`: the ranks, and whether they are uniform
* `draw_prior`: draws of all parameters from the prior
* `empty_panel`: a panel in which nothing is seen yet
* `simulate_panel`: a panel filled with what a model simulates
* `rank_p_value`: how unusual the ranks are if they should be uniform
* `rank_band`: limits within which uniform ranks stay
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
