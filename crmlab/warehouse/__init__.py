"""From the records of a firm's functions to tables of its customers.

Extracts of functions in, tables of customers out (`extracts`, `identity`, `subjects`):

* `Extract`: one file of one function, and how to read it
* `read_extract`: translate an extract into common names, codes, units and dates
* `Reading`: what `read_extract` returns
* `link_by_key`: link ids that share a key, such as a telephone number
* `join_ids`: the customer behind every id of every function
* `to_subject`: write the extracts as tables of customers

What changes, as a log (`history`):

* `as_of`: the customers as they were known on a day
* `validity`: the interval in which each value held
* `stages_by_period`: one attribute over periods, as labels
* `overwrite`: the last value for all time, as an address book keeps it

Four properties of a warehouse (`properties`):

* `check_subject_oriented`: each row of each extract is in the tables, once
* `check_integrated`: the functions speak of the same people, in the same codes and units
* `check_time_variant`: every record has a time, and changes keep their past
* `check_non_volatile`: a later load still holds what an earlier one held
* `Finding`: what a check returns

Three measures of quality (`quality`):

* `measure_completeness`: the share of filled cells
* `measure_validity`: the share of filled cells that can be true
* `measure_staleness`: the days since the last row of each customer
* `clean_record_prob`: the probability that a form holds no junk

Seven questions (`questions`):

* `what_happened`: what happened to the service during a period
* `how_received`: whether customers reacted well or badly
* `why_negative`: why they reacted badly
* `needs_met`: whether needs are met, and where the gap is
* `share_of_business`: how much of the customer's business the firm handles
* `products_held`: how many products of the firm these customers have
* `institutional_history`: the history of institutional clients' transactions

The same counts as Ibis expressions, for data larger than memory (`expressions`):

* `as_expression`: a frame as the start of an expression
* `collect`: run an expression and bring the result into memory
* `daily_purchases`: one purchase per customer and day
* `order_summary`: orders summarised per customer
* `panel_cells`: the cells of a panel
* `stage_moves`: counted moves between stages
* `purchase_gaps`: counted gaps between purchases
* `recency_moves`: counted moves between stages of recency
* `move_matrix`: counted moves as a matrix

A simulated bank taken apart, to practise on (`source_systems`):

* `to_source_systems`: divide the tables of a bank among its functions
* `SourceSystems`: what `to_source_systems` returns
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
