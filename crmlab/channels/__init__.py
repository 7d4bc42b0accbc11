"""What a firm can see: one definition per channel, which simulates and scores.

A channel is the distribution of one observation given the stage of the customer. It does two things
that must never disagree:

* it **simulates**: `Channel.sample` turns uniforms into observations by inverting the distribution
  function, so two worlds with the same uniforms share their randomness;
* it **scores**: `Channel.dist` is the same distribution in PyMC, whose log-density feeds every
  model.

`crmlab.testing.check_channel` compares the two in every stage. A parameter that is given is
known: a world simulates with it, a model holds it fixed. One that is left out is learned, under the
prior of `Channel.parameters`. Prior scales are fields in the user's units (``typical_rate=2``).
"""

from crmlab.channels.base import Channel, check_channels
from crmlab.channels.counts import Bernoulli, Poisson
from crmlab.channels.label import StageLabel
from crmlab.channels.spend import ZeroInflatedSpend
from crmlab.channels.survey import OrdinalSurvey

__all__ = [
    "Bernoulli",
    "Channel",
    "OrdinalSurvey",
    "Poisson",
    "StageLabel",
    "ZeroInflatedSpend",
    "check_channels",
]
