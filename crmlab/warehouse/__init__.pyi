"""The public names of crmlab.warehouse."""

from crmlab.warehouse.expressions import (
    as_expression as as_expression,
    collect as collect,
    daily_purchases as daily_purchases,
    move_matrix as move_matrix,
    order_summary as order_summary,
    panel_cells as panel_cells,
    purchase_gaps as purchase_gaps,
    recency_moves as recency_moves,
    stage_moves as stage_moves,
)
from crmlab.warehouse.extracts import (
    Extract as Extract,
    Reading as Reading,
    read_extract as read_extract,
)
from crmlab.warehouse.history import (
    as_of as as_of,
    overwrite as overwrite,
    stages_by_period as stages_by_period,
    validity as validity,
)
from crmlab.warehouse.identity import (
    join_ids as join_ids,
    link_by_key as link_by_key,
)
from crmlab.warehouse.properties import (
    Finding as Finding,
    check_integrated as check_integrated,
    check_non_volatile as check_non_volatile,
    check_subject_oriented as check_subject_oriented,
    check_time_variant as check_time_variant,
)
from crmlab.warehouse.quality import (
    clean_record_prob as clean_record_prob,
    measure_completeness as measure_completeness,
    measure_staleness as measure_staleness,
    measure_validity as measure_validity,
)
from crmlab.warehouse.questions import (
    how_received as how_received,
    institutional_history as institutional_history,
    needs_met as needs_met,
    products_held as products_held,
    share_of_business as share_of_business,
    what_happened as what_happened,
    why_negative as why_negative,
)
from crmlab.warehouse.source_systems import (
    SourceSystems as SourceSystems,
    to_source_systems as to_source_systems,
)
from crmlab.warehouse.subjects import (
    to_subject as to_subject,
)
