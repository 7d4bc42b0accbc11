"""How good a claim was, once the truth is known.

Five questions, each with small functions on plain arrays:

* **Was the stage right?** `confusion_counts` sets what was true against what was said;
  `log_score` judges the probabilities instead of the one stage that was named.
* **Do the probabilities mean what they say?** `calibration_table`: of all the times that 30 % was
  said, it should have come true in 30 %.
* **Was the warning worth having?** `flag_quality`: how many of the flagged were rightly flagged,
  and how many of those that should have been flagged were.
* **How far off was the forecast?** `forecast_errors` and `mean_by_class`, per customer and in all.
* **Does the export give away the answer?** `audit_leakage` holds every column against what the
  channels may tell, and `stage_oracle` says how much that is.

A score means something only beside another one: that of a rule that needs no model (the same rate
as before, the commonest stage), or of one that knows what the model has to learn.

Stages are positions in their space, 0 to K - 1.
"""

from crmlab.evaluation.calibration import calibration_table
from crmlab.evaluation.forecasts import forecast_errors, mean_by_class
from crmlab.evaluation.leakage import LeakageReport, audit_leakage
from crmlab.evaluation.oracle import Oracle, stage_oracle
from crmlab.evaluation.stages import FlagQuality, confusion_counts, flag_quality, log_score

__all__ = [
    "FlagQuality",
    "LeakageReport",
    "Oracle",
    "audit_leakage",
    "calibration_table",
    "confusion_counts",
    "flag_quality",
    "forecast_errors",
    "log_score",
    "mean_by_class",
    "stage_oracle",
]
