"""What a firm records about its customers: tables, the panel that models read, files, orders.

* `records`: the rules of each table, and what is said when they are broken
* `customer_tables`: `CustomerTables`, and the holdout split
* `panel`: from tables to the panel that models read
* `storage`: tables to and from CSV and Parquet
* `orders`: from a file of orders to tables
"""

from crmlab.tables.customer_tables import CustomerTables, split_holdout
from crmlab.tables.orders import read_orders, rfm_summary, tables_from_orders
from crmlab.tables.panel import observed_cells, to_panel
from crmlab.tables.storage import read_tables, read_truth, write_tables

__all__ = [
    "CustomerTables",
    "observed_cells",
    "read_orders",
    "read_tables",
    "read_truth",
    "rfm_summary",
    "split_holdout",
    "tables_from_orders",
    "to_panel",
    "write_tables",
]
