"""From the records of a firm's functions to tables of its customers.

extracts (one function's file, and how to read it) and identity (two ids, one person)
→ subjects (`to_subject`: extracts in, `CustomerTables` out) and history (what changes, as a log)
→ properties (four checks), quality (three measures), questions (seven of them).
expressions are summaries, panels and moves as Ibis expressions, for data larger than memory;
source_systems takes a simulated bank apart, to practise on.
"""

from crmlab.warehouse.expressions import (
    as_expression,
    collect,
    daily_purchases,
    move_matrix,
    order_summary,
    panel_cells,
    purchase_gaps,
    recency_moves,
    stage_moves,
)
from crmlab.warehouse.extracts import Extract, Reading, read_extract
from crmlab.warehouse.history import as_of, overwrite, stages_by_period, validity
from crmlab.warehouse.identity import join_ids, link_by_key
from crmlab.warehouse.properties import (
    Finding,
    check_integrated,
    check_non_volatile,
    check_subject_oriented,
    check_time_variant,
)
from crmlab.warehouse.quality import (
    clean_record_prob,
    measure_completeness,
    measure_staleness,
    measure_validity,
)
from crmlab.warehouse.questions import (
    how_received,
    institutional_history,
    needs_met,
    products_held,
    share_of_business,
    what_happened,
    why_negative,
)
from crmlab.warehouse.source_systems import SourceSystems, to_source_systems
from crmlab.warehouse.subjects import to_subject

__all__ = [
    "Extract",
    "Finding",
    "Reading",
    "SourceSystems",
    "as_expression",
    "as_of",
    "check_integrated",
    "check_non_volatile",
    "check_subject_oriented",
    "check_time_variant",
    "clean_record_prob",
    "collect",
    "daily_purchases",
    "how_received",
    "institutional_history",
    "join_ids",
    "link_by_key",
    "measure_completeness",
    "measure_staleness",
    "measure_validity",
    "move_matrix",
    "needs_met",
    "order_summary",
    "overwrite",
    "panel_cells",
    "products_held",
    "purchase_gaps",
    "read_extract",
    "recency_moves",
    "share_of_business",
    "stage_moves",
    "stages_by_period",
    "to_source_systems",
    "to_subject",
    "validity",
    "what_happened",
    "why_negative",
]
