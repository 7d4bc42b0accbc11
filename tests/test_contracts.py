"""Every channel, transition model, world and model keeps the contract of its base class.

The classes are found, not listed: a new one without an example here fails.
"""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import crmlab as crm
from crmlab.testing import (
    check_channel,
    check_generator,
    check_model,
    check_policy,
    check_transition_model,
)

SPACE = crm.StageSpace(
    ("new", "loyal", "lost"),
    phases=("together", "together", "apart"),
    moves=(("new", "loyal"), ("loyal", "new"), ("new", "lost"), ("loyal", "lost")),
)
CONFUSION = ((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.0, 0.1, 0.9))
KNOWN = (
    crm.Poisson("visits", rate=(1.0, 4.0, 0.0)),
    crm.Bernoulli("complaint", prob=(0.1, 0.0, 1.0)),
    crm.ZeroInflatedSpend("spend", (0.2, 1.0, 0.0), (15, 30, 10), (0.5, 0.8, 1.0)),
    crm.OrdinalSurvey("survey", location=(0.0, 1.0, -2.0), response_rate=0.6),
    crm.StageLabel("report", confusion=CONFUSION, response_rate=0.6),
    crm.NegativeBinomial("calls", rate=(1.0, 4.0, 0.0), shape=(0.5, 2.0, 1.0)),
    crm.Geometric("since", prob=(0.1, 0.5, 1.0)),
)
LEARNED = (
    crm.Poisson("visits"),
    crm.Bernoulli("complaint", typical_prob=(0.1, 0.1, 0.4)),
    crm.ZeroInflatedSpend("spend"),
    crm.OrdinalSurvey("survey", n_levels=3, cutpoints=(-1, 1), discrimination=0.5),
    crm.StageLabel("report", confidence=3.0),
    crm.NegativeBinomial("calls"),
    crm.Geometric("since", typical_prob=0.3),
)
MATRIX = ((0.6, 0.3, 0.1), (0.2, 0.7, 0.1), (0.0, 0.0, 1.0))
WORLD = crm.StageWorld(SPACE, (0.7, 0.3, 0.0), MATRIX, KNOWN, n_periods=5)
REGION = crm.transitions.Segments("region", (0.0, 1.0))
LEFT_OPEN = (LEARNED[0], *LEARNED[2:3], crm.OrdinalSurvey("survey"), LEARNED[4])

EXAMPLES = {
    **{type(known): (known, learned) for known, learned in zip(KNOWN, LEARNED, strict=True)},
    crm.StickyDirichlet: (crm.StickyDirichlet(), crm.StickyDirichlet(3.0, 0.5)),
    crm.CovariateLogit: (
        crm.CovariateLogit(),
        crm.CovariateLogit(
            ("contacts", "age"), effect_scale=crm.transitions.Horseshoe(), shared="move"
        ),
        crm.CovariateLogit(
            ("contacts",),
            segments=REGION,
            customers=crm.transitions.CustomerEffects(correlated=True),
        ),
    ),
    crm.transitions.OrderedLogit: (
        crm.transitions.OrderedLogit(),
        crm.transitions.OrderedLogit(("contacts", "age"), lag=1, shared="all"),
        crm.transitions.OrderedLogit(
            segments=REGION, customers=crm.transitions.CustomerEffects(shared="origin")
        ),
    ),
    crm.StageWorld: (WORLD, crm.StageWorld(crm.KNAPP, np.full(10, 0.1), crm.K10)),
    crm.bank.Bank: (crm.bank.Bank(n_periods=5),),
    crm.actions.NoAction: (crm.actions.NoAction(),),
    crm.actions.AlwaysTreat: (
        crm.actions.AlwaysTreat("gift"),
        crm.actions.AlwaysTreat("note", periods=(2,)),
    ),
    crm.actions.RandomPolicy: (crm.actions.RandomPolicy({"gift": 0.3, "note": 0.1}),),
    crm.actions.ThresholdRule: (
        crm.actions.ThresholdRule("gift", "purchases_since", 2, prob_target=0.7, prob_other=0.1),
        crm.actions.ThresholdRule("note", "need_level", 5, above=False),
    ),
    crm.evaluation.Shortlist: (crm.evaluation.Shortlist("gift", (1, 2), 1),),
    crm.actions.ManagerImpression: (
        crm.actions.ManagerImpression("gift", ("initiating", "avoiding")),
    ),
    crm.generators.ScarWorld: (
        crm.generators.ScarWorld(crm.KNAPP, np.full(10, 0.1), crm.K10, n_periods=5),
    ),
    crm.generators.DwellingWorld: (
        crm.generators.DwellingWorld(SPACE, (0.7, 0.3, 0.0), MATRIX, KNOWN[:1], n_periods=5),
    ),
    crm.HiddenMarkov: (
        crm.HiddenMarkov(SPACE, crm.StickyDirichlet(2.0), LEFT_OPEN, "visits_rate"),
        crm.HiddenMarkov(
            SPACE,
            channels=(crm.Poisson("visits", rate=(1.0, 4.0, 0.5)), LEARNED[1]),
            initial_probs=(0.7, 0.2, 0.1),
        ),
        crm.HiddenMarkov(
            SPACE, crm.CovariateLogit(("contacts", "age")), LEARNED[:1] + LEARNED[4:], "visits_rate"
        ),
        crm.HiddenMarkov(
            SPACE,
            crm.transitions.OrderedLogit(
                ("contacts",), customers=crm.transitions.CustomerEffects(shared="all")
            ),
            LEARNED[:1] + LEARNED[4:],
            "visits_rate",
        ),
    ),
    crm.ObservedMarkov: (crm.ObservedMarkov(SPACE, crm.StickyDirichlet(1.0), label="report"),),
}


def observed_world():
    """A panel of six customers; the stage is reported without error."""
    exact = crm.StageLabel("report", confusion=np.eye(3), response_rate=0.8)
    world = crm.StageWorld(
        SPACE, (0.7, 0.3, 0.0), MATRIX, (*KNOWN[:4], exact, *KNOWN[5:]), n_periods=5
    )
    panel = crm.to_panel(crm.simulate(world, 6, seed=4), freq="M")
    contacts = np.random.default_rng(2).normal(size=(6, 5))
    return panel.assign(
        contacts=(("customer_id", "period"), contacts),
        age=("customer_id", contacts[:, 0]),
        region=("customer_id", [0.0, 1.0] * 3),
    )


def read_by(transitions):
    """A panel, where the matrices depend on one."""
    differ = transitions.design.variables or transitions.n_customer_effects(SPACE)
    return observed_world() if differ else None


CHECKS = {
    crm.Channel: lambda channel: check_channel(channel, SPACE, seed=1),
    crm.TransitionModel: lambda transitions: [
        check_transition_model(transitions, space, seed=1, covariates=read_by(transitions))
        for space in (SPACE, crm.KNAPP)
    ],
    crm.Generator: lambda world: check_generator(world, seed=1),
    crm.actions.Policy: lambda policy: check_policy(policy, crm.bank.Bank(n_periods=5), seed=1),
    crm.models.StageModel: lambda model: check_model(model, observed_world(), seed=1),
}


def load_all_modules():
    """Import the package whole, so that every subclass exists; the commands define none."""
    for module in pkgutil.walk_packages(crm.__path__, "crmlab."):
        if not module.name.startswith(("crmlab.cli", "crmlab.__main__")):
            importlib.import_module(module.name)


def concrete_subclasses(base):
    """All classes of the package that can be instantiated, however far below `base`."""
    below = base.__subclasses__()
    found = [
        cls
        for cls in below
        if cls.__module__.split(".")[0] == "crmlab" and not cls.__name__.startswith("_")
    ]
    return [
        *(cls for cls in found if not inspect.isabstract(cls)),
        *(deeper for cls in below for deeper in concrete_subclasses(cls)),
    ]


load_all_modules()
FOUND = [(base, cls) for base in CHECKS for cls in concrete_subclasses(base)]


@pytest.mark.parametrize(("base", "cls"), FOUND, ids=lambda cls: cls.__name__)
def test_the_contract_is_kept(base, cls):
    assert cls in EXAMPLES, f"add an example of {cls.__name__} to EXAMPLES"
    for example in EXAMPLES[cls]:
        CHECKS[base](example)


def test_no_kind_of_extension_is_without_classes():
    assert {base for base, _ in FOUND} == set(CHECKS)
    assert {cls for _, cls in FOUND} == set(EXAMPLES)


def test_a_new_class_is_found():
    class Novel(crm.Poisson):
        __module__ = "crmlab.novel"

    assert Novel in concrete_subclasses(crm.Channel)
