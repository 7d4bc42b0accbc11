"""Word of mouth: how many people hear of it, how far it runs, and what it is worth.

One lecture a module: `reach` (how many people one customer tells), `branching` (how far news runs
when those who hear it tell others), `cascades` (the same on a given network), `diffusion` (a whole
market that imitates), `referral` (what it is worth).

Rows of the source map: A14, A18 to A20, B13, C6, C10, D35, D62.
"""

from crmlab.behaviour.word_of_mouth.branching import NewsRun
from crmlab.behaviour.word_of_mouth.cascades import (
    cascade,
    cascade_sizes,
    live_edges,
    seed_greedily,
)
from crmlab.behaviour.word_of_mouth.diffusion import Bass
from crmlab.behaviour.word_of_mouth.reach import (
    LogNormalReach,
    NegativeBinomialReach,
    lognormal_through,
    negative_binomial_through,
    shapes_for_tail,
)
from crmlab.behaviour.word_of_mouth.referral import (
    EngagementValue,
    LostCustomer,
    lost_customer_value,
    referral_value,
    ripple_cost,
)

__all__ = [
    "Bass",
    "EngagementValue",
    "LogNormalReach",
    "LostCustomer",
    "NegativeBinomialReach",
    "NewsRun",
    "cascade",
    "cascade_sizes",
    "live_edges",
    "lognormal_through",
    "lost_customer_value",
    "negative_binomial_through",
    "referral_value",
    "ripple_cost",
    "seed_greedily",
    "shapes_for_tail",
]
