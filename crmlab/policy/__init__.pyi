"""The public names of crmlab.policy."""

from crmlab.policy.beliefs import (
    Planes as Planes,
    blind_planes as blind_planes,
    improve_planes as improve_planes,
    plan_beliefs as plan_beliefs,
    qmdp as qmdp,
    update_belief as update_belief,
)
from crmlab.policy.budget import (
    Allocation as Allocation,
    BudgetPlan as BudgetPlan,
    allocate as allocate,
    plan_within_budget as plan_within_budget,
    policy_by_budget as policy_by_budget,
)
from crmlab.policy.cases import (
    ServeOrEnd as ServeOrEnd,
    Triage as Triage,
    serve_or_end as serve_or_end,
    triage as triage,
)
from crmlab.policy.choice import (
    Choice as Choice,
    choose_policy as choose_policy,
    evpi as evpi,
    evsi as evsi,
    simulate_trial as simulate_trial,
)
from crmlab.policy.decision import (
    decide as decide,
)
from crmlab.policy.learning import (
    TrialPlan as TrialPlan,
    even_split as even_split,
    greedy as greedy,
    plan_trial as plan_trial,
    regret_curves as regret_curves,
    thompson as thompson,
    trial_profit as trial_profit,
    trial_then_winner as trial_then_winner,
)
from crmlab.policy.logged import (
    Estimate as Estimate,
    LoggedValue as LoggedValue,
    logged_value as logged_value,
)
from crmlab.policy.programme import (
    Plan as Plan,
    best_action as best_action,
    policy_value as policy_value,
)
from crmlab.policy.uplift import (
    Qini as Qini,
    bootstrap_qini as bootstrap_qini,
    qini_curve as qini_curve,
    transformed_outcome as transformed_outcome,
    uplift_by_stage as uplift_by_stage,
)
from crmlab.policy.winback import (
    Offer as Offer,
    Returners as Returners,
    SecondLife as SecondLife,
    best_offer as best_offer,
    best_price as best_price,
    returner_tenure as returner_tenure,
)
