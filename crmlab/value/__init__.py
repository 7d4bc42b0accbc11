"""What a customer in each stage is worth: money that is still to come, discounted.

Three conventions make most of the differences between two people who compute "the" lifetime
value. All functions here share one clock, which starts with the current period: a payment h periods
ahead is divided by (1+d)^h.

which payments
    ``first="next"``, the default, counts from the next period on, h = 1, 2, ...: what is still to
    come (the textbook multiple r / (1+d-r) does). ``first="current"`` counts the margin of the
    current period too, h = 0, 1, ...: V of Pfeifer & Carraway. `n_periods` is the number of
    payments in either case. Where an action is chosen now (`crmlab.policy`), the current period
    counts, since it is paid for.
when in the period
    ``timing="start"`` pays a period's margin as the period begins, ``"end"`` as it ends: the same
    payments one period later, so V / (1+d); ``"middle"`` half a period later.
which rate
    A bare number is a rate *per period* of the matrix. `per_year` and `per_month` hold an
    effective rate of that length and convert it by compounding.

The modules, in reading order:

* `rates`: discount rates with a unit
* `margins`: margins from what customers spend
* `stage`: the value of a stage, and the discounted time spent in each
* `spread`: how far one customer may fall from the mean
* `sensitivity`: what a move is worth: derivatives, elasticities, break-even costs
* `lifetime`: stage value under every posterior draw of a fit, by customer or stage
* `customers`: purchases, spend and value ahead, of stages and of buy-till-you-die models alike
* `equity`: cohorts, the customer base, and a million customers in blocks
* `textbook`: three closed forms of the textbooks

`inputs` checks what all of them are given.
"""

from crmlab.value.customers import customer_value, expected_purchases, expected_spend, prob_alive
from crmlab.value.equity import BaseValue, cohort_value, customer_equity, value_in_blocks
from crmlab.value.lifetime import lifetime_spread, lifetime_value, value_of_base
from crmlab.value.margins import margin_from_spend, mean_spend
from crmlab.value.rates import PERIODS_PER_YEAR, DiscountRate, per_month, per_year
from crmlab.value.sensitivity import (
    Elasticities,
    action_gradient,
    break_even_cost,
    equity_elasticities,
    transition_gradient,
)
from crmlab.value.spread import Spread, hidden_variance, split_variance, value_variance
from crmlab.value.stage import discounted_occupancy, stage_value
from crmlab.value.textbook import (
    AcquisitionOptimum,
    berger_nasr,
    blattberg_deighton_optimum,
    retention_multiple,
)

__all__ = [
    "PERIODS_PER_YEAR",
    "AcquisitionOptimum",
    "BaseValue",
    "DiscountRate",
    "Elasticities",
    "Spread",
    "action_gradient",
    "berger_nasr",
    "blattberg_deighton_optimum",
    "break_even_cost",
    "cohort_value",
    "customer_equity",
    "customer_value",
    "discounted_occupancy",
    "equity_elasticities",
    "expected_purchases",
    "expected_spend",
    "hidden_variance",
    "lifetime_spread",
    "lifetime_value",
    "margin_from_spend",
    "mean_spend",
    "per_month",
    "per_year",
    "prob_alive",
    "retention_multiple",
    "split_variance",
    "stage_value",
    "transition_gradient",
    "value_in_blocks",
    "value_of_base",
    "value_variance",
]
