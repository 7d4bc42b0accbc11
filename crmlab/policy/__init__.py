"""What to do: from the value of stages to decisions and their uncertainty.

Actions are arrays: P[action, from, to] is the transition matrix of a period in which the action is
taken, and cost[action] (or cost[action, stage]) its cost. Costs and margins are paid at the start
of a period, and values count the current one, in which the action is chosen and paid for
(``first="current"`` in `stage_value`).

When the matrices are known (`programme`):

* `best_action`: the best action in each stage, and its value
* `policy_value`: the value of each stage under a given policy
* `Plan`: what `best_action` returns

One policy for all posterior draws (`choice`):

* `choose_policy`: the policy with the highest mean value, and its regret
* `evpi`: the value of knowing everything before choosing
* `evsi`: the value of a study before choosing
* `simulate_trial`: simulated trials of one action, for `evsi`
* `Choice`: what `choose_policy` returns

The same for a fit and named actions (`decision`):

* `decide`: the best action in each stage, how certain it is, and what is at stake

When money is short (`budget`):

* `allocate`: one action per customer within a budget
* `plan_within_budget`: the best policy within a lifetime budget
* `policy_by_budget`: the best action in each stage, for several budgets
* `Allocation`: what `allocate` returns
* `BudgetPlan`: what `plan_within_budget` returns

When the stage is hidden (`beliefs`):

* `update_belief`: stage probabilities after one period and one signal
* `plan_beliefs`: the exact value of every belief over a horizon, and the best action now
* `blind_planes`: a lower bound of the value: one action for ever
* `improve_planes`: a better lower bound, improved at chosen beliefs
* `qmdp`: an upper bound: the stage is known from the next period on
* `Planes`: a value function on beliefs

Whom to help first, and whom to stop serving (`cases`; read its conditions):

* `triage`: open cases, by the value that an hour of work saves
* `serve_or_end`: the stages in which it is worth more to keep serving than to end
* `Triage`: what `triage` returns
* `ServeOrEnd`: what `serve_or_end` returns

How long to test (`learning`):

* `plan_trial`: the size of each test group that maximises profit
* `trial_profit`: the expected profit of a test of a given size
* `regret_curves`: the cumulative regret of rules that choose a treatment per customer
* `thompson`: the rule that draws rates from their posterior and takes the largest
* `greedy`: the rule that takes the highest posterior mean
* `even_split`: the rule that never stops testing
* `trial_then_winner`: the rule that tests first, then gives everybody the winner
* `TrialPlan`: what `plan_trial` returns

Whom an offer changes (`uplift`):

* `uplift_by_stage`: the difference that a randomised treatment makes in each stage
* `transformed_outcome`: one number per customer whose mean is the uplift
* `qini_curve`: the gain from treating the best-scored share of customers
* `bootstrap_qini`: Qini curves of resampled customers
* `Qini`: what `qini_curve` returns

What another policy would have brought (`logged`):

* `logged_value`: the value of a policy, from logged actions and their propensities
* `LoggedValue`: what `logged_value` returns: three estimates
* `Estimate`: a mean and its standard error

The second life of a customer (`winback`):

* `best_offer`: the offer to a lapsed customer that maximises expected profit
* `best_price`: the price per period that maximises the value of the second life
* `returner_tenure`: how long those who come back stay
* `Offer`: what `best_offer` returns
* `SecondLife`: what `best_price` returns
* `Returners`: what `returner_tenure` returns
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
