"""The public names of crmlab.value."""

from crmlab.value.any_model import (
    customer_value as customer_value,
    expected_purchases as expected_purchases,
    expected_spend as expected_spend,
    prob_alive as prob_alive,
)
from crmlab.value.equity import (
    BaseValue as BaseValue,
    cohort_value as cohort_value,
    customer_equity as customer_equity,
    value_in_blocks as value_in_blocks,
)
from crmlab.value.lifetime import (
    lifetime_spread as lifetime_spread,
    lifetime_value as lifetime_value,
    value_of_base as value_of_base,
)
from crmlab.value.margins import (
    margin_from_spend as margin_from_spend,
    mean_spend as mean_spend,
)
from crmlab.value.rates import (
    PERIODS_PER_YEAR as PERIODS_PER_YEAR,
    DiscountRate as DiscountRate,
    per_month as per_month,
    per_year as per_year,
)
from crmlab.value.sensitivity import (
    Elasticities as Elasticities,
    action_gradient as action_gradient,
    break_even_cost as break_even_cost,
    equity_elasticities as equity_elasticities,
    transition_gradient as transition_gradient,
)
from crmlab.value.spread import (
    Spread as Spread,
    hidden_variance as hidden_variance,
    split_variance as split_variance,
    value_variance as value_variance,
)
from crmlab.value.stage import (
    discounted_occupancy as discounted_occupancy,
    stage_value as stage_value,
)
from crmlab.value.textbook import (
    AcquisitionOptimum as AcquisitionOptimum,
    berger_nasr as berger_nasr,
    blattberg_deighton_optimum as blattberg_deighton_optimum,
    retention_multiple as retention_multiple,
)
