"""Simulation-based calibration: whether a model is right on the worlds of its own prior.

Draw parameters from the prior of a model, simulate a panel with them, and fit the model to that
panel. If prior, simulation, likelihood and sampler agree, the truth is one more draw from the
posterior: its rank among L independent draws is uniform on 0, ..., L. This holds for every function
of parameters and data, on average over worlds (Cook, Gelman and Rubin 2006; Talts et al. 2018). A
transposed matrix, another prior or a period that is read late: each distorts some rank.

* `crmlab.models.prior`: parameters drawn from a model's own prior, ordered stages included
* `crmlab.models.simulation`: a panel with them, in the shape of a design (windows, gaps)
* `uniformity`: one exact test of uniform ranks, and the band that goes with it
* `study`: replicates, one by one or many, and what they say

All numbers of the posterior that vary are ranked, and so is the log-likelihood of the data, which
reveals mistakes that no parameter does (Modrak et al. 2023, *Bayesian Analysis*).

References
----------
Talts, Betancourt, Simpson, Vehtari and Gelman (2018), "Validating Bayesian inference algorithms
with simulation-based calibration", arXiv 1804.06788.
Säilynoja, Bürkner and Vehtari (2022), "Graphical test for discrete uniformity and its applications
in goodness-of-fit evaluation and multiple sample comparison", *Statistics and Computing* 32.
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
