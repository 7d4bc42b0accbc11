"""The public names of crmlab.chains."""

from crmlab.chains.counts import (
    ChiSquareTest as ChiSquareTest,
    homogeneity_test as homogeneity_test,
    lumpability_test as lumpability_test,
    order_test as order_test,
    transition_counts as transition_counts,
)
from crmlab.chains.dirichlet import (
    dirichlet_log_marginal as dirichlet_log_marginal,
    dirichlet_mean as dirichlet_mean,
    dirichlet_posterior as dirichlet_posterior,
    log_bayes_factor_pooling as log_bayes_factor_pooling,
    order_log_marginals as order_log_marginals,
)
from crmlab.chains.lumping import (
    block_probs as block_probs,
    lump as lump,
    lumpability_gap as lumpability_gap,
)
from crmlab.chains.motion import (
    block_moves as block_moves,
    eventual_path_prob as eventual_path_prob,
    jump_chain as jump_chain,
    n_step as n_step,
    path_prob as path_prob,
    sojourn_time as sojourn_time,
    stationary_distribution as stationary_distribution,
)
from crmlab.chains.passage import (
    absorption_quantile as absorption_quantile,
    absorption_time as absorption_time,
    first_passage_quantile as first_passage_quantile,
    first_passage_time as first_passage_time,
    fundamental_matrix as fundamental_matrix,
    occupancy as occupancy,
    passage_prob as passage_prob,
    survival as survival,
)
from crmlab.chains.reach import (
    transient_stages as transient_stages,
)
from crmlab.chains.recursions import (
    Forward as Forward,
    forward as forward,
    sample_paths as sample_paths,
    smooth as smooth,
    viterbi as viterbi,
)
