"""From a fit to stages: where customers stood, where they stand, where they go.

Every function walks the posterior draw by draw: each draw is one complete set of parameters, for
which the recursions of `crmlab.chains` are exact. Averaging afterwards keeps the uncertainty about
the parameters; averaging the parameters first would lose it.

Where customers have effects of their own, a draw describes their population. Each customer's
effects are then summed out over fixed points of that population, weighted by what was seen of the
customer. This is the same for customers of the fit and for new ones, of whom little or nothing was
seen.

Stages (`stages`, `paths`):

* `stage_probs`: the probability of each stage, for every customer and period
* `current_stage_probs`: the same in each customer's last observed period
* `forecast`: stages and observations of the periods to come
* `most_likely_path`: the most likely stage path of each customer
* `sample_stages`: stage paths drawn from the posterior
* `transition_matrices`: the matrix of the next move, for each draw, customer by customer
* `thin_draws`: evenly spread draws of a posterior; every function here reads these

Likelihood, and very many customers (`likelihood`, `scoring`):

* `customer_loglik`: the log-likelihood of each customer's history
* `score_histories`: stages now and earlier, occupancy and likelihood, in one pass
* `score_customers`: stage probabilities in the last period, block by block
* `read_panels`: a folder of Parquet files as panels, one file at a time

Effects of covariates (`contrasts`):

* `transition_effects`: the average marginal effect on the probability of every move
* `occupancy_effects`: the effect of a lasting change on the shares of the stages

Covariates of a panel (`covariates`):

* `standardise`: covariates on the scale of their standard deviation
* `add_indicators`: 0 or 1 for each label of a variable
* `add_square`: the square, for an effect that rises and falls
* `add_pillars`: the mean of several pillars, and the shortfall of the weakest
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
