"""The public names of crmlab.evaluation."""

from crmlab.evaluation.calibration import (
    calibration_table as calibration_table,
)
from crmlab.evaluation.comparison import (
    compare_fits as compare_fits,
)
from crmlab.evaluation.decoding import (
    DecoderQuality as DecoderQuality,
    brier_score as brier_score,
    judge_decoder as judge_decoder,
)
from crmlab.evaluation.forecasts import (
    forecast_errors as forecast_errors,
    mean_by_class as mean_by_class,
)
from crmlab.evaluation.future import (
    FutureScore as FutureScore,
    leave_future_out as leave_future_out,
)
from crmlab.evaluation.leakage import (
    LeakageReport as LeakageReport,
    audit_leakage as audit_leakage,
)
from crmlab.evaluation.oracle import (
    Oracle as Oracle,
    stage_oracle as stage_oracle,
)
from crmlab.evaluation.priors import (
    describe_priors as describe_priors,
)
from crmlab.evaluation.ranks import (
    Calibration as Calibration,
    calibrate as calibrate,
    draw_prior as draw_prior,
    empty_panel as empty_panel,
    rank_band as rank_band,
    rank_p_value as rank_p_value,
    replicate as replicate,
    simulate_panel as simulate_panel,
)
from crmlab.evaluation.replicates import (
    predictive_checks as predictive_checks,
    prior_checks as prior_checks,
    seen_cells as seen_cells,
)
from crmlab.evaluation.residuals import (
    pseudo_residuals as pseudo_residuals,
)
from crmlab.evaluation.sensitivity import (
    prior_sensitivity as prior_sensitivity,
    sensitivity_data as sensitivity_data,
)
from crmlab.evaluation.stages import (
    FlagQuality as FlagQuality,
    confusion_counts as confusion_counts,
    flag_quality as flag_quality,
    log_score as log_score,
)
from crmlab.evaluation.statistics import (
    check_statistics as check_statistics,
)
from crmlab.evaluation.targeting import (
    Shortlist as Shortlist,
    ValueForecast as ValueForecast,
    score_targets as score_targets,
    score_values as score_values,
    usual_shortcuts as usual_shortcuts,
)
