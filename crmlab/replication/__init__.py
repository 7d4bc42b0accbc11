"""The replication ledger: every published number, recomputed.

`datasets/published/ledger.toml` says what others printed; `recipes.RECIPES` are the functions, one
per claim and named like it, that recompute it from the inputs. A claim passes if each number equals
the printed one to half a unit in the last printed digit. A difference must be explained: the ledger
then holds our own digits and the reason, and is held to both. Anything else is unexplained.

    python -m crmlab.replication

prints the table and ends with exit code 1 if anything is unexplained.

* `ledger`: claims, and how numbers are judged
* `recipes`: the functions that recompute them
"""

from crmlab.replication.ledger import (
    Claim,
    Verdict,
    half_a_unit,
    judge,
    main,
    prints_as,
    read_ledger,
    replicate,
    verdicts_text,
)

__all__ = [
    "Claim",
    "Verdict",
    "half_a_unit",
    "judge",
    "main",
    "prints_as",
    "read_ledger",
    "replicate",
    "verdicts_text",
]
