"""Fit a model to a panel: the one door to every sampler.

* `fitting`: `fit`, and what each method does
* `result`: `Fit`, the model, the panel and the posterior
* `convergence`: the gate that says whether draws can be read
* `saving`: fits on disk
* `density`: a PyMC model as a function of one vector, compiled once for all data
* `laplace`: the highest point of that function, and the normal distribution around it
"""

from crmlab.inference.fitting import fit
from crmlab.inference.result import Fit, load_fit

__all__ = ["Fit", "fit", "load_fit"]
