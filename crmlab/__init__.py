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
    "crmlab.storage": ("read_tables", "write_tables"),
    "crmlab.orders": ("read_orders", "rfm_summary", "tables_from_orders"),
    "crmlab.datasets": ("load_cdnow_sample", "load_cdnow_summary"),
    "crmlab.btyd": (
        "BGNBD",
        "bgnbd_expected_purchases",
        "bgnbd_loglik",
        "bgnbd_mean_purchases",
        "bgnbd_prob_alive",
        "fit_bgnbd",
    ),
    "crmlab.channels": (
        "Bernoulli",
        "Channel",
        "OrdinalSurvey",
        "Poisson",
        "StageLabel",
        "ZeroInflatedSpend",
    ),
    "crmlab.transitions": ("StickyDirichlet", "TransitionModel"),
    "crmlab.generators.base": ("Generator", "simulate"),
    "crmlab.generators.stage_world": ("StageWorld",),
    "crmlab.models.base": ("StageModel",),
    "crmlab.models.hidden": ("HiddenMarkov",),
    "crmlab.models.observed": ("ObservedMarkov",),
    "crmlab.inference": ("Fit", "fit", "load_fit"),
    "crmlab.prediction": ("forecast", "law_now", "most_likely_path", "stage_probs"),
    "crmlab.plots": ("show", "style"),
    "crmlab.course": ("check", "progress", "set_answer"),
    "crmlab.value": (
        "DiscountRate",
        "berger_nasr",
        "blattberg_deighton_optimum",
        "customer_equity",
        "lifetime_value",
        "per_month",
        "per_year",
        "retention_multiple",
        "stage_value",
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
