"""Models: from a panel to a PyMC posterior. One class per model, one file per class.

* `HiddenMarkov`: stages that are seen only through channels
* `ObservedMarkov`: stages that are known in each period
* `StageModel`: the base class; the class to extend
* `data_remarks`: what a model cannot learn from a panel
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
