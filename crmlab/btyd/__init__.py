"""Buy till you die: customers never say goodbye; alive and dead are two stages, neither observed.

In a shop without contracts a customer who has not ordered for ten weeks may be about to order or
may have left, and the records look the same. Each model here is a story about that, short enough
for its likelihood to be written down. They are the standard that models of stages must beat.

| model | a living customer buys | she dies | time |
|---|---|---|---|
| `BGNBD` | at random, at her rate | with her probability after each repeat purchase | continuous |
| `MBGNBD` | the same | the same, after the first purchase too | continuous |
| `ParetoNBD` | the same | at any moment, at her own rate | continuous |
| `BGBB` | with her probability in each period | with her probability before each | discrete |
| `GammaGamma` | gives the spend per purchase, with any of them | | |

All but the last answer the same four questions (`BuyTillYouDie`): `loglik`, `prob_alive`,
`expected_purchases`, `mean_purchases`. `crmlab.value` asks these models and models of stages the
same questions about the same customers.

From customer tables (`customers`, `posterior`, `marketing`):

* `fit_buyers`: fit a model to customer tables by maximum likelihood
* `buyers_posterior`: draws from the posterior instead
* `fit_marketing`: the same fit by PyMC-Marketing (an extra)
* `count_purchases`: the purchases of each customer: frequency, recency, age
* `Buyers`: customers and the fitted population
* `BuyersPosterior`: customers and draws of their population
* `MarketingBuyers`: customers and the model of PyMC-Marketing
* `FittedPurchases`: what these three have in common

Populations (`base` and one module each):

* `BuyTillYouDie`: the base class of the four populations
* `BGNBD`: beta-geometric / negative binomial
* `MBGNBD`: modified beta-geometric / negative binomial
* `ParetoNBD`: Pareto / negative binomial
* `BGBB`: beta-geometric / beta-Bernoulli
* `GammaGamma`: the amounts of purchases

Parameters from arrays:

* `fit_bgnbd`: estimate a `BGNBD` by maximum likelihood
* `fit_mbgnbd`: estimate an `MBGNBD`
* `fit_paretonbd`: estimate a `ParetoNBD`
* `fit_bgbb`: estimate a `BGBB`
* `fit_gammagamma`: estimate a `GammaGamma`
* `standard_errors`: the standard errors of fitted parameters
* `population_posterior`: draws from the posterior of a population of buyers
* `spend_posterior`: draws from the posterior of a `GammaGamma`
* `ParameterDraws`: what both return: draws, and how good their weights are

The formulas of the BG/NBD model (`bg_nbd`):

* `bgnbd_loglik`: the log-likelihood of each customer's history
* `bgnbd_prob_alive`: the probability that each customer is alive
* `bgnbd_expected_purchases`: the mean purchases of each customer in the time ahead
* `bgnbd_mean_purchases`: the mean repeat purchases of a new customer

BG/BB as a chain of two stages (`bridge`):

* `chain_loglik`: the log-likelihood of histories, for given probabilities
* `mixed_chain_loglik`: the same, averaged over customers
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
