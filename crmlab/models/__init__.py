"""Models: from a panel to a PyMC posterior. One class per model, one file per class.

* `HiddenMarkov`: stages that are seen only through channels
* `ObservedMarkov`: stages that are known in each period
* `StageModel`: what every model is; the class to extend
* `data_remarks`: what a panel cannot tell a model
"""

from crmlab.models.base import StageModel
from crmlab.models.hidden import HiddenMarkov
from crmlab.models.observed import ObservedMarkov
from crmlab.models.remarks import data_remarks

__all__ = ["HiddenMarkov", "ObservedMarkov", "StageModel", "data_remarks"]
