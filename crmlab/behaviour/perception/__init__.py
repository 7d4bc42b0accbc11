"""What customers perceive, and what a firm sees of it.

Three steps lie between what a firm does and the number on its screen. A customer *expects*, meets
an experience, and is surprised one way or the other (expectation and confirmation); what is felt
becomes an *answer* on a scale of a few boxes (graded response); and *who answers* depends on what
would have been said (non-response). Each step has a closed form, so each can be checked, and where
the response probabilities are known the bias can be undone.

Expectation and surprise (`expectation`):

* `follow_expectation`: what a customer expects, and the surprise of each experience
* `learning_gains`: the weight of each new experience by Bayes' rule
* `satisfaction`: satisfaction from what is perceived and how it surprises
* `when_gap_opens`: the period in which perception leaves the firm's own indicator
* `Confirmation`: what `follow_expectation` returns

Answers and scores (`answers`, `scores`):

* `answer_probs`: the probability of each answer, given the latent feeling
* `top_box`: the share of the top answers, with its sampling error
* `net_promoter`: the net promoter score, with its sampling error
* `Score`: what both return

Silence (`silence`):

* `shares_seen`: the shares of the answers that come in
* `nonresponse_bias`: the mean of those answers minus the true mean
* `weigh_answers`: the true shares, from answers weighted by response probability

References
----------
Oliver (1980), *Journal of Marketing Research* 17, on expectation and confirmation (from memory).
Samejima (1969), *Psychometrika Monograph* 17, on graded response.
Rows of the source map: A21, B2, C18, D16, D21, D44.
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
