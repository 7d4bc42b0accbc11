"""The public names of crmlab.contract."""

from crmlab.contract.likelihood import (
    contract_loglik as contract_loglik,
    contract_standard_errors as contract_standard_errors,
    fit_bdw as fit_bdw,
    fit_sbg as fit_sbg,
    project_survivors as project_survivors,
)
from crmlab.contract.marketing import (
    fit_sbg_marketing as fit_sbg_marketing,
)
from crmlab.contract.populations import (
    BetaDiscreteWeibull as BetaDiscreteWeibull,
    Contract as Contract,
    Homogeneity as Homogeneity,
    ShiftedBetaGeometric as ShiftedBetaGeometric,
    cost_of_homogeneity as cost_of_homogeneity,
)
from crmlab.contract.posterior import (
    ContractPosterior as ContractPosterior,
    bdw_posterior as bdw_posterior,
    sbg_posterior as sbg_posterior,
)
