"""How stages move: recipes for a transition matrix, with priors.

A transition model is built inside an open PyMC model. It registers its priors and returns one
tensor, the transition matrix over states. Every later step (likelihood, filter, forecast, value)
sees nothing else. A Markov chain gives a (K, K) matrix; covariates add leading axes
``(customer_id, period)``; the recursion that reads it is the same.

| model | the moves from one stage | differ by |
|---|---|---|
| `StickyDirichlet` | a Dirichlet row that may prefer staying | nothing |
| `CovariateLogit` | multinomial logit against staying | covariates, segments, people |
| `OrderedLogit` | one propensity to rise, cut by thresholds | the same |

Models:

* `StickyDirichlet`: rows from Dirichlet distributions that may prefer staying
* `CovariateLogit`: moves by multinomial logit
* `OrderedLogit`: moves by ordered logit
* `TransitionModel`: the base class; the class to extend
* `DrivenTransitions`: the base class of the two logits: a design joined to a link
* `Design`: what each move depends on, with priors
* `Link`: how log-odds become probabilities

Options of a logit:

* `Segments`: groups of customers whose moves differ
* `CustomerEffects`: customers who differ beyond their covariates
* `Horseshoe`: a prior for many covariates of which few matter

A building block:

* `break_sticks`: turn shares of what is left into probabilities
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
