"""The log-likelihood of a panel by listing every path. Imports nothing from crmlab.

A panel is a mapping from channel to rows of cells, one row per customer, None or NaN where nothing
was seen; a law gives the log-density of a value in a stage.
"""

import math

from tests.oracles import paths


def evidence(cells, laws, n_stages, customer, first, last):
    """Log-likelihood of what was seen, period by period within the window, one entry per stage."""
    return [
        [
            math.fsum(
                laws[name](rows[customer][t], k)
                for name, rows in cells.items()
                if not _missing(rows[customer][t])
            )
            for k in range(n_stages)
        ]
        for t in range(first, last + 1)
    ]


def loglik(initial, matrix, cells, laws, first, last):
    """Sum over customers; one whose window is empty (last < first) adds nothing."""
    total = 0.0
    for customer, (start, stop) in enumerate(zip(first, last, strict=True)):
        logs = evidence(cells, laws, len(initial), customer, start, stop)
        if logs:
            total += paths.loglik(initial, [matrix] * (len(logs) - 1), logs)
    return total


def _missing(value):
    return value is None or math.isnan(value)
