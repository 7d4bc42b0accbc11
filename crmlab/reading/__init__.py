"""Reading the real world: from whatever a firm exports to orders that can be trusted.

`read_sales` takes a file of almost any kind, finds out how it is written, which column is which,
and what is unusual about its rows; it says all of that in a `Quality` record, and refuses what it
could only guess. Its orders go to `tables_from_orders`.

Orders (`sales`, `options`, `files`):

* `read_sales`: read orders from a file, a frame or an Ibis table
* `ReadingOptions`: what the user says about a file
* `Sales`: the orders, and the record of their reading
* `read_raw`: read a file of any supported kind as it is

Other files about the same customers (`events`):

* `read_events`: read touchpoints, surveys, cases or actions
* `EventFile`: such a file, and what the user says about its columns
* `Events`: what `read_events` returns

The record of a reading (`quality`):

* `Quality`: everything that was decided and found
* `Decision`: one choice that the reader made
* `Finding`: rows of one kind, and what was done with them

Privacy (`privacy`):

* `pseudonymise`: replace ids by keyed hashes
* `read_key`: read the key of the pseudonyms, or make one
* `is_formula`: which texts a spreadsheet would run as a formula
* `neutralise`: make such texts harmless
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
