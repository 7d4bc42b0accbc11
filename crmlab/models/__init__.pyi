"""The public names of crmlab.models."""

from crmlab.models.base import (
    StageModel as StageModel,
)
from crmlab.models.hidden import (
    HiddenMarkov as HiddenMarkov,
)
from crmlab.models.observed import (
    ObservedMarkov as ObservedMarkov,
)
from crmlab.models.remarks import (
    data_remarks as data_remarks,
)
