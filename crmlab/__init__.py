"""crmlab: from relationship stages to customer value, with the uncertainty kept.

Customers move through stages (Knapp's ten, or a rival model). crmlab simulates customers whose
stages are known, infers stages from what a firm can see, and turns them into value and decisions.

Each public name is loaded when it is first used, so ``import crmlab`` costs next to nothing and
``python -m crmlab`` can set up a computer that has none of the packages yet.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "crmlab.errors": ("DataError", "SamplingWarning", "SpecError"),
    "crmlab.stages": (
        "K10",
        "K10_MARGINS",
        "KNAPP",
        "KNAPP_MERGED",
        "KNAPP_TO_LIFECYCLE",
        "KNAPP_TO_MERGED",
        "KNAPP_TO_SIX_STAGE",
        "LIFECYCLE",
        "LIFECYCLE_EXPLORATION_FIRST",
        "SIX_STAGE",
        "Crosswalk",
        "Move",
        "StageSpace",
        "check_transition_matrix",
    ),
    "crmlab.streams": ("Streams",),
    "crmlab.tables": ("CustomerTables", "split_holdout", "to_panel"),
    "crmlab.storage": ("read_tables", "read_truth", "write_tables"),
    "crmlab.orders": ("read_orders", "rfm_summary", "tables_from_orders"),
    "crmlab.datasets": ("load_cdnow_sample", "load_cdnow_summary", "load_meridienne"),
    "crmlab.btyd": (
        "BGBB",
        "BGNBD",
        "MBGNBD",
        "BuyTillYouDie",
        "Buyers",
        "GammaGamma",
        "ParetoNBD",
        "bgnbd_expected_purchases",
        "bgnbd_loglik",
        "bgnbd_mean_purchases",
        "bgnbd_prob_alive",
        "fit_bgbb",
        "fit_bgnbd",
        "fit_buyers",
        "fit_gammagamma",
        "fit_mbgnbd",
        "fit_paretonbd",
        "standard_errors",
    ),
    "crmlab.contract": (
        "BetaDiscreteWeibull",
        "ShiftedBetaGeometric",
        "bdw_posterior",
        "cost_of_homogeneity",
        "fit_bdw",
        "fit_sbg",
        "project_survivors",
        "sbg_posterior",
    ),
    "crmlab.outlook": (
        "customer_value",
        "expected_purchases",
        "expected_spend",
        "prob_alive",
    ),
    "crmlab.channels": (
        "Bernoulli",
        "Channel",
        "OrdinalSurvey",
        "Poisson",
        "StageLabel",
        "ZeroInflatedSpend",
    ),
    "crmlab.transitions": (
        "CovariateLogit",
        "CustomerEffects",
        "Horseshoe",
        "OrderedLogit",
        "Segments",
        "StickyDirichlet",
        "TransitionModel",
    ),
    "crmlab.actions": (
        "Action",
        "AlwaysTreat",
        "FirmView",
        "ManagerImpression",
        "NoAction",
        "Policy",
        "RandomPolicy",
        "ThresholdRule",
        "action_matrices",
        "tilt",
    ),
    "crmlab.generators.base": ("Generator", "simulate"),
    "crmlab.generators.stage_world": ("StageWorld",),
    "crmlab.generators.twins": ("true_effects", "true_regrets", "true_value"),
    "crmlab.generators.confounding": ("confounded_world", "expected_contrast", "expected_value"),
    "crmlab.generators.variants": ("own_tables", "own_world"),
    "crmlab.generators.partitions": ("read_dataset", "verify_dataset", "write_dataset"),
    "crmlab.evaluation": ("audit_leakage",),
    "crmlab.generators.memory": ("DwellingWorld", "ScarWorld", "memory_gap"),
    "crmlab.generators.bank.levers": ("Levers", "quiet_levers"),
    "crmlab.generators.bank.world": ("Bank",),
    "crmlab.generators.bank.dictionary": ("data_dictionary",),
    "crmlab.generators.bank.network": ("community_graph", "reach_shares"),
    "crmlab.generators.bank.presets": (
        "confounded_bank",
        "dismissing_bank",
        "dwelling_bank",
        "passive_bank",
        "scarred_bank",
        "shocked_bank",
        "silent_bank",
        "stageless_bank",
        "three_stage_bank",
        "varied_bank",
        "well_specified_bank",
    ),
    "crmlab.models.base": ("StageModel",),
    "crmlab.models.hidden": ("HiddenMarkov",),
    "crmlab.models.observed": ("ObservedMarkov",),
    "crmlab.inference": ("Fit", "fit", "load_fit"),
    "crmlab.prediction": ("forecast", "law_now", "most_likely_path", "stage_probs"),
    "crmlab.plots": ("show", "style"),
    "crmlab.course": ("check", "progress", "set_answer"),
    "crmlab.value": (
        "DiscountRate",
        "action_gradient",
        "berger_nasr",
        "blattberg_deighton_optimum",
        "break_even_cost",
        "cohort_value",
        "customer_equity",
        "discounted_occupancy",
        "equity_elasticities",
        "hidden_variance",
        "lifetime_spread",
        "lifetime_value",
        "margin_from_spend",
        "mean_spend",
        "per_month",
        "per_year",
        "retention_multiple",
        "split_variance",
        "stage_value",
        "transition_gradient",
        "value_in_blocks",
        "value_of_base",
        "value_variance",
    ),
    "crmlab.policy": (
        "allocate",
        "best_action",
        "best_offer",
        "best_price",
        "bootstrap_qini",
        "choose_policy",
        "decide",
        "evpi",
        "evsi",
        "improve_planes",
        "logged_value",
        "plan_beliefs",
        "plan_trial",
        "plan_within_budget",
        "policy_by_budget",
        "policy_value",
        "qini_curve",
        "qmdp",
        "regret_curves",
        "returner_tenure",
        "serve_or_end",
        "simulate_trial",
        "transformed_outcome",
        "triage",
        "trial_profit",
        "update_belief",
        "uplift_by_stage",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> object:
    """Load a public name from the module that defines it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'crmlab' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*globals(), *_HOME_OF])
