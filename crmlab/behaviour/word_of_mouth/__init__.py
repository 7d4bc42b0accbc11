"""Word of mouth: how many people hear of it, how far it runs, and what it is worth.

How many people one customer tells (`reach`):

* `NegativeBinomialReach`: Poisson counts whose rates differ between customers
* `LogNormalReach`: a heavier tail
* `negative_binomial_through`: the negative binomial that satisfies two claims about its tail
* `lognormal_through`: the log-normal that satisfies two claims
* `shapes_for_tail`: the shapes with a given mean and a given share beyond k

How far news runs when those who hear it tell others (`branching`):

* `NewsRun`: the spread of news that starts with one teller

The same on a given network (`cascades`):

* `cascade`: the round in which each person hears the news
* `cascade_sizes`: how many people hear it, in many runs
* `live_edges`: the ties over which news passes in one run
* `seed_greedily`: whom to tell first

A whole market that imitates (`diffusion`):

* `Bass`: the share of a market that has adopted

What it is worth (`referral`):

* `referral_value`: the value of the friends whom a customer sends
* `lost_customer_value`: what a lost customer costs, talk included
* `ripple_cost`: the value kept away by the news of one bad ending
* `EngagementValue`: the four parts of the worth of an engaged customer
* `LostCustomer`: what `lost_customer_value` returns

Rows of the source map: A14, A18 to A20, B13, C6, C10, D35, D62.
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
