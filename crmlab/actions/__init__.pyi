"""The public names of crmlab.actions."""

from crmlab.actions.effects import (
    Action as Action,
    action_matrices as action_matrices,
    check_actions as check_actions,
    tilt as tilt,
)
from crmlab.actions.policies import (
    AlwaysTreat as AlwaysTreat,
    FirmView as FirmView,
    ManagerImpression as ManagerImpression,
    NoAction as NoAction,
    Policy as Policy,
    RandomPolicy as RandomPolicy,
    ThresholdRule as ThresholdRule,
    check_propensities as check_propensities,
    choose_actions as choose_actions,
    impression_probs as impression_probs,
)
