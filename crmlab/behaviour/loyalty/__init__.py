"""Loyalty: who stays because they want to, and who stays because they have nowhere to go.

Both come again and again, so behaviour alone cannot tell them apart; a rival who enters can. The
functions here give the chance of staying from attitude, switching cost and alternatives, the loss
that a firm does not see coming, the classes behind a few yes-or-no indicators, and the gate from
satisfaction and experience to engagement.

References
----------
Dick & Basu (1994), *Journal of the Academy of Marketing Science* 22(2), 99-113.
Ganesh, Arnold & Reynolds (2000), *Journal of Marketing* 64, on active and passive loyalty (from
memory).
Rows of the source map: C10, D7, D17, D46, D59 to D61.
"""

from crmlab.behaviour.loyalty.classes import LatentClasses, fit_classes
from crmlab.behaviour.loyalty.engagement import prob_engaged
from crmlab.behaviour.loyalty.mistake import (
    Mistake,
    ShareEstimate,
    mistake_passive,
    passive_share_from_leavers,
    shares_among_leavers,
)
from crmlab.behaviour.loyalty.ties import Ties, loyalty_type

__all__ = [
    "LatentClasses",
    "Mistake",
    "ShareEstimate",
    "Ties",
    "fit_classes",
    "loyalty_type",
    "mistake_passive",
    "passive_share_from_leavers",
    "prob_engaged",
    "shares_among_leavers",
]
