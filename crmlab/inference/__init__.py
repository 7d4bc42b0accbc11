"""Fit a model to a panel: the one door to every sampler.

* `fitting`: `fit`, and what each method does
* `result`: `Fit`, the model, the panel and the posterior
* `summary`: what a `Fit` shows of itself
* `convergence`: the gate that says whether draws can be read
* `saving`: fits on disk
* `log_density`: a PyMC model as a function of one vector, compiled once for all data; NUTS on it
* `laplace`: the mode of that function, and draws around it
* `progress`: one line that says what a long computation is doing
"""

from crmlab.inference.fitting import fit
from crmlab.inference.result import Fit, load_fit

__all__ = ["Fit", "fit", "load_fit"]
