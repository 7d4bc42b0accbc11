"""A report on one's own orders: from a file to a folder with a page, a table, a fit and a manifest.

`write_report` does the whole of it; `rewrite_report` does it again from a manifest.
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
