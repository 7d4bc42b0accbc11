"""The likelihood of hidden stages and its exact gradient, compiled with numba.

* `scalar`: one customer after the other, the version to read first
* `simd`: a SIMD register as a number that numba can calculate with
* `steps`: what eight histories do in one period, side by side
* `shared`: the recursion where all customers share one transition matrix
* `driven`: the recursion where moves depend on covariates and on the customer
* `op`: the likelihood as a PyTensor operation
"""
