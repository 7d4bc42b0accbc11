"""The public names of crmlab.btyd."""

from crmlab.btyd.base import (
    BuyTillYouDie as BuyTillYouDie,
    standard_errors as standard_errors,
)
from crmlab.btyd.bg_bb import (
    BGBB as BGBB,
    fit_bgbb as fit_bgbb,
)
from crmlab.btyd.bg_nbd import (
    BGNBD as BGNBD,
    bgnbd_expected_purchases as bgnbd_expected_purchases,
    bgnbd_loglik as bgnbd_loglik,
    bgnbd_mean_purchases as bgnbd_mean_purchases,
    bgnbd_prob_alive as bgnbd_prob_alive,
    fit_bgnbd as fit_bgnbd,
)
from crmlab.btyd.bridge import (
    chain_loglik as chain_loglik,
    mixed_chain_loglik as mixed_chain_loglik,
)
from crmlab.btyd.customers import (
    Buyers as Buyers,
    count_purchases as count_purchases,
    fit_buyers as fit_buyers,
)
from crmlab.btyd.fitted import (
    FittedPurchases as FittedPurchases,
)
from crmlab.btyd.gamma_gamma import (
    GammaGamma as GammaGamma,
    fit_gammagamma as fit_gammagamma,
)
from crmlab.btyd.marketing import (
    MarketingBuyers as MarketingBuyers,
    fit_marketing as fit_marketing,
)
from crmlab.btyd.mbg_nbd import (
    MBGNBD as MBGNBD,
    fit_mbgnbd as fit_mbgnbd,
)
from crmlab.btyd.pareto_nbd import (
    ParetoNBD as ParetoNBD,
    fit_paretonbd as fit_paretonbd,
)
from crmlab.btyd.posterior import (
    BuyersPosterior as BuyersPosterior,
    ParameterDraws as ParameterDraws,
    buyers_posterior as buyers_posterior,
    population_posterior as population_posterior,
    spend_posterior as spend_posterior,
)
