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

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
