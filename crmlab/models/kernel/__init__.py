"""The likelihood of hidden stages and its exact gradient, compiled with numba.

There is one forward-backward recursion, the one of `crmlab.chains.forward`, in three forms:

* `scalar`: one customer after the other, any transition matrices. The form to read first. Models
  whose matrices come ready-made and differ run on it, and so do customers whose densities underflow
  in the other two.
* `shared`: eight customers at once, where all share one matrix in each period (`StickyDirichlet`).
  The matrix is loaded once for eight, so only alpha and beta move.
* `driven`: eight customers at once, each with her own matrices (`CovariateLogit`). They are made in
  registers from covariates and never stored as an array of customers x periods x stages x stages;
  so the gradient must be carried back to the covariates' effects in the same loop.

`draws` is the filter alone, for eight posterior draws at once; predictions read it.

What `shared` and `driven` do alike in a period is in `steps`, on the registers of `simd`; `op`
makes the likelihood a PyTensor operation.
"""
