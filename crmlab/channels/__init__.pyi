"""The public names of crmlab.channels."""

from crmlab.channels.base import (
    Channel as Channel,
    check_channels as check_channels,
)
from crmlab.channels.counts import (
    Bernoulli as Bernoulli,
    Geometric as Geometric,
    NegativeBinomial as NegativeBinomial,
    Poisson as Poisson,
)
from crmlab.channels.label import (
    StageLabel as StageLabel,
)
from crmlab.channels.spend import (
    ZeroInflatedSpend as ZeroInflatedSpend,
)
from crmlab.channels.survey import (
    OrdinalSurvey as OrdinalSurvey,
)
