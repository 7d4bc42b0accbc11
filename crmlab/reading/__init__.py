"""Reading the real world: from whatever a firm exports to orders that can be trusted.

`read_sales` takes a file of almost any kind, finds out how it is written, which column is which,
and what is unusual about its rows; it says all of that in a `Quality` record, and refuses what it
could only guess. Its orders go to `tables_from_orders`.
"""

from crmlab.reading.events import EventFile, Events, read_events
from crmlab.reading.files import read_raw
from crmlab.reading.privacy import is_formula, neutralise, pseudonymise, read_key
from crmlab.reading.quality import Decision, Finding, Quality
from crmlab.reading.sales import ReadingOptions, Sales, read_sales

__all__ = [
    "Decision",
    "EventFile",
    "Events",
    "Finding",
    "Quality",
    "ReadingOptions",
    "Sales",
    "is_formula",
    "neutralise",
    "pseudonymise",
    "read_events",
    "read_key",
    "read_raw",
    "read_sales",
]
