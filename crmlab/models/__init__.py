"""Models: from a panel to a PyMC posterior. One class per model, one file per class.

* `HiddenMarkov`: stages that are seen only through channels
* `ObservedMarkov`: stages that are known in each period
* `StageModel`: what every model is; the class to extend
* `data_remarks`: what a panel cannot tell a model
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
