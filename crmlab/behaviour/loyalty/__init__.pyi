"""The public names of crmlab.behaviour.loyalty."""

from crmlab.behaviour.loyalty.classes import (
    LatentClasses as LatentClasses,
    fit_classes as fit_classes,
)
from crmlab.behaviour.loyalty.engagement import (
    prob_engaged as prob_engaged,
)
from crmlab.behaviour.loyalty.mistake import (
    Mistake as Mistake,
    ShareEstimate as ShareEstimate,
    mistake_passive as mistake_passive,
    passive_share_from_leavers as passive_share_from_leavers,
    shares_among_leavers as shares_among_leavers,
)
from crmlab.behaviour.loyalty.ties import (
    Ties as Ties,
    loyalty_type as loyalty_type,
)
