"""Under contract: customers say when they leave, and the question is how many stay.

Plot the share of a cohort that renews each year, and it rises: not because anybody grows loyal,
but because those who leave easily have left. Two stories, in both of which each customer
has a chance to leave of her own that nobody sees:

`ShiftedBetaGeometric` (Fader and Hardie 2007)
    Each period a customer leaves with her own probability theta, the same for ever; theta varies
    as a Beta(alpha, beta). S(t) = B(alpha, beta + t) / B(alpha, beta).
`BetaDiscreteWeibull` (Fader, Hardie, Liu, Davin and Steenburgh 2018)
    The same, but her own chance to leave changes with time: she stays t periods with probability
    (1 - theta)^(t^c). With c below 1 she grows loyal, above 1 weary; c = 1 is the model above.
    S(t) = B(alpha, beta + t^c) / B(alpha, beta).

What follows from either: retention rates r(t) = S(t) / S(t - 1), survivors to come, and discounted
expected (residual) lifetimes, which times a margin are the value of a contract.

Populations (`populations`):

* `Contract`: the base class: retention, survival, discounted lifetimes
* `ShiftedBetaGeometric`: each customer's chance to leave never changes
* `BetaDiscreteWeibull`: each customer's chance to leave changes with the time stayed
* `cost_of_homogeneity`: by how much one average retention rate undervalues a customer base
* `Homogeneity`: what `cost_of_homogeneity` returns

Maximum likelihood (`likelihood`, `marketing`):

* `fit_sbg`: estimate a `ShiftedBetaGeometric`
* `fit_bdw`: estimate a `BetaDiscreteWeibull`
* `fit_sbg_marketing`: the same as `fit_sbg` by PyMC-Marketing (an extra)
* `contract_loglik`: the log-likelihood of the survivors of cohorts
* `contract_standard_errors`: the standard errors at its maximum
* `project_survivors`: how many customers of a cohort will be left

Posteriors (`posterior`). With two or three parameters a posterior is added up on a grid, without a
sampler, and its error is computed instead of diagnosed:

* `sbg_posterior`: the posterior of a `ShiftedBetaGeometric`
* `bdw_posterior`: the posterior of a `BetaDiscreteWeibull`
* `ContractPosterior`: what both return: draws, and how exact the grid is

References
----------
Fader and Hardie (2007), "How to project customer retention", Journal of Interactive Marketing
21(1), 76-90.
Fader and Hardie (2010), "Customer-base valuation in a contractual setting: the perils of ignoring
heterogeneity", Marketing Science 29(1), 85-93.
Fader, Hardie, Liu, Davin and Steenburgh (2018), "'How to project customer retention' revisited: the
role of duration dependence", Journal of Interactive Marketing 43, 1-16.
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
