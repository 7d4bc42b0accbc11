"""A report on the user's orders: from a file to a folder with page, table, fit and manifest.

`write_report` makes the whole report; `rewrite_report` makes it again from a manifest.
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
