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

Discount rates with a unit (`rates`):

* `per_year`: an effective rate per year
* `per_month`: an effective rate per month
* `DiscountRate`: what both return: a rate that converts itself to the length of a period
* `PERIODS_PER_YEAR`: how many periods of each frequency make a year

Margins from what customers spend (`margins`):

* `mean_spend`: the mean spend per period of a channel, in each stage
* `margin_from_spend`: the margin per period in each stage

The value of a stage, and the discounted time spent in each (`stage`):

* `stage_value`: the value of being in each stage now
* `discounted_occupancy`: the discounted periods in each stage, by the stage of today

How far one customer may fall from the mean (`spread`):

* `value_variance`: the variance of what one customer will bring, by stage
* `hidden_variance`: the same for a customer whose stage is hidden
* `split_variance`: the predictive variance in two parts
* `Spread`: those parts: randomness, and what is not known about the parameters

What a move is worth (`sensitivity`):

* `transition_gradient`: the change of value per unit of probability of each move
* `action_gradient`: the change of value per unit of an action's effect
* `break_even_cost`: the highest cost at which an offer pays, by stage
* `equity_elasticities`: per cent change of customer equity per 1 % of each input
* `Elasticities`: what `equity_elasticities` returns

Stage value under every posterior draw of a fit (`lifetime`):

* `lifetime_value`: the lifetime value of each customer or each stage, draw by draw
* `lifetime_spread`: the spread of what one customer in each stage will bring
* `value_of_base`: the lifetime values of very many customers, in blocks

Each customer in the next periods, from any kind of model (`customers`):

* `prob_alive`: the probability of still being a customer
* `expected_purchases`: the mean number of purchases
* `expected_spend`: the mean amount spent
* `customer_value`: the discounted margin

Cohorts and the customer base (`equity`):

* `cohort_value`: the worth of a cohort when it is won, net of its cost
* `customer_equity`: the summed lifetime value of a customer base
* `value_in_blocks`: the values of very many customers, from arrays
* `BaseValue`: values summarised over draws, and the total of each draw

Closed forms of the textbooks (`textbook`):

* `retention_multiple`: lifetime value as a multiple of the margin
* `berger_nasr`: the value of a customer who is marketed to at mid-year
* `blattberg_deighton_optimum`: the spend per prospect that maximises the first year's profit
* `AcquisitionOptimum`: what `blattberg_deighton_optimum` returns
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
