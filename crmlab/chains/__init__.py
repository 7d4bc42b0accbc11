"""Markov chains on relationship stages: what a matrix implies, and what data say about it.

A customer is in stage s_t in period t. The chain forgets all but the present:

    P[i, j] = Pr(s_{t+1} = j | s_t = i),    row = where from, column = where to, rows sum to 1.

All functions take and return arrays, stages are indices (``space.index(name)``), times are
periods, logarithms natural. Each module is one lecture; read them in this order.

Which stages can follow which (`reach`):

* `transient_stages`: the stages that are left for good sooner or later

Several periods ahead, the long run, the probability of a path (`motion`):

* `n_step`: stage probabilities some periods from now
* `stationary_distribution`: the share of time spent in each stage in the long run
* `path_prob`: the probability of one path, period by period
* `eventual_path_prob`: the probability of a sequence of stages, however long each lasts
* `jump_chain`: the probabilities of the next different stage
* `sojourn_time`: the expected length of one visit to each stage
* `block_moves`: the matrix with some moves forbidden

How long and how probable is the way to a stage, or to the end (`passage`):

* `passage_prob`: the probability that a stage is ever reached
* `first_passage_time`: the expected time until a stage is first reached
* `first_passage_quantile`: the time by which a stage is reached with a given probability
* `survival`: the probability of not having ended after each number of periods
* `absorption_time`: the expected time until the end
* `absorption_quantile`: the time by which the end has come with a given probability
* `fundamental_matrix`: the expected time in each transient stage
* `occupancy`: the expected time in each stage, from a given start

When coarser stages are a chain themselves (`lumping`):

* `block_probs`: the probability of moving from each stage into each block
* `lump`: the transition matrix between blocks
* `lumpability_gap`: how far a lumped chain is from exact

The moves of observed paths, and whether one chain explains them (`counts`):

* `transition_counts`: how often each stage follows each other one
* `order_test`: whether a longer memory explains the paths better
* `homogeneity_test`: whether groups share one matrix
* `lumpability_test`: whether the stages of a block move alike
* `ChiSquareTest`: what a test returns

What the moves teach about P, and about hypotheses (`dirichlet`):

* `dirichlet_posterior`: the posterior of the rows, given counts
* `dirichlet_mean`: the expected probabilities
* `dirichlet_log_marginal`: the log-probability of the paths, averaged over the prior
* `order_log_marginals`: the same for chains with a memory of 0, 1, ... periods
* `log_bayes_factor_pooling`: the evidence that segments share one matrix

Hidden stages, from what is seen of them (`evidence`, `recursions`):

* `forward`: filtered stage probabilities, and the log-likelihood
* `smooth`: stage probabilities given all the evidence
* `viterbi`: the most probable path as a whole
* `sample_paths`: paths drawn from their distribution given the evidence
* `Forward`: what `forward` returns
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
