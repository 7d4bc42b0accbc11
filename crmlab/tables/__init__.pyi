"""The public names of crmlab.tables."""

from crmlab.tables.customer_tables import (
    CustomerTables as CustomerTables,
    split_holdout as split_holdout,
)
from crmlab.tables.orders import (
    read_orders as read_orders,
    rfm_summary as rfm_summary,
    tables_from_orders as tables_from_orders,
)
from crmlab.tables.panel import (
    observed_cells as observed_cells,
    to_panel as to_panel,
)
from crmlab.tables.storage import (
    read_tables as read_tables,
    read_truth as read_truth,
    write_tables as write_tables,
)
