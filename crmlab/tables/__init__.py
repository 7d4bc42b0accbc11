"""What a firm records about its customers: tables, the panel that models read, files, orders.

Tables and their rules (`records`, `customer_tables`):

* `CustomerTables`: tables that keep the rules of the format
* `split_holdout`: cut tables in time, before anything is aggregated

The panel that models read (`panel`):

* `observed_cells`: which cells of a panel are inside the window of observation
* `to_panel`: one cell per customer and period

Tables on disk (`storage`):

* `read_tables`: read a folder of tables
* `write_tables`: write tables to a folder
* `read_truth`: read the truth that `write_tables(..., truth_folder=...)` wrote

Orders (`orders`):

* `read_orders`: read a file with one row per order
* `tables_from_orders`: turn orders into tables
* `rfm_summary`: frequency, recency and amounts of each customer

`folders` is the one safe writer of folders, for every module that writes one.
"""

from crmlab.tables.customer_tables import CustomerTables, split_holdout
from crmlab.tables.orders import read_orders, rfm_summary, tables_from_orders
from crmlab.tables.panel import observed_cells, to_panel
from crmlab.tables.storage import read_tables, read_truth, write_tables

__all__ = [
    "CustomerTables", "observed_cells", "read_orders", "read_tables", "read_truth", "rfm_summary",
    "split_holdout", "tables_from_orders", "to_panel", "write_tables",
]  # fmt: skip
