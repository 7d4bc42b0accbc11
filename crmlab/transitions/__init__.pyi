"""The public names of crmlab.transitions."""

from crmlab.transitions.base import (
    TransitionModel as TransitionModel,
)
from crmlab.transitions.covariates import (
    Segments as Segments,
)
from crmlab.transitions.design import (
    Design as Design,
)
from crmlab.transitions.effect_priors import (
    CustomerEffects as CustomerEffects,
    Horseshoe as Horseshoe,
)
from crmlab.transitions.link import (
    Link as Link,
)
from crmlab.transitions.logit import (
    CovariateLogit as CovariateLogit,
)
from crmlab.transitions.ordered import (
    OrderedLogit as OrderedLogit,
)
from crmlab.transitions.sticky import (
    StickyDirichlet as StickyDirichlet,
    break_sticks as break_sticks,
)
from crmlab.transitions.with_covariates import (
    DrivenTransitions as DrivenTransitions,
)
