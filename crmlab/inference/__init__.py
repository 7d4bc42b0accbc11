"""Fit a model to a panel: the one door to every sampler.

* `fitting`: `fit`, and what each method does
* `result`: `Fit`, the model, the panel and the posterior
* `summary`: what a `Fit` shows of itself
* `convergence`: the gate that decides whether draws can be read
* `saving`: fits on disk
* `log_density`: a PyMC model as a function of one vector, compiled once for all data; and NUTS
* `laplace`: the mode of that function, and draws around it
* `hills`: all modes of that function, and the mass of the hill below each
* `readings`: every hill sampled, judged on its own, and mixed with the others
* `plan`: how long to sample, and in what steps
* `progress`: one line that says what a long computation is doing
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
