"""The public names of crmlab.behaviour.word_of_mouth."""

from crmlab.behaviour.word_of_mouth.branching import (
    NewsRun as NewsRun,
)
from crmlab.behaviour.word_of_mouth.cascades import (
    cascade as cascade,
    cascade_sizes as cascade_sizes,
    live_edges as live_edges,
    seed_greedily as seed_greedily,
)
from crmlab.behaviour.word_of_mouth.diffusion import (
    Bass as Bass,
)
from crmlab.behaviour.word_of_mouth.reach import (
    LogNormalReach as LogNormalReach,
    NegativeBinomialReach as NegativeBinomialReach,
    lognormal_through as lognormal_through,
    negative_binomial_through as negative_binomial_through,
    shapes_for_tail as shapes_for_tail,
)
from crmlab.behaviour.word_of_mouth.referral import (
    EngagementValue as EngagementValue,
    LostCustomer as LostCustomer,
    lost_customer_value as lost_customer_value,
    referral_value as referral_value,
    ripple_cost as ripple_cost,
)
