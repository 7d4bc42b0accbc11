"""What a firm can see: one definition per channel, which simulates and scores.

A channel is the distribution of one observation given the stage of the customer. It does two things
that must never disagree:

* it **simulates**: `Channel.sample` turns uniforms into observations by inverting the distribution
  function, so two worlds with the same uniforms share their randomness;
* it **scores**: `Channel.dist` is the same distribution in PyMC, whose log-density feeds every
  model.

`crmlab.testing.check_channel` compares the two in every stage. A given parameter is
known: a world simulates with it, a model holds it fixed. One that is left out is learned, under the
prior of `Channel.parameters`. Prior scales are fields in the user's units (``typical_rate=2``).

* `Poisson`: counts per period: visits, orders, calls
* `NegativeBinomial`: counts that vary more than Poisson's: calls of customers who differ
* `Geometric`: periods since something happened
* `Bernoulli`: something that happens or not: a complaint, a renewal
* `ZeroInflatedSpend`: money spent: often nothing, else log-normal
* `OrdinalSurvey`: ratings on a scale
* `StageLabel`: reported stages, right or wrong
* `Channel`: the base class; the class to extend
* `check_channels`: raise unless channels fit each other and the stages
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
