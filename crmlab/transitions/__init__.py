"""How stages move: recipes for a transition matrix, with priors.

A transition model is built inside an open PyMC model. It registers its priors and returns one
tensor, the transition matrix over states; every later step (likelihood, filter, forecast, value)
sees nothing else. Markov chains give a (K, K) matrix; covariates add leading axes
``(customer_id, period)``; the recursion that reads it is the same.

| model | the moves from one stage | differ by |
|---|---|---|
| `StickyDirichlet` | a row of a Dirichlet distribution that may prefer staying | nothing |
| `CovariateLogit` | multinomial logit against staying | covariates, segments, people |
| `OrderedLogit` | one propensity to rise, cut by thresholds | the same |

`Horseshoe`, `Segments` and `CustomerEffects` are what the last two may be given; together they make
a `Design`, which a model of your own may use.
"""

from crmlab.transitions.base import TransitionModel
from crmlab.transitions.covariates import Segments
from crmlab.transitions.design import Design
from crmlab.transitions.driven import DrivenTransitions
from crmlab.transitions.effects import CustomerEffects, Horseshoe
from crmlab.transitions.logit import CovariateLogit
from crmlab.transitions.ordered import OrderedLogit
from crmlab.transitions.sticky import StickyDirichlet, break_sticks

__all__ = [
    "CovariateLogit",
    "CustomerEffects",
    "Design",
    "DrivenTransitions",
    "Horseshoe",
    "OrderedLogit",
    "Segments",
    "StickyDirichlet",
    "TransitionModel",
    "break_sticks",
]
