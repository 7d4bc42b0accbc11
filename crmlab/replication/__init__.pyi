"""The public names of crmlab.replication."""

from crmlab.replication.ledger import (
    Claim as Claim,
    Verdict as Verdict,
    half_a_unit as half_a_unit,
    judge as judge,
    main as main,
    prints_as as prints_as,
    read_ledger as read_ledger,
    replicate as replicate,
    verdicts_text as verdicts_text,
)
