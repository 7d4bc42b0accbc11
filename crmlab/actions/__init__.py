"""What a firm does: actions that change how stages move, and policies that choose among them.

**An action tilts the moves.** In a row of the transition matrix, P[i, j] becomes

    P'[i, j]  =  P[i, j] exp(e[i, j]) / sum over k of P[i, k] exp(e[i, k]).

With e[i, i] = 0, e[i, j] is the logarithm of an odds ratio: by what factor the odds of the
move i -> j against staying are multiplied (McFadden's multinomial logit with a shifted utility). An
impossible move stays impossible. A **win-back** is an action that *adds* a move, with a
probability: an absorbing stage has an exit for those who are contacted, and for nobody else.

**A policy gives propensities**: for each customer in view, the probability of each action. A world
draws the action from them and keeps the propensities. It does so in period t, after the
observations of period t, and the action tilts the move from t to t + 1. At most one action is taken
per customer and period.

Actions (`effects`):

* `Action`: something a firm can do to a customer, at a cost
* `tilt`: the transition matrix under an action
* `action_matrices`: the matrices without and with each action
* `check_actions`: raise unless all actions fit the stages

Policies (`policies`):

* `Policy`: the base class: propensities from what the firm sees
* `NoAction`: nobody is treated
* `AlwaysTreat`: everybody is treated
* `RandomPolicy`: an experiment
* `ThresholdRule`: customers with a high or a low value of something are treated
* `ManagerImpression`: account managers treat whom they believe to be in certain stages
* `impression_probs`: the probability of each impression in each stage
* `FirmView`: what a firm sees when it decides
* `choose_actions`: draw an action for each customer
* `check_propensities`: raise unless propensities are probabilities

References
----------
McFadden (1974), "Conditional logit analysis of qualitative choice behavior", in Zarembka (ed.),
Frontiers in Econometrics (from memory).
Rosenbaum and Rubin (1983), "The central role of the propensity score in observational studies for
causal effects", Biometrika 70, 41-55 (from memory).
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
