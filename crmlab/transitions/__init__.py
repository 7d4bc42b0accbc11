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

* `base`: what every transition model is
* `design`: covariates, segments and customers' effects: what each move depends on, with priors
* `covariates`, `effects`: reading a panel for a design; groups of moves that share an effect
* `driven`: a design joined to a `link`, which turns log-odds into probabilities
* `logit`, `ordered`, `sticky`: the three models
"""

from crmlab.transitions.base import TransitionModel
from crmlab.transitions.covariates import Segments
from crmlab.transitions.design import Design
from crmlab.transitions.driven import DrivenTransitions
from crmlab.transitions.effects import CustomerEffects, Horseshoe
from crmlab.transitions.link import Link
from crmlab.transitions.logit import CovariateLogit
from crmlab.transitions.ordered import OrderedLogit
from crmlab.transitions.sticky import StickyDirichlet, break_sticks

__all__ = [
    "CovariateLogit",
    "CustomerEffects",
    "Design",
    "DrivenTransitions",
    "Horseshoe",
    "Link",
    "OrderedLogit",
    "Segments",
    "StickyDirichlet",
    "TransitionModel",
    "break_sticks",
]
