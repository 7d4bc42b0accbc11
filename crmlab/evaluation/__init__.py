"""How good a claim was: once the truth is known, or before it is.

Questions, each with small functions:

* **Was the stage right?** `confusion_counts` sets what was true against what was said;
  `log_score` judges the probabilities instead of the one stage that was named.
* **Do the probabilities mean what they say?** `calibration_table`: of all the times that 30 % was
  said, it should have come true in 30 %.
* **Was the warning worth having?** `flag_quality`: how many of the flagged were rightly flagged,
  and how many of those that should have been flagged were.
* **How far off was the forecast?** `forecast_errors` and `mean_by_class`, per customer and in all.
* **Do stages mean what their probabilities say?** `judge_decoder`: log score, Brier score,
  reliability.
* **Which model predicts better?** `compare_fits` leaves customers out, `leave_future_out` periods.
* **Does the model make data like these?** `predictive_checks`, `prior_checks` and
  `check_statistics`; `describe_priors` and `prior_sensitivity` say what was put in beforehand, and
  what hangs on it.
* **Does the export give away the answer?** `audit_leakage` holds every column against what the
  channels may tell, and `stage_oracle` says how much that is.

A score means something only beside another one: that of a rule that needs no model (the same rate
as before, the commonest stage), or of one that knows what the model has to learn.

Stages are positions in their space, 0 to K - 1.
"""

from crmlab.evaluation.calibration import calibration_table
from crmlab.evaluation.comparison import compare_fits
from crmlab.evaluation.decoding import DecoderQuality, brier_score, judge_decoder
from crmlab.evaluation.forecasts import forecast_errors, mean_by_class
from crmlab.evaluation.future import FutureScore, leave_future_out
from crmlab.evaluation.leakage import LeakageReport, audit_leakage
from crmlab.evaluation.oracle import Oracle, stage_oracle
from crmlab.evaluation.priors import describe_priors
from crmlab.evaluation.ranks import (
    Calibration,
    calibrate,
    draw_prior,
    empty_panel,
    rank_band,
    rank_p_value,
    replicate,
    simulate_panel,
)
from crmlab.evaluation.replicates import predictive_checks, prior_checks, seen_cells
from crmlab.evaluation.sensitivity import prior_sensitivity, sensitivity_data
from crmlab.evaluation.stages import FlagQuality, confusion_counts, flag_quality, log_score
from crmlab.evaluation.statistics import check_statistics
from crmlab.evaluation.targeting import (
    Shortlist,
    ValueForecast,
    score_targets,
    score_values,
    usual_shortcuts,
)

__all__ = [
    "Calibration",
    "DecoderQuality",
    "FlagQuality",
    "FutureScore",
    "LeakageReport",
    "Oracle",
    "Shortlist",
    "ValueForecast",
    "audit_leakage",
    "brier_score",
    "calibrate",
    "calibration_table",
    "check_statistics",
    "compare_fits",
    "confusion_counts",
    "describe_priors",
    "draw_prior",
    "empty_panel",
    "flag_quality",
    "forecast_errors",
    "judge_decoder",
    "leave_future_out",
    "log_score",
    "mean_by_class",
    "predictive_checks",
    "prior_checks",
    "prior_sensitivity",
    "rank_band",
    "rank_p_value",
    "replicate",
    "score_targets",
    "score_values",
    "seen_cells",
    "sensitivity_data",
    "simulate_panel",
    "stage_oracle",
    "usual_shortcuts",
]
