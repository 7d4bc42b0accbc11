"""Markov chains on relationship stages: what a transition matrix implies, and what data say of it.

A customer is in stage s_t in period t. The chain forgets all but the present:

    P[i, j] = Pr(s_{t+1} = j | s_t = i),    row = where from, column = where to, rows sum to 1.

All functions take and return arrays, stages are indices (``space.index(name)``), times are
periods, logarithms natural. Each module is one lecture; read them in this order:

* `reach`: which stages can follow which; what *closed*, *absorbing*, *transient* mean
* `motion`: several periods ahead, the long run, the probability of a path
* `passage`: how long and how probable is the way to a stage, or to the end
* `lumping`: when coarser stages are a chain themselves
* `counts`: the moves of observed paths, and whether one chain explains them
* `dirichlet`: what the moves teach about P, and about hypotheses
* `evidence`: what is seen when stages are hidden
* `recursions`: the stages behind it, filtered, smoothed, most probable, drawn

`inputs` checks what all of them are given.
"""

from crmlab.chains.counts import (
    ChiSquareTest,
    homogeneity_test,
    lumpability_test,
    order_test,
    transition_counts,
)
from crmlab.chains.dirichlet import (
    dirichlet_log_marginal,
    dirichlet_mean,
    dirichlet_posterior,
    log_bayes_factor_pooling,
    order_log_marginals,
)
from crmlab.chains.lumping import block_probs, lump, lumpability_gap
from crmlab.chains.motion import (
    block_moves,
    eventual_path_prob,
    jump_chain,
    n_step,
    path_prob,
    sojourn_time,
    stationary_distribution,
)
from crmlab.chains.passage import (
    absorption_quantile,
    absorption_time,
    first_passage_quantile,
    first_passage_time,
    fundamental_matrix,
    occupancy,
    passage_prob,
    survival,
)
from crmlab.chains.reach import transient_stages
from crmlab.chains.recursions import Forward, forward, sample_paths, smooth, viterbi

__all__ = [
    "ChiSquareTest",
    "Forward",
    "absorption_quantile",
    "absorption_time",
    "block_moves",
    "block_probs",
    "dirichlet_log_marginal",
    "dirichlet_mean",
    "dirichlet_posterior",
    "eventual_path_prob",
    "first_passage_quantile",
    "first_passage_time",
    "forward",
    "fundamental_matrix",
    "homogeneity_test",
    "jump_chain",
    "log_bayes_factor_pooling",
    "lump",
    "lumpability_gap",
    "lumpability_test",
    "n_step",
    "occupancy",
    "order_log_marginals",
    "order_test",
    "passage_prob",
    "path_prob",
    "sample_paths",
    "smooth",
    "sojourn_time",
    "stationary_distribution",
    "survival",
    "transient_stages",
    "transition_counts",
    "viterbi",
]
