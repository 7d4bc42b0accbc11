"""What to do: from the value of stages to decisions, with how sure they are.

Actions are arrays: P[action, from, to] is the transition matrix of a period in which the action is
taken, cost[action] (or cost[action, stage]) what it costs. Costs and margins are paid at the start
of a period, and values count the current one, in which the action is chosen and paid for
(``first="current"`` in `stage_value`). The modules, in reading order:

* `programme`: the best action in each stage, when the matrices are known
* `choice`: one policy for all posterior draws; regret, and the value of information
* `decision`: the same for a fit and named actions, with labels
* `budget`: when money is short: offers to customers, and policies, within a budget
* `beliefs`: when the stage is hidden: policies on filtered probabilities, between two bounds
* `cases`: which case first, and whom to serve no longer (read its conditions)
* `learning`: how long to test; Thompson sampling against rules
* `uplift`: whom an offer changes; Qini curves
* `logged`: what another policy would have brought, from logged propensities
* `winback`: the second life of a customer: an offer now, a price later

`inputs` checks what all of them are given.
"""

from crmlab.policy.beliefs import (
    Planes,
    blind_planes,
    improve_planes,
    plan_beliefs,
    qmdp,
    update_belief,
)
from crmlab.policy.budget import (
    Allocation,
    BudgetPlan,
    allocate,
    plan_within_budget,
    policy_by_budget,
)
from crmlab.policy.cases import ServeOrEnd, Triage, serve_or_end, triage
from crmlab.policy.choice import Choice, choose_policy, evpi, evsi, simulate_trial
from crmlab.policy.decision import decide
from crmlab.policy.learning import (
    TrialPlan,
    even_split,
    greedy,
    plan_trial,
    regret_curves,
    thompson,
    trial_profit,
    trial_then_winner,
)
from crmlab.policy.logged import Estimate, LoggedValue, logged_value
from crmlab.policy.programme import Plan, best_action, policy_value
from crmlab.policy.uplift import (
    Qini,
    bootstrap_qini,
    qini_curve,
    transformed_outcome,
    uplift_by_stage,
)
from crmlab.policy.winback import (
    Offer,
    Returners,
    SecondLife,
    best_offer,
    best_price,
    returner_tenure,
)

__all__ = [
    "Allocation",
    "BudgetPlan",
    "Choice",
    "Estimate",
    "LoggedValue",
    "Offer",
    "Plan",
    "Planes",
    "Qini",
    "Returners",
    "SecondLife",
    "ServeOrEnd",
    "Triage",
    "TrialPlan",
    "allocate",
    "best_action",
    "best_offer",
    "best_price",
    "blind_planes",
    "bootstrap_qini",
    "choose_policy",
    "decide",
    "even_split",
    "evpi",
    "evsi",
    "greedy",
    "improve_planes",
    "logged_value",
    "plan_beliefs",
    "plan_trial",
    "plan_within_budget",
    "policy_by_budget",
    "policy_value",
    "qini_curve",
    "qmdp",
    "regret_curves",
    "returner_tenure",
    "serve_or_end",
    "simulate_trial",
    "thompson",
    "transformed_outcome",
    "triage",
    "trial_profit",
    "trial_then_winner",
    "update_belief",
    "uplift_by_stage",
]
