"""Simulation-based calibration: whether a model is right on the worlds of its own prior.

Draw parameters from the prior of a model, let the model's own channels show them in a panel, fit
the model to that panel. If prior, simulation, likelihood and sampler belong together, the truth is
one more draw from the posterior: its rank among L independent draws is uniform on 0, ..., L. This
holds for every function of parameters and data, and on average over any number of worlds (Cook,
Gelman and Rubin 2006; Talts et al. 2018). A transposed matrix, another prior, a period that is read
late: each bends some rank.

* `prior`: parameters drawn from a model's own prior, ordered stages included
* `worlds`: a panel with those parameters, in the shape of a design (windows, covariates, gaps)
* `uniformity`: one exact test of uniform ranks, and the band that goes with it
* `study`: replicates, one by one or many, and what they say

Ranked are all numbers of the posterior that vary and the log-likelihood of the data, which sees
mistakes that no parameter sees (Modrak et al. 2023, *Bayesian Analysis*).

References
----------
Talts, Betancourt, Simpson, Vehtari and Gelman (2018), "Validating Bayesian inference algorithms
with simulation-based calibration", arXiv 1804.06788.
Säilynoja, Bürkner and Vehtari (2022), "Graphical test for discrete uniformity and its applications
in goodness-of-fit evaluation and multiple sample comparison", *Statistics and Computing* 32.
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
